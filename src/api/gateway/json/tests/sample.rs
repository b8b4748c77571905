//! One message with a field of each kind, and what the cases do with it.

use std::collections::HashMap;

use prost_reflect::{MessageDescriptor, ReflectMessage as _};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, MessageOptions, OneofDescriptorProto,
};
use serde_json::value::RawValue;

use super::super::wire::{Tag, WireType, put_varint};
use super::write;

/// A message with a field of each kind.
pub(super) fn sample() -> MessageDescriptor {
    let mut pool = prost_types::Any::default().descriptor().parent_pool().clone();
    let one = |name: &str, number, r#type: Type| FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(r#type.into()),
        ..FieldDescriptorProto::default()
    };
    let of = |name: &str, number, r#type: Type, of: &str| FieldDescriptorProto {
        type_name: Some(of.to_owned()),
        ..one(name, number, r#type)
    };
    let known = |name: &str, number, known: &str| {
        of(name, number, Type::Message, &format!(".google.protobuf.{known}"))
    };
    let many = |field| FieldDescriptorProto { label: Some(Label::Repeated.into()), ..field };
    let member = |field| FieldDescriptorProto { oneof_index: Some(0), ..field };
    let entry = |name: &str, key, value: FieldDescriptorProto| DescriptorProto {
        name: Some(name.to_owned()),
        field: vec![one("key", 1, key), value],
        options: Some(MessageOptions { map_entry: Some(true), ..MessageOptions::default() }),
        ..DescriptorProto::default()
    };
    let colour = |name: &str, number| EnumValueDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        options: None,
    };
    let message = DescriptorProto {
        name: Some("Sample".to_owned()),
        field: vec![
            one("text_field", 1, Type::String),
            one("int32", 2, Type::Int32),
            one("int64", 3, Type::Int64),
            one("uint32", 4, Type::Uint32),
            one("uint64", 5, Type::Uint64),
            one("double", 6, Type::Double),
            one("float", 7, Type::Float),
            one("bool", 8, Type::Bool),
            one("bytes", 9, Type::Bytes),
            of("colour", 10, Type::Enum, ".t.Colour"),
            many(one("numbers", 11, Type::Int32)),
            of("child", 13, Type::Message, ".t.Sample"),
            many(of("children", 14, Type::Message, ".t.Sample")),
            many(of("by_name", 15, Type::Message, ".t.Sample.ByNameEntry")),
            many(of("by_number", 16, Type::Message, ".t.Sample.ByNumberEntry")),
            many(of("by_bool", 17, Type::Message, ".t.Sample.ByBoolEntry")),
            member(one("word", 18, Type::String)),
            member(one("count", 19, Type::Int32)),
            member(of("nothing", 20, Type::Enum, ".google.protobuf.NullValue")),
            known("time", 21, "Timestamp"),
            known("span", 22, "Duration"),
            known("mask", 23, "FieldMask"),
            known("struct", 24, "Struct"),
            known("value", 25, "Value"),
            known("list", 26, "ListValue"),
            known("any", 27, "Any"),
            known("empty", 28, "Empty"),
            known("string_value", 29, "StringValue"),
            known("int64_value", 30, "Int64Value"),
            known("double_value", 31, "DoubleValue"),
            known("bytes_value", 32, "BytesValue"),
            many(known("values", 33, "Value")),
            many(known("wrapped", 34, "BoolValue")),
        ],
        nested_type: vec![
            entry("ByNameEntry", Type::String, of("value", 2, Type::Message, ".t.Sample")),
            entry("ByNumberEntry", Type::Int32, one("value", 2, Type::String)),
            entry("ByBoolEntry", Type::Bool, of("value", 2, Type::Enum, ".t.Colour")),
        ],
        oneof_decl: vec![OneofDescriptorProto { name: Some("choice".to_owned()), options: None }],
        ..DescriptorProto::default()
    };
    let colours = EnumDescriptorProto {
        name: Some("Colour".to_owned()),
        value: vec![colour("COLOUR_UNSPECIFIED", 0), colour("RED", 1), colour("BLUE", -7)],
        ..EnumDescriptorProto::default()
    };
    pool.add_file_descriptor_proto(FileDescriptorProto {
        name: Some("t.proto".to_owned()),
        package: Some("t".to_owned()),
        syntax: Some("proto3".to_owned()),
        dependency: pool.files().map(|file| file.name().to_owned()).collect(),
        message_type: vec![message],
        enum_type: vec![colours],
        ..FileDescriptorProto::default()
    })
    .unwrap();
    pool.get_message_by_name("t.Sample").unwrap()
}

/// Gets one member of the JSON of a sample, as it is written; nothing if it is left out.
pub(super) fn member(wire: &[u8], name: &str) -> String {
    let json = write(&sample(), wire).unwrap();
    let mut members: HashMap<String, Box<RawValue>> = serde_json::from_str(&json).unwrap();
    members.remove(name).map_or_else(String::new, |value| value.get().to_owned())
}

pub(super) fn delimited(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Tag::new(number, WireType::Length).put(&mut out);
    put_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}
