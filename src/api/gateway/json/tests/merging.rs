//! What comes of fields that are repeated, split or left out on the wire.

use prost::Message as _;

use super::sample::{delimited, member, sample};
use super::{decode, write};

#[test]
fn what_an_entry_leaves_out_is_zero() {
    assert_eq!(member(&delimited(16, &[]), "byNumber"), r#"{"0":""}"#);
    assert_eq!(member(&delimited(17, &[0x08, 0x01]), "byBool"), r#"{"true":"COLOUR_UNSPECIFIED"}"#);
    let empty = write(&sample(), &[]).unwrap();
    assert_eq!(member(&delimited(15, &[]), "byName"), format!(r#"{{"":{empty}}}"#));
}

#[test]
fn the_last_of_equal_keys_wins() {
    let entry = |key: u8, value: u8| delimited(16, &[0x08, key, 0x12, 0x01, value]);
    let wire = [entry(1, b'a'), entry(2, b'b'), entry(1, b'c'), entry(3, b'd'), entry(1, b'e')].concat();
    assert_eq!(member(&wire, "byNumber"), r#"{"2":"b","3":"d","1":"e"}"#);
}

#[test]
fn messages_in_parts_are_merged() {
    let parts = [delimited(13, &[0x10, 0x01]), delimited(13, &[0x18, 0x02]), delimited(13, &[0x10, 0x03])];
    let merged = decode(&sample(), &parts.concat()).unwrap().encode_to_vec();
    assert_eq!(write(&sample(), &parts.concat()).unwrap(), write(&sample(), &merged).unwrap());
    let time = [delimited(21, &[0x08, 0x05]), delimited(21, &[0x10, 0x05])].concat();
    assert_eq!(member(&time, "time"), "\"1970-01-01T00:00:05.000000005Z\"");
}

#[test]
fn the_last_member_of_a_oneof_wins() {
    let members = |wire: &[u8]| (member(wire, "word"), member(wire, "count"));
    let word = |text: &[u8]| delimited(18, text);
    let count = vec![0x98, 0x01, 0x05];
    for (wire, expected) in [
        ([word(b"a"), count.clone()].concat(), ("", "5")),
        ([word(b"a"), count.clone(), word(b"b")].concat(), ("\"b\"", "")),
        ([word(b"a"), count.clone(), word(b"b"), count].concat(), ("", "5")),
    ] {
        let (word, count) = members(&wire);
        assert_eq!((word.as_str(), count.as_str()), expected);
    }
}

#[test]
fn a_message_is_judged_once_it_is_whole() {
    let url = delimited(27, &delimited(1, b"x/google.protobuf.Duration"));
    let value = delimited(27, &delimited(2, &[0x08, 0x05]));
    let expected = r#"{"@type":"x/google.protobuf.Duration","value":"5s"}"#;
    assert_eq!(member(&[value, url].concat(), "any"), expected);
}
