//! Sums, products and quotients of decimals, exact until they are rounded once.
//!
//! A chain of decimal operations would round at each step, and differently in each order. An [`Exact`] loses nothing
//! until the end, where the result becomes a decimal again. It is a decimal of 38 digits at most (`short`) as long as that
//! holds it, which is faster by far, and else a fraction of two big integers (`fraction`): which of them makes no
//! difference to any result.

mod fraction;
mod short;

use std::cmp::Ordering;

use num_bigint::BigInt;
use rust_decimal::Decimal;

use self::{fraction::Fraction, short::Short};
use super::decimal::{DecimalError, HELD_DIGITS, SIGNIFICANT_DIGITS};

/// A rational number: any decimal, and any sum, product or quotient of decimals.
#[derive(Debug, Clone)]
pub struct Exact(Form);

#[derive(Debug, Clone)]
enum Form {
    Short(Short),
    Fraction(Fraction),
}

impl Exact {
    /// Takes a decimal as it is.
    pub fn of(value: Decimal) -> Self {
        Self(Form::Short(Short::of(value)))
    }

    /// Takes so many units of 10⁻ˢᶜᵃˡᵉ.
    pub fn of_units(units: BigInt, scale: u32) -> Self {
        Self(Form::Fraction(Fraction::of_units(units, scale)))
    }

    /// Multiplies by a decimal.
    #[must_use]
    pub fn times(self, factor: Decimal) -> Self {
        let short = self.short().and_then(|short| short.times(factor));
        Self::either(short, || self.fraction().times(factor))
    }

    /// Divides by a decimal that is not zero.
    pub fn divided_by(self, divisor: Decimal) -> Result<Self, DecimalError> {
        Ok(Self(Form::Fraction(self.fraction().divided_by(divisor)?)))
    }

    /// Adds another number.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let short = self.both(other).and_then(|(left, right)| left.plus(right));
        Self::either(short, || self.fraction().plus(&other.fraction()))
    }

    /// Gets how far another number is away: the difference without its sign.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Self {
        let short = self.both(other).and_then(|(left, right)| left.distance(right));
        Self::either(short, || self.fraction().distance(&other.fraction()))
    }

    /// Gets the mean of this and another number.
    #[must_use]
    pub fn mean(&self, other: &Self) -> Self {
        let short = self.both(other).and_then(|(left, right)| left.mean(right));
        Self::either(short, || self.fraction().mean(&other.fraction()))
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
        let short = self.short().and_then(|short| short.to_places(places));
        short.map_or_else(|| self.fraction().to_places(places), Ok)
    }

    fn to_digits(&self, digits: u32) -> Result<Decimal, DecimalError> {
        let short = self.short().and_then(|short| short.to_digits(digits));
        short.unwrap_or_else(|| self.fraction().to_digits(digits))
    }

    fn short(&self) -> Option<Short> {
        match self.0 {
            Form::Short(short) => Some(short),
            Form::Fraction(_) => None,
        }
    }

    fn both(&self, other: &Self) -> Option<(Short, Short)> {
        self.short().zip(other.short())
    }

    fn fraction(&self) -> Fraction {
        match &self.0 {
            Form::Short(short) => Fraction::new(short.mantissa, short.scale),
            Form::Fraction(fraction) => fraction.clone(),
        }
    }

    /// Takes the short form if there is one.
    fn either(short: Option<Short>, fraction: impl FnOnce() -> Fraction) -> Self {
        Self(short.map_or_else(|| Form::Fraction(fraction()), Form::Short))
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        let short = self.both(other).and_then(|(left, right)| left.compare(right));
        short.unwrap_or_else(|| self.fraction().cmp(&other.fraction()))
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

    /// The same number in its long form.
    fn long(number: &Exact) -> Exact {
        Exact(Form::Fraction(number.fraction()))
    }

    proptest! {
        #[test]
        fn the_short_form_makes_no_difference(
            a in decimals(),
            b in decimals(),
            c in -2_000_000_i64..2_000_000,
            scale in 0_u32..8,
            digits in 0_u32..20,
            places in 0_u32..30,
        ) {
            let small = |number: i64| Decimal::new(number, scale);
            let shorter = Decimal::from_i128_with_scale(b.mantissa() / 10_i128.pow(digits), b.scale());
            for (a, b) in [(a, b), (a, shorter), (shorter, small(c)), (small(c), small(c * 3 + 1)), (small(5 * c), a)] {
                let (left, right) = (Exact::of(a), Exact::of(b));
                let (long_left, long_right) = (long(&left), long(&right));
                prop_assert_eq!(left.cmp(&right), long_left.cmp(&long_right));
                for (short, long) in [
                    (left.plus(&right), long_left.plus(&long_right)),
                    (left.distance(&right), long_left.distance(&long_right)),
                    (left.mean(&right), long_left.mean(&long_right)),
                    (left.clone().times(b), long_left.clone().times(b)),
                    (left.clone().times(b).times(small(c)), long_left.times(b).times(small(c))),
                    (left.clone(), left),
                ] {
                    let long = Exact(Form::Fraction(long.fraction()));
                    prop_assert_eq!(&short, &long);
                    prop_assert_eq!(short.rounded(), long.rounded());
                    prop_assert_eq!(short.held(), long.held());
                    prop_assert_eq!(short.to_places(places), long.to_places(places));
                    let scales = |number: &Exact| (number.held().map(|d| d.scale()), number.rounded().map(|d| d.scale()));
                    prop_assert_eq!(scales(&short), scales(&long));
                }
            }
        }

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
