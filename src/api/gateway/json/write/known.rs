//! Well-known types whose JSON is a text, and `Any`. They take their fields in any order.

use super::super::error::{Damage, FieldPath, JsonError, shorten};
use super::super::wire::{Tag, Wire, WireType, low_word};
use super::super::{text, time};
use super::{Fault, Writer, below};

pub(super) fn duration(payloads: &[&[u8]], depth: u32, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (seconds, nanos) = seconds_and_nanos(payloads, depth)?;
    time::put_duration(seconds, nanos, out).map_err(Fault::unrepresentable)
}

/// Writes the paths of a mask, separated by commas.
pub(super) fn field_mask(payloads: &[&[u8]], depth: u32, out: &mut Vec<u8>) -> Result<(), Fault> {
    const PATHS: u32 = 1;
    let mut mask = String::new();
    each_field(payloads, depth, |tag, wire| {
        if tag.number() != PATHS {
            return Ok(false);
        }
        let path =
            std::str::from_utf8(expect(tag, WireType::Length, wire)?.bytes()?).map_err(|_| Damage::Utf8)?;
        if !mask.is_empty() {
            mask.push(',');
        }
        push_camel(path, &mut mask)
            .ok_or_else(|| Fault::unrepresentable("a path of the mask does not survive camel case"))?;
        Ok(true)
    })?;
    text::put_str(&mask, out);
    Ok(())
}

impl Writer<'_, '_> {
    pub(super) fn timestamp(&mut self, payloads: &[&[u8]], depth: u32) -> Result<(), Fault> {
        let (seconds, nanos) = seconds_and_nanos(payloads, depth)?;
        self.clock.put(seconds, nanos, self.out).map_err(Fault::unrepresentable)
    }

    /// Writes the message within an `Any`, led by its type.
    pub(super) fn any(&mut self, payloads: &[&[u8]], depth: u32) -> Result<(), Fault> {
        const TYPE_URL: u32 = 1;
        const VALUE: u32 = 2;
        let (mut type_url, mut value) = ("", [].as_slice());
        each_field(payloads, depth, |tag, wire| {
            match tag.number() {
                TYPE_URL => {
                    let bytes = expect(tag, WireType::Length, wire)?.bytes()?;
                    type_url = std::str::from_utf8(bytes).map_err(|_| Damage::Utf8)?;
                }
                VALUE => value = expect(tag, WireType::Length, wire)?.bytes()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if type_url.is_empty() && value.is_empty() {
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        let named = type_url.rsplit_once('/').and_then(|(_, name)| self.tables.message(name));
        let Some(id) = named else {
            let error = JsonError::UnknownType { path: FieldPath::default(), type_url: shorten(type_url) };
            return Err(Fault::Failed(Box::new(error)));
        };
        let message = self.tables.message_at(id);
        let start = self.out.len();
        self.out.extend_from_slice(b",\"@type\":");
        text::put_str(type_url, self.out);
        if message.apart_in_any {
            self.out.extend_from_slice(b",\"value\":");
            self.message(id, value, below(depth)?)?;
        } else {
            self.fields(message, &[value], below(depth)?)?;
        }
        self.enclose(start, b'{', b'}');
        Ok(())
    }
}

const SECONDS: u32 = 1;
const NANOS: u32 = 2;

/// Reads the two fields that timestamps and durations have, where they are as encoders write them.
#[inline]
pub(super) fn encoded_time(payload: &[u8]) -> Option<(i64, i32)> {
    let mut wire = Wire::new(payload);
    let seconds =
        if wire.take(Tag::new(SECONDS, WireType::Varint).short()) { wire.varint().ok()? } else { 0 };
    let nanos = if wire.take(Tag::new(NANOS, WireType::Varint).short()) { wire.varint().ok()? } else { 0 };
    wire.is_empty().then_some((seconds.cast_signed(), low_word(nanos).cast_signed()))
}

/// Reads them in any order.
fn seconds_and_nanos(payloads: &[&[u8]], depth: u32) -> Result<(i64, i32), Fault> {
    let (mut seconds, mut nanos) = (0, 0);
    each_field(payloads, depth, |tag, wire| {
        match tag.number() {
            SECONDS => seconds = expect(tag, WireType::Varint, wire)?.varint()?.cast_signed(),
            NANOS => nanos = low_word(expect(tag, WireType::Varint, wire)?.varint()?).cast_signed(),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((seconds, nanos))
}

/// Gives each tag and what follows it to `read`, which says whether it has read the value.
#[inline]
fn each_field<'w>(
    payloads: &[&'w [u8]],
    depth: u32,
    mut read: impl FnMut(Tag, &mut Wire<'w>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    for payload in payloads {
        let mut wire = Wire::new(payload);
        while !wire.is_empty() {
            let tag = wire.tag()?;
            if !read(tag, &mut wire)? {
                wire.skip(tag, depth)?;
            }
        }
    }
    Ok(())
}

fn expect<'a, 'w>(tag: Tag, wire_type: WireType, wire: &'a mut Wire<'w>) -> Result<&'a mut Wire<'w>, Damage> {
    if tag == Tag::new(tag.number(), wire_type) { Ok(wire) } else { Err(Damage::WireType) }
}

/// Appends a path with its `snake_case` names in camel case, or nothing if they could not be told back.
fn push_camel(path: &str, out: &mut String) -> Option<()> {
    let mut raise = false;
    for letter in path.chars() {
        match letter {
            '_' if !raise => raise = true,
            'a'..='z' if raise => {
                out.push(letter.to_ascii_uppercase());
                raise = false;
            }
            '_' | 'A'..='Z' | ',' => return None,
            _ if raise => return None,
            _ => out.push(letter),
        }
    }
    (!raise).then_some(())
}
