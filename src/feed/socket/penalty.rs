//! Where a venue stays that fails again and again: left alone for a while, then tried by one connection alone.
//!
//! A circuit breaker. Back-off spreads the tries of one connection; this counts those of all connections to a venue. Too
//! many failures in a row, none of them good in between and none good that stands, and no connection is tried for some
//! minutes. Then one may (half-open): if it brings events all may again, else the venue stays where it is.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use rand::Rng as _;
use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep_until},
};

/// When a venue is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// So many failures in a row, over all connections to the venue.
    pub after: u32,
    /// For so long, and up to a tenth more: venues that failed together are not tried together.
    pub lasts: Duration,
}

/// Where one venue stands. Shared by its connections.
#[derive(Debug)]
pub(in crate::feed) struct PenaltyBox {
    penalty: Penalty,
    state: Mutex<State>,
    /// Connections that stand and have brought an event.
    good: AtomicUsize,
    changed: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// All may try; so many have failed in a row.
    Open { failures: u32 },
    /// Nobody may try before that.
    Closed { until: Instant },
    /// One tries, the others wait for what becomes of it.
    Probing,
}

/// The leave to try. The one that probes alone gives it back when it is dropped without an outcome.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    probes: Option<&'a PenaltyBox>,
}

/// A connection that has brought an event. It stands until this is dropped.
#[derive(Debug)]
pub(super) struct Good<'a>(&'a PenaltyBox);

impl PenaltyBox {
    /// Starts with a venue that has not failed.
    pub(in crate::feed) fn new(penalty: Penalty) -> Self {
        let state = Mutex::new(State::Open { failures: 0 });
        Self { penalty, state, good: AtomicUsize::new(0), changed: Notify::new() }
    }

    /// Waits for the leave to try.
    pub(super) async fn enter(&self) -> Leave<'_> {
        loop {
            let changed = self.changed.notified();
            let until = {
                let mut state = self.state();
                match *state {
                    State::Open { .. } => return Leave { probes: None },
                    State::Closed { until } if until <= Instant::now() => {
                        *state = State::Probing;
                        return Leave { probes: Some(self) };
                    }
                    State::Closed { until } => Some(until),
                    State::Probing => None,
                }
            };
            match until {
                Some(until) => sleep_until(until).await,
                None => changed.await,
            }
        }
    }

    /// Notes that a connection was not made, or ended before it brought an event. Tells how long the venue is left alone
    /// now, if it is: not while another connection is good.
    pub(super) fn failed(&self) -> Option<Duration> {
        if self.good.load(Relaxed) > 0 {
            return None;
        }
        let now = Instant::now();
        let mut state = self.state();
        let next = match *state {
            State::Open { failures } if failures + 1 < self.penalty.after => {
                State::Open { failures: failures + 1 }
            }
            State::Closed { until } if until > now => State::Closed { until },
            _ => {
                State::Closed { until: now + self.penalty.lasts.mul_f64(rand::rng().random_range(1.0..1.1)) }
            }
        };
        *state = next;
        drop(state);
        self.changed.notify_waiters();
        match next {
            State::Closed { until } => Some(until - now),
            _ => None,
        }
    }

    /// Notes that a connection has brought an event.
    pub(super) fn good(&self) -> Good<'_> {
        self.good.fetch_add(1, Relaxed);
        *self.state() = State::Open { failures: 0 };
        self.changed.notify_waiters();
        Good(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Good<'_> {
    fn drop(&mut self) {
        self.0.good.fetch_sub(1, Relaxed);
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if let Some(probed) = self.probes {
            let mut state = probed.state();
            if *state == State::Probing {
                *state = State::Closed { until: Instant::now() };
                drop(state);
                probed.changed.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::{advance, timeout};

    use super::*;

    const PENALTY: Penalty = Penalty { after: 3, lasts: Duration::from_secs(100) };

    async fn may_enter(penalty: &PenaltyBox) -> Option<Leave<'_>> {
        timeout(Duration::from_millis(1), penalty.enter()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_venue_that_fails_in_a_row_is_left_alone_and_then_tried_by_one() {
        let penalty = Arc::new(PenaltyBox::new(PENALTY));
        assert_eq!((penalty.failed(), penalty.failed()), (None, None));
        drop(penalty.good());
        assert_eq!((penalty.failed(), penalty.failed()), (None, None));
        assert!(may_enter(&penalty).await.is_some());
        let told = penalty.failed().unwrap();
        assert!((100..=110).contains(&told.as_secs()), "{told:?}");
        assert!(may_enter(&penalty).await.is_none());
        // One that failed meanwhile does not make it longer.
        assert!(penalty.failed().unwrap() <= told);

        advance(Duration::from_secs(111)).await;
        let probe = may_enter(&penalty).await.unwrap();
        assert!(may_enter(&penalty).await.is_none(), "two may try");
        assert!(penalty.failed().is_some(), "one failure is enough for a venue that was left alone");
        drop(probe);
        assert!(may_enter(&penalty).await.is_none());

        advance(Duration::from_secs(111)).await;
        let probe = may_enter(&penalty).await.unwrap();
        let waiting = tokio::spawn({
            let penalty = Arc::clone(&penalty);
            async move { drop(penalty.enter().await) }
        });
        tokio::task::yield_now().await;
        drop(penalty.good());
        timeout(Duration::from_secs(1), waiting).await.unwrap().unwrap();
        drop(probe);
        assert!(may_enter(&penalty).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_venue_is_not_left_alone_while_a_connection_to_it_is_good() {
        let penalty = PenaltyBox::new(PENALTY);
        let (one, other) = (penalty.good(), penalty.good());
        assert_eq!([(); 5].map(|()| penalty.failed()), [None; 5]);
        drop(one);
        assert_eq!([(); 5].map(|()| penalty.failed()), [None; 5]);
        assert!(may_enter(&penalty).await.is_some());
        drop(other);
        // None of those before counts.
        assert_eq!((penalty.failed(), penalty.failed()), (None, None));
        assert!(penalty.failed().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_lets_the_next_one_try() {
        let penalty = PenaltyBox::new(Penalty { after: 1, ..PENALTY });
        penalty.failed();
        advance(Duration::from_secs(111)).await;
        let probe = may_enter(&penalty).await.unwrap();
        assert!(may_enter(&penalty).await.is_none());
        drop(probe);
        assert!(may_enter(&penalty).await.is_some());
    }
}
