//! Sums, products and quotients of decimals, exact until they are rounded once.
//!
//! A chain of decimal operations would round at each step, and differently in each order. An [`Exact`] is a
//! fraction of two big integers: nothing is lost until the end, where the result becomes a decimal again.

use std::cmp::Ordering;

use num_bigint::{BigInt, BigUint, Sign};
use rust_decimal::Decimal;

use super::decimal::{DecimalError, HELD_DIGITS, MAX_SCALE, SIGNIFICANT_DIGITS};

/// A rational number: any decimal, and any sum, product or quotient of decimals.
#[derive(Debug, Clone)]
pub struct Exact {
    numerator: BigInt,
    /// Never zero.
    denominator: BigUint,
}

impl Exact {
    /// Takes a decimal as it is.
    pub fn of(value: Decimal) -> Self {
        Self { numerator: BigInt::from(value.mantissa()), denominator: ten_to(value.scale()) }
    }

    /// Takes so many units of 10⁻ˢᶜᵃˡᵉ.
    pub fn of_units(units: BigInt, scale: u32) -> Self {
        Self { numerator: units, denominator: ten_to(scale) }
    }

    /// Multiplies by a decimal.
    #[must_use]
    pub fn times(self, factor: Decimal) -> Self {
        Self {
            numerator: self.numerator * factor.mantissa(),
            denominator: self.denominator * ten_to(factor.scale()),
        }
    }

    /// Divides by a decimal that is not zero.
    pub fn divided_by(self, divisor: Decimal) -> Result<Self, DecimalError> {
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
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let (left, right, denominator) = self.aligned(other);
        Self { numerator: left + right, denominator }
    }

