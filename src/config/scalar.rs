//! Values that TOML has no type for: they are written as text.

use std::{fmt, time::Duration};

use humantime_serde::re::humantime;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, de};
use toml::Value;

use crate::domain::{
    candle::Interval,
    decimal,
    pair::{Asset, Pair},
};

/// A pair, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PairText(pub Pair);

/// An asset, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssetText(pub Asset);

/// The interval of a candle, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntervalText(pub Interval);

/// A decimal, as text; a plain number is understood too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub Decimal);

macro_rules! as_text {
    ($type:ident, $parse:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Scalar::deserialize(deserializer)?.0;
                $parse(&text).map(Self).map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

as_text!(PairText, |text: &str| text.parse::<Pair>());
as_text!(AssetText, |text: &str| text.parse::<Asset>());
as_text!(IntervalText, |text: &str| text.parse::<Interval>());
as_text!(Number, decimal::parse);

/// Text, or a number by its text.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Integer(number) => Ok(Self(number.to_string())),
            Value::Float(number) => Ok(Self(number.to_string())),
            other => Err(de::Error::custom(format!("expected text, not {}", other.type_str()))),
        }
    }
}

/// How long something is kept: a span, or `forever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep(pub Option<Duration>);

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)?.0.as_str() {
            "forever" => Ok(Self(None)),
            text => humantime::parse_duration(text).map(|span| Self(Some(span))).map_err(|error| {
                de::Error::custom(format!("`{text}` is neither a span nor `forever`: {error}"))
            }),
        }
    }
}

impl Serialize for Keep {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(span) => serializer.collect_str(&humantime::format_duration(span)),
            None => serializer.serialize_str("forever"),
        }
    }
}
