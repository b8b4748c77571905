//! The cursor that messages of a stream carry, found by its shape in the descriptors and read from wire bytes.

use prost::{
    bytes::Buf as _,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

/// Where a message keeps its cursor: the numbers of a field `cursor` and, within it, of `epoch` and `sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CursorField {
    cursor: u32,
    epoch: u32,
    sequence: u32,
}

impl CursorField {
    /// Finds the cursor of a message, if it has one.
    pub(super) fn of(message: &MessageDescriptor) -> Option<Self> {
        let cursor = message.get_field_by_name("cursor").filter(|field| !field.is_list())?;
        let Kind::Message(inner) = cursor.kind() else {
            return None;
        };
        let counter = |name: &str| {
            let field: FieldDescriptor = inner.get_field_by_name(name)?;
            (field.kind() == Kind::Uint64 && !field.is_list()).then(|| field.number())
        };
        Some(Self { cursor: cursor.number(), epoch: counter("epoch")?, sequence: counter("sequence")? })
    }

    /// Reads epoch and sequence, or nothing if the message carries no cursor or is malformed.
    pub(super) fn read(self, mut wire: &[u8]) -> Option<(u64, u64)> {
        let mut found = None;
        while !wire.is_empty() {
            let (number, wire_type) = decode_key(&mut wire).ok()?;
            if number == self.cursor && wire_type == WireType::LengthDelimited {
                let length = usize::try_from(decode_varint(&mut wire).ok()?).ok()?;
                let (mut inner, rest) = wire.split_at_checked(length)?;
                wire = rest;
                let (epoch, sequence) = found.get_or_insert((0, 0));
                while inner.has_remaining() {
                    let (number, wire_type) = decode_key(&mut inner).ok()?;
                    if wire_type == WireType::Varint && number == self.epoch {
                        *epoch = decode_varint(&mut inner).ok()?;
                    } else if wire_type == WireType::Varint && number == self.sequence {
                        *sequence = decode_varint(&mut inner).ok()?;
                    } else {
                        skip_field(wire_type, number, &mut inner, DecodeContext::default()).ok()?;
                    }
                }
            } else {
                skip_field(wire_type, number, &mut wire, DecodeContext::default()).ok()?;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_reflect::DescriptorPool;

    use super::*;
    use crate::api::pb::DESCRIPTORS;
    use crate::client::v1::{Cursor, Price, StreamPricesResponse};

    #[test]
    fn a_cursor_is_found_by_its_shape() {
        let pool = DescriptorPool::decode(DESCRIPTORS).expect("the descriptors decode");
        let field = |name: &str| CursorField::of(&pool.get_message_by_name(name).expect(name));
        assert_eq!(field("cryptoprice.v1.ListPricesResponse"), None);
        let field = field("cryptoprice.v1.StreamPricesResponse").expect("streams have a cursor");

        let mut message = StreamPricesResponse {
            prices: vec![Price { pair: "BTC-USD".into(), epoch: 9, sequence: 9, ..Price::default() }],
            skipped: 3,
            ..StreamPricesResponse::default()
        };
        assert_eq!(field.read(&message.encode_to_vec()), None);
        message.cursor = Some(Cursor::default());
        assert_eq!(field.read(&message.encode_to_vec()), Some((0, 0)));
        message.cursor = Some(Cursor { epoch: 7, sequence: u64::MAX });
        let wire = message.encode_to_vec();
        assert_eq!(field.read(&wire), Some((7, u64::MAX)));
        for cut in 1..wire.len() {
            let _ = field.read(&wire[..cut]);
        }
    }
}
