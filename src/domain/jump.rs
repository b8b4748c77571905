//! When a sudden move is believed.
//!
//! A move from the last good price above the limit is believed at once if two independent sources agree on it,
//! else after three samples over two seconds that agree with each other. A sample that does not agree starts the
//! count again, from itself; so a new level that holds is always accepted, whatever came before.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::exact::Exact;

/// Guards one pair's price against jumps that nobody confirms.
#[derive(Debug, Clone, Default)]
pub struct JumpGuard {
    last_good: Option<Decimal>,
    pending: Option<Pending>,
}

/// What to do with a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JumpVerdict {
    /// It is the new price.
    Accept,
    /// It is not believed yet: the last good price stays, as DEGRADED.
    Hold,
}

/// The constants of the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpPolicy {
    /// The largest move that needs no confirmation, as a fraction of the last good price; samples within it of
    /// each other agree.
    pub jump: Decimal,
    /// Independent sources that confirm a move at once.
    pub sources: u32,
    /// Samples that confirm a move of fewer sources.
    pub samples: u32,
    /// The time that these samples have to span.
    pub span: TimeDelta,
}

/// Samples of a new level, all in agreement with each other.
#[derive(Debug, Clone)]
struct Pending {
    since: DateTime<Utc>,
    samples: u32,
    lowest: Decimal,
    highest: Decimal,
}

impl Default for JumpPolicy {
    fn default() -> Self {
        Self { jump: Decimal::new(10, 2), sources: 2, samples: 3, span: TimeDelta::seconds(2) }
    }
}

impl JumpGuard {
    /// Judges the next price. The first one ever is accepted.
    pub fn judge(
        &mut self,
        candidate: Decimal,
        source_count: u32,
        now: DateTime<Utc>,
        policy: &JumpPolicy,
    ) -> JumpVerdict {
        let near = self.last_good.is_none_or(|good| within(good, candidate, policy.jump));
        if near || source_count >= policy.sources || self.confirms(candidate, now, policy) {
            self.last_good = Some(candidate);
            self.pending = None;
            JumpVerdict::Accept
        } else {
            JumpVerdict::Hold
        }
    }

    /// Gets the last price that was accepted.
    pub fn last_good(&self) -> Option<Decimal> {
        self.last_good
    }

    /// Adds a sample to those that agree with it, and tells whether they are enough.
    fn confirms(&mut self, candidate: Decimal, now: DateTime<Utc>, policy: &JumpPolicy) -> bool {
        let fresh = Pending { since: now, samples: 0, lowest: candidate, highest: candidate };
        // A clock that was set back would otherwise hold the price until it has caught up.
        let pending = self.pending.take().filter(|pending| pending.since <= now);
        let pending = pending
            .map(|pending| Pending {
                lowest: pending.lowest.min(candidate),
                highest: pending.highest.max(candidate),
                ..pending
            })
            .filter(|pending| within(pending.lowest, pending.highest, policy.jump))
            .unwrap_or(fresh);
        let samples = pending.samples.saturating_add(1);
        let since = pending.since;
        self.pending = Some(Pending { samples, ..pending });
        samples >= policy.samples && now.signed_duration_since(since) >= policy.span
    }
}

