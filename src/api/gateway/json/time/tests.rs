//! Times and durations, read and written.

use super::*;
use proptest::prelude::*;

fn timestamp(seconds: i64, nanos: i32) -> Result<String, &'static str> {
    let mut out = Vec::new();
    Clock::new().put(seconds, nanos, &mut out)?;
    Ok(String::from_utf8(out).unwrap().trim_matches('"').to_owned())
}

fn duration(seconds: i64, nanos: i32) -> Result<String, &'static str> {
    let mut out = Vec::new();
    put_duration(seconds, nanos, &mut out)?;
    Ok(String::from_utf8(out).unwrap().trim_matches('"').to_owned())
}

#[test]
fn timestamps_have_three_digits_or_six_or_nine() {
    for (seconds, nanos, expected) in [
        (0, 0, "1970-01-01T00:00:00Z"),
        (1_790_000_000, 120_000_000, "2026-09-21T14:13:20.120Z"),
        (1_790_000_000, 1_000, "2026-09-21T14:13:20.000001Z"),
        (-1, 999_999_999, "1969-12-31T23:59:59.999999999Z"),
        (951_782_400, 0, "2000-02-29T00:00:00Z"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
        (253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z"),
    ] {
        assert_eq!(timestamp(seconds, nanos).unwrap(), expected);
        assert_eq!(parse_timestamp(expected), Some((seconds, nanos)));
    }
    for (seconds, nanos) in [
        (-62_135_596_801, 0),
        (253_402_300_800, 0),
        (i64::MIN, 0),
        (i64::MAX, 0),
        (0, -1),
        (0, 1_000_000_000),
    ] {
        assert!(timestamp(seconds, nanos).is_err(), "{seconds} {nanos}");
    }
}

#[test]
fn timestamps_may_have_an_offset_and_any_fraction() {
    for (text, seconds, nanos) in [
        ("1970-01-01T01:00:00+01:00", 0, 0),
        ("1969-12-31T18:30:00.5-05:30", 0, 500_000_000),
        ("1970-01-01T00:00:00.123456789Z", 0, 123_456_789),
        ("1970-01-01T00:00:00.10Z", 0, 100_000_000),
        ("1970-01-01T00:00:00-00:00", 0, 0),
    ] {
        assert_eq!(parse_timestamp(text), Some((seconds, nanos)), "{text}");
    }
}

#[test]
fn anything_else_is_no_timestamp() {
    for text in [
        "",
        "now",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01t00:00:00z",
        "1970-01-01 00:00:00Z",
        "1970-01-01T00:00Z",
        "1970-1-01T00:00:00Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00.1234567890Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1990-12-31T23:59:60Z",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "0000-12-31T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00Z ",
        "+1970-01-01T00:00:00Z",
        "19700-01-01T00:00:00Z",
        "１970-01-01T00:00:00Z",
    ] {
        assert_eq!(parse_timestamp(text), None, "{text}");
    }
}

#[test]
fn durations_keep_their_sign() {
    for (seconds, nanos, expected) in [
        (0, 0, "0s"),
        (1, 500_000_000, "1.500s"),
        (-1, -500_000_000, "-1.500s"),
        (0, -1, "-0.000000001s"),
        (0, 1_000, "0.000001s"),
        (315_576_000_000, 999_999_999, "315576000000.999999999s"),
        (-315_576_000_000, -999_999_999, "-315576000000.999999999s"),
    ] {
        assert_eq!(duration(seconds, nanos).unwrap(), expected);
        assert_eq!(parse_duration(expected), Some((seconds, nanos)));
    }
    for (seconds, nanos) in
        [(315_576_000_001, 0), (i64::MIN, 0), (0, 1_000_000_000), (0, i32::MIN), (1, -1), (-1, 1)]
    {
        assert!(duration(seconds, nanos).is_err(), "{seconds} {nanos}");
    }
}

#[test]
fn anything_else_is_no_duration() {
    for text in [
        "",
        "s",
        "1",
        "1.s",
        ".5s",
        "+1s",
        "--1s",
        "1 s",
        "1s ",
        "1e3s",
        "1.1234567890s",
        "1m",
        "315576000001s",
        "99999999999999999999999s",
    ] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn timestamps_read_back(seconds in TIMESTAMP_SECONDS, nanos in 0..1_000_000_000_i32) {
        prop_assert_eq!(parse_timestamp(&timestamp(seconds, nanos).unwrap()), Some((seconds, nanos)));
    }

    #[test]
    fn a_clock_is_right_wherever_it_was_before(
        seconds in proptest::collection::vec((TIMESTAMP_SECONDS, 0..1_000_000_000_i32), 1..4),
    ) {
        let mut clock = Clock::new();
        for (second, nanos) in seconds {
            for (second, nanos) in [(second, nanos), (second, 0)] {
                let mut out = Vec::new();
                clock.put(second, nanos, &mut out).unwrap();
                let text = String::from_utf8(out).unwrap();
                prop_assert_eq!(text.trim_matches('"'), timestamp(second, nanos).unwrap());
            }
        }
    }

    #[test]
    fn timestamps_are_those_of_chrono(seconds in TIMESTAMP_SECONDS) {
        let expected = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
        let expected = expected.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        prop_assert_eq!(timestamp(seconds, 0).unwrap(), expected);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-+0-9TZ:.s]{0,40}|.*") {
        let _ = parse_timestamp(&text);
        let _ = parse_duration(&text);
    }
}
