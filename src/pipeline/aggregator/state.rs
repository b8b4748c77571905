//! What is known of one pair, and what of it is to be shown.

use chrono::{DateTime, TimeDelta, Utc};

use super::Options;
use crate::domain::{
    aggregate::Aggregate,
    jump::{JumpGuard, JumpVerdict},
    pair::Pair,
    price::{Price, Status, StatusReason, Value},
};

/// What is known of one direct pair.
#[derive(Debug)]
pub(super) struct PairState {
    pub(super) published: Price,
    good: Option<(Value, u32)>,
    guard: JumpGuard,
    judged: Option<(Value, JumpVerdict)>,
    pub(super) looked_at: DateTime<Utc>,
}

impl PairState {
    pub(super) fn new(published: Price, now: DateTime<Utc>) -> Self {
        Self { published, good: None, guard: JumpGuard::default(), judged: None, looked_at: now }
    }

    /// Turns an aggregate into the price to show: itself, or the last good one with the reason why.
    pub(super) fn judge(
        &mut self,
        pair: Pair,
        aggregate: &Aggregate,
        options: &Options,
        now: DateTime<Utc>,
    ) -> Price {
        let price = |status, status_reason, (value, source_count)| Price {
            pair,
            status,
            status_reason,
            value: Some(value),
            source_count,
            aggregate_time: now,
            route: Vec::new(),
            origin: options.origin,
        };
        let Some(value) = aggregate.value else {
            return match (aggregate.status_reason, self.good) {
                // What can only be said in a coin that has lost its peg is not said.
                // It is not the last good price either, should the coin's own price be lost next.
                (Some(reason @ (StatusReason::Depegged | StatusReason::BelowPrecision)), _) => {
                    (self.good, self.guard, self.judged) = (None, JumpGuard::default(), None);
                    Price::unavailable(pair, reason, options.origin, now)
                }
                (reason, Some(good)) => price(Status::Stale, reason, good),
                (reason, None) => {
                    let reason = reason.unwrap_or(StatusReason::NoFreshQuotes);
                    Price::unavailable(pair, reason, options.origin, now)
                }
            };
        };
        let new = (value, aggregate.source_count);
        // Looking at the same quotes again is no further sample.
        let same = |judged: &Value| judged.receive_time == value.receive_time && judged.price == value.price;
        let verdict = match self.judged {
            Some((judged, verdict)) if same(&judged) => verdict,
            _ => self.guard.judge(value.price, aggregate.source_count, now, &options.jump),
        };
        self.judged = Some((value, verdict));
        if let (JumpVerdict::Hold, Some(good)) = (verdict, self.good) {
            let old = now - good.0.observe_time > options.policy.max_age;
            let status = if old { Status::Stale } else { Status::Degraded };
            return price(status, Some(StatusReason::JumpUnconfirmed), good);
        }
        self.good = Some(new);
        price(aggregate.status, aggregate.status_reason, new)
    }
}

/// Tells whether a price says something new: other numbers, or the same ones seen again after a while.
pub(super) fn differs(published: &Price, price: &Price, refresh: TimeDelta) -> bool {
    let numbers = |price: &Price| {
        price.value.map(|value| (value.price, value.bid, value.ask, value.dispersion_bps, price.source_count))
    };
    let observed = |price: &Price| price.value.map(|value| value.observe_time);
    numbers(published) != numbers(price)
        || (published.status, published.status_reason, &published.route)
            != (price.status, price.status_reason, &price.route)
        || observed(published)
            .zip(observed(price))
            .is_some_and(|(before, after)| after - before >= refresh && after != before)
}
