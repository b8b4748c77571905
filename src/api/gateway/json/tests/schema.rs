//! Random schemas.

use prost_reflect::{DescriptorPool, MessageDescriptor, ReflectMessage as _};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FieldOptions,
    FileDescriptorProto, MessageOptions, OneofDescriptorProto,
};

use super::dice::Dice;

/// How many messages a schema has.
const MESSAGES: usize = 3;

/// What a schema may contain.
#[derive(Clone, Copy)]
pub(super) struct Features {
    /// Maps, whose order `prost_reflect` does not keep.
    pub(super) unordered: bool,
    /// Wrappers of floats, in which `prost_reflect` does not tell NaN from null.
    pub(super) not_finite: bool,
}

/// Some messages that hold each other, an enum, and the well-known types.
pub(super) struct Schema {
    pub(super) pool: DescriptorPool,
    pub(super) features: Features,
}

impl Schema {
    pub(super) fn random(dice: &mut Dice<'_>, features: Features) -> Self {
        let proto2 = dice.one_in(4);
        let well_known = prost_types::Timestamp::default();
        let mut pool = well_known.descriptor().parent_pool().clone();
        let file = FileDescriptorProto {
            name: Some("t.proto".to_owned()),
            package: Some("t".to_owned()),
            syntax: Some(if proto2 { "proto2" } else { "proto3" }.to_owned()),
            dependency: pool.files().map(|file| file.name().to_owned()).collect(),
            enum_type: vec![colours()],
            message_type: (0..MESSAGES).map(|n| random_message(n, proto2, dice, features)).collect(),
            ..FileDescriptorProto::default()
        };
        pool.add_file_descriptor_proto(file).unwrap();
        Self { pool, features }
    }

    pub(super) fn root(&self) -> MessageDescriptor {
        self.pool.get_message_by_name("t.M0").unwrap()
    }
}

fn colours() -> EnumDescriptorProto {
    let value = |(name, number): (&str, i32)| EnumValueDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        options: None,
    };
    EnumDescriptorProto {
        name: Some("Colour".to_owned()),
        value: [
            ("COLOUR_UNSPECIFIED", 0),
            ("RED", 1),
            ("LONG_NAME_OF_MORE_THAN_32_LETTERS", 100),
            ("MINUS", -2),
        ]
        .map(value)
        .to_vec(),
        ..EnumDescriptorProto::default()
    }
}

fn random_message(number: usize, proto2: bool, dice: &mut Dice<'_>, features: Features) -> DescriptorProto {
    let mut message = DescriptorProto { name: Some(format!("M{number}")), ..DescriptorProto::default() };
    message.oneof_decl.push(oneof("choice"));
    message.oneof_decl.push(oneof("other_choice"));
    let mut field_number = 0;
    let mut in_oneofs = [0, 0];
    for position in 0..=dice.below(8) {
        field_number += dice.pick(&[1, 1, 1, 2, 15, 2_001]);
        let name =
            format!("{}_{position}", dice.pick(&["f", "some_field", "a_name_that_is_not_short_at_all"]));
        let mut field = typed(dice, proto2, features);
        field.name = Some(name);
        field.number = Some(field_number);
        field.label = Some(Label::Optional.into());
        if dice.one_in(6) {
            field.json_name = Some(format!("own \"name\" {position}"));
        }
        match dice.below(6) {
            1 => {
                field.label = Some(Label::Repeated.into());
                let packable =
                    !matches!(field.r#type(), Type::String | Type::Bytes | Type::Message | Type::Group);
                if packable && dice.one_in(2) {
                    let packed = Some(dice.one_in(2));
                    field.options = Some(FieldOptions { packed, ..FieldOptions::default() });
                }
            }
            2 => {
                let choice = dice.below(2);
                in_oneofs[choice] += 1;
                field.oneof_index = i32::try_from(choice).ok();
            }
            3 if features.unordered && field.r#type() != Type::Group => {
                make_map(&mut message, &mut field, position, number, dice);
            }
            3 | 4 if !proto2 => {
                field.proto3_optional = Some(true);
                field.oneof_index = i32::try_from(message.oneof_decl.len()).ok();
                message.oneof_decl.push(oneof(&format!("_{}", field.name())));
            }
            _ => {}
        }
        message.field.push(field);
    }
    // A oneof must have a member.
    for (choice, _) in in_oneofs.iter().enumerate().filter(|(_, count)| **count == 0) {
        field_number += 1;
        message.field.push(FieldDescriptorProto {
            name: Some(format!("choice_{choice}")),
            number: Some(field_number),
            label: Some(Label::Optional.into()),
            r#type: Some(Type::Int32.into()),
            oneof_index: i32::try_from(choice).ok(),
            ..FieldDescriptorProto::default()
        });
    }
    message
}

