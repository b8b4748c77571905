//! What back-filling tells whoever runs the service.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::domain::{
    candle::{Candle, CandleState},
    venue::Venue,
};

/// What the composite of all venues is called where venues are named.
const COMPOSITE: &str = "composite";

/// What has been asked and written.
#[derive(Debug, Clone)]
pub struct BackfillMetrics {
    requests: IntCounterVec,
    failures: IntCounterVec,
    candles: IntCounterVec,
    waiting: IntGauge,
    dropped: IntCounter,
}

impl BackfillMetrics {
    /// Begins to count.
    pub fn new() -> prometheus::Result<Self> {
        let by = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        Ok(Self {
            requests: by(
                "cryptoprice_backfill_requests_total",
                "Pages of candles that venues were asked for and have answered.",
                &["source"],
            )?,
            failures: by(
                "cryptoprice_backfill_failures_total",
                "Markets of which candles could not be filled in.",
                &["source"],
            )?,
            candles: by(
                "cryptoprice_backfill_candles_total",
                "Candles that were filled in or restated, longer ones and those of all venues included.",
                &["source", "state"],
            )?,
            waiting: IntGauge::new(
                "cryptoprice_backfill_waiting_markets",
                "Markets of which candles are still to be filled in.",
            )?,
            dropped: IntCounter::new(
                "cryptoprice_backfill_dropped_total",
                "Gaps that were too many at once to be filled in; the next start looks for them.",
            )?,
        })
    }

    /// Has them told with the others.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.failures.clone()))?;
        registry.register(Box::new(self.candles.clone()))?;
        registry.register(Box::new(self.waiting.clone()))?;
        registry.register(Box::new(self.dropped.clone()))
    }

    pub(super) fn answer(&self, venue: Venue) {
        self.requests.with_label_values(&[venue.as_str()]).inc();
    }

    pub(super) fn fail(&self, venue: Venue) {
        self.failures.with_label_values(&[venue.as_str()]).inc();
    }

    pub(super) fn write(&self, candles: &[Candle]) {
        for candle in candles {
            let state = if candle.state == CandleState::Restated { "restated" } else { "final" };
            let source = candle.venue.map_or(COMPOSITE, Venue::as_str);
            self.candles.with_label_values(&[source, state]).inc();
        }
    }

    pub(super) fn wait(&self, markets: usize) {
        self.waiting.set(i64::try_from(markets).unwrap_or(i64::MAX));
    }

    pub(super) fn drop_gap(&self) {
        self.dropped.inc();
    }
}
