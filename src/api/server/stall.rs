//! Readers that have stopped reading.
//!
//! A stream whose reader is slow is simply not asked for its next message: it is up to the transport to wait. So
//! nobody in the write path can notice that a reader has stopped for good. The watchdog does: it looks now and then
//! when each stream was last asked. One that holds a message for longer than the limit is cut: if it is asked once
//! more, it answers with the reason and the place to go on; if not, the task that serves it is ended.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::cut::{self, CutHandle};
use crate::api::layer::measure::{Cut, Measures};

/// Watches the streams. Clones watch the same ones.
#[derive(Debug, Clone, Default)]
pub struct Watchdog(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    next: u64,
    streams: HashMap<u64, Arc<Stream>>,
}

#[derive(Debug)]
struct Stream {
    opened: Instant,
    /// Milliseconds from the opening until it last gave a message away, plus one; zero while it waits for one.
    handed: AtomicU64,
    cut: AtomicBool,
    /// Ends the task that serves it.
    task: Mutex<Option<CutHandle>>,
    measures: Measures,
}

/// A stream that is watched while this lives.
#[derive(Debug)]
pub struct StallGuard {
    watchdog: Watchdog,
    id: u64,
    stream: Arc<Stream>,
    known: bool,
}

/// Whether a stream may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// It may.
    None,
    /// Its reader has stopped reading for too long.
    Cut,
}

impl Watchdog {
    /// Looks at all streams until told to stop.
    pub async fn run(self, timeout: Duration, shutdown: CancellationToken) {
        let mut looks = interval((timeout / 4).clamp(Duration::from_millis(10), Duration::from_secs(5)));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
            let streams: Vec<_> = self.watched().streams.values().cloned().collect();
            for stream in streams {
                stream.look(timeout);
            }
        }
    }

    pub(super) fn watch(&self, measures: &Measures) -> StallGuard {
        let stream = Arc::new(Stream {
            opened: Instant::now(),
            handed: AtomicU64::new(0),
            cut: AtomicBool::new(false),
            task: Mutex::new(None),
            measures: measures.clone(),
        });
        let mut watched = self.watched();
        let id = watched.next;
        watched.next += 1;
        watched.streams.insert(id, Arc::clone(&stream));
        StallGuard { watchdog: self.clone(), id, stream, known: false }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn look(&self, timeout: Duration) {
        let handed = self.handed.load(Ordering::Relaxed);
        let held = self.millis().saturating_sub(handed);
        let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        if handed == 0 || held <= timeout {
            return;
        }
        if !self.cut.swap(true, Ordering::Relaxed) {
            debug!(held_ms = held, "a reader has stopped reading: its stream is cut");
        } else if held > timeout + timeout / 2
            && let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            self.measures.cut(Cut::Stalled);
            task.cut();
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl StallGuard {
    /// Takes note that the stream was asked for a message; tells whether it may go on.
    pub fn polled(&mut self) -> Stall {
        if !self.known {
            // Known only now: the stream is opened by one task and may be served by another.
            *self.stream.task.lock().unwrap_or_else(PoisonError::into_inner) = cut::this_task();
            self.known = true;
        }
        self.stream.handed.store(0, Ordering::Relaxed);
        if self.stream.cut.load(Ordering::Relaxed) { Stall::Cut } else { Stall::None }
    }

    /// Takes note that the stream has given a message away.
    pub fn handed(&self) {
        self.stream.handed.store(self.stream.millis(), Ordering::Relaxed);
    }
}

impl Drop for StallGuard {
    fn drop(&mut self) {
        self.watchdog.watched().streams.remove(&self.id);
    }
}
