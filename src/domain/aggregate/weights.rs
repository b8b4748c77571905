//! How much each reading counts, and medians under these weights.
//!
//! A reading's share is its 24-hour volume over that of all. Shares above the cap are set to the cap, and what
//! they exceed it by goes to the others in proportion to their volumes; that is repeated until none exceeds. With
//! k readings at the cap c and V the volume of the others, the share of another with volume v is (1 − k·c)·v ÷ V.
//!
//! Where one volume is not known, or the cap cannot hold because there are fewer than 1 ÷ c readings, all volumes
//! count as equal. A venue may be given a factor, by which its volume is multiplied, whether known or counted as equal.
//! Shares are kept as whole parts of a whole total: nothing is rounded where a half is looked for. They are computed in
//! the machine's integers where these hold them, which is nearly always, and else in big ones.

use std::ops::{Add, Div, Mul, Rem, Sub};

use num_bigint::BigUint;
use rust_decimal::Decimal;

use crate::domain::exact::Exact;

/// Decimal places of a weight that is shown.
const SHOWN_PLACES: u32 = 10;

/// The shares of the vote of some readings, in their order.
pub(super) enum Weights {
    Short(Shares<u128>),
    Long(Shares<BigUint>),
}

/// Parts of a total.
pub(super) struct Shares<N> {
    parts: Vec<N>,
    total: N,
}

/// A whole number that is not negative.
pub(super) trait Whole:
    Clone
    + Ord
    + From<u64>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Rem<Output = Self>
    + TryInto<u64>
{
}

impl Whole for u128 {}
impl Whole for BigUint {}

impl Weights {
    /// Shares the vote by volume, or equally; either way multiplied by a factor for each.
    pub(super) fn new(volumes: &[Option<Decimal>], factors: &[Decimal], cap: Decimal) -> Self {
        let known: Option<Vec<_>> =
            volumes.iter().map(|volume| volume.filter(|v| *v > Decimal::ZERO)).collect();
        known
            .and_then(|volumes| Self::capped(&volumes, factors, cap))
            .unwrap_or_else(|| Self::uncapped(factors))
    }

    /// Shares the vote by factor alone.
    fn uncapped(factors: &[Decimal]) -> Self {
        let equal = vec![Decimal::ONE; factors.len()];
        match short(&equal, factors, 1) {
            Some(parts) => Self::Short(Shares::of(parts)),
            None => Self::Long(Shares::of(long(&equal, factors))),
        }
    }

    /// Shares the vote by volume and factor, unless the cap cannot hold.
    fn capped(volumes: &[Decimal], factors: &[Decimal], cap: Decimal) -> Option<Self> {
        let one = 10_u128.checked_pow(cap.scale())?;
        let cap = u128::try_from(cap.mantissa()).ok()?;
        match short(volumes, factors, one) {
            Some(volumes) => Shares::capped(&volumes, &cap, &one).map(Self::Short),
            None => Shares::capped(&long(volumes, factors), &cap.into(), &one.into()).map(Self::Long),
        }
    }

    /// Gets the weighted median: the first value, in ascending order, at which the weight so far exceeds half; if
    /// it is exactly half somewhere, the mean of the values on both sides of that place. `None` of no values.
    pub(super) fn median(&self, values: impl IntoIterator<Item = Exact>) -> Option<Exact> {
        match self {
            Self::Short(shares) => shares.median(values),
            Self::Long(shares) => shares.median(values),
        }
    }

    /// Gets the lower weighted median: the largest value that at least half of the weight reaches or exceeds.
    pub(super) fn lower_median<T: Ord>(&self, values: impl IntoIterator<Item = T>) -> Option<T> {
        match self {
            Self::Short(shares) => shares.lower_median(values),
            Self::Long(shares) => shares.lower_median(values),
        }
    }

    /// Rounds the shares to ten places, so that they still add up to 1: what rounding down leaves goes, one unit
    /// each, to those that lost most by it.
    pub(super) fn shown(&self) -> Vec<Decimal> {
        match self {
            Self::Short(shares) => shares.shown(),
            Self::Long(shares) => shares.shown(),
        }
    }
}

impl<N: Whole> Shares<N> {
    /// Shares the vote by these parts.
    fn of(parts: Vec<N>) -> Self {
        Self { total: sum(parts.iter()), parts }
    }

    /// Shares the vote by volume, unless the cap, `cap` of `one`, cannot hold.
    fn capped(volumes: &[N], cap: &N, one: &N) -> Option<Self> {
        let times = |count: usize| cap.clone() * u64::try_from(count).unwrap_or(u64::MAX).into();
        if times(volumes.len()) < *one {
            return None;
        }
        let mut held = vec![false; volumes.len()];
        loop {
            let count = held.iter().filter(|held| **held).count();
            let rest = one.clone() - times(count);
            let free = volumes.iter().zip(&held).filter(|(_, held)| !**held);
            let volume = sum(free.map(|(volume, _)| volume));
            let ceiling = cap.clone() * volume.clone();
            let mut settled = true;
            for (part, held) in volumes.iter().zip(&mut held) {
                if !*held && rest.clone() * part.clone() > ceiling {
                    *held = true;
                    settled = false;
                }
            }
            if settled {
                let share = |(part, held): (&N, &bool)| {
                    if *held { ceiling.clone() } else { rest.clone() * part.clone() }
                };
                return Some(Self {
                    parts: volumes.iter().zip(&held).map(share).collect(),
                    total: one.clone() * volume,
                });
            }
        }
    }

