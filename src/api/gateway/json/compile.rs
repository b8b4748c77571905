//! From a descriptor pool to tables. The pool is read here and nowhere else.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind as Described, MessageDescriptor};

use super::literal::Literal;
use super::table::{
    Absent, EnumId, Enumeration, Field, Kind, Message, MessageId, Names, Rule, Shape, Tables,
};
use super::text;
use super::wire::Tag;

impl Tables {
    /// Compiles every message of a pool.
    pub fn new(pool: &DescriptorPool) -> Self {
        let mut names: HashMap<_, _> = pool
            .all_messages()
            .enumerate()
            .map(|(position, message)| (message.full_name().to_owned(), MessageId(position)))
            .collect();
        let enums: HashMap<_, _> = pool
            .all_enums()
            .enumerate()
            .map(|(position, e)| (e.full_name().to_owned(), EnumId(position)))
            .collect();
        let compiler = Compiler { messages: &names, enums: &enums };
        let messages: Vec<_> = pool.all_messages().map(|m| compiler.message(&m)).collect();
        // An entry of a map has no JSON outside of its map.
        names.retain(|_, id| messages.get(id.0).is_some_and(|m: &Message| m.shape != Shape::Entry));
        Self { messages, enumerations: pool.all_enums().map(|e| enumeration(&e)).collect(), names }
    }
}

/// Where the messages and enums of the pool will stand in the tables.
struct Compiler<'n> {
    messages: &'n HashMap<String, MessageId>,
    enums: &'n HashMap<String, EnumId>,
}

impl Compiler<'_> {
    fn message(&self, message: &MessageDescriptor) -> Message {
        let shape = shape(message);
        let oneofs: Vec<_> = message.oneofs().filter(|oneof| !oneof.is_synthetic()).collect();
        let fields: Box<[_]> = message
            .fields()
            .map(|field| {
                let oneof = field.containing_oneof();
                let oneof = oneofs.iter().position(|o| Some(o) == oneof.as_ref());
                self.field(&field, shape, oneof)
            })
            .collect();
        // A JSON name wins over another field's original name.
        let json_names = fields.iter().map(|field| field.name.clone());
        let original_names = message.fields().map(|field| field.name().into());
        Message {
            name: message.full_name().into(),
            shape,
            apart_in_any: shape != Shape::Object || message.full_name() == "google.protobuf.Empty",
            positions: Names::new(json_names.zip(0..).chain(original_names.zip(0..))),
            oneofs: oneofs.iter().map(|oneof| oneof.name().into()).collect(),
            fields,
        }
    }

    fn field(&self, field: &FieldDescriptor, shape: Shape, oneof: Option<usize>) -> Field {
        let kind = self.kind(field, shape);
        let rule = rule(field, shape);
        let key = key(field, shape);
        let absent = match (rule, kind) {
            (Rule::Explicit, Kind::Message(id)) if shape == Shape::Entry => Absent::Empty(id),
            (Rule::Explicit, _) if shape != Shape::Entry => Absent::Nothing,
            _ => Absent::Text(Literal::new(&[key.as_slice(), &zero(field, rule)].concat())),
        };
        let tag = Tag::new(field.number(), kind.wire_type());
        Field {
            number: field.number(),
            tag,
            short_tag: tag.short(),
            kind,
            rule,
            oneof,
            key: Literal::new(&key),
            absent,
            name: field.json_name().into(),
        }
    }

    fn kind(&self, field: &FieldDescriptor, shape: Shape) -> Kind {
        match field.kind() {
            Described::Double if shape == Shape::Value => Kind::Finite,
            Described::Double => Kind::Double,
            Described::Float => Kind::Float,
            Described::Int32 => Kind::Int32,
            Described::Int64 => Kind::Int64,
            Described::Uint32 => Kind::Uint32,
            Described::Uint64 => Kind::Uint64,
            Described::Sint32 => Kind::Sint32,
            Described::Sint64 => Kind::Sint64,
            Described::Fixed32 => Kind::Fixed32,
            Described::Fixed64 => Kind::Fixed64,
            Described::Sfixed32 => Kind::Sfixed32,
            Described::Sfixed64 => Kind::Sfixed64,
            Described::Bool => Kind::Bool,
            Described::String => Kind::String,
            Described::Bytes => Kind::Bytes,
            Described::Enum(e) if e.full_name() == "google.protobuf.NullValue" => Kind::Null,
            Described::Enum(e) => Kind::Enum(known(self.enums, e.full_name())),
            Described::Message(m) if field.is_group() => Kind::Group(known(self.messages, m.full_name())),
            Described::Message(m) => Kind::Message(known(self.messages, m.full_name())),
        }
    }
}

