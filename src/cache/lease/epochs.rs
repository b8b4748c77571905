//! The epochs that a replica has seen.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::clock::Clock;

/// Knows the highest epoch that was seen. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Epochs(Arc<AtomicU64>);

impl Epochs {
    /// Notes an epoch.
    pub fn see(&self, epoch: u64) {
        self.0.fetch_max(epoch, Ordering::AcqRel);
    }

    /// Makes one that is above all that were seen, for prices that this replica alone has, and notes it.
    pub fn begin(&self, clock: &Clock) -> u64 {
        let epoch = self.above(clock);
        self.see(epoch);
        epoch
    }

    /// Gets one above all that were seen, and not below the time in milliseconds.
    pub(super) fn above(&self, clock: &Clock) -> u64 {
        let now = u64::try_from(clock.now().timestamp_millis()).unwrap_or(0);
        now.max(self.0.load(Ordering::Acquire) + 1)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn what_begins_is_above_all_that_were_seen_and_not_below_the_time() {
        let clock = Clock::standing_at(DateTime::from_timestamp_millis(1_000).unwrap_or_default());
        let epochs = Epochs::default();
        assert_eq!((epochs.begin(&clock), epochs.begin(&clock)), (1_000, 1_001));
        epochs.clone().see(5_000);
        epochs.see(7);
        assert_eq!(epochs.begin(&clock), 5_001);
    }
}