    fn median(&self, values: impl IntoIterator<Item = Exact>) -> Option<Exact> {
        let mut twice = N::from(0);
        let mut before = None;
        for (value, part) in self.ascending(values) {
            if twice == self.total {
                return before.map(|before: Exact| before.mean(&value));
            }
            twice = twice + part.clone() * N::from(2);
            if twice > self.total {
                return Some(value);
            }
            before = Some(value);
        }
        None
    }

    fn lower_median<T: Ord>(&self, values: impl IntoIterator<Item = T>) -> Option<T> {
        let mut twice = N::from(0);
        self.ascending(values).into_iter().find_map(|(value, part)| {
            twice = twice.clone() + part.clone() * N::from(2);
            (twice >= self.total).then_some(value)
        })
    }

    fn shown(&self) -> Vec<Decimal> {
        if self.parts.is_empty() {
            return Vec::new();
        }
        let units = 10_u64.pow(SHOWN_PLACES);
        let (mut shares, mut lost): (Vec<u64>, Vec<_>) = (Vec::new(), Vec::new());
        for part in &self.parts {
            let part = part.clone() * N::from(units);
            // Below `units`, as the part is below the total.
            shares.push((part.clone() / self.total.clone()).try_into().unwrap_or_default());
            lost.push(part % self.total.clone());
        }
        let missing = units.saturating_sub(shares.iter().sum());
        let missing = usize::try_from(missing).unwrap_or_default();
        let mut losers: Vec<_> = shares.iter_mut().zip(lost).collect();
        losers.sort_by(|(_, a), (_, b)| b.cmp(a));
        for (share, _) in losers.into_iter().take(missing) {
            *share += 1;
        }
        let decimal = |share| Decimal::from_i128_with_scale(i128::from(share), SHOWN_PLACES).normalize();
        shares.into_iter().map(decimal).collect()
    }

    fn ascending<T: Ord>(&self, values: impl IntoIterator<Item = T>) -> Vec<(T, &N)> {
        let mut ascending: Vec<_> = values.into_iter().zip(&self.parts).collect();
        ascending.sort_unstable();
        ascending
    }
}

fn sum<'n, N: Whole + 'n>(parts: impl Iterator<Item = &'n N>) -> N {
    parts.fold(N::from(0), |sum, part| sum + part.clone())
}

/// Multiplies volumes by factors, as whole numbers, if all that is computed of the products fits: at most `one` of their
/// sum, in as many units as are shown, twice.
fn short(volumes: &[Decimal], factors: &[Decimal], one: u128) -> Option<Vec<u128>> {
    let (volume_scale, factor_scale) = (scale(volumes), scale(factors));
    let whole = |number: &Decimal, scale: u32| {
        number.mantissa().unsigned_abs().checked_mul(10_u128.checked_pow(scale - number.scale())?)
    };
    let product = |(volume, factor)| whole(volume, volume_scale)?.checked_mul(whole(factor, factor_scale)?);
    let products = volumes.iter().zip(factors).map(product).collect::<Option<Vec<_>>>()?;
    let sum = products.iter().try_fold(0_u128, |sum, product| sum.checked_add(*product))?;
    let largest = sum.checked_mul(one)?.checked_mul(2 * 10_u128.pow(SHOWN_PLACES));
    largest.map(|_| products)
}

/// Multiplies volumes by factors, as whole numbers of any length.
fn long(volumes: &[Decimal], factors: &[Decimal]) -> Vec<BigUint> {
    let ten = BigUint::from(10_u32);
    let whole = |number: &Decimal, scale: u32| {
        BigUint::from(number.mantissa().unsigned_abs()) * ten.pow(scale - number.scale())
    };
    let (volume_scale, factor_scale) = (scale(volumes), scale(factors));
    let product = |(volume, factor)| whole(volume, volume_scale) * whole(factor, factor_scale);
    volumes.iter().zip(factors).map(product).collect()
}

