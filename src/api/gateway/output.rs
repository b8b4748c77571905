//! What of a response message is answered, and how it is written.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost_reflect::FieldDescriptor;
use serde_json::value::RawValue;

use super::{
    error::Fault,
    json::{JsonError, MessageId, Tables},
};

/// How the responses of a binding become JSON.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// The response message.
    pub(super) message: MessageId,
    /// The field that is answered instead of the whole message.
    pub(super) field: Option<FieldDescriptor>,
}

impl Output {
    /// Writes a message, given as its wire bytes; none at all are a message with its defaults.
    pub(super) fn write(&self, tables: &Tables, wire: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.answer(out, |out| tables.write_json(self.message, wire, out))
    }

    /// Does the same where the texts of messages within may be known already.
    pub(super) fn write_with(
        &self,
        tables: &Tables,
        wire: &[u8],
        out: &mut Vec<u8>,
        known: impl FnMut(MessageId, &[u8]) -> Option<Bytes>,
    ) -> Result<(), Fault> {
        self.answer(out, |out| tables.write_json_with(self.message, wire, out, known))
    }

    /// Writes what is answered of a message that `write` writes as a whole.
    fn answer(
        &self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), JsonError>,
    ) -> Result<(), Fault> {
        let write = |out: &mut Vec<u8>| {
            write(out).map_err(|error| Fault::internal(format!("a reply is no JSON: {error}")))
        };
        let Some(field) = &self.field else {
            return write(out);
        };
        let mut whole = Vec::new();
        write(&mut whole)?;
        let fields: BTreeMap<&str, &RawValue> = serde_json::from_slice(&whole)
            .map_err(|error| Fault::internal(format!("a reply is no JSON object: {error}")))?;
        let value = fields.get(field.json_name()).map_or("null", |value| value.get());
        out.extend_from_slice(value.as_bytes());
        Ok(())
    }
}
