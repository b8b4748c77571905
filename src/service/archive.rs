//! The store as calls read it.
//!
//! What is wrong with it concerns whoever runs the service, and is logged; callers hear that the history cannot be read.

use std::{
    collections::HashMap,
    mem::{Discriminant, discriminant},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tracing::{error, warn};

use super::error::ServiceError;
use crate::{
    domain::{pair::Pair, price::Origin},
    store::{
        Store, StoreError,
        candles::{CandleQuery, StoredCandle},
        prices::StoredPrice,
        stats::PriceStats,
    },
};

/// How long the same trouble is not told of again.
const SILENCE: Duration = Duration::from_secs(60);

/// Reads the store. Clones are the same reader.
#[derive(Debug, Clone)]
pub struct Archive {
    store: Arc<Store>,
    trouble: Arc<Trouble>,
}

/// When which kind of trouble was told of.
#[derive(Debug, Default)]
struct Trouble(Mutex<HashMap<Discriminant<StoreError>, Instant>>);

impl Archive {
    /// Reads this store.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, trouble: Arc::default() }
    }

    /// Gets where what is stored comes from.
    pub fn origin(&self) -> Origin {
        self.store.origin()
    }

    pub(super) async fn prices_at(
        &self,
        asked: &[(Pair, DateTime<Utc>)],
        known_by: Option<DateTime<Utc>>,
    ) -> Result<Vec<Option<StoredPrice>>, ServiceError> {
        self.told(self.store.prices_at(asked, known_by).await)
    }

    pub(super) async fn price_stats(
        &self,
        pair: Pair,
        now: DateTime<Utc>,
    ) -> Result<PriceStats, ServiceError> {
        self.told(self.store.price_stats(pair, now).await)
    }

    pub(super) async fn list_candles(&self, query: &CandleQuery) -> Result<Vec<StoredCandle>, ServiceError> {
        self.told(self.store.list_candles(query).await)
    }

    /// Logs what is wrong, and makes of it what callers hear.
    fn told<T>(&self, outcome: Result<T, StoreError>) -> Result<T, ServiceError> {
        outcome.map_err(|error| {
            if !self.trouble.is_news(&error, Instant::now()) {
                tracing::debug!(%error, "the history cannot be read");
            } else if error.is_passing() {
                warn!(%error, "the history cannot be read");
            } else {
                error!(%error, "the history cannot be read");
            }
            ServiceError::HistoryUnavailable
        })
    }
}

impl Trouble {
    /// Tells whether an error is of a kind that was not told of for a while, and takes note of it.
    fn is_news(&self, error: &StoreError, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = told.entry(discriminant(error));
        let mut news = false;
        let last = last.or_insert_with(|| {
            news = true;
            now
        });
        if now.duration_since(*last) >= SILENCE {
            news = true;
            *last = now;
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_trouble_is_told_once_a_minute() {
        let trouble = Trouble::default();
        let place = || "sqlite:///somewhere".to_owned();
        let unmigrated = StoreError::NotMigrated { place: place(), versions: Vec::new() };
        let away = StoreError::Unavailable { place: place(), cause: "gone".to_owned() };
        let told = |error| trouble.is_news(error, Instant::now());
        assert_eq!(
            [told(&unmigrated), told(&unmigrated), told(&away), told(&away)],
            [true, false, true, false]
        );
        tokio::time::advance(SILENCE).await;
        assert_eq!([told(&unmigrated), told(&unmigrated)], [true, false]);
    }
}
