//! Decimals and times as venues spell them: JSON text or JSON numbers, read without passing through a float.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use crate::domain::decimal;

/// A decimal written as a JSON string or a JSON number; every digit is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) Decimal);

/// The text of a JSON string or number, such as an id that one venue quotes and another does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        decimal::parse_venue(text).map(Self).map_err(de::Error::custom)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let text = raw
            .strip_prefix('"')
            .and_then(|r| r.strip_suffix('"'))
            .unwrap_or(raw);
        if text.is_empty() || text.contains(['\\', '{', '[']) || text == "null" {
            return Err(de::Error::custom("expected a plain string or a number"));
        }
        Ok(Self(text))
    }
}

/// A price of a book: zero, absent or empty text means that the side is empty.
pub(super) fn side(price: Option<Number>) -> Option<Decimal> {
    price
        .map(|Number(p)| p)
        .filter(|p| p.is_sign_positive() && !p.is_zero())
}

/// Reads milliseconds since 1970.
pub(super) fn millis(value: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(value)
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
