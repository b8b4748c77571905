//! Fields in any order, as often as they like: sorted, merged, the last one wins.

use super::super::error::Damage;
use super::super::table::{Field, Kind, Message};
use super::super::wire::{Tag, Wire};
use super::{Fault, List, Writer};

/// One tag of a known field, and the bytes of its value.
struct Occurrence<'w> {
    /// The position of the field in its message.
    position: usize,
    tag: Tag,
    value: Wire<'w>,
    /// Whether another field of the same oneof came later.
    superseded: bool,
}

impl<'t> Writer<'t, '_> {
    /// Writes the fields that are spread over some payloads, each of which ends between two fields.
    ///
    /// Values that are superseded are written too and taken back, so that damage is found in them as well. They
    /// may lack what they need to have JSON, such as the type of an `Any`.
    pub(super) fn fields_in_any_order(
        &mut self,
        message: &'t Message,
        payloads: &[&[u8]],
        depth: u32,
    ) -> Result<(), Fault> {
        let found = occurrences(message, payloads, depth)?;
        let mut found = found.as_slice();
        for (position, field) in message.fields.iter().enumerate() {
            let count = found.iter().take_while(|o| o.position == position).count();
            let (these, rest) = found.split_at_checked(count).unwrap_or_default();
            found = rest;
            self.occurring(field, these, depth).map_err(|fault| fault.in_field(&field.name))?;
        }
        Ok(())
    }

    fn occurring(&mut self, field: &'t Field, found: &[Occurrence<'_>], depth: u32) -> Result<(), Fault> {
        let start = self.out.len();
        for occurrence in found.iter().filter(|o| o.superseded) {
            match self.singular(field, &[occurrence], depth) {
                Err(Fault::Failed(error)) if !error.is_damage() => {}
                result => result?,
            }
            self.out.truncate(start);
        }
        let live: Vec<_> = found.iter().filter(|o| !o.superseded).collect();
        if live.is_empty() {
            return self.absent(field, depth);
        }
        if field.rule.is_singular() {
            return self.singular(field, &live, depth);
        }
        field.key.write(self.out);
        let mut list = List::new(self.out.len());
        for occurrence in live {
            let mut wire = occurrence.value;
            self.elements(field, occurrence.tag, &mut wire, &mut list, depth)?;
        }
        self.end_list(field, &list);
        Ok(())
    }

    /// Writes one value of several: of messages their merger, of anything else the last.
    fn singular(&mut self, field: &'t Field, found: &[&Occurrence<'_>], depth: u32) -> Result<(), Fault> {
        if found.iter().any(|o| o.tag != field.tag) {
            return Err(Damage::WireType.into());
        }
        field.key.write(self.out);
        if let Kind::Message(id) | Kind::Group(id) = field.kind {
            let mut payloads = Vec::with_capacity(found.len());
            for occurrence in found {
                let mut wire = occurrence.value;
                payloads.push(match field.kind {
                    Kind::Group(_) => wire.group(field.number, depth)?,
                    _ => wire.bytes()?,
                });
            }
            return self.merged(id, &payloads, super::below(depth)?);
        }
        let start = self.out.len();
        for occurrence in found {
            self.out.truncate(start);
            let mut wire = occurrence.value;
            self.value(field, &mut wire, depth)?;
        }
        Ok(())
    }
}

/// Finds the known fields of a message, sorted by field and within it as they came.
fn occurrences<'w>(
    message: &Message,
    payloads: &[&'w [u8]],
    depth: u32,
) -> Result<Vec<Occurrence<'w>>, Fault> {
    let mut found = Vec::new();
    // The field that each oneof holds, and how many occurrences there were before it did.
    let mut holds = vec![(None, 0); message.oneofs.len()];
    let oneof_of = |position: usize| message.fields.get(position).and_then(|field| field.oneof);
    for payload in payloads {
        let mut wire = Wire::new(payload);
        while !wire.is_empty() {
            let tag = wire.tag()?;
            let value = Wire::new(wire.skip(tag, depth)?);
            let Some(position) = message.position(tag.number()) else {
                continue;
            };
            if let Some(held) = oneof_of(position).and_then(|oneof| holds.get_mut(oneof))
                && held.0 != Some(position)
            {
                *held = (Some(position), found.len());
            }
            found.push(Occurrence { position, tag, value, superseded: false });
        }
    }
    for (count, occurrence) in found.iter_mut().enumerate() {
        let held = oneof_of(occurrence.position).and_then(|oneof| holds.get(oneof));
        occurrence.superseded = held.is_some_and(|(_, since)| count < *since);
    }
    found.sort_by_key(|occurrence| occurrence.position);
    Ok(found)
}
