//! How the keeping of history does.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus::{
    Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tracing::error;

use super::inbox::Inbox;
use crate::{clock::Clock, pipeline::metrics::catch_up, store::StoreError};

/// Upper bounds of the times that writes take, in seconds.
const TIMES: &[f64] = &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Tells how the keeping of history does. Clones tell the same.
#[derive(Clone)]
pub struct HistoryStatus(Arc<Shared>);

struct Shared {
    inbox: Inbox,
    clock: Clock,
    available: AtomicBool,
    candles: AtomicU64,
    prices: AtomicU64,
    refused: AtomicU64,
    spool_dropped: AtomicU64,
    spool_failed: AtomicBool,
    spool_rows: AtomicU64,
    spool_bytes: AtomicU64,
    /// In milliseconds since 1970; there is none if below zero.
    spool_oldest: AtomicI64,
    errors: [AtomicU64; ERRORS.len()],
    pruned: AtomicU64,
    rolled_up: AtomicU64,
    took: Histogram,
}

/// The kinds of errors.
const ERRORS: [&str; 4] = ["unavailable", "timeout", "full", "other"];

impl HistoryStatus {
    pub(super) fn new(inbox: Inbox, clock: Clock) -> prometheus::Result<Self> {
        let took = HistogramOpts::new(
            "cryptoprice_history_write_duration_seconds",
            "How long the store took for a batch, whether or not it took it.",
        );
        Ok(Self(Arc::new(Shared {
            inbox,
            clock,
            available: AtomicBool::new(true),
            candles: AtomicU64::default(),
            prices: AtomicU64::default(),
            refused: AtomicU64::default(),
            spool_dropped: AtomicU64::default(),
            spool_failed: AtomicBool::default(),
            spool_rows: AtomicU64::default(),
            spool_bytes: AtomicU64::default(),
            spool_oldest: AtomicI64::new(-1),
            errors: Default::default(),
            pruned: AtomicU64::default(),
            rolled_up: AtomicU64::default(),
            took: Histogram::with_opts(took.buckets(TIMES.to_vec()))?,
        })))
    }

    /// Tells whether the store took what it was last given.
    pub fn is_available(&self) -> bool {
        self.0.available.load(Relaxed)
    }

    /// Gets how many rows wait on the disk.
    pub fn spool_rows(&self) -> u64 {
        self.0.spool_rows.load(Relaxed)
    }

    /// Gets how many rows were lost: for want of room, or because the store does not take them.
    pub fn lost(&self) -> u64 {
        let Shared { inbox, refused, spool_dropped, .. } = &*self.0;
        inbox.dropped() + refused.load(Relaxed) + spool_dropped.load(Relaxed)
    }

    pub(super) fn available(&self, yes: bool) {
        self.0.available.store(yes, Relaxed);
    }

    pub(super) fn took(&self, time: Duration) {
        self.0.took.observe(time.as_secs_f64());
    }

    pub(super) fn wrote(&self, candles: u64, prices: u64) {
        self.0.candles.fetch_add(candles, Relaxed);
        self.0.prices.fetch_add(prices, Relaxed);
    }

    pub(super) fn refused(&self, rows: u64) {
        self.0.refused.fetch_add(rows, Relaxed);
    }

    pub(super) fn failed(&self, error: &StoreError) {
        let kind = match error {
            StoreError::Unavailable { .. } => 0,
            StoreError::Timeout { .. } => 1,
            StoreError::Full { .. } => 2,
            _ => 3,
        };
        if let Some(count) = self.0.errors.get(kind) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Counts what had to give way on the disk, and says so the first time.
    pub(super) fn spool_dropped(&self, rows: u64) {
        if rows > 0 && self.0.spool_dropped.fetch_add(rows, Relaxed) == 0 {
            error!(rows, "history is lost: the spool is full, and its oldest gives way");
        }
    }

    /// Says that nothing can be put on the disk, once until it can again.
    pub(super) fn spool_failed(&self, error: &io::Error) {
        if !self.0.spool_failed.swap(true, Relaxed) {
            error!(%error, "the spool cannot be written: history waits in memory");
        }
    }

    pub(super) fn spool_works(&self) {
        self.0.spool_failed.store(false, Relaxed);
    }

    pub(super) fn spooled(&self, rows: u64, bytes: u64, oldest: Option<i64>) {
        self.0.spool_rows.store(rows, Relaxed);
        self.0.spool_bytes.store(bytes, Relaxed);
        self.0.spool_oldest.store(oldest.unwrap_or(-1), Relaxed);
    }

    pub(super) fn kept_up(&self, pruned: u64, rolled_up: u64) {
        self.0.pruned.fetch_add(pruned, Relaxed);
        self.0.rolled_up.fetch_add(rolled_up, Relaxed);
    }
}

impl fmt::Debug for HistoryStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryStatus").field("available", &self.is_available()).finish_non_exhaustive()
    }
}

