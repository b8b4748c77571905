//! JSON schemas of messages and enums, as canonical proto3 JSON writes them.

use std::collections::BTreeMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, prost_types::FieldOptions};
use serde_json::{Map, Value, json};

use super::comments::Comments;

/// The schemas that a document refers to, filled as they are referred to.
#[derive(Debug)]
pub(super) struct Schemas<'c> {
    comments: &'c Comments,
    named: BTreeMap<String, Value>,
}

impl<'c> Schemas<'c> {
    /// Starts without any.
    pub(super) fn new(comments: &'c Comments) -> Self {
        Self { comments, named: BTreeMap::new() }
    }

    /// Gets all that have been referred to, by name.
    pub(super) fn into_named(self) -> BTreeMap<String, Value> {
        self.named
    }

    /// Describes the values of a field, with its comment.
    pub(super) fn field(&mut self, field: &FieldDescriptor) -> Value {
        let schema = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                json!({"type": "object", "additionalProperties": self.value(&entry.map_entry_value_field().kind())})
            }
            kind if field.is_list() => json!({"type": "array", "items": self.value(&kind)}),
            kind => self.value(&kind),
        };
        let schema = described(schema, &self.description(field));
        let options = field.field_descriptor_proto().options.as_ref();
        if options.is_some_and(FieldOptions::deprecated) { with(schema, "deprecated", true) } else { schema }
    }

    /// Gets what is to be said of a field: its comment, and which others it excludes.
    pub(super) fn description(&self, field: &FieldDescriptor) -> String {
        let comment = self.comments.on(&field.parent_file(), field.path());
        let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) else {
            return comment.to_owned();
        };
        let members: Vec<String> = oneof.fields().map(|member| format!("`{}`", member.json_name())).collect();
        format!("{comment}\n\nOnly one of {} is set.", members.join(", ")).trim_start().to_owned()
    }

    /// Describes a message: by reference, or in place where JSON has a form of its own for it.
    pub(super) fn message(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(schema) = self.well_known(message) {
            return schema;
        }
        let name = message.full_name();
        if !self.named.contains_key(name) {
            // Taken first, as messages may contain themselves.
            self.named.insert(name.to_owned(), Value::Null);
            let properties: Map<String, Value> = message
                .fields()
                .map(|field| {
                    // Properties have no order; the page sorts them by it.
                    let schema = with(self.field(&field), "x-field-number", field.number());
                    (field.json_name().to_owned(), schema)
                })
                .collect();
            let comment = self.comments.on(&message.parent_file(), message.path());
            let schema = described(json!({"type": "object", "properties": properties}), comment);
            self.named.insert(name.to_owned(), schema);
        }
        reference(name)
    }

    fn value(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({"type": "string", "pattern": "^-?[0-9]+$"}),
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "pattern": "^[0-9]+$"}),
            Kind::Float | Kind::Double => json!({
                "anyOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]
            }),
            Kind::Enum(enumeration) => self.enumeration(enumeration),
            Kind::Message(message) => self.message(message),
        }
    }

    /// Describes an enum, by reference.
    pub(super) fn enumeration(&mut self, enumeration: &EnumDescriptor) -> Value {
        let name = enumeration.full_name();
        if name == "google.protobuf.NullValue" {
            return json!({"type": "null"});
        }
        if !self.named.contains_key(name) {
            let file = enumeration.parent_file();
            let mut values = Vec::new();
            for value in enumeration.values() {
                let comment = self.comments.on(&file, value.path()).replace('\n', " ");
                values.push(format!("- `{}`: {comment}", value.name()));
            }
            let comment = self.comments.on(&file, enumeration.path());
            let description = format!("{comment}\n\n{}", values.join("\n"));
            let names: Vec<String> = enumeration.values().map(|value| value.name().to_owned()).collect();
            let schema = described(json!({"type": "string", "enum": names}), description.trim_start());
            self.named.insert(name.to_owned(), schema);
        }
        reference(name)
    }

    /// Describes the messages that JSON writes in another way than as an object of their fields.
    fn well_known(&mut self, message: &MessageDescriptor) -> Option<Value> {
        let name = message.full_name().strip_prefix("google.protobuf.")?;
        Some(match name {
            "Timestamp" => json!({"type": "string", "format": "date-time"}),
            // `format: duration` means ISO 8601, which this is not.
            "Duration" => {
                json!({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$", "examples": ["1.5s"]})
            }
            "FieldMask" => json!({"type": "string"}),
            "Struct" => json!({"type": "object", "additionalProperties": true}),
            "Value" => json!({}),
            "ListValue" => json!({"type": "array", "items": {}}),
            "Any" => json!({
                "type": "object",
                "properties": {"@type": {"type": "string"}},
                "additionalProperties": true
            }),
            _ if name.ends_with("Value") => self.value(&message.get_field(1)?.kind()),
            _ => return None,
        })
    }
}

/// Refers to a schema by its name.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Adds a member to a schema or to another object.
pub(super) fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
    object
}

/// Adds what is to be said, if anything is.
pub(super) fn described(object: Value, description: &str) -> Value {
    if description.is_empty() { object } else { with(object, "description", description) }
}
