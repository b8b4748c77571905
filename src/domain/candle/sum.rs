//! Sums of amounts and of products that lose nothing, so that the order of what is added cannot matter.

use num_bigint::BigInt;
use rust_decimal::Decimal;

use crate::domain::{
    decimal::{HELD_DIGITS, MAX_SCALE},
    exact::Exact,
};

/// The largest decimal of 28 significant digits: what a sum beyond it is shown as.
const LARGEST: Decimal = Decimal::from_parts(u32::MAX - 5, u32::MAX, u32::MAX, false, 0);

/// A sum: a whole number of units of 10⁻ˢᶜᵃˡᵉ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) units: Units,
    pub(super) scale: u32,
}

/// How many units. Sums seldom leave 128 bits, and are quick while they do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Units {
    Small(i128),
    Large(BigInt),
}

impl Sum {
    /// Nothing.
    pub(super) const ZERO: Self = Self { units: Units::Small(0), scale: 0 };

    /// Begins with one amount.
    pub(super) const fn of(amount: Decimal) -> Self {
        Self { units: Units::Small(amount.mantissa()), scale: amount.scale() }
    }

    /// Begins with the product of two.
    pub(super) fn of_product(left: Decimal, right: Decimal) -> Self {
        let units = match left.mantissa().checked_mul(right.mantissa()) {
            Some(units) => Units::Small(units),
            None => Units::Large(BigInt::from(left.mantissa()) * right.mantissa()),
        };
        Self { units, scale: left.scale() + right.scale() }
    }

    /// Adds another sum.
    pub(super) fn add(&mut self, other: &Self) {
        let scale = self.scale.max(other.scale);
        let small = || self.small(scale)?.checked_add(other.small(scale)?);
        self.units = match small() {
            Some(units) => Units::Small(units),
            None => Units::Large(self.large(scale) + other.large(scale)),
        };
        self.scale = scale;
    }

    /// Gets the sum as a decimal: itself if 28 digits hold it, else the nearest one; the largest one beyond that.
    pub(super) fn held(&self) -> Decimal {
        if let Units::Small(units) = self.units
            && units.unsigned_abs() < 10_u128.pow(HELD_DIGITS)
            && self.scale <= MAX_SCALE
        {
            return Decimal::from_i128_with_scale(units, self.scale).normalize();
        }
        let exact = Exact::of_units(self.large(self.scale), self.scale);
        exact.held().or_else(|_| exact.to_places(MAX_SCALE)).unwrap_or(LARGEST)
    }

    /// Counts in smaller units, if 128 bits hold their number.
    fn small(&self, scale: u32) -> Option<i128> {
        match &self.units {
            Units::Small(units) => units.checked_mul(10_i128.checked_pow(scale - self.scale)?),
            Units::Large(_) => None,
        }
    }

    /// Counts in smaller units.
    fn large(&self, scale: u32) -> BigInt {
        let units = match &self.units {
            Units::Small(units) => BigInt::from(*units),
            Units::Large(units) => units.clone(),
        };
        units * BigInt::from(10_u32).pow(scale - self.scale)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::decimal::{parse, text};

    fn sum(amounts: &[&str]) -> Sum {
        let mut sum = Sum::ZERO;
        for amount in amounts {
            sum.add(&Sum::of(parse(amount).unwrap()));
        }
        sum
    }

    #[test]
    fn what_28_digits_hold_is_exact() {
        for (amounts, expected) in [
            (&[][..], "0"),
            (&["0.1", "0.02", "3"], "3.12"),
            (&["0.0000000000000000000000000001", "0.0000000000000000000000000001"], {
                "0.0000000000000000000000000002"
            }),
            // The small one is lost for a decimal of 28 digits, and is still there when the large one has gone.
            (&["9999999999999999999", "0.0000000000000001", "-9999999999999999999"], "0.0000000000000001"),
        ] {
            assert_eq!(text(sum(amounts).held()), expected, "{amounts:?}");
        }
    }

    #[test]
    fn beyond_28_digits_it_is_the_nearest_or_the_largest() {
        let third = "0.3333333333333333333333333333";
        assert_eq!(text(sum(&["1000", third]).held()), "1000.333333333333333333333333");
        assert_eq!(sum(&["79228162514264337593543950330", "10"]).held(), LARGEST);
        let tiny = Sum::of_product(parse(third).unwrap(), parse("0.0000000000000000000000000001").unwrap());
        assert_eq!(tiny.held(), Decimal::ZERO);
        assert_eq!(Sum::of_product(Decimal::MAX, Decimal::MAX).held(), LARGEST);
    }

    prop_compose! {
        fn decimals()(mantissa in -(1_i128 << 96) + 1..1_i128 << 96, scale in 0_u32..=28) -> Decimal {
            Decimal::from_i128_with_scale(mantissa, scale)
        }
    }

    proptest! {
        #[test]
        fn order_does_not_matter(
            factors in prop::collection::vec((decimals(), decimals()), 0..20),
            turn in 0_usize..20,
        ) {
            let total = |factors: &[(Decimal, Decimal)]| {
                let mut sum = Sum::ZERO;
                for (left, right) in factors {
                    sum.add(&Sum::of_product(*left, *right));
                }
                sum.held()
            };
            let mut turned = factors.clone();
            turned.rotate_left(turn.min(factors.len()));
            prop_assert_eq!(total(&factors), total(&turned));
        }
    }
}
