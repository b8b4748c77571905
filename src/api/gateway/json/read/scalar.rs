//! Numbers, booleans, strings, bytes and enum values.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::{self, Alphabet};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::super::error::{FieldPath, JsonError, shorten};
use super::super::table::Kind;
use super::super::wire::{put_varint, zigzag};
use super::Reader;
use super::lexer::{Token, number_length};

/// A value as the wire holds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scalar<'j> {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    Text(Cow<'j, str>),
    Bytes(Vec<u8>),
}

impl Scalar<'_> {
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => *value == 0,
            Self::Fixed32(value) => *value == 0,
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let bytes = match self {
            Self::Varint(value) => return put_varint(*value, out),
            Self::Fixed32(value) => return out.extend_from_slice(&value.to_le_bytes()),
            Self::Fixed64(value) => return out.extend_from_slice(&value.to_le_bytes()),
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        };
        put_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }
}

impl<'j> Reader<'_, 'j> {
    /// Reads one scalar of this kind.
    pub(super) fn scalar(&mut self, kind: Kind) -> Result<Scalar<'j>, JsonError> {
        let before = self.lexer;
        let scalar = match (self.lexer.peek()?, kind) {
            (Token::True, Kind::Bool) => {
                self.lexer.word("true")?;
                Some(Scalar::Varint(1))
            }
            (Token::False, Kind::Bool) => {
                self.lexer.word("false")?;
                Some(Scalar::Varint(0))
            }
            (Token::Null, Kind::Null) => {
                self.lexer.word("null")?;
                Some(Scalar::Varint(0))
            }
            (Token::String, Kind::String) => Some(Scalar::Text(self.lexer.string()?)),
            (Token::String, Kind::Bytes) => bytes(&self.lexer.string()?).map(Scalar::Bytes),
            (Token::String, Kind::Null) => {
                (self.lexer.string()? == "NULL_VALUE").then_some(Scalar::Varint(0))
            }
            (Token::String, Kind::Enum(id)) => {
                let names = &self.tables.enumeration_at(id).by_name;
                names.get(&self.lexer.string()?).map(|value| enum_value(value.into()))
            }
            (Token::String, _) => number(kind, &self.lexer.string()?),
            (Token::Number, _) => number(kind, self.lexer.number()?),
            _ => None,
        };
        scalar.ok_or_else(|| before.mismatch(expected(kind)))
    }
}

/// Reads the key of a map entry, which JSON always quotes.
pub(super) fn map_key(kind: Kind, text: &str) -> Result<Scalar<'_>, JsonError> {
    let key = match (kind, text) {
        (Kind::String, _) => Some(Scalar::Text(text.into())),
        (Kind::Bool, "true") => Some(Scalar::Varint(1)),
        (Kind::Bool, "false") => Some(Scalar::Varint(0)),
        _ => number(kind, text),
    };
    key.ok_or_else(|| JsonError::Mismatch {
        path: FieldPath::default(),
        expected: expected(kind),
        found: shorten(text),
    })
}

/// Reads a number of this kind, which comes with quotes or without.
fn number<'j>(kind: Kind, text: &str) -> Option<Scalar<'j>> {
    Some(match kind {
        Kind::Double => Scalar::Fixed64(double(text)?.to_bits()),
        Kind::Finite => Scalar::Fixed64(double(text).filter(|value| value.is_finite())?.to_bits()),
        Kind::Float => Scalar::Fixed32(float(text)?.to_bits()),
        Kind::Int32 | Kind::Enum(_) | Kind::Null => enum_value(i32::try_from(integer(text)?).ok()?.into()),
        Kind::Int64 => Scalar::Varint(i64::try_from(integer(text)?).ok()?.cast_unsigned()),
        Kind::Uint32 => Scalar::Varint(u32::try_from(integer(text)?).ok()?.into()),
        Kind::Uint64 => Scalar::Varint(integer(text)?.try_into().ok()?),
        Kind::Sint32 => Scalar::Varint(zigzag(i32::try_from(integer(text)?).ok()?.into())),
        Kind::Sint64 => Scalar::Varint(zigzag(integer(text)?.try_into().ok()?)),
        Kind::Fixed32 => Scalar::Fixed32(integer(text)?.try_into().ok()?),
        Kind::Fixed64 => Scalar::Fixed64(integer(text)?.try_into().ok()?),
        Kind::Sfixed32 => Scalar::Fixed32(i32::try_from(integer(text)?).ok()?.cast_unsigned()),
        Kind::Sfixed64 => Scalar::Fixed64(i64::try_from(integer(text)?).ok()?.cast_unsigned()),
        Kind::Bool | Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Group(_) => return None,
    })
}

/// A negative 32-bit value takes ten bytes: the wire format extends its sign to 64 bits.
fn enum_value<'j>(value: i64) -> Scalar<'j> {
    Scalar::Varint(value.cast_unsigned())
}

fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        // What is finite as it is written must be so as it is held.
        _ => plain(text)?.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}

fn float(text: &str) -> Option<f32> {
    match text {
        "NaN" => Some(f32::NAN),
        "Infinity" => Some(f32::INFINITY),
        "-Infinity" => Some(f32::NEG_INFINITY),
        _ => plain(text)?.parse().ok().filter(|value: &f32| value.is_finite()),
    }
}

/// Reads a whole number exactly, also where it is spelled with a fraction or an exponent: `1.50e2`.
fn integer(text: &str) -> Option<i128> {
    /// More than any 64-bit integer has.
    const DIGITS: i64 = 20;
    let text = plain(text)?;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches(['-', '0']);
    if significant.is_empty() {
        return Some(0);
    }
    let places = exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let kept = significant.trim_end_matches('0');
    let zeros = places.checked_add(i64::try_from(significant.len() - kept.len()).ok()?)?;
    if !(0..=DIGITS).contains(&zeros) || kept.len() > 20 {
        return None;
    }
    let factor = 10_i128.checked_pow(u32::try_from(zeros).ok()?)?;
    let value = kept.parse::<i128>().ok()?.checked_mul(factor)?;
    Some(if text.starts_with('-') { -value } else { value })
}

/// Gets the text if all of it is a JSON number.
fn plain(text: &str) -> Option<&str> {
    (number_length(text) == Some(text.len())).then_some(text)
}

/// Reads base64 of either alphabet, padded or not.
fn bytes(text: &str) -> Option<Vec<u8>> {
    const fn engine(alphabet: &Alphabet) -> GeneralPurpose {
        let lenient = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent);
        GeneralPurpose::new(alphabet, lenient)
    }
    const STANDARD: GeneralPurpose = engine(&alphabet::STANDARD);
    const URL_SAFE: GeneralPurpose = engine(&alphabet::URL_SAFE);
    let engine = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    engine.decode(text).ok()
}

const fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Double | Kind::Float => "a number",
        Kind::Finite => "a finite number",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "a 32-bit integer",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "a 64-bit integer",
        Kind::Uint32 | Kind::Fixed32 => "an unsigned 32-bit integer",
        Kind::Uint64 | Kind::Fixed64 => "an unsigned 64-bit integer",
        Kind::Bool => "true or false",
        Kind::String => "a string",
        Kind::Bytes => "a string of base64",
        Kind::Enum(_) => "the name or number of an enum value",
        Kind::Null => "null",
        Kind::Message(_) | Kind::Group(_) => "a message",
    }
}
