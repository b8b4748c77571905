//! What is refused, and how the error says so.

use super::sample::{delimited, sample};
use super::{decode, read, write};

/// Reads a text that is not a sample.
fn refused(json: &str, expected: &str) {
    let error = read(&sample(), json).expect_err(json);
    assert_eq!(error.to_string(), expected, "{json}");
}

#[test]
fn what_is_wrong_in_json_is_named_with_its_place() {
    for (json, expected) in [
        (r#"{"nonsense": 1}"#, "nonsense: no such field in t.Sample"),
        (r#"{"child": {"children": [{}, {"x": 1}]}}"#, "child.children[1].x: no such field in t.Sample"),
        (r#"{"byName": {"a": {"int32": ""}}}"#, r#"byName["a"].int32: expected a 32-bit integer, found """#),
        (r#"{"byNumber": {"x": ""}}"#, r#"byNumber["x"]: expected a 32-bit integer, found x"#),
        (r#"{"byBool": {"1": "RED"}}"#, r#"byBool["1"]: expected true or false, found 1"#),
        (
            r#"{"byBool": {"true": null}}"#,
            r#"byBool["true"]: expected the name or number of an enum value, found null"#,
        ),
        (r#"{"int32": 1, "int32": 1}"#, "int32: given twice"),
        (r#"{"textField": "", "text_field": null}"#, "textField: given twice"),
        (r#"{"byNumber": {"1": "", "1.0": ""}}"#, r#"byNumber["1.0"]: given twice"#),
        (r#"{"struct": {"a": 1, "a": 2}}"#, r#"struct["a"]: given twice"#),
        (r#"{"word": "", "count": 1}"#, "count: only one field of `choice` may be given"),
        (r#"{"word": "", "nothing": null}"#, "nothing: only one field of `choice` may be given"),
    ] {
        refused(json, expected);
    }
}

#[test]
fn values_that_do_not_fit_their_field_are_named_with_its_place() {
    for (json, expected) in [
        (r#"{"int32": 2147483648}"#, "int32: expected a 32-bit integer, found 2147483648"),
        (r#"{"int32": 1.5}"#, "int32: expected a 32-bit integer, found 1.5"),
        (r#"{"int32": 1e-1}"#, "int32: expected a 32-bit integer, found 1e-1"),
        (
            r#"{"int32": 1e999999999999999999999}"#,
            "int32: expected a 32-bit integer, found 1e999999999999999999999",
        ),
        (r#"{"int32": " 1"}"#, r#"int32: expected a 32-bit integer, found " 1""#),
        (r#"{"int32": "+1"}"#, r#"int32: expected a 32-bit integer, found "+1""#),
        (r#"{"int32": "01"}"#, r#"int32: expected a 32-bit integer, found "01""#),
        (r#"{"int64": 9223372036854775808}"#, "int64: expected a 64-bit integer, found 9223372036854775808"),
        (r#"{"uint32": -1}"#, "uint32: expected an unsigned 32-bit integer, found -1"),
        (
            r#"{"uint64": 18446744073709551616}"#,
            "uint64: expected an unsigned 64-bit integer, found 18446744073709551616",
        ),
        (r#"{"double": 1e400}"#, "double: expected a number, found 1e400"),
        (r#"{"double": "inf"}"#, r#"double: expected a number, found "inf""#),
        (r#"{"float": 3.5e38}"#, "float: expected a number, found 3.5e38"),
        (r#"{"bool": "true"}"#, r#"bool: expected true or false, found "true""#),
        (r#"{"bool": 1}"#, "bool: expected true or false, found 1"),
        (r#"{"textField": 1}"#, "textField: expected a string, found 1"),
        (r#"{"bytes": "="}"#, r#"bytes: expected a string of base64, found "=""#),
        (r#"{"bytes": "+_AA"}"#, r#"bytes: expected a string of base64, found "+_AA""#),
        (r#"{"colour": "red"}"#, r#"colour: expected the name or number of an enum value, found "red""#),
        (r#"{"colour": 1.5}"#, "colour: expected the name or number of an enum value, found 1.5"),
        (r#"{"nothing": "NONE"}"#, r#"nothing: expected null, found "NONE""#),
        (r#"{"numbers": {}}"#, "numbers: expected a list, found an object"),
        (r#"{"numbers": [1, null]}"#, "numbers[1]: expected a 32-bit integer, found null"),
        (r#"{"children": [null]}"#, "children[0]: expected an object, found null"),
        (r#"{"child": []}"#, "child: expected an object, found a list"),
        (r#"{"byName": []}"#, "byName: expected an object, found a list"),
    ] {
        refused(json, expected);
    }
}

#[test]
fn what_is_wrong_in_a_well_known_type_is_named_with_its_place() {
    for (json, expected) in [
        (
            r#"{"time": "yesterday"}"#,
            r#"time: expected a time such as 2026-01-31T12:00:00Z, found "yesterday""#,
        ),
        (r#"{"time": 5}"#, "time: expected a time such as 2026-01-31T12:00:00Z, found 5"),
        (r#"{"span": "1"}"#, r#"span: expected a duration such as 1.5s, found "1""#),
        (r#"{"mask": "a_b"}"#, r#"mask: expected camel case paths with commas between, found "a_b""#),
        (r#"{"mask": "a,,b"}"#, r#"mask: expected camel case paths with commas between, found "a,,b""#),
        (r#"{"struct": []}"#, "struct: expected an object, found a list"),
        (r#"{"list": {}}"#, "list: expected a list, found an object"),
        (r#"{"value": 1e400}"#, "value: expected a finite number, found 1e400"),
        (r#"{"empty": {"a": 1}}"#, "empty.a: no such field in google.protobuf.Empty"),
        (r#"{"any": {"a": 1}}"#, "any: expected an object with @type, found an object without"),
        (r#"{"any": {"@type": 1}}"#, "any.@type: expected the name of a type, found 1"),
        (r#"{"any": {"@type": "t.Sample"}}"#, "any: unknown type `t.Sample`"),
        (r#"{"any": {"@type": "x/t.Other"}}"#, "any: unknown type `x/t.Other`"),
        (r#"{"any": {"@type": "x/t.Sample", "y": 1}}"#, "any.y: no such field in t.Sample"),
        (r#"{"any": {"@type": "x/t.Sample", "@type": "x/t.Sample"}}"#, "any.@type: given twice"),
        (
            r#"{"any": {"@type": "x/google.protobuf.Empty"}}"#,
            "any: expected a value beside @type, found an object without",
        ),
        (
            r#"{"any": {"@type": "x/google.protobuf.Empty", "a": 1}}"#,
            "any.a: no such field in google.protobuf.Any",
        ),
        (
            r#"{"any": {"@type": "x/google.protobuf.Duration", "value": "1"}}"#,
            r#"any.value: expected a duration such as 1.5s, found "1""#,
        ),
        (
            r#"{"textField": "", "int32": "0123456789012345678901234567890123456789"}"#,
            "int32: expected a 32-bit integer, found \"012345678901234567890123456789012345678…",
        ),
        ("[]", "message: expected an object, found a list"),
        ("null", "message: expected an object, found null"),
    ] {
        refused(json, expected);
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for (json, expected, offset) in [
        ("", "a value", 0),
        (" ", "a value", 1),
        ("{", "a key", 1),
        ("{}}", "the end", 2),
        ("{} x", "the end", 3),
        ("{,}", "a key", 1),
        (r#"{"int32"}"#, "a colon", 8),
        (r#"{"int32":}"#, "a value", 9),
        (r#"{"int32":1,}"#, "a key", 11),
        (r#"{"int32":1 "int64":1}"#, "a comma or a closing bracket", 11),
        (r#"{"int32":01}"#, "a number", 9),
        (r#"{"int32":-}"#, "a number", 9),
        (r#"{"int32":1.}"#, "a number", 9),
        (r#"{"int32":1e}"#, "a number", 9),
        (r#"{"int32":+1}"#, "a value", 9),
        (r#"{"int32":NaN}"#, "a value", 9),
        (r#"{"bool":tru}"#, "true", 8),
        (r#"{"numbers":[1,]}"#, "a value", 14),
        (r#"{"numbers":[1}"#, "a comma or a closing bracket", 13),
        (r#"{"textField":"a"#, "a closing quote", 15),
        ("{\"textField\":\"\n\"}", "a closing quote", 14),
        (r#"{"textField":"\x"}"#, "an escape", 15),
        (r#"{"textField":"\u12"}"#, "four hexadecimal digits", 16),
        (r#"{"textField":"\ud834"}"#, "an escape", 20),
        (r#"{"textField":"\ud834\u0041"}"#, "an escape", 26),
        (r#"{"textField":"\udd1e"}"#, "an escape", 20),
        ("{int32:1}", "a key", 1),
        ("{'int32':1}", "a key", 1),
        ("{\"int32\":1} // comment", "the end", 12),
    ] {
        refused(json, &format!("not JSON: expected {expected} at byte {offset}"));
    }
    let error = super::Tables::new(sample().parent_pool());
    let id = error.message("t.Sample").unwrap();
    let error = error.read_json(id, b"{\"textField\":\"\xff\"}").unwrap_err();
    assert_eq!(error.to_string(), "not JSON: expected UTF-8 at byte 14");
}

#[test]
fn what_is_wrong_on_the_wire_is_named_with_its_place() {
    let in_child = |wire: &[u8]| delimited(13, wire);
    let struct_of = |value: &[u8]| delimited(24, &delimited(1, &delimited(2, value)));
    for (wire, expected) in [
        (vec![0x08], "textField: the wire type is not that of the field"),
        (vec![0x0a, 0x01], "textField: the message ends within a field"),
        (delimited(1, b"\xff"), "textField: a string is not UTF-8"),
        (vec![0x10, 0x80], "int32: the message ends within a field"),
        (
            vec![0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            "int32: a varint is longer than 64 bits",
        ),
        (vec![0x07], "message: a tag is invalid"),
        (vec![0x0c], "textField: the wire type is not that of the field"),
        (vec![0xbc, 0x3e], "message: a group ends that did not begin"),
        (in_child(&delimited(14, &[0x31])), "child.children[0].double: the message ends within a field"),
        // The same, where an earlier field out of order has led to the slower path.
        (
            [delimited(1, b"a"), in_child(&[0x31]), delimited(1, b"b")].concat(),
            "child.double: the message ends within a field",
        ),
        ([delimited(1, b"\xff"), delimited(1, b"b")].concat(), "textField: a string is not UTF-8"),
        ([delimited(18, b"\xff"), vec![0x98, 0x01, 0x05]].concat(), "word: a string is not UTF-8"),
        (
            delimited(21, &[0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            "time: the nanos of the timestamp are not within a second",
        ),
        (
            delimited(21, &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            "time: the timestamp is outside the years 1 to 9999",
        ),
        (delimited(22, &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), "span: the duration is out of range"),
        (delimited(23, &delimited(1, b"aB")), "mask: a path of the mask does not survive camel case"),
        (delimited(23, &delimited(1, b"a_1")), "mask: a path of the mask does not survive camel case"),
        (delimited(23, &delimited(1, b"a_")), "mask: a path of the mask does not survive camel case"),
        (
            struct_of(&[0x11, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f]),
            "struct.fields[0].value.numberValue: a JSON value cannot be infinite or NaN",
        ),
        (delimited(27, &delimited(1, b"x/t.Other")), "any: unknown type `x/t.Other`"),
        (delimited(27, &delimited(2, b"abc")), "any: unknown type ``"),
    ] {
        let error = write(&sample(), &wire).unwrap_err();
        assert_eq!(error.to_string(), expected, "{wire:x?}");
    }
}

#[test]
fn a_hundred_messages_nest_and_no_more() {
    let nested = |depth| (0..depth).fold(Vec::new(), |wire: Vec<u8>, _| delimited(13, &wire));
    let written = write(&sample(), &nested(100)).unwrap();
    decode(&sample(), &nested(100)).unwrap();
    assert_eq!(read(&sample(), &written).unwrap(), nested(100));
    let error = write(&sample(), &nested(101)).unwrap_err().to_string();
    assert!(error.ends_with("child: nested too deep"), "{error}");
    assert!(decode(&sample(), &nested(101)).is_err());

    let json = |depth| format!("{}{{}}{}", r#"{"child":"#.repeat(depth), "}".repeat(depth));
    assert_eq!(read(&sample(), &json(100)).unwrap(), nested(100));
    let error = read(&sample(), &json(101)).unwrap_err().to_string();
    assert!(error.ends_with("child: nested too deep"), "{error}");

    // Far deeper than the stack could follow.
    assert!(write(&sample(), &vec![0x6b; 100_000]).is_err());
    for open in ["[", r#"{"a":"#, r#"{"@type":"x/google.protobuf.Any","value":"#] {
        for name in ["value", "any", "child"] {
            let json = format!(r#"{{"{name}":{}"#, open.repeat(100_000));
            assert!(read(&sample(), &json).is_err());
        }
    }
}

#[test]
fn only_messages_of_the_pool_are_known() {
    let tables = super::Tables::new(sample().parent_pool());
    assert!(tables.message("t.Sample").is_some());
    assert!(tables.message(".t.Sample").is_none());
    assert!(tables.message("t.Colour").is_none());
    // An entry is no message of its own.
    assert!(tables.message("t.Sample.ByNameEntry").is_none());
}
