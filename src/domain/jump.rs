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
        Self {
            jump: Decimal::new(10, 2),
            sources: 2,
            samples: 3,
            span: TimeDelta::seconds(2),
        }
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
        let near = self
            .last_good
            .is_none_or(|good| within(good, candidate, policy.jump));
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
        let fresh = Pending {
            since: now,
            samples: 0,
            lowest: candidate,
            highest: candidate,
        };
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
