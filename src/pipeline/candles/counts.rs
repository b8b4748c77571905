//! What became of trades, counted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus::{
    IntCounterVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::{domain::candle::market::Intake, pipeline::metrics::catch_up};

/// What can become of a trade, and how it is named.
const NAMES: [(Intake, &str); 7] = [
    (Intake::Taken, "taken"),
    (Intake::Duplicate, "duplicate"),
    (Intake::Past, "past"),
    (Intake::BeforeStart, "before_start"),
    (Intake::TooLate, "too_late"),
    (Intake::Worthless, "worthless"),
    (Intake::Foreign, "foreign"),
];

/// Counts what became of trades. Clones count the same.
#[derive(Debug, Clone, Default)]
pub struct Counts(Arc<[AtomicU64; NAMES.len()]>);

impl Counts {
    /// Gets how many trades met some fate.
    pub fn get(&self, intake: Intake) -> u64 {
        self.of(intake).map_or(0, |count| count.load(Relaxed))
    }

    pub(super) fn add(&self, intake: Intake) {
        if let Some(count) = self.of(intake) {
            count.fetch_add(1, Relaxed);
        }
    }

    fn of(&self, intake: Intake) -> Option<&AtomicU64> {
        NAMES.iter().zip(&*self.0).find(|((known, _), _)| *known == intake).map(|(_, count)| count)
    }
}

/// Tells it at `/metrics`.
#[derive(Debug)]
pub struct CountMetrics {
    counts: Counts,
    trades: IntCounterVec,
}

impl CountMetrics {
    /// Tells of these.
    pub fn new(counts: Counts) -> prometheus::Result<Self> {
        let options = Opts::new(
            "cryptoprice_candle_trades_total",
            "Trades that came, by whether they count in candles, or why they do not.",
        );
        Ok(Self { counts, trades: IntCounterVec::new(options, &["intake"])? })
    }
}

impl Collector for CountMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.trades.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (intake, name) in NAMES {
            catch_up(&self.trades.with_label_values(&[name]), self.counts.get(intake));
        }
        self.trades.collect()
    }
}
