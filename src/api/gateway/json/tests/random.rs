//! Random messages of a schema.

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::dice::Dice;
use super::schema::Schema;

impl Schema {
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
