//! Protobuf wire bytes to canonical proto3 JSON and back, each in one pass, without a message in between.
//!
//! [`Tables`] are compiled once from a descriptor pool and then drive both directions:
//!
//! - [`Tables::write_json`] walks wire bytes and appends text. It expects what encoders produce, fields in the
//!   order of their numbers; the first field that breaks the order restarts the document on a path that sorts,
//!   merges and lets the last one win, as the wire format asks.
//! - [`Tables::read_json`] walks text and appends wire bytes.
//!
//! The mapping is <https://protobuf.dev/programming-guides/json/>. Fields come out in the order of their
//! numbers, those without presence also when they hold their zero value. Both directions are strict: what is
//! damaged, unknown, given twice or out of range is an error that names the path. Messages nest at most 100
//! deep, as everywhere in protobuf. Extensions are treated as unknown fields.
//!
//! Nothing here knows the service: any tonic server could use the module as it is. Modules in reading order:
//!
//! - `error`: what can be wrong and where; `table` and `compile`: what is known of each message;
//! - `wire`, `text`, `digits`, `literal` and `time`: the primitives of the two formats;
//! - `write`: wire to JSON, with `write::exact` for fields in any order and `write::known` for special types;
//! - `read`: JSON to wire, with `read::lexer`, `read::scalar` and `read::known`.

mod compile;
mod digits;
mod error;
mod literal;
mod read;
mod table;
mod text;
mod time;
mod wire;
mod write;

#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use error::{Damage, FieldPath, JsonError};
pub use table::{MessageId, Tables};

/// How deep messages may nest below the outermost.
const DEPTH_LIMIT: u32 = 100;

impl Tables {
    /// Appends the canonical proto3 JSON of an encoded message.
    ///
    /// Leaves `out` as it was when the bytes are not a message of this type, or hold a value that JSON cannot
    /// spell, such as a timestamp after the year 9999.
    pub fn write_json(&self, message: MessageId, wire: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
        write::message(self, message, wire, out, None)
    }

    /// Does the same, where the texts of some messages within may be known already.
    ///
    /// `known` is asked for each in turn, by its type and wire bytes. What it gives is taken as it is.
    pub fn write_json_with(
        &self,
        message: MessageId,
        wire: &[u8],
        out: &mut Vec<u8>,
        mut known: impl FnMut(MessageId, &[u8]) -> Option<Bytes>,
    ) -> Result<(), JsonError> {
        write::message(self, message, wire, out, Some(&mut known))
    }

    /// Reads proto3 JSON into the wire bytes of a message.
    ///
    /// Takes every spelling of the mapping: both names of a field, numbers as numbers or strings, enum values
    /// by name or number, base64 of both alphabets, `null` for absent.
    pub fn read_json(&self, message: MessageId, json: &[u8]) -> Result<Vec<u8>, JsonError> {
        read::message(self, message, json)
    }
}