/// Tells whether |`to` ÷ `from` − 1| is at most `limit`.
fn within(from: Decimal, to: Decimal, limit: Decimal) -> bool {
    let from = Exact::of(from);
    Exact::of(to).distance(&from) <= from.times(limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds)
    }

    /// Judges prices, each with its sources and milliseconds, after a first price of 100.
    fn check(samples: &[(i64, u32, i64)], expected: &str) {
        let mut guard = JumpGuard::default();
        let policy = JumpPolicy::default();
        assert_eq!(guard.last_good(), None);
        assert_eq!(guard.judge(Decimal::ONE_HUNDRED, 1, at(0), &policy), JumpVerdict::Accept);
        let mut verdicts = String::new();
        for (price, sources, time) in samples {
            let before = guard.last_good();
            let price = Decimal::from(*price);
            let verdict = guard.judge(price, *sources, at(*time), &policy);
            let (letter, good) = match verdict {
                JumpVerdict::Accept => ('A', Some(price)),
                JumpVerdict::Hold => ('h', before),
            };
            verdicts.push(letter);
            assert_eq!(guard.last_good(), good, "{samples:?}");
        }
        assert_eq!(verdicts, expected, "{samples:?}");
    }

    #[test]
    fn a_small_move_needs_no_confirmation() {
        check(&[(110, 1, 1), (121, 1, 2), (109, 1, 3)], "AAA");
        check(&[(90, 1, 1), (81, 1, 2)], "AA");
    }

    #[test]
    fn two_sources_are_believed_at_once() {
        check(&[(111, 2, 1), (5, 2, 2), (5_000, 3, 3)], "AAA");
    }

    #[test]
    fn one_source_is_believed_after_three_samples_over_two_seconds() {
        check(&[(120, 1, 0), (121, 1, 1_000), (120, 1, 2_000)], "hhA");
        // Not three.
        check(&[(120, 1, 0), (121, 1, 9_000)], "hh");
        // Not two seconds.
        check(&[(120, 1, 0), (120, 1, 10), (120, 1, 20), (120, 1, 1_999), (120, 1, 2_000)], "hhhhA");
        // Slow ones.
        check(&[(50, 1, 60_000), (51, 1, 120_000), (50, 1, 180_000)], "hhA");
        // Once accepted, it is the level that the next move is measured by, and a way back waits again.
        check(&[(120, 1, 0), (120, 1, 1_000), (120, 1, 2_000), (130, 1, 2_001), (100, 1, 2_002)], "hhAAh");
    }

    #[test]
    fn samples_have_to_agree_with_each_other() {
        // Each agrees with the one before it, but not with the first: the third starts again.
        check(&[(120, 1, 0), (131, 1, 1_000), (143, 1, 2_000), (143, 1, 3_000), (143, 1, 4_000)], "hhhhA");
        // A glimpse of the old level ends the wait.
        check(&[(150, 1, 0), (150, 1, 1_000), (101, 1, 1_500), (150, 1, 2_000)], "hhAh");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_lock() {
        check(&[(150, 1, 9_000_000), (150, 1, 0), (150, 1, 1_000), (150, 1, 2_000)], "hhhA");
    }

    proptest! {
        /// Whatever came before, a level that one source holds is accepted with its third sample at the latest, if
        /// these span two seconds.
        #[test]
        fn a_level_that_holds_is_always_accepted(
            before in prop::collection::vec((1_i64..10_000, 0_u32..3, -100_000_i64..100_000), 0..20),
            level in 1_i64..10_000,
            start in -100_000_i64..100_000,
        ) {
            let mut guard = JumpGuard::default();
            let policy = JumpPolicy::default();
            for (price, sources, time) in before {
                guard.judge(Decimal::from(price), sources, at(time), &policy);
            }
            let level = Decimal::from(level);
            // The first one may still meet samples of another level, and start the count again.
            for time in [0, 1_000, 2_000] {
                guard.judge(level, 1, at(start + time), &policy);
            }
            prop_assert_eq!(guard.last_good(), Some(level));
        }

        #[test]
        fn nothing_makes_it_panic(
            mantissas in prop::collection::vec((-(1_i128 << 96) + 1..1_i128 << 96, 0_u32..=28), 1..6),
        ) {
            let mut guard = JumpGuard::default();
            for (mantissa, scale) in mantissas {
                let price = Decimal::from_i128_with_scale(mantissa, scale);
                guard.judge(price, 1, DateTime::<Utc>::MAX_UTC, &JumpPolicy::default());
                guard.judge(price, 1, DateTime::<Utc>::MIN_UTC, &JumpPolicy::default());
            }
        }
    }
}