#[expect(clippy::expect_used, reason = "a pool holds every type that it refers to")]
fn known<T: Copy>(ids: &HashMap<String, T>, name: &str) -> T {
    *ids.get(name).expect("a type of the pool")
}

fn shape(message: &MessageDescriptor) -> Shape {
    match message.full_name() {
        "google.protobuf.Timestamp" => Shape::Timestamp,
        "google.protobuf.Duration" => Shape::Duration,
        "google.protobuf.FieldMask" => Shape::FieldMask,
        "google.protobuf.Any" => Shape::Any,
        "google.protobuf.Value" => Shape::Value,
        "google.protobuf.Struct"
        | "google.protobuf.ListValue"
        | "google.protobuf.DoubleValue"
        | "google.protobuf.FloatValue"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt64Value"
        | "google.protobuf.Int32Value"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.BoolValue"
        | "google.protobuf.StringValue"
        | "google.protobuf.BytesValue" => Shape::Bare,
        _ if message.is_map_entry() => Shape::Entry,
        _ => Shape::Object,
    }
}

fn rule(field: &FieldDescriptor, shape: Shape) -> Rule {
    if field.is_map() {
        Rule::Map
    } else if field.is_list() && field.is_packed() {
        Rule::Packed
    } else if field.is_list() {
        Rule::Expanded
    } else if field.supports_presence() || shape == Shape::Entry {
        // The key and value of an entry are always written: a closed enum may have no zero to leave out.
        Rule::Explicit
    } else {
        Rule::Implicit
    }
}

/// What stands before the value of a field. The writer turns the first comma of an object into its brace.
fn key(field: &FieldDescriptor, shape: Shape) -> Vec<u8> {
    match shape {
        Shape::Bare | Shape::Value => Vec::new(),
        // JSON wants every key in quotes. Strings and 64-bit numbers bring their own.
        Shape::Entry => {
            let entry = field.parent_message();
            let comes_quoted = matches!(
                entry.map_entry_key_field().kind(),
                Described::String
                    | Described::Int64
                    | Described::Uint64
                    | Described::Sint64
                    | Described::Fixed64
                    | Described::Sfixed64
            );
            let is_key = *field == entry.map_entry_key_field();
            match (is_key, comes_quoted) {
                (true, true) => b",".to_vec(),
                (true, false) => b",\"".to_vec(),
                (false, true) => b":".to_vec(),
                (false, false) => b"\":".to_vec(),
            }
        }
        _ => {
            let mut key = vec![b','];
            text::put_str(field.json_name(), &mut key);
            key.push(b':');
            key
        }
    }
}

/// The JSON of a field that was never set.
fn zero(field: &FieldDescriptor, rule: Rule) -> Vec<u8> {
    match (rule, field.kind()) {
        (Rule::Map, _) => b"{}".to_vec(),
        (Rule::Expanded | Rule::Packed, _) => b"[]".to_vec(),
        (_, Described::Double | Described::Float) => b"0.0".to_vec(),
        (_, Described::Bool) => b"false".to_vec(),
        (_, Described::String | Described::Bytes) => b"\"\"".to_vec(),
        (
            _,
            Described::Int64
            | Described::Uint64
            | Described::Sint64
            | Described::Fixed64
            | Described::Sfixed64,
        ) => b"\"0\"".to_vec(),
        (_, Described::Enum(e)) if e.full_name() == "google.protobuf.NullValue" => b"null".to_vec(),
        (_, Described::Enum(e)) => quoted(e.default_value().name()),
        _ => b"0".to_vec(),
    }
}

fn enumeration(described: &EnumDescriptor) -> Enumeration {
    // In the order of declaration, so that of two names for one number the first is kept.
    let values: Vec<(i32, &str)> =
        described.enum_descriptor_proto().value.iter().map(|value| (value.number(), value.name())).collect();
    let mut by_number: Vec<_> =
        values.iter().map(|(number, name)| (*number, Literal::new(&quoted(name)))).collect();
    by_number.sort_by_key(|(number, _)| *number);
    by_number.dedup_by_key(|(number, _)| *number);
    Enumeration {
        by_number: by_number.into(),
        by_name: Names::new(values.iter().map(|(number, name)| ((*name).into(), *number))),
    }
}

fn quoted(name: &str) -> Vec<u8> {
    let mut text = Vec::new();
    text::put_str(name, &mut text);
    text
}
