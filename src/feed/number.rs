//! Decimals and times as venues spell them: JSON text or JSON numbers, read without passing through a float.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de};

use super::{
    json::{self, Plain, Raw, Scalar},
    venue::ParseError,
};
use crate::domain::decimal::{self, digits};

/// Significant digits that every decimal can hold.
const MAX_DIGITS: usize = 28;

/// A decimal written as a JSON string or a JSON number; every digit is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) Decimal);

/// A volume: read as a [`Number`], but digits that a decimal cannot hold are cut off. Venues multiply prices by
/// amounts without rounding, and a long tail there must not cost the price beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Volume(pub(super) Decimal);

/// The text of a JSON string or number, such as an id that one venue quotes and another does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) &'a str);

/// A time as RFC 3339 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date(pub(super) DateTime<Utc>);

/// What a venue says to people: the inside of a JSON string as it is written, with its escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words<'a>(pub(super) &'a str);

/// A row of columns without names; more of them may follow than are read.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Row<'a>(#[serde(borrow)] Vec<Raw<'a>>);

impl<'a> Row<'a> {
    /// Reads one column.
    pub(super) fn column<T: Deserialize<'a>>(&self, at: usize) -> Result<T, ParseError> {
        let value = self.0.get(at).ok_or_else(|| ParseError::value("column", at))?;
        Ok(json::from_str(value.get())?)
    }
}

impl Number {
    #[inline(never)]
    fn read<E: de::Error>(text: &str) -> Result<Self, E> {
        decimal::parse_venue(text).map(Self).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Number {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Plain::deserialize(deserializer)? {
            Plain::Decimal(value) => Ok(Self(value)),
            Plain::Other(Scalar(text)) => Self::read(text),
        }
    }
}

impl Volume {
    #[inline(never)]
    fn read<E: de::Error>(text: &str) -> Result<Self, E> {
        let value = decimal::parse_venue(text).or_else(|error| shortened(text).ok_or(error));
        value.map(Self).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Volume {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Plain::deserialize(deserializer)? {
            Plain::Decimal(value) => Ok(Self(value)),
            Plain::Other(Scalar(text)) => Self::read(text),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Scalar(text) = Scalar::deserialize(deserializer)?;
        // Most of them are digits alone.
        let is_plain = || !text.bytes().any(|byte| matches!(byte, b'\\' | b'{' | b'[')) && text != "null";
        if text.is_empty() || (digits::count(text.as_bytes(), 0) < text.len() && !is_plain()) {
            return Err(de::Error::custom("expected a plain string or a number"));
        }
        Ok(Self(text))
    }
}

impl Date {
    /// Reads its text.
    pub(super) fn read(text: &str) -> Result<Self, ParseError> {
        let time = utc(text).or_else(|| text.parse().ok());
        time.map(Self).ok_or_else(|| ParseError::value("date", text))
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Scalar(text) = Scalar::deserialize(deserializer)?;
        Self::read(text).map_err(de::Error::custom)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Words<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        let Scalar(words) = Scalar::within(raw.get());
        Ok(Self(words))
    }
}

/// Reads a number that a venue leaves empty (`""`) or null where it has none; for `deserialize_with`.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Number>, D::Error> {
    match Plain::deserialize(deserializer)? {
        Plain::Decimal(value) => Ok(Some(Number(value))),
        Plain::Other(Scalar("null" | "")) => Ok(None),
        Plain::Other(Scalar(text)) => Number::read(text).map(Some),
    }
}

/// A price of a book: zero or absent means that the side is empty.
pub(super) fn side(price: Option<Number>) -> Option<Decimal> {
    price.map(|Number(p)| p).filter(|p| p.is_sign_positive() && !p.is_zero())
}

/// Takes the price or the amount of a trade, which must be above zero.
pub(super) fn positive(field: &'static str, Number(value): Number) -> Result<Decimal, ParseError> {
    if value.is_sign_positive() && !value.is_zero() {
        Ok(value)
    } else {
        Err(ParseError::value(field, value))
    }
}

/// Reads a plain decimal with a fraction that is too long, without the excess.
fn shortened(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.')?;
    let room = MAX_DIGITS.checked_sub(whole.len())?;
    let excess_is_digits = fraction.get(room..)?.bytes().all(|b| b.is_ascii_digit());
    let kept = text.get(..=whole.len() + room)?.trim_end_matches('.');
    excess_is_digits.then(|| decimal::parse(kept).ok()).flatten()
}

/// Reads milliseconds since 1970.
pub(super) fn millis(value: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(value)
}

/// Reads a whole number.
#[inline]
pub(super) fn whole(text: &str) -> Option<i64> {
    match digits::whole(text.as_bytes(), 0) {
        Some((value, length)) if length == text.len() => Some(value),
        _ => text.parse().ok(),
    }
}

/// Reads milliseconds since 1970 that are written as text or as a number.
pub(super) fn milliseconds(field: &'static str, Text(text): Text<'_>) -> Result<DateTime<Utc>, ParseError> {
    whole(text).and_then(millis).ok_or_else(|| ParseError::value(field, text))
}

/// Reads `2026-01-02T03:04:05.123456Z`, the spelling of RFC 3339 that venues have; `None` of any other.
fn utc(text: &str) -> Option<DateTime<Utc>> {
    let [
        y0,
        y1,
        y2,
        y3,
        b'-',
        m0,
        m1,
        b'-',
        d0,
        d1,
        b'T',
        h0,
        h1,
        b':',
        n0,
        n1,
        b':',
        s0,
        s1,
        rest @ ..,
        b'Z',
    ] = text.as_bytes()
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u32, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        })
    };
    let nanos = match rest {
        [] => 0,
        [b'.', fraction @ ..] if (1..=9).contains(&fraction.len()) => {
            number(fraction)? * 10_u32.pow(9 - u32::try_from(fraction.len()).ok()?)
        }
        _ => return None,
    };
    let year = i32::try_from(number(&[*y0, *y1, *y2, *y3])?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(&[*m0, *m1])?, number(&[*d0, *d1])?)?;
    let time =
        date.and_hms_nano_opt(number(&[*h0, *h1])?, number(&[*n0, *n1])?, number(&[*s0, *s1])?, nanos)?;
    Some(time.and_utc())
}

