//! From wire bytes to JSON text.
//!
//! Every field puts a comma before itself, and a closing object or list turns the first of them into its opening
//! bracket; so nothing has to know whether it is the first.

mod exact;
mod known;

use std::collections::HashMap;

use bytes::Bytes;

use super::DEPTH_LIMIT;
use super::digits;
use super::error::{Damage, FieldPath, JsonError};
use super::table::{Absent, EnumId, Field, Kind, Message, MessageId, Rule, Shape, Tables};
use super::text;
use super::time::Clock;
use super::wire::{Tag, Wire, WireType, low_word, unzigzag};

/// Gives the JSON of a message within another one, where it is known already.
pub(super) type Known<'k> = &'k mut dyn FnMut(MessageId, &[u8]) -> Option<Bytes>;

/// Appends the JSON of a message, or leaves `out` as it was.
pub(super) fn message(
    tables: &Tables,
    id: MessageId,
    wire: &[u8],
    out: &mut Vec<u8>,
    mut known: Option<Known<'_>>,
) -> Result<(), JsonError> {
    let start = out.len();
    // JSON is two to three times as long as the wire bytes of a typical message.
    out.reserve(wire.len().saturating_mul(3));
    let mut order = Order::ByNumber;
    loop {
        let known = known.as_mut().map(|known| &mut **known as Known<'_>);
        let mut writer = Writer { tables, out, order, known, clock: Clock::new() };
        match writer.message(id, wire, DEPTH_LIMIT) {
            Ok(()) => return Ok(()),
            Err(Fault::Failed(error)) if order == Order::Any || error.is_damage() => {
                out.truncate(start);
                return Err(*error);
            }
            // A field that comes out of order may also put right what seemed to have no JSON.
            Err(_) => order = Order::Any,
        }
        out.truncate(start);
    }
}

/// Which fields a writer is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Each field once, by rising number, as encoders write them.
    ByNumber,
    /// Whatever the wire format allows. A writer that is ready for it never meets [`Fault::OutOfOrder`].
    Any,
}

/// Why a writer stopped.
enum Fault {
    /// The document has to be started again, ready for any order.
    OutOfOrder,
    /// There is no JSON for these bytes.
    Failed(Box<JsonError>),
}

impl Fault {
    #[cold]
    fn unrepresentable(reason: &'static str) -> Self {
        Self::Failed(Box::new(JsonError::Unrepresentable { path: FieldPath::default(), reason }))
    }

    #[cold]
    fn in_field(self, name: &str) -> Self {
        match self {
            Self::OutOfOrder => Self::OutOfOrder,
            Self::Failed(error) => Self::Failed(Box::new(error.in_field(name))),
        }
    }

    #[cold]
    fn in_element(self, index: usize) -> Self {
        match self {
            Self::OutOfOrder => Self::OutOfOrder,
            Self::Failed(error) => Self::Failed(Box::new(error.in_element(index))),
        }
    }
}

impl From<Damage> for Fault {
    #[cold]
    fn from(damage: Damage) -> Self {
        Self::Failed(Box::new(JsonError::Damaged { path: FieldPath::default(), damage }))
    }
}

/// A document being written.
struct Writer<'t, 'o> {
    tables: &'t Tables,
    out: &'o mut Vec<u8>,
    order: Order,
    known: Option<Known<'o>>,
    clock: Clock,
}

