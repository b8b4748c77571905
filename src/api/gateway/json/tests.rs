//! Both directions against `prost_reflect`, on random messages of random descriptors, and case by case.

mod dice;
mod merging;
mod random;
mod refusals;
mod sample;
mod schema;
mod scramble;
mod spellings;

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};

use self::dice::Dice;
use self::schema::{Features, Schema};
use self::scramble::scramble;
use super::{JsonError, Tables};

/// The JSON that `prost_reflect` writes.
fn oracle(message: &DynamicMessage, options: &SerializeOptions) -> Result<String, serde_json::Error> {
    let mut out = Vec::new();
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut out), options)?;
    Ok(String::from_utf8(out).unwrap())
}

fn canonical() -> SerializeOptions {
    SerializeOptions::new().skip_default_fields(false)
}

fn write(message: &MessageDescriptor, wire: &[u8]) -> Result<String, JsonError> {
    let tables = Tables::new(message.parent_pool());
    let mut out = b"kept".to_vec();
    let result = tables.write_json(tables.message(message.full_name()).unwrap(), wire, &mut out);
    let written = String::from_utf8(out.split_off(4)).unwrap();
    assert_eq!(out, b"kept");
    if result.is_err() {
        assert_eq!(written, "");
    }
    result.map(|()| written)
}

fn read(message: &MessageDescriptor, json: &str) -> Result<Vec<u8>, JsonError> {
    let tables = Tables::new(message.parent_pool());
    tables.read_json(tables.message(message.full_name()).unwrap(), json.as_bytes())
}

/// Compares texts whose objects may order their members differently.
fn assert_same_json(ours: &str, theirs: &str) {
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(parse(ours), parse(theirs), "{ours}");
    // Parsing would hide a key that is written twice.
    assert_eq!(ours.len(), theirs.len(), "{ours}");
}

fn decode(message: &MessageDescriptor, wire: &[u8]) -> Result<DynamicMessage, prost::DecodeError> {
    DynamicMessage::decode(message.clone(), wire)
}

/// Random bytes that decide everything: fewer and smaller ones make simpler schemas and messages.
fn rolls() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..1500)
}

