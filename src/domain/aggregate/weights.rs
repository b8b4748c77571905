//! How much each reading counts, and medians under these weights.
//!
//! A reading's share is its 24-hour volume over that of all. Shares above the cap are set to the cap, and what
//! they exceed it by goes to the others in proportion to their volumes; that is repeated until none exceeds. With
//! k readings at the cap c and V the volume of the others, the share of another with volume v is (1 − k·c)·v ÷ V.
//!
//! Where one volume is not known, or the cap cannot hold because there are fewer than 1 ÷ c readings, all volumes
//! count as equal. A venue may be given a factor, by which its volume is multiplied, whether known or counted as equal. Shares are kept as whole parts of a whole total: nothing is rounded where a half is looked for.

use std::cmp::Reverse;

use num_bigint::BigUint;
use rust_decimal::Decimal;

use crate::domain::exact::Exact;

/// Decimal places of a weight that is shown.
const SHOWN_PLACES: u32 = 10;

/// The shares of the vote of some readings, in their order.
pub(super) struct Weights {
    parts: Vec<BigUint>,
    total: BigUint,
}

impl Weights {
    /// Shares the vote by volume, or equally; either way multiplied by a factor for each.
    pub(super) fn new(volumes: &[Option<Decimal>], factors: &[Decimal], cap: Decimal) -> Self {
        let factors = whole(factors);
        let known: Option<Vec<_>> =
            volumes.iter().map(|volume| volume.filter(|v| *v > Decimal::ZERO)).collect();
        known
            .and_then(|volumes| {
                let volumes = whole(&volumes).into_iter().zip(&factors);
                Self::capped(&volumes.map(|(volume, factor)| volume * factor).collect::<Vec<_>>(), cap)
            })
            .unwrap_or_else(|| Self { total: factors.iter().sum(), parts: factors })
    }

    /// Shares the vote by volume, unless the cap cannot hold.
    fn capped(volumes: &[BigUint], cap: Decimal) -> Option<Self> {
        // The cap as a fraction: `cap` of `one`.
        let one = BigUint::from(10_u32).pow(cap.scale());
        let cap = BigUint::try_from(cap.mantissa()).ok()?;
        if &cap * volumes.len() < one {
            return None;
        }
        let mut held = vec![false; volumes.len()];
        loop {
            let count = held.iter().filter(|held| **held).count();
            let rest = &one - &cap * count;
            let free = volumes.iter().zip(&held).filter(|(_, held)| !**held);
            let volume: BigUint = free.map(|(volume, _)| volume).sum();
            let ceiling = &cap * &volume;
            let mut settled = true;
            for (part, held) in volumes.iter().zip(&mut held) {
                if !*held && &rest * part > ceiling {
                    *held = true;
                    settled = false;
                }
            }
            if settled {
                let share =
                    |(part, held): (&BigUint, &bool)| if *held { ceiling.clone() } else { &rest * part };
                return Some(Self {
                    parts: volumes.iter().zip(&held).map(share).collect(),
                    total: one * volume,
                });
            }
        }
    }

    /// Gets the weighted median: the first value, in ascending order, at which the weight so far exceeds half; if
    /// it is exactly half somewhere, the mean of the values on both sides of that place. `None` of no values.
    pub(super) fn median(&self, values: impl IntoIterator<Item = Exact>) -> Option<Exact> {
        let ascending = self.ascending(values);
        let mut twice = BigUint::ZERO;
        let mut before = None;
        for (value, part) in ascending {
            if twice == self.total {
                return before.map(|before: Exact| before.mean(&value));
            }
            twice += part * 2_u32;
            if twice > self.total {
                return Some(value);
            }
            before = Some(value);
        }
        None
    }

    /// Gets the lower weighted median: the largest value that at least half of the weight reaches or exceeds.
    pub(super) fn lower_median<T: Ord>(&self, values: impl IntoIterator<Item = T>) -> Option<T> {
        let mut reached = BigUint::ZERO;
        self.ascending(values).into_iter().find_map(|(value, part)| {
            reached += part;
            (&reached * 2_u32 >= self.total).then_some(value)
        })
    }

    /// Rounds the shares to ten places, so that they still add up to 1: what rounding down leaves goes, one unit
    /// each, to those that lost most by it.
    pub(super) fn shown(&self) -> Vec<Decimal> {
        if self.parts.is_empty() {
            return Vec::new();
        }
        let units = 10_u64.pow(SHOWN_PLACES);
        let floor = |part: &BigUint| part * units / &self.total;
        let lost = |part: &BigUint| part * units % &self.total;
        let mut shares: Vec<_> = self.parts.iter().map(floor).collect();
        let missing = BigUint::from(units) - shares.iter().sum::<BigUint>();
        let missing = usize::try_from(missing).unwrap_or_default();
        let mut losers: Vec<_> = shares.iter_mut().zip(&self.parts).collect();
        losers.sort_by_cached_key(|(_, part)| Reverse(lost(part)));
        for (share, _) in losers.into_iter().take(missing) {
            *share += 1_u32;
        }
        let decimal =
            |share| Decimal::from_i128_with_scale(i128::try_from(share).unwrap_or_default(), SHOWN_PLACES);
        shares.into_iter().map(|share| decimal(share).normalize()).collect()
    }

    fn ascending<T: Ord>(&self, values: impl IntoIterator<Item = T>) -> Vec<(T, &BigUint)> {
        let mut ascending: Vec<_> = values.into_iter().zip(&self.parts).collect();
        ascending.sort_unstable();
        ascending
    }
}

/// Brings volumes to one scale, as whole numbers.
fn whole(volumes: &[Decimal]) -> Vec<BigUint> {
    let scale = volumes.iter().map(Decimal::scale).max().unwrap_or_default();
    let ten = BigUint::from(10_u32);
    volumes
        .iter()
        .map(|volume| BigUint::from(volume.mantissa().unsigned_abs()) * ten.pow(scale - volume.scale()))
        .collect()
}

#[cfg(test)]
mod tests {
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