/// Finds the scale that holds all of some numbers.
fn scale(numbers: &[Decimal]) -> u32 {
    numbers.iter().map(Decimal::scale).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::decimal::{parse, text};

    #[test]
    fn volumes_share_the_vote_up_to_the_cap() {
        let check = |volumes: &[&str], expected: &[&str]| {
            let known: Vec<_> = volumes.iter().map(|volume| parse(volume).ok()).collect();
            let factors = vec![Decimal::ONE; known.len()];
            let shown = Weights::new(&known, &factors, Decimal::new(4, 1)).shown();
            let shown: Vec<_> = shown.into_iter().map(text).collect();
            assert_eq!(shown, expected, "{volumes:?}");
        };
        check(&[], &[]);
        check(&["5"], &["1"]);
        // With two, 40 % cannot hold.
        check(&["1", "99"], &["0.5", "0.5"]);
        check(&["30", "30", "40"], &["0.3", "0.3", "0.4"]);
        // 60, 20, 20 %: the first is capped and its 20 go to the others.
        check(&["600", "200", "200"], &["0.4", "0.3", "0.3"]);
        // 70, 20, 10 %: capped, the second gets 2 ÷ 3 of 60 %, which is exactly the cap.
        check(&["7", "2", "1"], &["0.4", "0.4", "0.2"]);
        // 60, 30, 10 %: capped, the second would get 45 %, so it is capped too, and the third takes what is left.
        check(&["6.0", "3.00", "1"], &["0.4", "0.4", "0.2"]);
        // One unknown, zero or absurd volume: equal, and the thirds still add up to 1.
        for odd in ["?", "0", "-4"] {
            check(&["600", odd, "200"], &["0.3333333334", "0.3333333333", "0.3333333333"]);
        }
        check(
            &["1", "1", "1", "1", "1", "1", "1"],
            &[
                "0.1428571429",
                "0.1428571429",
                "0.1428571429",
                "0.1428571429",
                "0.1428571428",
                "0.1428571428",
                "0.1428571428",
            ],
        );
        check(
            &["0.0000000000000000000000000001", "10000000000000000000000000000", "1", "1"],
            &["0", "0.4", "0.3", "0.3"],
        );
    }

    proptest! {
        #[test]
        fn the_length_of_the_numbers_makes_no_difference(
            volumes in prop::collection::vec((1_i64..1_000_000_000, 0_u32..6), 1..12),
            factors in prop::collection::vec((1_i64..1_000, 0_u32..4), 12),
            values in prop::collection::vec(0_i64..20, 12),
            cap in 1_i64..=10,
        ) {
            let decimal = |(number, scale): &(i64, u32)| Decimal::new(*number, *scale);
            let volumes: Vec<_> = volumes.iter().map(decimal).collect();
            let factors: Vec<_> = factors.iter().take(volumes.len()).map(decimal).collect();
            let cap = Decimal::new(cap, 1);
            let short = Weights::capped(&volumes, &factors, cap);
            let (cap, one) = (BigUint::try_from(cap.mantissa()).unwrap(), BigUint::from(10_u32).pow(cap.scale()));
            let long = Shares::capped(&long(&volumes, &factors), &cap, &one).map(Weights::Long);
            prop_assert_eq!(short.is_some(), long.is_some());
            if let (Some(short), Some(long)) = (short, long) {
                prop_assert!(matches!(short, Weights::Short(_)));
                prop_assert_eq!(short.shown(), long.shown());
                let exact = || values.iter().map(|value| Exact::of(Decimal::from(*value)));
                prop_assert_eq!(short.median(exact()), long.median(exact()));
                prop_assert_eq!(short.lower_median(&values), long.lower_median(&values));
            }
        }
    }

    #[test]
    fn a_factor_multiplies_a_volume_known_or_not() {
        let check = |volumes: &[&str], factors: &[&str], expected: &[&str]| {
            let known: Vec<_> = volumes.iter().map(|volume| parse(volume).ok()).collect();
            let factors: Vec<_> = factors.iter().map(|factor| parse(factor).unwrap()).collect();
            let shown = Weights::new(&known, &factors, Decimal::new(5, 1)).shown();
            assert_eq!(shown.into_iter().map(text).collect::<Vec<_>>(), expected, "{volumes:?}");
        };
        check(&["30", "30", "40"], &["2", "1", "0.25"], &["0.5", "0.375", "0.125"]);
        check(&["30", "?", "40"], &["2", "1", "1"], &["0.5", "0.25", "0.25"]);
        check(&["30", "40"], &["1.5", "0.5"], &["0.5", "0.5"]);
    }

    #[test]
    fn a_weighted_median_splits_exact_halves() {
        let check = |readings: &[(&str, &str)], expected: &str, expected_lower: &str| {
            let volumes: Vec<_> = readings.iter().map(|(_, volume)| Some(parse(volume).unwrap())).collect();
            let weights = Weights::new(&volumes, &vec![Decimal::ONE; volumes.len()], Decimal::ONE);
            let values = || readings.iter().map(|(value, _)| parse(value).unwrap());
            let median = weights.median(values().map(Exact::of)).unwrap();
            assert_eq!(text(median.rounded().unwrap()), expected, "{readings:?}");
            assert_eq!(text(weights.lower_median(values()).unwrap()), expected_lower, "{readings:?}");
        };
        check(&[("5", "1")], "5", "5");
        check(&[("5", "1"), ("6", "1")], "5.5", "5");
        check(&[("6", "2"), ("5", "1")], "6", "6");
        check(&[("7", "3"), ("5", "1"), ("6", "2")], "6.5", "6");
        check(&[("7", "3"), ("5", "1"), ("6", "2.0000000001")], "6", "6");
        check(&[("5", "1"), ("5", "1"), ("6", "2")], "5.5", "5");
        check(&[("5", "1"), ("5", "1"), ("5", "2")], "5", "5");
    }
}
