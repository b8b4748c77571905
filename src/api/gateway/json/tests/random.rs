//! Random schemas, and random messages of them.

use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _,
    Value,
};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FieldOptions,
    FileDescriptorProto, MessageOptions, OneofDescriptorProto,
};

/// How many messages a schema has.
const MESSAGES: usize = 3;

/// Bytes that decide what is made. Once they are used up every decision is the first one.
pub(super) struct Dice<'a>(std::slice::Iter<'a, u8>);

impl<'a> Dice<'a> {
    pub(super) fn new(rolls: &'a [u8]) -> Self {
        Self(rolls.iter())
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// Says yes once in so many times, and never when the bytes are used up.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn word(&mut self) -> u64 {
        let width = self.below(9);
        (0..width).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }

    fn signed(&mut self) -> i64 {
        let value = self.word().cast_signed();
        if self.one_in(2) { value.wrapping_neg() } else { value }
    }

    fn text(&mut self) -> String {
        let letters = ["a", "Z", "0", " ", "\"", "\\", "\n", "\u{1}", "\u{7f}", "é", "\u{2028}", "𝄞", "-.:"];
        let length = self.below(20);
        (0..length).map(|_| self.pick(&letters)).collect()
    }
}

/// What a schema may contain.
#[derive(Clone, Copy)]
pub(super) struct Features {
    /// Maps, whose order `prost_reflect` does not keep.
    pub(super) unordered: bool,
    /// Wrappers of floats, in which `prost_reflect` does not tell NaN from null.
    pub(super) not_finite: bool,
}

pub(super) struct Schema {
    pool: DescriptorPool,
    features: Features,
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

    pub(super) fn message(&self, dice: &mut Dice<'_>) -> DynamicMessage {
        self.fill(&self.root(), dice, 4)
    }

    fn fill(&self, of: &MessageDescriptor, dice: &mut Dice<'_>, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(of.clone());
        match of.full_name() {
            "google.protobuf.Timestamp" => {
                let seconds = dice.signed().rem_euclid(315_537_897_600) - 62_135_596_800;
                let nanos = nanos(dice);
                message.transcode_from(&prost_types::Timestamp { seconds, nanos }).unwrap();
            }
            "google.protobuf.Duration" => {
                let sign = if dice.one_in(2) { -1_i32 } else { 1 };
                let seconds = i64::from(sign) * dice.signed().rem_euclid(315_576_000_001);
                let nanos = sign * nanos(dice);
                message.transcode_from(&prost_types::Duration { seconds, nanos }).unwrap();
            }
            "google.protobuf.FieldMask" => {
                let paths = (0..dice.below(3)).map(|_| dice.pick(&["a", "a_bc.d", "x.y_z", "é"]).to_owned());
                let paths = paths.collect();
                message.transcode_from(&prost_types::FieldMask { paths }).unwrap();
            }
            "google.protobuf.Any" => {
                let mut names = vec!["t.M1", "t.M2", "google.protobuf.Empty", "google.protobuf.Timestamp"];
                if self.features.unordered {
                    names.extend(["google.protobuf.Any", "google.protobuf.Value", "google.protobuf.Struct"]);
                }
                let name = if depth == 0 { "google.protobuf.Empty" } else { dice.pick(&names) };
                let content = self.pool.get_message_by_name(name).unwrap();
                let value = self.fill(&content, dice, depth.saturating_sub(1)).encode_to_vec();
                let type_url = format!("type.googleapis.com/{name}");
                message.transcode_from(&prost_types::Any { type_url, value }).unwrap();
            }
            _ => {
                for field in of.fields() {
                    if dice.one_in(3) {
                        continue;
                    }
                    if let Some(value) = self.field(&field, dice, depth) {
                        message.set_field(&field, value);
                    }
                }
            }
        }
        message
    }

    fn field(&self, field: &FieldDescriptor, dice: &mut Dice<'_>, depth: usize) -> Option<Value> {
        if depth == 0 && matches!(field.kind(), Kind::Message(_)) {
            return None;
        }
        let count = dice.below(4);
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { unreachable!() };
            let entries = (0..count).filter_map(|_| {
                let key = key(&entry.map_entry_key_field().kind(), dice);
                Some((key, self.field(&entry.map_entry_value_field(), dice, depth - 1)?))
            });
            Some(Value::Map(entries.collect()))
        } else if field.is_list() {
            Some(Value::List((0..count).map(|_| self.value(field, dice, depth)).collect()))
        } else {
            Some(self.value(field, dice, depth))
        }
    }

    fn value(&self, field: &FieldDescriptor, dice: &mut Dice<'_>, depth: usize) -> Value {
        let in_value = field.parent_message().full_name().starts_with("google.protobuf.");
        match field.kind() {
            Kind::Double => Value::F64(match dice.below(6) {
                0 => 0.0,
                1 => -0.5,
                2 => f64::from(dice.byte()) * 1e300,
                3 if !in_value => dice.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
                _ => Some(f64::from_bits(dice.word())).filter(|f| f.is_finite()).unwrap_or(1.0),
            }),
            Kind::Float => Value::F32(match dice.below(5) {
                0 => 0.0,
                1 => -2.5,
                2 if !in_value => dice.pick(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
                _ => Some(f32::from_bits(low(dice))).filter(|f| f.is_finite()).unwrap_or(1.0),
            }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(low(dice).cast_signed()),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(dice.signed()),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(low(dice)),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(dice.word()),
            Kind::Bool => Value::Bool(dice.one_in(2)),
            Kind::String => Value::String(dice.text()),
            Kind::Bytes => Value::Bytes((0..dice.below(9)).map(|_| dice.byte()).collect()),
            Kind::Enum(e) if e.full_name() == "google.protobuf.NullValue" => Value::EnumNumber(0),
            Kind::Enum(_) => Value::EnumNumber(dice.pick(&[0, 1, -2, 100, 7])),
            Kind::Message(of) => Value::Message(self.fill(&of, dice, depth - 1)),
        }
    }
}

fn low(dice: &mut Dice<'_>) -> u32 {
    u32::try_from(dice.signed().cast_unsigned() & 0xffff_ffff).unwrap()
}

fn nanos(dice: &mut Dice<'_>) -> i32 {
    let unit = dice.pick(&[1_000_000_000, 1_000_000, 1_000, 1]);
    let nanos = dice.word() % 1_000_000_000 / unit * unit;
    i32::try_from(nanos).unwrap()
}

fn key(kind: &Kind, dice: &mut Dice<'_>) -> MapKey {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(low(dice).cast_signed()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(dice.signed()),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(low(dice)),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(dice.word()),
        Kind::Bool => MapKey::Bool(dice.one_in(2)),
        _ => MapKey::String(dice.text()),
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
    for position in 0..1 + dice.below(8) {
        field_number += 1 + i32::try_from(dice.pick(&[0, 0, 0, 1, 14, 2_000])).unwrap();
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
            0 | 1 => {}
            2 => {
                field.label = Some(Label::Repeated.into());
                let packable =
                    !matches!(field.r#type(), Type::String | Type::Bytes | Type::Message | Type::Group);
                if packable && dice.one_in(2) {
                    let packed = Some(dice.one_in(2));
                    field.options = Some(FieldOptions { packed, ..FieldOptions::default() });
                }
            }
            3 => {
                let choice = dice.below(2);
                in_oneofs[choice] += 1;
                field.oneof_index = i32::try_from(choice).ok();
            }
            4 if features.unordered && field.r#type() != Type::Group => {
                make_map(&mut message, &mut field, position, number, dice);
            }
            4 | 5 if !proto2 => {
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