/// Tells it at `/metrics`.
#[derive(Debug)]
pub struct HistoryMetrics {
    status: HistoryStatus,
    written: IntCounterVec,
    dropped: IntCounterVec,
    errors: IntCounterVec,
    upkeep: IntCounterVec,
    gauges: [IntGauge; 5],
}

impl HistoryMetrics {
    /// Tells of this one.
    pub fn new(status: HistoryStatus) -> prometheus::Result<Self> {
        let counter =
            |name: &str, help: &str, label: &str| IntCounterVec::new(Opts::new(name, help), &[label]);
        let gauge = |name: &str, help: &str| IntGauge::new(name, help);
        Ok(Self {
            status,
            written: counter(
                "cryptoprice_history_rows_written_total",
                "Rows that were written to the store and had not been there, by kind.",
                "kind",
            )?,
            dropped: counter(
                "cryptoprice_history_rows_dropped_total",
                "Rows that are lost: no room in memory or on the disk, or refused for what they are, by reason.",
                "reason",
            )?,
            errors: counter(
                "cryptoprice_history_errors_total",
                "Batches that the store did not take when they were written, by kind of error.",
                "kind",
            )?,
            upkeep: counter(
                "cryptoprice_history_upkeep_rows_total",
                "Rows that retention took away, and candles that were made of shorter ones, by what was done.",
                "what",
            )?,
            gauges: [
                gauge("cryptoprice_history_available", "1 if the store took what it was last given.")?,
                gauge("cryptoprice_history_queue_rows", "Rows that wait in memory.")?,
                gauge("cryptoprice_history_spool_rows", "Rows that wait on the disk.")?,
                gauge("cryptoprice_history_spool_bytes", "Bytes of what waits on the disk.")?,
                gauge(
                    "cryptoprice_history_spool_age_seconds",
                    "How long the oldest has waited on the disk.",
                )?,
            ],
        })
    }

    fn families(&self) -> impl Iterator<Item = &dyn Collector> {
        let vectors: [&dyn Collector; 5] =
            [&self.written, &self.dropped, &self.errors, &self.upkeep, &self.status.0.took];
        vectors.into_iter().chain(self.gauges.iter().map(|gauge| gauge as &dyn Collector))
    }
}

impl Collector for HistoryMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.families().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let shared = &*self.status.0;
        let totals = [
            (&self.written, "candle", shared.candles.load(Relaxed)),
            (&self.written, "price", shared.prices.load(Relaxed)),
            (&self.dropped, "queue", shared.inbox.dropped()),
            (&self.dropped, "spool", shared.spool_dropped.load(Relaxed)),
            (&self.dropped, "refused", shared.refused.load(Relaxed)),
            (&self.upkeep, "pruned", shared.pruned.load(Relaxed)),
            (&self.upkeep, "rolled_up", shared.rolled_up.load(Relaxed)),
        ];
        for (family, label, total) in totals {
            catch_up(&family.with_label_values(&[label]), total);
        }
        for (kind, count) in ERRORS.iter().zip(&shared.errors) {
            catch_up(&self.errors.with_label_values(&[kind]), count.load(Relaxed));
        }
        let oldest = shared.spool_oldest.load(Relaxed);
        let age =
            if oldest < 0 { 0 } else { (shared.clock.now().timestamp_millis() - oldest).max(0) / 1_000 };
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let values = [
            i64::from(self.status.is_available()),
            whole(shared.inbox.len() as u64),
            whole(shared.spool_rows.load(Relaxed)),
            whole(shared.spool_bytes.load(Relaxed)),
            age,
        ];
        self.gauges.iter().zip(values).for_each(|(gauge, value)| gauge.set(value));
        self.families().flat_map(Collector::collect).collect()
    }
}
