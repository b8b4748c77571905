//! Wire bytes that mean much the same, as no encoder would write them.

use prost_reflect::{Kind, MessageDescriptor};

use super::super::wire::{Tag, Wire, WireType, put_varint};
use super::dice::Dice;

/// Moves, repeats and splits the fields of a message and of those within, and adds unknown ones.
pub(super) fn scramble(of: &MessageDescriptor, payload: &[u8], dice: &mut Dice<'_>) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut wire = Wire::new(payload);
    while !wire.is_empty() {
        let tag = wire.tag().unwrap();
        let value = wire.skip(tag, 100).unwrap();
        fields.extend(respelled(of, tag, value, dice));
    }
    for _ in 0..dice.below(3) {
        let place = dice.below(fields.len() + 1);
        let field = match dice.below(3) {
            0 => (Tag::new(19_999, WireType::Varint), vec![0x05]),
            1 => (Tag::new(19_998, WireType::GroupStart), Tag::new(19_998, WireType::GroupEnd).bytes()),
            _ if fields.is_empty() => continue,
            _ => dice.pick(&fields),
        };
        fields.insert(place, field);
    }
    for _ in 0..dice.below(4) {
        if !fields.is_empty() {
            let (a, b) = (dice.below(fields.len()), dice.below(fields.len()));
            fields.swap(a, b);
        }
    }
    fields.iter().flat_map(|(tag, value)| [tag.bytes(), value.clone()].concat()).collect()
}

/// Other tags and values for one field.
fn respelled(of: &MessageDescriptor, tag: Tag, value: &[u8], dice: &mut Dice<'_>) -> Vec<(Tag, Vec<u8>)> {
    let unchanged = vec![(tag, value.to_vec())];
    let Some(field) = of.get_field(tag.number()) else {
        return unchanged;
    };
    let length = Tag::new(tag.number(), WireType::Length);
    match field.kind() {
        Kind::Message(inner) if tag == length => {
            let payload = scramble(&inner, Wire::new(value).bytes().unwrap(), dice);
            // A message in two parts. The parts of an element would be two elements.
            if field.is_list() || field.is_map() || !dice.one_in(3) {
                return vec![(tag, delimited(&payload))];
            }
            let mut rest = Wire::new(&payload);
            let first = rest.tag().map_or(0, |tag| {
                let value = rest.skip(tag, 100).unwrap();
                tag.bytes().len() + value.len()
            });
            let (first, second) = payload.split_at(first);
            vec![(tag, delimited(first)), (tag, delimited(second))]
        }
        Kind::Message(_) | Kind::String | Kind::Bytes => unchanged,
        // A list of numbers may come in runs or one by one, whatever its declaration says.
        kind if field.is_list() && dice.one_in(2) => {
            if tag != length {
                return vec![(length, delimited(value))];
            }
            let tag = Tag::new(tag.number(), packable(&kind));
            let mut run = Wire::new(Wire::new(value).bytes().unwrap());
            let mut fields = Vec::new();
            while !run.is_empty() {
                fields.push((tag, run.skip(tag, 100).unwrap().to_vec()));
            }
            fields
        }
        _ => unchanged,
    }
}

/// The wire type of one number.
fn packable(kind: &Kind) -> WireType {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::Fixed64,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::Fixed32,
        _ => WireType::Varint,
    }
}

fn delimited(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

impl Tag {
    fn bytes(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }
}
