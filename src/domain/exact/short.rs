//! Numbers with a finite decimal expansion that fit a machine's integers: nearly all that come up.

use std::cmp::Ordering;

use rust_decimal::Decimal;

use crate::domain::decimal::{DecimalError, MAX_SCALE, SIGNIFICANT_DIGITS};

/// The powers of ten.
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < powers.len() {
        #[expect(clippy::indexing_slicing, reason = "`at` is below the length; evaluated by the compiler")]
        {
            powers[at] = powers[at - 1] * 10;
        }
        at += 1;
    }
    powers
};

/// The number `mantissa` ÷ 10^`scale`. What does not fit is `None`, in all that is done here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Short {
    pub(super) mantissa: i128,
    pub(super) scale: u32,
}

impl Short {
    pub(super) fn of(value: Decimal) -> Self {
        Self { mantissa: value.mantissa(), scale: value.scale() }
    }

    pub(super) fn times(self, factor: Decimal) -> Option<Self> {
        let mantissa = self.mantissa.checked_mul(factor.mantissa())?;
        Some(Self { mantissa, scale: self.scale + factor.scale() })
    }

    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.aligned(other)?;
        Some(Self { mantissa: left.checked_add(right)?, scale })
    }

    pub(super) fn distance(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.aligned(other)?;
        Some(Self { mantissa: left.checked_sub(right)?.checked_abs()?, scale })
    }

    pub(super) fn mean(self, other: Self) -> Option<Self> {
        let sum = self.plus(other)?;
        // A half is five tenths.
        Some(if sum.mantissa % 2 == 0 {
            Self { mantissa: sum.mantissa / 2, ..sum }
        } else {
            Self { mantissa: sum.mantissa.checked_mul(5)?, scale: sum.scale + 1 }
        })
    }

    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        let (left, right, _) = self.aligned(other)?;
        Some(left.cmp(&right))
    }

    /// Rounds half-even to so many significant digits, as far as 28 places allow.
    pub(super) fn to_digits(self, digits: u32) -> Option<Result<Decimal, DecimalError>> {
        if self.mantissa == 0 {
            return Some(Ok(Decimal::ZERO));
        }
        let magnitude = i64::from(self.mantissa.unsigned_abs().ilog10()) - i64::from(self.scale);
        let places = |digits: u32| i64::from(digits) - 1 - magnitude;
        let kept = places(digits).min(i64::from(MAX_SCALE));
        let (rounded, whole) = self.rounded(u32::try_from(kept).ok()?)?;
        if !whole && kept < places(SIGNIFICANT_DIGITS) {
            return Some(Err(DecimalError::BelowPrecision));
        }
        rounded.decimal().map(Ok)
    }

    /// Rounds half-even to so many decimal places.
    pub(super) fn to_places(self, places: u32) -> Option<Decimal> {
        let rounded = self.rounded(places)?.0;
        let mantissa = rounded.mantissa.checked_mul(ten_to(places - rounded.scale)?)?;
        Self { mantissa, scale: places }.decimal()
    }

    /// Rounds half-even to so many places, and tells whether the number had no more.
    fn rounded(self, places: u32) -> Option<(Self, bool)> {
        let Some(dropped) = self.scale.checked_sub(places).filter(|dropped| *dropped > 0) else {
            return Some((self, true));
        };
        let unit = ten_to(dropped)?;
        let (quotient, remainder) = (self.mantissa / unit, self.mantissa % unit);
        let up = match remainder.unsigned_abs().cmp(&(unit.unsigned_abs() / 2)) {
            Ordering::Less => false,
            Ordering::Equal => quotient % 2 != 0,
            Ordering::Greater => true,
        };
        let away = if up { self.mantissa.signum() } else { 0 };
        Some((Self { mantissa: quotient + away, scale: places }, remainder == 0))
    }

    /// Makes it a decimal without zeros at its end.
    fn decimal(self) -> Option<Decimal> {
        let value = Decimal::try_from_i128_with_scale(self.mantissa, self.scale).ok()?;
        Some(value.normalize())
    }

    /// Brings two numbers to one scale.
    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let scaled = |number: Self| match scale - number.scale {
            0 => Some(number.mantissa),
            more => number.mantissa.checked_mul(ten_to(more)?),
        };
        Some((scaled(self)?, scaled(other)?, scale))
    }
}

fn ten_to(power: u32) -> Option<i128> {
    POWERS.get(usize::try_from(power).ok()?).copied()
}
