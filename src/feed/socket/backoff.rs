//! How long to wait before the next try: exponential, with full jitter.
//!
//! The wait is drawn evenly from nothing up to `base × 2^attempt`, at most `cap`, so that many feeds that lose the
//! network together do not come back together. Formula: "full jitter" of the AWS Architecture Blog, "Exponential
//! Backoff And Jitter" (2015).

use std::time::Duration;

/// The bounds of the waits between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// The most that the first wait may be.
    pub base: Duration,
    /// The most that any wait may be.
    pub cap: Duration,
}

impl BackOff {
    /// Gets the wait before a try: `attempt` counts the failures in a row, from 0, and `share` of the longest wait,
    /// from 0 to 1, comes from the caller's dice.
    pub fn wait(self, attempt: u32, share: f64) -> Duration {
        let share = if share.is_nan() { 1.0 } else { share.clamp(0.0, 1.0) };
        self.longest(attempt).mul_f64(share)
    }

    fn longest(self, attempt: u32) -> Duration {
        let factor = 2_u32.checked_pow(attempt).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

/// Counts failures in a row, and forgets them after a connection that was good for long enough. One that merely
/// stood proves nothing.
#[derive(Debug)]
pub(super) struct Tries {
    back_off: BackOff,
    stable_after: Duration,
    failures: u32,
}

impl Tries {
    /// Starts without failures.
    pub(super) fn new(back_off: BackOff, stable_after: Duration) -> Self {
        Self { back_off, stable_after, failures: 0 }
    }

    /// Gets the wait after a connection that was good for some time, or never.
    pub(super) fn wait_after(&mut self, good_for: Option<Duration>, share: f64) -> Duration {
        if good_for.is_some_and(|time| time >= self.stable_after) {
            self.failures = 0;
        }
        let wait = self.back_off.wait(self.failures, share);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: BackOff = BackOff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };

    #[test]
    fn waits_double_up_to_the_cap() {
        let waits: Vec<u64> = (0..8).map(|n| BOUNDS.wait(n, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(BOUNDS.wait(u32::MAX, 1.0), BOUNDS.cap);
        assert_eq!(BOUNDS.wait(3, 0.5), Duration::from_secs(4));
    }

    #[test]
    fn only_a_good_connection_lets_failures_be_forgotten() {
        let mut tries = Tries::new(BOUNDS, Duration::from_secs(60));
        for (good_for, expected) in
            [(None, 1), (None, 2), (Some(59), 4), (Some(60), 1), (Some(0), 2), (None, 4)]
        {
            let wait = tries.wait_after(good_for.map(Duration::from_secs), 1.0);
            assert_eq!(wait, Duration::from_secs(expected), "{good_for:?}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_its_bounds(
            base in 0_u64..100_000,
            cap in 0_u64..100_000,
            attempt in any::<u32>(),
            share in any::<f64>(),
        ) {
            let back_off = BackOff {
                base: Duration::from_millis(base),
                cap: Duration::from_millis(cap),
            };
            let wait = back_off.wait(attempt, share);
            let longest = back_off.wait(attempt, 1.0);
            prop_assert!(wait <= longest && longest <= back_off.cap);
            prop_assert!(longest <= back_off.wait(attempt.saturating_add(1), 1.0));
        }
    }
}
