//! What is kept of upstreams, and how often they were asked.

use std::{fmt, sync::atomic::Ordering::Relaxed};

use prometheus::{
    IntCounter, IntGauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::Fetcher;

/// Reads a fetcher when it is asked.
pub struct FetchMetrics {
    fetcher: Fetcher,
    answers: IntGauge,
    bytes: IntGauge,
    asked: IntCounter,
    fetched: IntCounter,
}

impl FetchMetrics {
    /// Reads this one.
    pub fn new(fetcher: Fetcher) -> prometheus::Result<Self> {
        Ok(Self {
            fetcher,
            answers: IntGauge::new("cryptoprice_fetch_answers", "Answers of upstreams that are kept here.")?,
            bytes: IntGauge::new("cryptoprice_fetch_bytes", "What these take in memory, in bytes.")?,
            asked: IntCounter::new(
                "cryptoprice_fetch_asked_total",
                "How often an answer of an upstream was wanted here.",
            )?,
            fetched: IntCounter::new(
                "cryptoprice_fetch_fetched_total",
                "How often an upstream was asked for one by this replica.",
            )?,
        })
    }

    fn all(&self) -> [&dyn Collector; 4] {
        [&self.answers, &self.bytes, &self.asked, &self.fetched]
    }
}

impl Collector for FetchMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let inner = &self.fetcher.0;
        let known = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.answers.set(known(inner.answers.entry_count()));
        self.bytes.set(known(inner.answers.weighted_size()));
        for (counter, total) in [(&self.asked, &inner.asked), (&self.fetched, &inner.fetched)] {
            counter.inc_by(total.load(Relaxed).saturating_sub(counter.get()));
        }
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}

impl fmt::Debug for FetchMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchMetrics").finish_non_exhaustive()
    }
}