impl<'t> Writer<'t, '_> {
    /// Writes a message.
    fn message(&mut self, id: MessageId, payload: &[u8], depth: u32) -> Result<(), Fault> {
        let message = self.tables.message_at(id);
        // Most are of these two shapes, and as encoders write them.
        if message.shape == Shape::Timestamp
            && let Some((seconds, nanos)) = known::encoded_time(payload)
        {
            self.clock.put(seconds, nanos, self.out).map_err(Fault::unrepresentable)
        } else if message.shape == Shape::Object && self.order == Order::ByNumber {
            let start = self.out.len();
            self.fields_by_number(message, payload, depth)?;
            self.enclose(start, b'{', b'}');
            Ok(())
        } else {
            self.merged(id, &[payload], depth)
        }
    }

    /// Writes a message whose fields are spread over some payloads: one, unless messages have to be merged.
    fn merged(&mut self, id: MessageId, payloads: &[&[u8]], depth: u32) -> Result<(), Fault> {
        let message = self.tables.message_at(id);
        match message.shape {
            Shape::Object => {
                let start = self.out.len();
                self.fields(message, payloads, depth)?;
                self.enclose(start, b'{', b'}');
                Ok(())
            }
            Shape::Bare | Shape::Entry => self.fields(message, payloads, depth),
            Shape::Value => {
                let start = self.out.len();
                self.fields(message, payloads, depth)?;
                if self.out.len() == start {
                    self.out.extend_from_slice(b"null");
                }
                Ok(())
            }
            Shape::Timestamp => self.timestamp(payloads, depth),
            Shape::Duration => known::duration(payloads, depth, self.out),
            Shape::FieldMask => known::field_mask(payloads, depth, self.out),
            Shape::Any => self.any(payloads, depth),
        }
    }

    fn fields(&mut self, message: &'t Message, payloads: &[&[u8]], depth: u32) -> Result<(), Fault> {
        match (self.order, payloads) {
            (Order::ByNumber, [payload]) => self.fields_by_number(message, payload, depth),
            _ => self.fields_in_any_order(message, payloads, depth),
        }
    }

    /// Writes fields as they come, and those that are left out between them.
    fn fields_by_number(&mut self, message: &'t Message, payload: &[u8], depth: u32) -> Result<(), Fault> {
        let mut wire = Wire::new(payload);
        let mut fields = message.fields.iter();
        let mut oneofs_seen = 0;
        while !wire.is_empty() {
            let tag = match fields.as_slice().first() {
                Some(field) if wire.take(field.short_tag) => field.tag,
                _ => wire.tag()?,
            };
            while let Some(field) = fields.as_slice().first().filter(|field| field.number < tag.number()) {
                fields.next();
                self.absent(field, depth)?;
            }
            match fields.as_slice().first() {
                Some(field) if field.number == tag.number() => {
                    fields.next();
                    if field.oneof_bit() & oneofs_seen != 0 {
                        return Err(Fault::OutOfOrder);
                    }
                    oneofs_seen |= field.oneof_bit();
                    self.present(field, tag, &mut wire, depth)
                        .map_err(|fault| fault.in_field(&field.name))?;
                }
                _ if message.position(tag.number()).is_some() => return Err(Fault::OutOfOrder),
                _ => {
                    wire.skip(tag, depth)?;
                }
            }
        }
        fields.try_for_each(|field| self.absent(field, depth))
    }

    /// Writes a field with the values that follow its first tag.
    #[inline]
    fn present(
        &mut self,
        field: &'t Field,
        mut tag: Tag,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Result<(), Fault> {
        field.key.write(self.out);
        if field.rule.is_singular() {
            return if tag == field.tag {
                self.value(field, wire, depth)
            } else {
                Err(Damage::WireType.into())
            };
        }
        let mut list = List::new(self.out.len());
        loop {
            self.elements(field, tag, wire, &mut list, depth)?;
            tag = if wire.take(field.short_tag) {
                field.tag
            } else if let Some(next) = wire.ahead()?.filter(|next| next.number() == field.number) {
                wire.tag()?;
                next
            } else {
                break;
            }
        }
        self.end_list(field, &list);
        Ok(())
    }

    /// Writes what a field holds that is not on the wire.
    fn absent(&mut self, field: &Field, depth: u32) -> Result<(), Fault> {
        match &field.absent {
            Absent::Nothing => Ok(()),
            Absent::Text(text) => {
                text.write(self.out);
                Ok(())
            }
            Absent::Empty(id) => {
                field.key.write(self.out);
                self.message(*id, &[], depth)
            }
        }
    }

    /// Writes the values that follow one tag of a list or map.
    fn elements(
        &mut self,
        field: &'t Field,
        tag: Tag,
        wire: &mut Wire<'_>,
        list: &mut List,
        depth: u32,
    ) -> Result<(), Fault> {
        if tag == field.tag {
            self.element(field, wire, list, depth)
        } else if field.kind.is_packable() && tag == Tag::new(field.number, WireType::Length) {
            let mut run = Wire::new(wire.bytes()?);
            while !run.is_empty() {
                self.element(field, &mut run, list, depth)?;
            }
            Ok(())
        } else {
            Err(Damage::WireType.into())
        }
    }

    fn element(
        &mut self,
        field: &'t Field,
        wire: &mut Wire<'_>,
        list: &mut List,
        depth: u32,
    ) -> Result<(), Fault> {
        if field.rule == Rule::Map {
            list.entries.push(self.out.len());
        } else {
            self.out.push(b',');
        }
        self.value(field, wire, depth).map_err(|fault| fault.in_element(list.count))?;
        list.count += 1;
        Ok(())
    }

    fn end_list(&mut self, field: &Field, list: &List) {
        if field.rule == Rule::Map {
            keep_last(self.out, &list.entries);
            self.enclose(list.start, b'{', b'}');
        } else {
            self.enclose(list.start, b'[', b']');
        }
    }

    /// Writes one value.
    #[inline]
    fn value(&mut self, field: &'t Field, wire: &mut Wire<'_>, depth: u32) -> Result<(), Fault> {
        match field.kind {
            Kind::String => {
                let (bytes, ahead) = wire.bytes_ahead()?;
                text::put_utf8(bytes, ahead, self.out)?;
            }
            Kind::Bytes => text::put_base64(wire.bytes()?, self.out),
            Kind::Message(id) => {
                let wire = wire.bytes()?;
                match self.known.as_mut().and_then(|known| known(id, wire)) {
                    Some(text) => self.out.extend_from_slice(&text),
                    None => self.message(id, wire, below(depth)?)?,
                }
            }
            Kind::Group(id) => self.message(id, wire.group(field.number, depth)?, below(depth)?)?,
            Kind::Enum(id) => self.enumeration(id, low_word(wire.varint()?).cast_signed()),
            Kind::Null => {
                wire.varint()?;
                self.out.extend_from_slice(b"null");
            }
            Kind::Bool => {
                let value = wire.varint()? != 0;
                self.out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            Kind::Int32 => digits::put_integer(low_word(wire.varint()?).cast_signed(), self.out),
            Kind::Uint32 => digits::put_integer(low_word(wire.varint()?), self.out),
            Kind::Sint32 => digits::put_integer(unzigzag(u64::from(low_word(wire.varint()?))), self.out),
            Kind::Fixed32 => digits::put_integer(wire.fixed32()?, self.out),
            Kind::Sfixed32 => digits::put_integer(wire.fixed32()?.cast_signed(), self.out),
            Kind::Int64 => text::put_quoted(wire.varint()?.cast_signed(), self.out),
            Kind::Uint64 => text::put_quoted_unsigned(wire.varint()?, self.out),
            Kind::Sint64 => text::put_quoted(unzigzag(wire.varint()?), self.out),
            Kind::Fixed64 => text::put_quoted_unsigned(wire.fixed64()?, self.out),
            Kind::Sfixed64 => text::put_quoted(wire.fixed64()?.cast_signed(), self.out),
            Kind::Float => text::put_float(f32::from_bits(wire.fixed32()?), self.out),
            Kind::Double => text::put_float(f64::from_bits(wire.fixed64()?), self.out),
            Kind::Finite => {
                let value = f64::from_bits(wire.fixed64()?);
                if !value.is_finite() {
                    return Err(Fault::unrepresentable("a JSON value cannot be infinite or NaN"));
                }
                text::put_float(value, self.out);
            }
        }
        Ok(())
    }

    fn enumeration(&mut self, id: EnumId, number: i32) {
        match self.tables.enumeration_at(id).name(number) {
            Some(name) => name.write(self.out),
            None => digits::put_integer(number, self.out),
        }
    }

    /// Puts brackets around what was written since `start`, in place of its first comma.
    #[inline]
    fn enclose(&mut self, start: usize, open: u8, close: u8) {
        match self.out.get_mut(start) {
            Some(comma) => *comma = open,
            None => self.out.push(open),
        }
        self.out.push(close);
    }
}

/// A list or map being written.
struct List {
    start: usize,
    /// Elements so far.
    count: usize,
    /// Where each entry of a map starts.
    entries: Vec<usize>,
}

impl List {
    const fn new(start: usize) -> Self {
        Self { start, count: 0, entries: Vec::new() }
    }
}

/// Gets the depth that is left for a message within.
fn below(depth: u32) -> Result<u32, Damage> {
    depth.checked_sub(1).ok_or(Damage::TooDeep)
}

/// Takes back the entries of a map whose key comes again later.
fn keep_last(out: &mut Vec<u8>, entries: &[usize]) {
    let [first, _, ..] = *entries else { return };
    let ends = entries.iter().skip(1).copied().chain([out.len()]);
    let texts = || {
        let spans = entries.iter().zip(ends.clone());
        spans.map(|(start, end)| out.get(*start..end).unwrap_or_default())
    };
    let last: HashMap<&[u8], usize> = texts().map(key_of).zip(0..).collect();
    if last.len() == entries.len() {
        return;
    }
    let kept = texts().zip(0..).filter(|(text, position)| last.get(key_of(text)) == Some(position));
    let kept: Vec<u8> = kept.flat_map(|(text, _)| text).copied().collect();
    out.truncate(first);
    out.extend_from_slice(&kept);
}

/// Gets the key, in its quotes, of an entry that was written as `,"key":value`.
fn key_of(entry: &[u8]) -> &[u8] {
    let mut escaped = false;
    let length = entry.iter().skip(2).position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    entry.get(1..length.unwrap_or(0) + 3).unwrap_or_default()
}
