//! What each kind of field and each well-known type takes and gives.

use super::sample::{delimited, member, sample};
use super::{decode, read, write};

/// Reads a sample with one member, and writes that again.
fn check(name: &str, given: &str, expected: &str) {
    let wire = read(&sample(), &format!("{{\"{name}\": {given}}}"))
        .unwrap_or_else(|error| panic!("{name} {given}: {error}"));
    decode(&sample(), &wire).unwrap();
    assert_eq!(member(&wire, name), expected, "{name} {given}");
}

#[test]
fn what_was_never_set_has_its_zero_value_unless_that_means_something() {
    let expected = concat!(
        r#"{"textField":"","int32":0,"int64":"0","uint32":0,"uint64":"0","double":0.0,"float":0.0,"bool":false,"#,
        r#""bytes":"","colour":"COLOUR_UNSPECIFIED","numbers":[],"children":[],"byName":{},"byNumber":{},"#,
        r#""byBool":{},"values":[],"wrapped":[]}"#
    );
    assert_eq!(write(&sample(), &[]).unwrap(), expected);
    assert!(read(&sample(), "{}").unwrap().is_empty());
    assert!(read(&sample(), expected).unwrap().is_empty());
}

#[test]
fn numbers_come_with_quotes_or_without() {
    for (name, given, expected) in [
        ("int32", "-2147483648", "-2147483648"),
        ("int32", "\"12\"", "12"),
        ("int32", "1.20e2", "120"),
        ("int32", "\"120000e-4\"", "12"),
        ("int32", "-0.0", "0"),
        ("int32", "0e99999", "0"),
        ("int64", "-9223372036854775808", "\"-9223372036854775808\""),
        ("int64", "\"9223372036854775807\"", "\"9223372036854775807\""),
        ("int64", "9.223372036854775807e18", "\"9223372036854775807\""),
        ("uint32", "4294967295", "4294967295"),
        ("uint64", "18446744073709551615", "\"18446744073709551615\""),
        ("uint64", "1844674407370955161.5E+1", "\"18446744073709551615\""),
        ("double", "1.5", "1.5"),
        ("double", "\"-1.5e3\"", "-1500.0"),
        ("double", "-0.0", "-0.0"),
        ("double", "\"NaN\"", "\"NaN\""),
        ("double", "\"-Infinity\"", "\"-Infinity\""),
        ("float", "\"Infinity\"", "\"Infinity\""),
        ("float", "3.4028235e38", "3.4028235e+38"),
        ("numbers", "[1, \"2\", 3.0, -1]", "[1,2,3,-1]"),
        ("numbers", "[]", "[]"),
        ("numbers", "null", "[]"),
        ("count", "0", "0"),
    ] {
        check(name, given, expected);
    }
}

#[test]
fn strings_bytes_and_enums_come_in_every_spelling() {
    for (name, given, expected) in [
        ("textField", r#""A\u00e9\ud834\udd1e\/\b\f\n\r\t\"\\""#, r#""Aé𝄞/\b\f\n\r\t\"\\""#),
        ("textField", r#""\u0000\u001f""#, r#""\u0000\u001f""#),
        ("textField", "null", "\"\""),
        ("bytes", "\"+/8=\"", "\"+/8=\""),
        ("bytes", "\"-_8\"", "\"+/8=\""),
        ("bytes", "\"\"", "\"\""),
        ("bool", "true", "true"),
        ("bool", "null", "false"),
        ("colour", "\"RED\"", "\"RED\""),
        ("colour", "1", "\"RED\""),
        ("colour", "-7", "\"BLUE\""),
        ("colour", "12", "12"),
        ("word", "\"\"", "\"\""),
        ("word", "null", ""),
        ("nothing", "null", "null"),
        ("nothing", "\"NULL_VALUE\"", "null"),
    ] {
        check(name, given, expected);
    }
    let wire = read(&sample(), r#"{"text_field": "original"}"#).unwrap();
    assert_eq!(member(&wire, "textField"), "\"original\"");
}

#[test]
fn maps_quote_their_keys() {
    for (name, given, expected) in [
        ("byNumber", r#"{"-5": "a", "7.0": "b", "0": ""}"#, r#"{"-5":"a","7":"b","0":""}"#),
        ("byBool", r#"{"true": "RED", "false": 0}"#, r#"{"true":"RED","false":"COLOUR_UNSPECIFIED"}"#),
        ("byBool", "{}", "{}"),
        ("byNumber", "null", "{}"),
    ] {
        check(name, given, expected);
    }
    let empty = write(&sample(), &[]).unwrap();
    check("byName", r#"{"a \"b\"": {}}"#, &format!(r#"{{"a \"b\"":{empty}}}"#));
}

#[test]
fn well_known_types_have_their_own_spelling() {
    for (name, given, expected) in [
        ("time", "\"2026-09-21T16:13:20.5+02:00\"", "\"2026-09-21T14:13:20.500Z\""),
        ("time", "null", ""),
        ("span", "\"-1.5s\"", "\"-1.500s\""),
        ("mask", "\"a.bC,d\"", "\"a.bC,d\""),
        ("mask", "\"\"", "\"\""),
        ("struct", r#"{"a": {"b": [1, null]}, "c": "d"}"#, r#"{"a":{"b":[1.0,null]},"c":"d"}"#),
        ("struct", "{}", "{}"),
        ("value", "null", "null"),
        ("value", "1e3", "1000.0"),
        ("value", "\"s\"", "\"s\""),
        ("value", "true", "true"),
        ("value", "[]", "[]"),
        ("value", "[[], {}]", "[[],{}]"),
        ("list", "[1, \"a\", false]", "[1.0,\"a\",false]"),
        ("values", "[null, 1]", "[null,1.0]"),
        ("empty", "{}", "{}"),
        ("stringValue", "\"\"", "\"\""),
        ("stringValue", "null", ""),
        ("int64Value", "\"5\"", "\"5\""),
        ("int64Value", "0", "\"0\""),
        ("doubleValue", "\"NaN\"", "\"NaN\""),
        ("bytesValue", "\"AA\"", "\"AA==\""),
        ("wrapped", "[true, false]", "[true,false]"),
    ] {
        check(name, given, expected);
    }
    assert_eq!(member(&delimited(25, &[]), "value"), "null");
}

#[test]
fn an_any_is_led_by_its_type() {
    for (given, expected) in [
        ("{}", "{}"),
        (
            r#"{"value": "1s", "@type": "type.googleapis.com/google.protobuf.Duration"}"#,
            r#"{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}"#,
        ),
        (
            r#"{"@type": "/google.protobuf.Empty", "value": {}}"#,
            r#"{"@type":"/google.protobuf.Empty","value":{}}"#,
        ),
        (
            r#"{"@type": "x/google.protobuf.Any", "value": {"@type": "x/google.protobuf.Value", "value": null}}"#,
            r#"{"@type":"x/google.protobuf.Any","value":{"@type":"x/google.protobuf.Value","value":null}}"#,
        ),
    ] {
        check("any", given, expected);
    }
    let given = r#"{"textField": "a", "children": [{"int32": 1}], "@type": "x/t.Sample", "bool": true}"#;
    let wire = read(&sample(), &format!("{{\"any\": {given}}}")).unwrap();
    let written = member(&wire, "any");
    assert!(written.starts_with(r#"{"@type":"x/t.Sample","textField":"a","int32":0,"#), "{written}");
}