/// Reads seconds since 1970 with any fraction (`1618678142.557535`), to the nanosecond.
pub(super) fn seconds(text: &str) -> Option<DateTime<Utc>> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 18 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    DateTime::from_timestamp(whole.parse().ok()?, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_volume_may_be_too_long_to_hold() {
        for (given, expected) in [
            ("12.5", Some("12.5")),
            ("8.25E8", Some("825000000")),
            ("123456789.12345678901234567890123456789", Some("123456789.1234567890123456789")),
            ("1234567890123456789012345678.1234", Some("1234567890123456789012345678")),
            ("123456789012345678901234567890", None),
            ("1.0000000000000000000000000000000000x", None),
            ("1,5", None),
            ("null", None),
        ] {
            let text = format!("\"{given}\"");
            let volume = serde_json::from_str::<Volume>(&text).ok();
            let read = volume.map(|Volume(v)| decimal::text(v));
            assert_eq!(read.as_deref(), expected, "{given}");
        }
        assert!(serde_json::from_str::<Number>("1.00000000000000000000000000001").is_err());
    }

    #[test]
    fn dates_are_read_as_they_are_everywhere() {
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.1Z",
            "2024-02-29T23:59:59.123456789Z",
            "2026-02-29T03:04:05Z",
            "2026-01-02T24:04:05Z",
            "2026-01-02T03:04:60.5Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05.1234567891Z",
            "2026-01-02T03:04:05+01:00",
            "2026-1-02T03:04:05Z",
            "2026-01-02T03:04:0xZ",
            "",
        ] {
            let date = serde_json::from_str(&format!("\"{text}\"")).ok().map(|Date(date)| date);
            assert_eq!(date, text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn a_trade_needs_a_price_above_zero() {
        for (given, expected) in [("0.1", true), ("0", false), ("0.000", false), ("-1", false)] {
            let number = Number(decimal::parse(given).unwrap());
            assert_eq!(positive("price", number).is_ok(), expected, "{given}");
        }
    }
}