proptest! {
    #[test]
    fn messages_are_written_as_prost_reflect_does_to_the_byte(rolls in rolls()) {
        let mut dice = Dice::new(&rolls);
        let schema = Schema::random(&mut dice, Features { unordered: false, not_finite: true });
        let message = schema.message(&mut dice);
        let expected = oracle(&message, &canonical()).unwrap();
        let written = write(&schema.root(), &message.encode_to_vec()).unwrap();
        prop_assert_eq!(written, expected);
    }

    #[test]
    fn maps_are_written_as_prost_reflect_does_but_for_their_order(rolls in rolls()) {
        let mut dice = Dice::new(&rolls);
        let schema = Schema::random(&mut dice, Features { unordered: true, not_finite: true });
        let message = schema.message(&mut dice);
        let written = write(&schema.root(), &message.encode_to_vec()).unwrap();
        assert_same_json(&written, &oracle(&message, &canonical()).unwrap());
    }

    #[test]
    fn fields_may_come_in_any_order_and_number(rolls in rolls()) {
        let mut dice = Dice::new(&rolls);
        let schema = Schema::random(&mut dice, Features { unordered: true, not_finite: true });
        // Bytes of two messages are those of their merger.
        let ordered = [schema.message(&mut dice), schema.message(&mut dice)].map(|m| m.encode_to_vec()).concat();
        let wire = scramble(&schema.root(), &ordered, &mut dice);
        let message = decode(&schema.root(), &wire).unwrap();
        match (write(&schema.root(), &wire), oracle(&message, &canonical())) {
            (Ok(written), Ok(expected)) => assert_same_json(&written, &expected),
            // What is left of an `Any` that was torn apart.
            (Ok(written), Err(error)) => prop_assert!(error.to_string().contains("type url"), "{error}: {written}"),
            // Two times may merge into one that only `prost_reflect` normalises.
            (Err(_), Err(_)) | (Err(JsonError::Unrepresentable { .. }), Ok(_)) => {}
            (Err(error), Ok(expected)) => prop_assert!(false, "{error}: {expected}"),
        }
    }

    #[test]
    fn damaged_bytes_are_judged_as_prost_reflect_does(
        rolls in rolls(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        unordered: bool,
    ) {
        let mut dice = Dice::new(&rolls);
        let schema = Schema::random(&mut dice, Features { unordered, not_finite: false });
        let mut wire = schema.message(&mut dice).encode_to_vec();
        for (place, byte) in changes {
            if !wire.is_empty() {
                let place = place.index(wire.len());
                wire[place] = byte;
            }
        }
        if let Some(cut) = cut {
            wire.truncate(cut.index(wire.len() + 1));
        }
        let written = write(&schema.root(), &wire);
        match (written, decode(&schema.root(), &wire)) {
            (Ok(written), Ok(message)) => match oracle(&message, &canonical()) {
                Ok(expected) => assert_same_json(&written, &expected),
                // An empty `Any` is nothing for us, and an error there.
                Err(error) => prop_assert!(error.to_string().contains("type url"), "{error}: {written}"),
            },
            (Ok(written), Err(error)) => prop_assert!(false, "{error}: {written}"),
            (Err(error), Ok(message)) if error.is_damage() => {
                // It takes any wire type for a map. Damage within an `Any` it meets only when it writes JSON.
                prop_assert!(unordered || oracle(&message, &canonical()).is_err(), "{error}");
            }
            (Err(_), _) => {}
        }
    }

    #[test]
    fn any_bytes_are_refused_or_written(rolls in rolls(), wire: Vec<u8>) {
        let schema = Schema::random(&mut Dice::new(&rolls), Features { unordered: true, not_finite: true });
        let _ = write(&schema.root(), &wire);
    }

    #[test]
    fn json_reads_back_equal(rolls in rolls(), original_names: bool, numbers: bool, bare: bool, defaults: bool) {
        let mut dice = Dice::new(&rolls);
        let schema = Schema::random(&mut dice, Features { unordered: true, not_finite: true });
        let message = schema.message(&mut dice);
        let options = SerializeOptions::new()
            .use_proto_field_name(original_names)
            .use_enum_numbers(numbers)
            .stringify_64_bit_integers(!bare)
            .skip_default_fields(!defaults);
        let json = oracle(&message, &options).unwrap();
        let wire = read(&schema.root(), &json).unwrap();
        let back = decode(&schema.root(), &wire).unwrap();
        assert_same_json(
            &oracle(&back, &canonical()).unwrap(),
            &oracle(&message, &canonical()).unwrap(),
        );
        assert_same_json(&write(&schema.root(), &wire).unwrap(), &oracle(&back, &canonical()).unwrap());
    }

    #[test]
    fn changed_json_is_refused_or_means_something(
        rolls in rolls(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), "[ -~]|\\PC"), 1..4),
    ) {
        let mut dice = Dice::new(&rolls);
        let schema = Schema::random(&mut dice, Features { unordered: true, not_finite: true });
        let json = oracle(&schema.message(&mut dice), &canonical()).unwrap();
        let mut letters: Vec<char> = json.chars().collect();
        for (place, with) in changes {
            let place = place.index(letters.len());
            letters.splice(place..=place, with.chars());
        }
        let json: String = letters.into_iter().collect();
        if let Ok(wire) = read(&schema.root(), &json) {
            decode(&schema.root(), &wire).unwrap();
            let written = write(&schema.root(), &wire).unwrap();
            let again = read(&schema.root(), &written).unwrap();
            prop_assert_eq!(write(&schema.root(), &again).unwrap(), written);
        }
    }

    #[test]
    fn any_text_is_refused_or_read(rolls in rolls(), json in "[{}\\[\\]\",:0-9a-z@ .\\\\+-]{0,40}") {
        let schema = Schema::random(&mut Dice::new(&rolls), Features { unordered: true, not_finite: true });
        let _ = read(&schema.root(), &json);
    }
}
