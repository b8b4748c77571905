//! Any rational number: a fraction of two big integers.

use std::cmp::Ordering;

use num_bigint::{BigInt, BigUint, Sign};
use rust_decimal::Decimal;

use crate::domain::decimal::{DecimalError, MAX_SCALE, SIGNIFICANT_DIGITS};

/// A numerator over a denominator.
#[derive(Debug, Clone)]
pub(super) struct Fraction {
    numerator: BigInt,
    /// Never zero.
    denominator: BigUint,
}

impl Fraction {
    /// Takes `mantissa` ÷ 10^`scale`.
    pub(super) fn new(mantissa: i128, scale: u32) -> Self {
        Self::of_units(BigInt::from(mantissa), scale)
    }

    /// Takes `units` ÷ 10^`scale`.
    pub(super) fn of_units(units: BigInt, scale: u32) -> Self {
        Self { numerator: units, denominator: ten_to(scale) }
    }

    /// Multiplies by a decimal.
    pub(super) fn times(self, factor: Decimal) -> Self {
        Self {
            numerator: self.numerator * factor.mantissa(),
            denominator: self.denominator * ten_to(factor.scale()),
        }
    }

    /// Divides by a decimal that is not zero.
    pub(super) fn divided_by(self, divisor: Decimal) -> Result<Self, DecimalError> {
        if divisor.is_zero() {
            return Err(DecimalError::DivisionByZero);
        }
        let numerator = self.numerator * BigInt::from(ten_to(divisor.scale()));
        Ok(Self {
            numerator: if divisor.is_sign_negative() { -numerator } else { numerator },
            denominator: self.denominator * divisor.mantissa().unsigned_abs(),
        })
    }

    /// Adds another number.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let (left, right, denominator) = self.aligned(other);
        Self { numerator: left + right, denominator }
    }

    /// Gets how far another number is away: the difference without its sign.
    pub(super) fn distance(&self, other: &Self) -> Self {
        let (left, right, denominator) = self.aligned(other);
        Self { numerator: BigInt::from((left - right).into_parts().1), denominator }
    }

    /// Gets the mean of this and another number.
    pub(super) fn mean(&self, other: &Self) -> Self {
        let sum = self.plus(other);
        Self { denominator: sum.denominator * 2_u32, ..sum }
    }

    /// Rounds half-even to so many decimal places, for numbers whose last digits mean nothing.
    pub(super) fn to_places(&self, places: u32) -> Result<Decimal, DecimalError> {
        let (mantissa, _) = self.scaled(i64::from(places));
        decimal(mantissa, i64::from(places))
    }

    pub(super) fn to_digits(&self, digits: u32) -> Result<Decimal, DecimalError> {
        if self.numerator.sign() == Sign::NoSign {
            return Ok(Decimal::ZERO);
        }
        let magnitude = self.magnitude();
        let places = |digits: u32| i64::from(digits) - 1 - magnitude;
        let kept = places(digits).min(i64::from(MAX_SCALE));
        let (mantissa, whole) = self.scaled(kept);
        if !whole && kept < places(SIGNIFICANT_DIGITS) {
            return Err(DecimalError::BelowPrecision);
        }
        decimal(mantissa, kept)
    }

    /// Gets the number × 10^`places`, rounded half-even to a whole number, and whether it was one already.
    fn scaled(&self, places: i64) -> (BigInt, bool) {
        let (up, down) = if places < 0 {
            (BigUint::from(1_u32), ten_to_signed(places))
        } else {
            (ten_to_signed(places), BigUint::from(1_u32))
        };
        let dividend = self.numerator.magnitude() * up;
        let divisor = &self.denominator * down;
        let quotient = &dividend / &divisor;
        let remainder = dividend - &quotient * &divisor;
        let whole = remainder == BigUint::ZERO;
        let up = match (remainder * 2_u32).cmp(&divisor) {
            Ordering::Less => false,
            Ordering::Equal => quotient.bit(0),
            Ordering::Greater => true,
        };
        let rounded = quotient + u32::from(up);
        (BigInt::from_biguint(self.numerator.sign(), rounded), whole)
    }

    /// Gets the power of ten of the first significant digit of a number that is not zero: 2 for 123, −2 for 0.05.
    fn magnitude(&self) -> i64 {
        let bits = |number: &BigUint| i64::try_from(number.bits()).unwrap_or(i64::MAX);
        // log₁₀ 2 ≈ 0.30103: a guess that is too low by one at most, so one above it is where to look down from.
        let guess =
            (bits(self.numerator.magnitude()) - bits(&self.denominator)).saturating_mul(30_103) / 100_000;
        let reaches = |power: i64| {
            let (left, right) = (self.numerator.magnitude(), &self.denominator);
            if power < 0 {
                left * ten_to_signed(power) >= *right
            } else {
                *left >= right * ten_to_signed(power)
            }
        };
        let mut power = guess + 1;
        while !reaches(power) {
            power -= 1;
        }
        power
    }

    /// Brings two numbers to one denominator.
    fn aligned(&self, other: &Self) -> (BigInt, BigInt, BigUint) {
        if self.denominator == other.denominator {
            return (self.numerator.clone(), other.numerator.clone(), self.denominator.clone());
        }
        (
            &self.numerator * BigInt::from(other.denominator.clone()),
            &other.numerator * BigInt::from(self.denominator.clone()),
            &self.denominator * &other.denominator,
        )
    }
}

impl Ord for Fraction {
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right, _) = self.aligned(other);
        left.cmp(&right)
    }
}

impl PartialOrd for Fraction {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Fraction {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Fraction {}

/// Makes the decimal `mantissa` ÷ 10^`places`, without zeros at its end.
fn decimal(mantissa: BigInt, places: i64) -> Result<Decimal, DecimalError> {
    let whole = if places < 0 { mantissa * BigInt::from(ten_to_signed(places)) } else { mantissa };
    let whole = i128::try_from(whole).map_err(|_| DecimalError::TooLarge)?;
    let scale = u32::try_from(places.max(0)).map_err(|_| DecimalError::BelowPrecision)?;
    Decimal::try_from_i128_with_scale(whole, scale)
        .map(|value| value.normalize())
        .map_err(|_| DecimalError::TooLarge)
}

fn ten_to(power: u32) -> BigUint {
    match 10_u64.checked_pow(power) {
        Some(small) => BigUint::from(small),
        None => BigUint::from(10_u32).pow(power),
    }
}

/// Gets 10 to the power's absolute value.
fn ten_to_signed(power: i64) -> BigUint {
    ten_to(u32::try_from(power.unsigned_abs()).unwrap_or(u32::MAX))
}
