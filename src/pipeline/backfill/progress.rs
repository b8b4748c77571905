//! How a back-fill does.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What has been done so far. Clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    missing: AtomicU64,
    settled: AtomicU64,
    requests: AtomicU64,
    written: AtomicU64,
}

impl Progress {
    /// Gets how many candles of venues were found to be missing.
    pub fn missing(&self) -> u64 {
        self.0.missing.load(Ordering::Relaxed)
    }

    /// Gets of how many of them it is known by now what the venue has.
    pub fn settled(&self) -> u64 {
        self.0.settled.load(Ordering::Relaxed)
    }

    /// Gets how many answers have come.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Gets how many candles were written, also longer ones and those of all venues.
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    pub(super) fn miss(&self, candles: u64) {
        self.0.missing.fetch_add(candles, Ordering::Relaxed);
    }

    pub(super) fn settle(&self, candles: u64) {
        self.0.settled.fetch_add(candles, Ordering::Relaxed);
    }

    pub(super) fn answer(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn write(&self, candles: u64) {
        self.0.written.fetch_add(candles, Ordering::Relaxed);
    }
}
