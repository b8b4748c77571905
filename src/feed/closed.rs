//! Until when a venue wants to be left alone, for all that ask it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// Whether a venue wants to be left alone. Shared by all that may ask it at one of its hosts: one is told, and all keep to it.
#[derive(Debug, Default)]
pub(super) struct Closed(Mutex<Option<Instant>>);

impl Closed {
    /// Notes that it wants to be left alone for so long from now on, or for longer if it has said so before.
    pub(super) fn keep_for(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = Some(closed.map_or(until, |known| known.max(until)));
    }

    /// Gets the time until which it wants to be left alone, if it does.
    pub(super) fn until(&self) -> Option<Instant> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > Instant::now())
    }

    /// Gets how long that is yet.
    pub(super) fn left(&self) -> Option<Duration> {
        Some(self.until()?.saturating_duration_since(Instant::now()))
    }

    /// Waits until it may be asked.
    pub(super) async fn wait(&self) {
        while let Some(until) = self.until() {
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_that_was_asked_for_is_kept() {
        let closed = Closed::default();
        assert_eq!(closed.left(), None);
        closed.keep_for(Duration::from_secs(10));
        closed.keep_for(Duration::from_secs(2));
        assert_eq!(closed.left(), Some(Duration::from_secs(10)));
        advance(Duration::from_secs(4)).await;
        let before = Instant::now();
        closed.wait().await;
        // Timers are kept to the millisecond.
        assert_eq!(before.elapsed().as_secs(), 6);
        assert_eq!(closed.until(), None);
    }
}
