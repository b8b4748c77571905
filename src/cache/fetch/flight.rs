//! One fetch, for all who wait for it.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use rand::Rng as _;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::debug;

use super::{Entry, FetchError, Landing, Outcome, Policy, Stored};
use crate::cache::budget::Budget;

/// The wait before looking again whether another replica has fetched it is drawn from half of this to this.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A fetch on its way.
pub(super) struct Flight {
    pub(super) landing: Landing,
    pub(super) budget: Budget,
    pub(super) policy: Policy,
    /// What was known before, no longer fresh.
    pub(super) known: Option<Entry>,
    pub(super) outcome: watch::Sender<Option<Outcome>>,
}

/// Who fetches.
enum Turn {
    /// Another replica has done it.
    Done(Entry),
    /// This one, and tells the others.
    Locked(String),
    /// This one, for itself.
    Alone,
}

impl Flight {
    /// Finds an answer and tells it to all who wait.
    pub(super) async fn run<F, A>(mut self, fetch: F)
    where
        F: FnOnce() -> A + Send,
        A: Future<Output = Result<Option<Bytes>, String>> + Send,
    {
        let (token, fetched) = match self.turn().await {
            Turn::Done(entry) => return self.land(entry).await,
            Turn::Locked(token) => (Some(token), self.fetch(fetch).await),
            Turn::Alone => (None, self.fetch(fetch).await),
        };
        let known = self.known.take().filter(|known| !known.remaining().is_zero());
        let fetched = fetched.map(|stored| Entry::new(stored, &self.policy));
        // What failed takes nothing away that can still be used.
        let better = |entry: &&Entry| known.is_none() || !matches!(entry.stored, Stored::Failed(_));
        let kept = fetched.as_ref().ok().filter(better);
        if let (Some(token), Some(shared)) = (token, &self.landing.fetcher.0.shared) {
            let kept = kept.filter(|entry| self.is_kept(entry));
            if let Err(error) = shared.keep(&self.landing.name, &token, kept).await {
                debug!(%error, "an answer is kept for this process alone");
            }
        }
        match (kept, known, fetched.as_ref().err()) {
            (Some(entry), ..) => self.land(entry.clone()).await,
            (None, Some(known), _) => self.land(known.postponed(&self.policy)).await,
            (None, None, Some(error)) => self.tell(Err(error.clone())),
            (None, None, None) => {}
        }
    }

    /// Finds out who fetches. While another one does, this waits for it.
    async fn turn(&mut self) -> Turn {
        let Some(shared) = &self.landing.fetcher.0.shared else {
            return Turn::Alone;
        };
        let token = format!("{:016x}", rand::random::<u64>());
        // Who has the lock gives up by then; with a margin for telling the others.
        let held_for = self.policy.patience + self.policy.patience / 4;
        loop {
            let look = match shared.look(&self.landing.name, &token, held_for).await {
                Ok(look) => look,
                Err(error) => {
                    debug!(%error, "an answer is fetched by this process alone");
                    return Turn::Alone;
                }
            };
            if let Some(entry) = look.entry {
                if entry.is_fresh() {
                    return Turn::Done(entry);
                }
                // Nobody need wait for the fetch.
                self.tell(entry.outcome());
                self.known = Some(entry);
            }
            if look.locked {
                return Turn::Locked(token);
            }
            sleep(pause()).await;
        }
    }

    async fn fetch<F, A>(&self, fetch: F) -> Result<Stored, FetchError>
    where
        F: FnOnce() -> A + Send,
        A: Future<Output = Result<Option<Bytes>, String>> + Send,
    {
        self.budget.take(1).await.map_err(FetchError::Budget)?;
        self.landing.fetcher.0.fetched.fetch_add(1, Relaxed);
        let patience = self.policy.patience;
        Ok(match timeout(patience, fetch()).await {
            Ok(Ok(Some(body))) => Stored::Body(body),
            Ok(Ok(None)) => Stored::Missing,
            Ok(Err(why)) => Stored::Failed(why),
            Err(_) => Stored::Failed(FetchError::TimedOut(patience).to_string()),
        })
    }

    /// Tells whether it is short enough to be kept.
    fn is_kept(&self, entry: &Entry) -> bool {
        entry.len() <= self.landing.fetcher.0.options.max_answer
    }

    /// Keeps an answer, and tells it.
    async fn land(&self, entry: Entry) {
        let inner = &self.landing.fetcher.0;
        let outcome = entry.outcome();
        if self.is_kept(&entry) {
            inner.answers.insert(self.landing.name.clone(), entry).await;
        }
        self.tell(outcome);
    }

    fn tell(&self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

fn pause() -> Duration {
    rand::rng().random_range(LOOK_AGAIN / 2..=LOOK_AGAIN)
}
