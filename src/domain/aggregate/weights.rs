//! How much each reading counts, and medians under these weights.
//!
//! A reading's share is its 24-hour volume over that of all. Shares above the cap are set to the cap, and what
//! they exceed it by goes to the others in proportion to their volumes; that is repeated until none exceeds. With
//! k readings at the cap c and V the volume of the others, the share of another with volume v is (1 − k·c)·v ÷ V.
//!
//! Where one volume is not known, or the cap cannot hold because there are fewer than 1 ÷ c readings, all shares
//! are equal. Shares are kept as whole parts of a whole total: nothing is rounded where a half is looked for. They are
//! computed in the machine's integers where these hold them, which is nearly always, and else in big ones.

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
    /// Shares the vote by volume, or equally.
    pub(super) fn new(volumes: &[Option<Decimal>], cap: Decimal) -> Self {
        let known: Option<Vec<_>> =
            volumes.iter().map(|volume| volume.filter(|v| *v > Decimal::ZERO)).collect();
        known
            .and_then(|volumes| Self::capped(&volumes, cap))
            .unwrap_or_else(|| Self::Short(Shares::equal(volumes.len())))
    }

    fn capped(volumes: &[Decimal], cap: Decimal) -> Option<Self> {
        let one = 10_u128.checked_pow(cap.scale())?;
        let cap = u128::try_from(cap.mantissa()).ok()?;
        match short(volumes, one) {
            Some(volumes) => Shares::capped(&volumes, &cap, &one).map(Self::Short),
            None => Shares::capped(&long(volumes), &cap.into(), &one.into()).map(Self::Long),
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
    fn equal(count: usize) -> Self {
        let total = u64::try_from(count).unwrap_or(u64::MAX).into();
        Self { parts: vec![N::from(1); count], total }
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
            let volume = free.fold(N::from(0), |sum, (volume, _)| sum + volume.clone());
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

/// Brings volumes to one scale, as whole numbers, if all that is computed of them fits: at most `one` of their sum, in
/// as many units as are shown, twice.
fn short(volumes: &[Decimal], one: u128) -> Option<Vec<u128>> {
    let scale = volumes.iter().map(Decimal::scale).max().unwrap_or_default();
    let whole = |volume: &Decimal| {
        volume.mantissa().unsigned_abs().checked_mul(10_u128.checked_pow(scale - volume.scale())?)
    };
    let volumes = volumes.iter().map(whole).collect::<Option<Vec<_>>>()?;
    let sum = volumes.iter().try_fold(0_u128, |sum, volume| sum.checked_add(*volume))?;
    let largest = sum.checked_mul(one)?.checked_mul(2 * 10_u128.pow(SHOWN_PLACES));
    largest.map(|_| volumes)
}

/// Brings volumes to one scale, as whole numbers of any length.
fn long(volumes: &[Decimal]) -> Vec<BigUint> {
    let scale = volumes.iter().map(Decimal::scale).max().unwrap_or_default();
    let ten = BigUint::from(10_u32);
    volumes
        .iter()
        .map(|volume| BigUint::from(volume.mantissa().unsigned_abs()) * ten.pow(scale - volume.scale()))
        .collect()
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
            let shown = Weights::new(&known, Decimal::new(4, 1)).shown();
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
            values in prop::collection::vec(0_i64..20, 12),
            cap in 1_i64..=10,
        ) {
            let volumes: Vec<_> = volumes.iter().map(|(number, scale)| Decimal::new(*number, *scale)).collect();
            let cap = Decimal::new(cap, 1);
            let short = Weights::capped(&volumes, cap);
            let (cap, one) = (BigUint::try_from(cap.mantissa()).unwrap(), BigUint::from(10_u32).pow(cap.scale()));
            let long = Shares::capped(&long(&volumes), &cap, &one).map(Weights::Long);
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
    fn a_weighted_median_splits_exact_halves() {
        let check = |readings: &[(&str, &str)], expected: &str, expected_lower: &str| {
            let volumes: Vec<_> = readings.iter().map(|(_, volume)| Some(parse(volume).unwrap())).collect();
            let weights = Weights::new(&volumes, Decimal::ONE);
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
