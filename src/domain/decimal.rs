//! Decimal text in and out, and rounding to significant digits.
//!
//! A decimal is [`rust_decimal::Decimal`]: at most 28 significant digits, at most 28 of them after the point.
//! Two spellings come in: what callers may write ([`parse`]: plain digits, no exponent) and what venues send
//! ([`parse_venue`]: JSON numbers too, so exponents are understood). One spelling goes out ([`text`]).

pub mod digits;

use rust_decimal::{Decimal, RoundingStrategy};

use self::digits::Short;

/// Significant digits of a derived result.
pub const SIGNIFICANT_DIGITS: u32 = 16;

/// Significant digits of any decimal at most.
pub const HELD_DIGITS: u32 = 28;

/// Digits after the point at most.
pub const MAX_SCALE: u32 = 28;

/// Why a text is not a decimal, or a result cannot be held as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// The text is not `-?digits[.digits]`.
    #[error("`{0}` is not a decimal: expected digits with at most one point")]
    Malformed(String),
    /// The number needs more than 28 significant digits or more than 28 digits after the point.
    #[error("`{0}` needs more than 28 digits")]
    TooPrecise(String),
    /// The result is larger than a decimal can hold.
    #[error("the result is too large for 28 digits")]
    TooLarge,
    /// The result is too small to keep its significant digits.
    #[error("the result is too small to keep 16 significant digits within 28 decimal places")]
    BelowPrecision,
    /// Something was to be divided by zero.
    #[error("division by zero")]
    DivisionByZero,
}

/// Parses what a caller wrote: `-?digits[.digits]`, nothing around it, no exponent, no separators.
pub fn parse(text: &str) -> Result<Decimal, DecimalError> {
    short(text).map_or_else(|| parse_long(text), Ok)
}

fn parse_long(text: &str) -> Result<Decimal, DecimalError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || fraction.is_some_and(|f| !plain(f)) {
        return Err(DecimalError::Malformed(shorten(text)));
    }
    exact(text)
}

/// Parses what a venue sent: as [`parse`], and a JSON number with an exponent (`9.121E-7`).
///
/// Digits beyond 28 places are refused, not dropped: a venue that sends them is not understood.
pub fn parse_venue(text: &str) -> Result<Decimal, DecimalError> {
    short(text).map_or_else(|| parse_venue_long(text), Ok)
}

fn parse_venue_long(text: &str) -> Result<Decimal, DecimalError> {
    let Some(at) = text.bytes().position(|b| b == b'e' || b == b'E') else {
        return parse_long(text);
    };
    let (mantissa, exponent) = text.split_at(at);
    let mantissa = parse(mantissa)?;
    let exponent: i32 = exponent
        .get(1..)
        .and_then(|e| e.parse().ok())
        .filter(|e: &i32| e.abs() <= 64)
        .ok_or_else(|| DecimalError::Malformed(shorten(text)))?;
    shift(mantissa, exponent).ok_or_else(|| DecimalError::TooPrecise(shorten(text)))
}

/// Writes a decimal as the contract says: no exponent, no trailing zeros after the point, no `-0`.
pub fn text(value: Decimal) -> String {
    value.normalize().to_string()
}

/// Rounds half-even to [`SIGNIFICANT_DIGITS`] significant digits. A value so close to the largest decimal that it
/// would be rounded beyond it stays as it is.
pub fn round_significant(value: Decimal) -> Decimal {
    value
        .round_sf_with_strategy(SIGNIFICANT_DIGITS, RoundingStrategy::MidpointNearestEven)
        .unwrap_or(value)
        .normalize()
}

/// Tells how far a number lies from another, in basis points of the other to four places; negative below it.
pub fn deviation_bps(value: Decimal, reference: Decimal) -> Option<Decimal> {
    let share = value.checked_sub(reference)?.checked_div(reference)?;
    let bps = share.checked_mul(Decimal::from(10_000))?;
    Some(bps.round_dp_with_strategy(4, RoundingStrategy::MidpointNearestEven).normalize())
}

/// Moves the decimal point by `exponent` places, exactly, or gives nothing.
fn shift(value: Decimal, exponent: i32) -> Option<Decimal> {
    let mut mantissa = value.mantissa();
    if mantissa == 0 {
        return Some(Decimal::ZERO);
    }
    let mut scale = i64::from(value.scale()) - i64::from(exponent);
    while scale > i64::from(MAX_SCALE) && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    if scale < 0 {
        mantissa = mantissa.checked_mul(10_i128.checked_pow(u32::try_from(-scale).ok()?)?)?;
        scale = 0;
    }
    let value = Decimal::try_from_i128_with_scale(mantissa, u32::try_from(scale).ok()?).ok()?;
    Some(value.normalize()).filter(|value| within_digits(*value))
}

/// Reads a decimal of at most 18 digits, which nearly all are; gives nothing of any other text.
#[inline]
fn short(text: &str) -> Option<Decimal> {
    digits::decimal(text.as_bytes(), 0).filter(|short| short.length() == text.len()).map(Short::decimal)
}

