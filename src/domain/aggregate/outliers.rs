//! Readings too far from the rest.
//!
//! With m the median of the readings and MAD the median of |x − m|, both unweighted, a reading x is an outlier if
//! |x − m| > max(3 × 1.4826 × MAD, 25 bps of m). The floor keeps a few readings that agree too well from
//! rejecting a good one. At least half of the readings lie within the MAD, so at least half always stay.

use super::{BASIS_POINT, Contribution, DEVIATIONS_PER_MAD, Policy, Verdict};
use crate::domain::exact::Exact;

/// Readings without which nobody can tell who is wrong.
const FEWEST: usize = 3;

/// Marks the outliers among the readings that still count.
pub(super) fn reject(contributions: &mut [Contribution], policy: &Policy) {
    let mut readings: Vec<_> = contributions
        .iter_mut()
        .filter(|c| c.verdict == Verdict::Used)
        .filter_map(|c| Some((Exact::of(c.reading.as_ref()?.price), &mut c.verdict)))
        .collect();
    if readings.len() < FEWEST {
        return;
    }
    let Some(center) = median(readings.iter().map(|(price, _)| price.clone())) else {
        return;
    };
    let Some(mad) = median(readings.iter().map(|(price, _)| price.distance(&center))) else {
        return;
    };
    let by_mad = mad.times(policy.outlier_mads).times(DEVIATIONS_PER_MAD);
    let floor = center.clone().times(policy.outlier_floor_bps).times(BASIS_POINT);
    let limit = by_mad.max(floor);
    for (price, verdict) in &mut readings {
        if price.distance(&center) > limit {
            **verdict = Verdict::Outlier;
        }
    }
}

/// Gets the middle value, or the mean of the middle two.
fn median(values: impl Iterator<Item = Exact>) -> Option<Exact> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(lower.mean(upper))
}
