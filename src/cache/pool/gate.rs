//! When to try to connect again: not before a time that doubles with every failure and is drawn at random, so that
//! many that lost Redis together do not come back together.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::Rng as _;
use tokio::{sync::watch, time::Instant};

use super::CacheError;

/// The limit of the wait after the first failure.
const FIRST: Duration = Duration::from_millis(50);

/// The longest wait. A lease has to come back soon after Redis does.
const LONGEST: Duration = Duration::from_millis(800);

/// Lets attempts to connect pass, or not yet.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    state: Arc<Mutex<State>>,
    failures: watch::Sender<Option<CacheError>>,
}

/// Tells of attempts that have failed.
#[derive(Debug)]
pub(super) struct Failures(watch::Receiver<Option<CacheError>>);

#[derive(Debug, Default)]
struct State {
    failed: u32,
    closed_until: Option<Instant>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { state: Arc::default(), failures: watch::Sender::new(None) }
    }

    /// Lets an attempt pass, or gives the reason why the last one failed.
    pub(super) fn pass(&self) -> Result<(), CacheError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.closed_until.is_some_and(|until| now < until) {
            return Err(self.failures.borrow().clone().unwrap_or_else(away));
        }
        if state.failed > 0 {
            // Who comes meanwhile is not let through beside the one that tries.
            state.closed_until = Some(now + LONGEST);
        }
        Ok(())
    }

    /// Notes that an attempt has succeeded.
    pub(super) fn succeeded(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// Notes that an attempt has failed, and tells those who wait for it.
    pub(super) fn failed(&self, cause: CacheError) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let limit = FIRST.saturating_mul(1 << state.failed.min(8)).min(LONGEST);
            state.failed = state.failed.saturating_add(1);
            state.closed_until = Some(Instant::now() + rand::rng().random_range(limit / 2..=limit));
        }
        self.failures.send_replace(Some(cause));
    }

    /// Tells those who wait once more why the last attempt failed.
    pub(super) fn repeat(&self) {
        self.failures.send_modify(|_| {});
    }

    /// Listens for failures from now on.
    pub(super) fn failures(&self) -> Failures {
        Failures(self.failures.subscribe())
    }
}

impl Failures {
    /// Waits for the next failure.
    pub(super) async fn next(&mut self) -> CacheError {
        match self.0.changed().await {
            Ok(()) => self.0.borrow_and_update().clone().unwrap_or_else(away),
            Err(_) => std::future::pending().await,
        }
    }
}

fn away() -> CacheError {
    CacheError::Unavailable("no connection could be made".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(text: &str) -> CacheError {
        CacheError::Unavailable(text.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn while_redis_is_away_only_one_tries_and_the_waits_grow() {
        let gate = Gate::new();
        let mut longest = Duration::ZERO;
        for _ in 0..12 {
            assert!(gate.pass().is_ok());
            gate.failed(cause("away"));
            let closed = Instant::now();
            while gate.pass().is_err() {
                tokio::time::advance(Duration::from_millis(1)).await;
            }
            longest = closed.elapsed();
            assert!(longest <= LONGEST + Duration::from_millis(1));
            let error = gate.pass().unwrap_err();
            assert!(error.to_string().ends_with("away"), "another one tries already: {error}");
            gate.failed(cause("away"));
            tokio::time::advance(LONGEST).await;
        }
        assert!(longest >= LONGEST / 2, "{longest:?}");
        gate.succeeded();
        assert!(gate.pass().is_ok() && gate.pass().is_ok());
    }

    #[tokio::test]
    async fn who_waits_hears_of_a_failure_and_not_of_earlier_ones() {
        let gate = Gate::new();
        gate.failed(cause("first"));
        let mut failures = gate.failures();
        gate.failed(cause("second"));
        assert!(failures.next().await.to_string().ends_with("second"));
        gate.repeat();
        assert!(failures.next().await.to_string().ends_with("second"));
    }
}
