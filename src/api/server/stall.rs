//! Readers that have stopped reading.
//!
//! A stream whose reader is slow is simply not asked for its next message: it is up to the transport to wait. So
//! nobody in the write path can notice that a reader has stopped for good. The watchdog does: it looks now and then
//! whether each stream still holds the message that it held before. One that does for longer than the limit is cut: if
//! it is asked once more, it answers with the reason and the place to go on; if not, the task that serves it is ended.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    connection::Connection,
    cut::{self, CutHandle},
};
use crate::api::measure::{Cut, Measures};

/// Watches the streams. Clones watch the same ones.
#[derive(Debug, Clone, Default)]
pub struct Watchdog(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    next: u64,
    streams: HashMap<u64, Watch>,
}

/// A stream as the watchdog has seen it.
#[derive(Debug)]
struct Watch {
    stream: Arc<Stream>,
    /// What it held at the last look, and when it was first seen to.
    held: (u64, Instant),
    ended: bool,
}

#[derive(Debug)]
struct Stream {
    /// The number of the message that it has given away and that nobody has taken yet; an odd one while it waits for
    /// one. Only its own task writes it.
    held: AtomicU64,
    cut: AtomicBool,
    /// Ends the task that serves it, if that has a task of its own.
    task: OnceLock<CutHandle>,
    connection: Connection,
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
            let now = Instant::now();
            for watch in self.watched().streams.values_mut() {
                watch.look(now, timeout);
            }
        }
    }

    pub(super) fn watch(&self, connection: Connection, measures: &Measures) -> StallGuard {
        let stream = Arc::new(Stream {
            held: AtomicU64::new(1),
            cut: AtomicBool::new(false),
            task: OnceLock::new(),
            connection,
            measures: measures.clone(),
        });
        let mut watched = self.watched();
        let id = watched.next;
        watched.next += 1;
        watched
            .streams
            .insert(id, Watch { stream: Arc::clone(&stream), held: (1, Instant::now()), ended: false });
        StallGuard { watchdog: self.clone(), id, stream, known: false }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    fn look(&mut self, now: Instant, timeout: Duration) {
        let held = self.stream.held.load(Ordering::Relaxed);
        if held % 2 == 1 || held != self.held.0 {
            self.held = (held, now);
            return;
        }
        let held = now - self.held.1;
        if held <= timeout {
            return;
        }
        if !self.stream.cut.swap(true, Ordering::Relaxed) {
            debug!(?held, "a reader has stopped reading: its stream is cut");
        } else if held > timeout + timeout / 2 && !self.ended {
            self.ended = true;
            self.stream.measures.cut(Cut::Stalled);
            match self.stream.task.get() {
                Some(task) => task.cut(),
                // Over HTTP/1.1, the connection serves it itself.
                None => self.stream.connection.cut(),
            }
        }
    }
}

impl StallGuard {
    /// Takes note that the stream was asked for a message; tells whether it may go on.
    pub fn polled(&mut self) -> Stall {
        if !self.known {
            // Known only now: the stream is opened by one task and may be served by another.
            if let Some(task) = cut::this_task() {
                // Set once, since this is asked once.
                let _ = self.stream.task.set(task);
            }
            self.known = true;
        }
        self.set(|held| held | 1);
        if self.stream.cut.load(Ordering::Relaxed) { Stall::Cut } else { Stall::None }
    }

    /// Takes note that the stream has given a message away.
    pub fn handed(&self) {
        self.set(|held| (held | 1) + 1);
    }

    fn set(&self, next: impl FnOnce(u64) -> u64) {
        let held = &self.stream.held;
        held.store(next(held.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
}

impl Drop for StallGuard {
    fn drop(&mut self) {
        self.watchdog.watched().streams.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, task::Waker};

    use prometheus::Registry;
    use tokio::time::sleep;

    use super::*;
    use crate::api::server::{connection::Order, cut::Cuttable};

    const TIMEOUT: Duration = Duration::from_secs(4);

    fn watched() -> (Connection, StallGuard) {
        let watchdog = Watchdog::default();
        tokio::spawn(watchdog.clone().run(TIMEOUT, CancellationToken::new()));
        let connection = Connection::new(watchdog);
        let guard = connection.watch(&Measures::new(&Registry::new(), []).unwrap());
        (connection, guard)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_news_or_is_slow_may_go_on() {
        let (_connection, mut guard) = watched();
        assert_eq!(guard.polled(), Stall::None);
        sleep(100 * TIMEOUT).await;
        for _ in 0..10 {
            assert_eq!(guard.polled(), Stall::None);
            guard.handed();
            sleep(TIMEOUT * 3 / 4).await;
        }
        assert_eq!(guard.polled(), Stall::None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_not_asked_is_told_so_when_it_is() {
        let (connection, mut guard) = watched();
        guard.polled();
        guard.handed();
        // Seen a quarter late at most.
        sleep(TIMEOUT + TIMEOUT / 4 + Duration::from_millis(500)).await;
        assert_eq!(guard.polled(), Stall::Cut);
        assert_eq!(connection.order(Waker::noop()), Order::Stay);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_never_asked_again_ends_with_its_task() {
        let (connection, mut guard) = watched();
        let task = tokio::spawn(Cuttable::new(async move {
            guard.polled();
            guard.handed();
            pending::<()>().await;
        }));
        sleep(TIMEOUT).await;
        assert!(!task.is_finished());
        sleep(TIMEOUT).await;
        assert_eq!(task.await.unwrap(), None);
        assert_eq!(connection.order(Waker::noop()), Order::Stay, "others go on");
    }

    #[tokio::test(start_paused = true)]
    async fn or_with_its_connection_if_it_has_no_task() {
        let (connection, mut guard) = watched();
        guard.polled();
        guard.handed();
        sleep(2 * TIMEOUT).await;
        assert_eq!(connection.order(Waker::noop()), Order::Cut);
    }
}
