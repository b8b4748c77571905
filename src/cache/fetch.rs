//! Answers of upstreams, fetched once for all who want the same.
//!
//! What was fetched is kept in this process and, where there is Redis, for the other replicas. While it is fresh nobody
//! asks again; after that it may be used for some time more, while somebody fetches it anew; an answer that there is
//! nothing, or that it cannot be had, is kept for a while too. Of all that want what nobody has, in all replicas, one
//! fetches and the others wait for it.
//!
//! While Redis is away each process does so by itself.

pub mod metrics;

mod entry;
mod flight;
mod shared;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::watch, time::timeout};
use tokio_util::task::TaskTracker;

use self::{
    entry::{Entry, Outcome, Stored},
    flight::Flight,
    shared::Shared,
};
use super::{
    budget::Budget,
    keys::{Keys, MAX_NAME},
    pool::Pool,
};

/// How long answers are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// For this long an answer is used without asking again; a tenth less at times, so that not all end together.
    pub fresh: Duration,
    /// For this long after that it is still used, while it is fetched anew, or if it cannot be.
    pub stale: Duration,
    /// For this long it is believed that there is nothing.
    pub missing: Duration,
    /// For this long nobody tries again after it could not be fetched.
    pub failed: Duration,
    /// How long a fetch may take.
    pub patience: Duration,
}

/// Bounds of what is kept.
#[derive(Debug, Clone, Copy)]
pub struct FetchOptions {
    /// What is kept in this process, in bytes.
    pub memory: u64,
    /// A longer answer is given to who asked for it, and not kept.
    pub max_answer: usize,
}

/// Whom to ask, and how often.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// What may be asked of it.
    pub budget: Budget,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was fetched; nothing if the upstream has nothing by that name.
    pub body: Option<Bytes>,
    /// Whether it is older than it should be.
    pub stale: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No upstream has something by such a name.
    #[error("the name has {0} bytes, which is too long")]
    Name(usize),
    /// The upstream did not give it.
    #[error("{0}")]
    Upstream(String),
    /// The upstream was asked as often as it may be.
    #[error("the upstream was asked too often; the next time is in {0:?}")]
    Budget(Duration),
    /// It did not come in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The service is ending.
    #[error("the service is ending")]
    Closed,
}

/// Fetches and keeps answers. Clones share them.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    answers: moka::future::Cache<Name, Entry>,
    shared: Option<Shared>,
    options: FetchOptions,
    flights: Mutex<HashMap<Name, watch::Receiver<Option<Outcome>>>>,
    tasks: TaskTracker,
    /// How often an answer was wanted, and how often an upstream was asked.
    asked: AtomicU64,
    fetched: AtomicU64,
}

/// Of whom, and what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    upstream: Arc<str>,
    name: Arc<str>,
}

impl Fetcher {
    /// Makes one that shares what it fetches through Redis, or keeps it to itself.
    pub fn new(options: FetchOptions, shared: Option<(Pool, Keys)>) -> Self {
        Self(Arc::new(Inner {
            answers: entry::memory(options.memory),
            shared: shared.map(|(pool, keys)| Shared::new(pool, keys)),
            options,
            flights: Mutex::default(),
            tasks: TaskTracker::new(),
            asked: AtomicU64::new(0),
            fetched: AtomicU64::new(0),
        }))
    }

    /// Gets what is known by this name, or fetches it. The fetch goes on if this caller goes away, as others may wait
    /// for it. `Ok(None)` of it says that there is nothing by this name.
    pub async fn get_or_fetch<F, A>(
        &self,
        upstream: &Upstream,
        name: &str,
        policy: &Policy,
        fetch: F,
    ) -> Result<Answer, FetchError>
    where
        F: FnOnce() -> A + Send + 'static,
        A: Future<Output = Result<Option<Bytes>, String>> + Send + 'static,
    {
        if name.len() > MAX_NAME {
            return Err(FetchError::Name(name.len()));
        }
        self.0.asked.fetch_add(1, Relaxed);
        let key = Name { upstream: upstream.name.as_str().into(), name: name.into() };
        let known = self.0.answers.get(&key).await;
        if let Some(entry) = known.as_ref().filter(|entry| !entry.is_due()) {
            return entry.outcome();
        }
        let mut flight = self.join(key, upstream, policy, known.clone(), fetch)?;
        if let Some(entry) = known {
            return entry.outcome();
        }
        // Waiting for Redis comes on top of waiting for the upstream.
        let patience = policy.patience.saturating_mul(2);
        match timeout(patience, flight.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.clone().unwrap_or(Err(FetchError::Closed)),
            Ok(Err(_)) => Err(FetchError::Closed),
            Err(_) => Err(FetchError::TimedOut(patience)),
        }
    }

    /// Lets no more be fetched, and waits for what is being fetched.
    pub async fn close(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Joins whoever fetches it already, or begins to.
    fn join<F, A>(
        &self,
        name: Name,
        upstream: &Upstream,
        policy: &Policy,
        known: Option<Entry>,
        fetch: F,
    ) -> Result<watch::Receiver<Option<Outcome>>, FetchError>
    where
        F: FnOnce() -> A + Send + 'static,
        A: Future<Output = Result<Option<Bytes>, String>> + Send + 'static,
    {
        let mut flights = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&name) {
            return Ok(flight.clone());
        }
        if self.0.tasks.is_closed() {
            return Err(FetchError::Closed);
        }
        let (outcome, told) = watch::channel(None);
        flights.insert(name.clone(), told.clone());
        let flight = Flight {
            landing: Landing { fetcher: self.clone(), name },
            budget: upstream.budget.clone(),
            policy: *policy,
            known,
            outcome,
        };
        self.0.tasks.spawn(flight.run(fetch));
        Ok(told)
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// Takes a flight out of the list when it has ended, however it did.
struct Landing {
    fetcher: Fetcher,
    name: Name,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.fetcher.0.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests;
