//! How fast connections to a venue are made, over all of its markets: as many in a time as it allows.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant, sleep_until};

use crate::feed::rest::Budget;

/// Paces the connections to one venue: half of what it allows may come at once, the other half evenly, so that no span of that
/// length has more.
#[derive(Debug)]
pub(in crate::feed) struct Pace {
    allowed: Option<Budget>,
    /// When all that were made so far would have come evenly.
    even: Mutex<Instant>,
}

impl Pace {
    /// Starts with what a venue allows, if it says.
    pub(in crate::feed) fn new(allowed: Option<Budget>) -> Self {
        Self { allowed, even: Mutex::new(Instant::now()) }
    }

    /// Waits for the turn of one more.
    pub(super) async fn turn(&self) {
        if let Some(Budget { weight: count, per }) = self.allowed {
            sleep_until(self.take(count, per)).await;
        }
    }

    fn take(&self, count: u32, per: Duration) -> Instant {
        let burst = (count / 2).max(1);
        let gap = per / count.saturating_sub(burst).max(1);
        let now = Instant::now();
        let mut even = self.even.lock().unwrap_or_else(PoisonError::into_inner);
        *even = now.max(*even) + gap;
        even.checked_sub(gap * burst).unwrap_or(now).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_span_has_more_connections_than_the_venue_allows() {
        for (count, per) in [(20, 60), (3, 1), (1, 5), (150, 600)] {
            let (pace, per) = (Pace::new(Some(Budget::new(count, per))), Duration::from_secs(per));
            let mut at = Vec::new();
            for _ in 0..4 * count {
                pace.turn().await;
                at.push(Instant::now());
            }
            let most = |begin: &Instant| at.iter().filter(|at| (*begin..*begin + per).contains(*at)).count();
            let most = at.iter().map(most).max().unwrap();
            assert!(most <= usize::try_from(count).unwrap(), "{most} of {count} within {per:?}");
            let all = at[at.len() - 1] - at[0];
            assert!(all < per * 10, "{all:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_not_waited_for() {
        let (pace, before) = (Pace::new(None), Instant::now());
        for _ in 0..100 {
            pace.turn().await;
        }
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
