//! What is known of a connection: by the calls that came on it, and by the usher that shows it out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    task::Waker,
};

use futures::task::AtomicWaker;
use http::Version;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::stall::{StallGuard, Watchdog};
use crate::api::measure::Measures;

/// A connection to the doors. Clones are the same one; the default is none, for calls from within.
#[derive(Debug, Clone, Default)]
pub struct Connection(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Tells its streams.
    leaving: CancellationToken,
    old: AtomicBool,
    streams: AtomicUsize,
    watchdog: Watchdog,
    /// Tells its task.
    order: AtomicU8,
    task: AtomicWaker,
    /// Requests that are being answered over HTTP/1.1, and how many there have been.
    requests: AtomicUsize,
    heard: AtomicUsize,
    /// Whether the last of them came with a body.
    body: AtomicBool,
    /// Whether it speaks HTTP/2, which asks by itself whether anybody is there.
    multiplexed: AtomicBool,
}

/// What a connection is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Serve.
    Stay = 0,
    /// Let calls end, and take no more.
    Go = 1,
    /// End at once.
    Cut = 2,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Asked {
    connection: Connection,
    body: bool,
}

/// A stream of prices that is open on a connection.
#[derive(Debug)]
pub struct OpenOnConnection(Connection);

impl Connection {
    /// Begins one.
    pub(super) fn new(watchdog: Watchdog) -> Self {
        Self(Arc::new(Inner { watchdog, ..Inner::default() }))
    }

    /// Asks it to go: because it is old, or because the service stops. Its streams are told, and its task is woken.
    pub(super) fn show_out(&self, old: bool) {
        self.0.old.store(old, Ordering::Release);
        self.0.order.fetch_max(Order::Go as u8, Ordering::Release);
        self.0.leaving.cancel();
        self.0.task.wake();
    }

    /// Ends it at once.
    pub(super) fn cut(&self) {
        self.0.order.fetch_max(Order::Cut as u8, Ordering::Release);
        self.0.task.wake();
    }

    /// Gets what it is to do. The task is woken when that changes.
    pub(super) fn order(&self, waker: &Waker) -> Order {
        self.0.task.register(waker);
        match self.0.order.load(Ordering::Acquire) {
            0 => Order::Stay,
            1 => Order::Go,
            _ => Order::Cut,
        }
    }

    /// Takes note of a request, which is being answered while the answer lives.
    pub(super) fn request(&self, version: Version, body: bool) -> Option<Asked> {
        if version == Version::HTTP_2 {
            self.0.multiplexed.store(true, Ordering::Relaxed);
            return None;
        }
        self.0.body.store(body, Ordering::Relaxed);
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.heard.fetch_add(1, Ordering::Relaxed);
        Some(Asked { connection: self.clone(), body })
    }

    /// Tells whether a part of a body may still be on its way: nobody knows whether it was read to its end.
    pub(super) fn may_still_send(&self) -> bool {
        self.0.body.load(Ordering::Relaxed)
    }

    /// Tells how many requests have been heard, if none of them is still being answered: nothing has happened where this
    /// stays the same.
    pub(super) fn idle(&self) -> Option<usize> {
        let busy = self.0.multiplexed.load(Ordering::Relaxed) || self.0.requests.load(Ordering::Relaxed) > 0;
        (!busy).then(|| self.0.heard.load(Ordering::Relaxed))
    }

    /// Tells whether streams have to go because of its age, and not because the service stops.
    pub fn is_old(&self) -> bool {
        self.0.old.load(Ordering::Acquire)
    }

    /// Tells whether it was asked to go: before anybody who waits for that is woken.
    pub fn is_leaving(&self) -> bool {
        self.0.order.load(Ordering::Acquire) != Order::Stay as u8
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
        self.0.watchdog.watch(self.clone(), measures)
    }
}

impl Asked {
    /// Tells whether it came with a body.
    pub(super) fn has_body(&self) -> bool {
        self.body
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.connection.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for OpenOnConnection {
    fn drop(&mut self) {
        self.0.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
