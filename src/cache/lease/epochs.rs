//! The epochs that a replica has seen.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, Utc};

use crate::clock::Clock;

/// Knows the highest epoch that was seen. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Epochs(Arc<AtomicU64>);

impl Epochs {
    /// Notes an epoch.
    pub fn see(&self, epoch: u64) {
        self.0.fetch_max(epoch, Ordering::AcqRel);
    }

    /// Makes one that is above all that were seen, for prices that this replica alone has from a time on, and notes it.
    /// Another one that has led since has a higher one, as its own is not below the time at which it was given.
    pub fn begin(&self, since: DateTime<Utc>) -> u64 {
        let epoch = self.above(since);
        self.see(epoch);
        epoch
    }

    /// Gets one above all that were seen, and not below a time in milliseconds.
    fn above(&self, time: DateTime<Utc>) -> u64 {
        let time = u64::try_from(time.timestamp_millis()).unwrap_or(0);
        time.max(self.0.load(Ordering::Acquire) + 1)
    }

    /// Gets one above all that were seen, and not below the time.
    pub(super) fn next(&self, clock: &Clock) -> u64 {
        self.above(clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_is_above_all_that_were_seen_and_not_below_the_time() {
        let time = |millis| DateTime::from_timestamp_millis(millis).unwrap_or_default();
        let epochs = Epochs::default();
        assert_eq!((epochs.begin(time(1_000)), epochs.begin(time(1_000))), (1_000, 1_001));
        epochs.clone().see(5_000);
        epochs.see(7);
        assert_eq!(epochs.begin(time(1_000)), 5_001);
        assert_eq!(epochs.next(&Clock::standing_at(time(6_000))), 6_000);
    }
}
