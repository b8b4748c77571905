//! One field of a request, set by text from a path or a query string.
//!
//! The text is read exactly as the same value would be in a JSON body, and becomes a fragment of the request's wire
//! bytes. Fragments that stand one after the other are one message: singular fields take the last value, repeated
//! ones collect, nested messages merge.

use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use super::{error::problem, json::Tables};

/// A field, reached from the request through nested messages.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    /// The messages on the way.
    parents: Vec<FieldDescriptor>,
    /// The field that takes the text.
    field: FieldDescriptor,
    /// What stands before the text in wire bytes, if the text is taken as it is.
    text_key: Option<Vec<u8>>,
}

impl Parameter {
    /// Finds a field by its path, such as `max_age` or `price.maxAge`; both spellings are understood.
    ///
    /// The error says what is wrong with the path, to be read after its name.
    pub(super) fn resolve(root: &MessageDescriptor, path: &str) -> Result<Self, &'static str> {
        const UNKNOWN: &str = "is not a field of the request";
        let mut message = root.clone();
        let mut parents = Vec::new();
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            let field = message
                .get_field_by_name(name)
                .or_else(|| message.get_field_by_json_name(name))
                .ok_or(UNKNOWN)?;
            if names.peek().is_none() {
                return if is_settable(&field) {
                    let plain = parents.is_empty() && field.kind() == Kind::String;
                    let text_key = plain.then(|| key(&field));
                    Ok(Self { parents, field, text_key })
                } else {
                    Err("cannot be set by a text")
                };
            }
            message = match field.kind() {
                Kind::Message(_) if field.is_list() || field.is_map() => {
                    return Err("goes through a repeated field");
                }
                Kind::Message(message) if !is_well_known(&message) => message,
                _ => return Err(UNKNOWN),
            };
            parents.push(field);
        }
        Err(UNKNOWN)
    }

    /// Gets the fields from the request down to the one that takes the text.
    pub(super) fn path(&self) -> impl Iterator<Item = &FieldDescriptor> {
        self.parents.iter().chain([&self.field])
    }

    /// Gets the field that takes the text.
    pub(super) fn field(&self) -> &FieldDescriptor {
        &self.field
    }

    /// Gets the names of the fields on the way and of the field itself, joined by dots.
    pub(super) fn name(&self) -> String {
        self.path().map(FieldDescriptor::name).collect::<Vec<_>>().join(".")
    }

    /// Tells whether the field holds one value that is not a message, as a variable of a path must.
    pub(super) fn is_single_scalar(&self) -> bool {
        !self.field.is_list() && !matches!(self.field.kind(), Kind::Message(_))
    }

    /// Tells whether the parameter may be given more than once.
    pub(super) fn is_repeated(&self) -> bool {
        self.field.is_list()
    }

    /// Reads a text and appends it to the request as a fragment of it. The error says what is wrong with the text.
    pub(super) fn encode(&self, text: &str, tables: &Tables, wire: &mut Vec<u8>) -> Result<(), String> {
        if let Some(key) = &self.text_key {
            // The most common: nothing can be wrong with it.
            put_delimited(key, text.as_bytes(), wire);
            return Ok(());
        }
        let value = json(&self.field, text)?;
        let value = if self.field.is_list() { Value::Array(vec![value]) } else { value };
        let object = Value::Object([(self.field.json_name().to_owned(), value)].into_iter().collect());
        let message = self.field.parent_message().full_name();
        let message = tables.message(message).ok_or_else(|| format!("{message} is not in the tables"))?;
        let mut fragment =
            tables.read_json(message, object.to_string().as_bytes()).map_err(|error| problem(&error))?;
        if fragment.is_empty() && self.is_single_scalar() {
            // The default of a field without presence is not written; here it has to win over what came before.
            fragment = zero(&self.field);
        }
        let nest = |inner: Vec<u8>, parent| {
            let mut outer = Vec::with_capacity(inner.len() + 8);
            put_delimited(&key(parent), &inner, &mut outer);
            outer
        };
        wire.extend(self.parents.iter().rev().fold(fragment, nest));
        Ok(())
    }
}

/// Gets what stands before a field that holds bytes: a text, or the fields of a message.
fn key(field: &FieldDescriptor) -> Vec<u8> {
    let mut key = Vec::new();
    encode_key(field.number(), WireType::LengthDelimited, &mut key);
    key
}

/// Appends a field that holds bytes.
fn put_delimited(key: &[u8], bytes: &[u8], wire: &mut Vec<u8>) {
    wire.extend_from_slice(key);
    encode_varint(bytes.len() as u64, wire);
    wire.extend_from_slice(bytes);
}

fn zero(field: &FieldDescriptor) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (wire_type, value): (WireType, &[u8]) = match field.kind() {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => (WireType::SixtyFourBit, &[0; 8]),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => (WireType::ThirtyTwoBit, &[0; 4]),
        Kind::String | Kind::Bytes | Kind::Message(_) => (WireType::LengthDelimited, &[0]),
        _ => (WireType::Varint, &[0]),
    };
    encode_key(field.number(), wire_type, &mut bytes);
    bytes.extend_from_slice(value);
    bytes
}

/// Makes the JSON value that a text stands for.
fn json(field: &FieldDescriptor, text: &str) -> Result<Value, String> {
    let string = || Value::String(text.to_owned());
    Ok(match field.kind() {
        Kind::Bool => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err(format!("`{text}` is neither `true` nor `false`")),
        },
        Kind::Enum(_) => text.parse::<i32>().map_or_else(|_| string(), Value::from),
        Kind::Message(message) => match (message.full_name(), message.get_field(1)) {
            // JSON wants the paths in lowerCamelCase.
            ("google.protobuf.FieldMask", _) => Value::String(lower_camel_case(text)),
            ("google.protobuf.Timestamp" | "google.protobuf.Duration", _) => string(),
            // A wrapper is written as what it wraps.
            (_, Some(wrapped)) => json(&wrapped, text)?,
            (_, None) => return Err("this is a message without fields".to_owned()),
        },
        // JSON takes numbers as text too; bytes are base64.
        _ => string(),
    })
}

/// Tells whether one text can set the field.
pub(super) fn is_settable(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(message) => !field.is_map() && is_text(&message),
        _ => true,
    }
}

/// Tells whether a message is written as one plain value in JSON.
fn is_text(message: &MessageDescriptor) -> bool {
    let name = message.full_name();
    matches!(name, "google.protobuf.Timestamp" | "google.protobuf.Duration" | "google.protobuf.FieldMask")
        || name.starts_with("google.protobuf.")
            && name.ends_with("Value")
            && name != "google.protobuf.Value"
            && name != "google.protobuf.ListValue"
}

fn is_well_known(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf"
}

fn lower_camel_case(text: &str) -> String {
    let mut camel = String::with_capacity(text.len());
    let mut after_underscore = false;
    for c in text.chars() {
        match c {
            '_' => after_underscore = true,
            c if after_underscore => {
                camel.push(c.to_ascii_uppercase());
                after_underscore = false;
            }
            c => camel.push(c),
        }
    }
    camel
}