fn exact(text: &str) -> Result<Decimal, DecimalError> {
    // Zeros at the end of a fraction carry nothing, but would count against the scale.
    let trimmed = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    let value = Decimal::from_str_exact(trimmed).ok().filter(|value| within_digits(*value));
    let value = value.ok_or_else(|| DecimalError::TooPrecise(shorten(text)))?;
    Ok(if value.is_zero() { Decimal::ZERO } else { value })
}

/// Tells whether a decimal without zeros at the end of its fraction has at most 28 significant digits: 96 bits hold
/// some numbers of 29.
fn within_digits(value: Decimal) -> bool {
    let mantissa = value.mantissa().unsigned_abs();
    mantissa < 10_u128.pow(HELD_DIGITS) || mantissa.is_multiple_of(10)
}

/// Keeps an error message short whatever was sent.
fn shorten(text: &str) -> String {
    if text.chars().count() <= 40 {
        return text.to_owned();
    }
    text.chars().take(40).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(given: &str, expected: &str) {
        assert_eq!(text(parse(given).unwrap()), expected, "{given}");
    }

    #[test]
    fn plain_decimals_are_understood() {
        check("0", "0");
        check("-0.00", "0");
        check("000123.4500", "123.45");
        check("0.000000000001", "0.000000000001");
        check("1000000000", "1000000000");
        check("0.0000000000000000000000000001", "0.0000000000000000000000000001");
        check("1.00000000000000000000000000000000000000", "1");
        check("0000000000000000000000000000000000000000012.5", "12.5");
        check("10000000000000000000000000000", "10000000000000000000000000000");
    }

    #[test]
    fn zero_has_no_sign() {
        for zero in [-Decimal::ZERO, Decimal::new(0, 28), parse_venue("-0e5").unwrap()] {
            assert_eq!(text(zero), "0");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "-", ".", "1.", ".5", "+1", "1e5", "1,000", " 1", "1 ", "0x10", "NaN", "Infinity", "１",
            "1_000", "--1",
        ] {
            assert!(matches!(parse(text), Err(DecimalError::Malformed(_))), "{text}");
        }
        for text in [
            "1.00000000000000000000000000001",
            "99999999999999999999999999999",
            "10000000000000000000000000001",
            "1.0000000000000000000000000001",
            "79228162514264337593543950335",
        ] {
            assert!(matches!(parse(text), Err(DecimalError::TooPrecise(_))), "{text}");
        }
    }

    #[test]
    fn venues_may_use_exponents() {
        for (given, expected) in [
            ("9.121E-7", "0.0000009121"),
            ("1.0E-7", "0.0000001"),
            ("1e3", "1000"),
            ("2.5e+2", "250"),
            ("188358.0", "188358"),
            ("8e-28", "0.0000000000000000000000000008"),
            ("80e-29", "0.0000000000000000000000000008"),
            ("0e-64", "0"),
            ("-0E+60", "0"),
        ] {
            assert_eq!(text(parse_venue(given).unwrap()), expected, "{given}");
        }
        for given in ["1e", "e5", "1e99", "1e5.0", "8e-29", "1e30", "null", "1e-"] {
            assert!(parse_venue(given).is_err(), "{given}");
        }
    }

    #[test]
    fn rounding_is_half_even() {
        for (given, expected) in [
            ("1.0000000000000005", "1"),
            ("1.0000000000000015", "1.000000000000002"),
            ("123456789.123456785", "123456789.1234568"),
            ("0.00001234567890123456789", "0.00001234567890123457"),
            ("12345678901234567890", "12345678901234570000"),
        ] {
            assert_eq!(text(round_significant(parse(given).unwrap())), expected, "{given}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(given in ".*") {
            let _ = parse(&given);
            let _ = parse_venue(&given);
        }

        #[test]
        fn what_is_written_reads_back_equal(mantissa in any::<i64>(), scale in 0u32..=28) {
            let value = Decimal::from_i128_with_scale(i128::from(mantissa), scale);
            prop_assert_eq!(parse(&text(value)).unwrap(), value);
        }

        #[test]
        fn a_short_text_reads_as_a_long_one(given in "-?[0-9]{0,12}(\\.[0-9]{0,9})?|[-0-9.]{0,6}") {
            if let Some(value) = short(&given) {
                let long = exact(&given).unwrap();
                prop_assert_eq!((value, value.scale(), value.is_sign_negative()), (long, long.scale(), long.is_sign_negative()));
            }
            let plain = given.trim_start_matches('-').split('.').all(|part| !part.is_empty());
            let plain = plain && given.matches('.').count() < 2 && !given.get(1..).unwrap_or_default().contains('-');
            prop_assert_eq!(parse(&given).is_ok(), plain);
        }

        #[test]
        fn an_exponent_only_moves_the_point(mantissa in any::<i32>(), scale in 0u32..=9, exponent in -19i32..=18) {
            let value = Decimal::new(mantissa.into(), scale);
            let factor = parse(&format!("1{:0>1$}", "", exponent.unsigned_abs() as usize)).unwrap();
            let expected = if exponent < 0 { value / factor } else { value * factor };
            prop_assert_eq!(parse_venue(&format!("{}e{exponent}", text(value))).unwrap(), expected);
        }
    }
}