    /// Gets how far another number is away: the difference without its sign.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Self {
        let (left, right, denominator) = self.aligned(other);
        Self { numerator: BigInt::from((left - right).into_parts().1), denominator }
    }

    /// Gets the mean of this and another number.
    #[must_use]
    pub fn mean(&self, other: &Self) -> Self {
        let sum = self.plus(other);
        Self { denominator: sum.denominator * 2_u32, ..sum }
    }

    /// Rounds half-even to 16 significant digits, the form of every derived result.
    ///
    /// A number that needs no more than that stays as it is. Zeros at the end are not kept. Fails with
    /// [`DecimalError::TooLarge`] beyond the range of a decimal, and with [`DecimalError::BelowPrecision`] where
    /// 28 decimal places cut off one of the 16 digits, which can happen below 10⁻¹³.
    pub fn rounded(&self) -> Result<Decimal, DecimalError> {
        self.to_digits(SIGNIFICANT_DIGITS)
    }

    /// Gets the decimal that equals the number, or where 28 digits do not hold it, the nearest one: the form of
    /// an intermediate result that has to be shown. Fails as [`Self::rounded`] does.
    pub fn held(&self) -> Result<Decimal, DecimalError> {
        self.to_digits(HELD_DIGITS)
    }

    /// Rounds half-even to so many decimal places, for numbers whose last digits mean nothing.
    pub fn to_places(&self, places: u32) -> Result<Decimal, DecimalError> {
        let (mantissa, _) = self.scaled(i64::from(places));
        decimal(mantissa, i64::from(places))
    }

    fn to_digits(&self, digits: u32) -> Result<Decimal, DecimalError> {
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

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right, _) = self.aligned(other);
        left.cmp(&right)
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Exact {}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::decimal::{parse, text};

    fn exact(given: &str) -> Exact {
        Exact::of(parse(given).unwrap())
    }

    fn divided(dividend: &str, divisor: &str) -> Exact {
        exact(dividend).divided_by(parse(divisor).unwrap()).unwrap()
    }

    fn check(given: &Exact, expected: &str) {
        assert_eq!(given.rounded().map(text), Ok(expected.to_owned()), "{given:?}");
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        for given in [
            "0",
            "-12.5",
            "1234567.890123456",
            "0.00000000000000000001",
            "0.0000000000000000000000000001",
            "10000000000000000000000000000",
        ] {
            check(&exact(given), given);
        }
        check(&exact("0.3").times(parse("0.10").unwrap()), "0.03");
    }

    #[test]
    fn results_are_rounded_half_even_to_16_digits() {
        for (given, expected) in [
            ("1.0000000000000005", "1"),
            ("1.0000000000000015", "1.000000000000002"),
            ("1.00000000000000050001", "1.000000000000001"),
            ("-1.0000000000000015", "-1.000000000000002"),
            ("9.9999999999999995", "10"),
            ("123456789012345650000", "123456789012345600000"),
            ("123456789012345650001", "123456789012345700000"),
        ] {
            check(&exact(given), expected);
        }
        check(&divided("1", "3"), "0.3333333333333333");
        check(&divided("-2", "3"), "-0.6666666666666667");
        check(&divided("2", "-0.03"), "-66.66666666666667");
        check(&divided("1", "3000000000000"), "0.0000000000003333333333333333");
        check(&exact("1").mean(&exact("2")), "1.5");
    }

    #[test]
    fn what_cannot_be_held_is_refused() {
        assert_eq!(divided("1", "30000000000000").rounded(), Err(DecimalError::BelowPrecision));
        assert_eq!(
            exact("0.0000000000000000000000000001").times(Decimal::new(1, 1)).rounded(),
            Err(DecimalError::BelowPrecision)
        );
        assert_eq!(Exact::of(Decimal::MAX).rounded(), Err(DecimalError::TooLarge));
        assert_eq!(Exact::of(Decimal::MAX).times(Decimal::MAX).rounded(), Err(DecimalError::TooLarge));
        assert_eq!(exact("1").divided_by(Decimal::ZERO), Err(DecimalError::DivisionByZero));
    }

    #[test]
    fn an_intermediate_result_keeps_28_digits() {
        for (given, expected) in [
            (divided("1", "3"), "0.3333333333333333333333333333"),
            (divided("10", "3"), "3.333333333333333333333333333"),
            (divided("1", "3000000000000"), "0.0000000000003333333333333333"),
            (exact("0.1234567890123456789"), "0.1234567890123456789"),
        ] {
            assert_eq!(given.held().map(text), Ok(expected.to_owned()));
        }
        let below = divided("1", "30000000000000");
        assert_eq!(below.held(), Err(DecimalError::BelowPrecision));
    }

    #[test]
    fn places_may_be_asked_for() {
        for (given, places, expected) in [
            (divided("2", "3"), 4, "0.6667"),
            (divided("1", "800000"), 4, "0"),
            (exact("1.00005"), 4, "1"),
            (exact("-1.00015"), 4, "-1.0002"),
        ] {
            assert_eq!(given.to_places(places).map(text), Ok(expected.to_owned()));
        }
    }

    prop_compose! {
        fn decimals()(mantissa in -(1_i128 << 96) + 1..1_i128 << 96, scale in 0_u32..=28) -> Decimal {
            Decimal::from_i128_with_scale(mantissa, scale)
        }
    }

    proptest! {
        #[test]
        fn no_decimal_makes_it_panic(a in decimals(), b in decimals(), c in decimals()) {
            if let Ok(result) = Exact::of(a).times(b).plus(&Exact::of(c)).divided_by(b) {
                let _ = (result.rounded(), result.held(), result.to_places(4));
            }
        }

        #[test]
        fn order_is_that_of_decimals(a in decimals(), b in decimals()) {
            prop_assert_eq!(Exact::of(a).cmp(&Exact::of(b)), a.cmp(&b));
        }

        #[test]
        fn rounding_moves_by_half_a_unit_of_the_16th_digit_at_most(a in decimals(), b in 1_i64..) {
            let given = Exact::of(a).divided_by(Decimal::new(b, 0)).unwrap();
            if let Ok(rounded) = given.rounded() {
                // Half a unit is at most 5 × 10⁻¹⁶ of the number.
                let error = Exact::of(rounded).distance(&given);
                let allowed = given.distance(&Exact::of(Decimal::ZERO)).times(Decimal::new(5, 16));
                prop_assert!(error <= allowed);
                prop_assert_eq!(Exact::of(rounded).rounded(), Ok(rounded));
            }
        }

        #[test]
        fn what_is_multiplied_divides_again(a in decimals(), b in decimals()) {
            prop_assume!(!b.is_zero());
            prop_assert_eq!(Exact::of(a).times(b).divided_by(b).unwrap(), Exact::of(a));
        }
    }
}
