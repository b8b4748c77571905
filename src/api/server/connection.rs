//! What a call knows of the connection that it came on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::stall::{StallGuard, Watchdog};
use crate::api::layer::measure::Measures;

/// A connection to the public doors. Clones are the same one; the default is none, for calls from within.
#[derive(Debug, Clone, Default)]
pub struct Connection(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    leaving: CancellationToken,
    old: AtomicBool,
    streams: AtomicUsize,
    watchdog: Watchdog,
}

/// A stream of prices that is open on a connection.
#[derive(Debug)]
pub struct OpenOnConnection(Connection);

impl Connection {
    /// Begins one whose streams are told to go when `leaving` says so.
    pub fn new(leaving: CancellationToken, watchdog: Watchdog) -> Self {
        let (old, streams) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self(Arc::new(Inner { leaving, old, streams, watchdog }))
    }

    /// Tells its streams to go because it has been open for long enough.
    pub fn grow_old(&self) {
        self.0.old.store(true, Ordering::Release);
        self.0.leaving.cancel();
    }

    /// Tells whether streams have to go because of its age, and not because the service stops.
    pub fn is_old(&self) -> bool {
        self.0.old.load(Ordering::Acquire)
    }

    /// Waits until streams have to go.
    pub fn leaving(&self) -> WaitForCancellationFutureOwned {
        self.0.leaving.clone().cancelled_owned()
    }

    /// Opens a stream, unless so many are open.
    pub fn open_stream(&self, limit: usize) -> Option<OpenOnConnection> {
        let more = |open| (open < limit).then_some(open + 1);
        let opened = self.0.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        opened.ok().map(|_| OpenOnConnection(self.clone()))
    }

    /// Has a stream of its watched, that it does not hold what nobody takes.
    pub fn watch(&self, measures: &Measures) -> StallGuard {
        self.0.watchdog.watch(measures)
    }
}

impl Drop for OpenOnConnection {
    fn drop(&mut self) {
        self.0.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