/// A field of a random type.
fn typed(dice: &mut Dice<'_>, proto2: bool, features: Features) -> FieldDescriptorProto {
    let scalars = [
        Type::String,
        Type::Int32,
        Type::Int64,
        Type::Uint32,
        Type::Uint64,
        Type::Sint32,
        Type::Sint64,
        Type::Fixed32,
        Type::Fixed64,
        Type::Sfixed32,
        Type::Sfixed64,
        Type::Bool,
        Type::Bytes,
        Type::Double,
        Type::Float,
    ];
    let mut known = vec!["Timestamp", "Duration", "FieldMask", "Any", "Empty", "StringValue", "BytesValue"];
    known.extend(["BoolValue", "Int32Value", "UInt32Value", "Int64Value", "UInt64Value"]);
    if features.not_finite {
        known.extend(["DoubleValue", "FloatValue"]);
    }
    if features.unordered {
        known.extend(["Struct", "Value", "ListValue", "Value"]);
    }
    let (r#type, name) = match dice.below(8) {
        0..4 => (dice.pick(&scalars), None),
        4 => (Type::Enum, Some(".t.Colour".to_owned())),
        5 if dice.one_in(5) => (Type::Enum, Some(".google.protobuf.NullValue".to_owned())),
        5 | 6 => (Type::Message, Some(format!(".google.protobuf.{}", dice.pick(&known)))),
        _ if proto2 && dice.one_in(2) => (Type::Group, Some(format!(".t.M{}", dice.below(MESSAGES)))),
        _ => (Type::Message, Some(format!(".t.M{}", dice.below(MESSAGES)))),
    };
    FieldDescriptorProto { r#type: Some(r#type.into()), type_name: name, ..FieldDescriptorProto::default() }
}

fn oneof(name: &str) -> OneofDescriptorProto {
    OneofDescriptorProto { name: Some(name.to_owned()), options: None }
}

/// Turns a field into a map with values of its type.
fn make_map(
    message: &mut DescriptorProto,
    field: &mut FieldDescriptorProto,
    position: usize,
    number: usize,
    dice: &mut Dice<'_>,
) {
    let keys = [
        Type::String,
        Type::Int32,
        Type::Int64,
        Type::Uint32,
        Type::Uint64,
        Type::Sint32,
        Type::Sint64,
        Type::Fixed32,
        Type::Fixed64,
        Type::Sfixed32,
        Type::Sfixed64,
        Type::Bool,
    ];
    // The name of an entry follows from that of its field.
    field.name = Some(format!("map{position}"));
    let name = format!("Map{position}Entry");
    let member = |name: &str, number| FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        ..FieldDescriptorProto::default()
    };
    let key = FieldDescriptorProto { r#type: Some(dice.pick(&keys).into()), ..member("key", 1) };
    let value = FieldDescriptorProto {
        r#type: field.r#type,
        type_name: field.type_name.clone(),
        ..member("value", 2)
    };
    message.nested_type.push(DescriptorProto {
        name: Some(name.clone()),
        field: vec![key, value],
        options: Some(MessageOptions { map_entry: Some(true), ..MessageOptions::default() }),
        ..DescriptorProto::default()
    });
    field.label = Some(Label::Repeated.into());
    field.r#type = Some(Type::Message.into());
    field.type_name = Some(format!(".t.M{number}.{name}"));
}
