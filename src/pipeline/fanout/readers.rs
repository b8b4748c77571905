//! Those who read a channel, on one lane.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use slab::Slab;

use crate::domain::price::Cursor;

/// The readers, and how far they can read. Only the thread of their lane comes here again and again: nobody waits for
/// the lock.
#[derive(Debug, Default)]
pub(super) struct Readers {
    epoch: AtomicU64,
    head: AtomicU64,
    waiting: Mutex<Slab<Reader>>,
}

/// One that waits, or does something else just now.
#[derive(Debug, Default)]
struct Reader {
    /// Kept from one waiting to the next: it is mostly the same.
    waker: Option<Waker>,
    waits: bool,
}

impl Readers {
    /// Adds a reader, and gives the number it goes by. It can read up to `head`: nobody was told while nobody read.
    pub(super) fn join(&self, head: Cursor) -> usize {
        let mut waiting = self.waiting();
        if head.epoch > self.epoch.load(Ordering::Acquire) {
            self.reach(head);
        } else {
            self.head.fetch_max(head.sequence, Ordering::Release);
        }
        waiting.insert(Reader::default())
    }

    pub(super) fn leave(&self, reader: usize) {
        self.waiting().try_remove(reader);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Waits until there is something past a position.
    pub(super) fn poll_past(&self, position: Cursor, reader: usize, context: &mut Context<'_>) -> Poll<()> {
        if self.is_past(position) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting();
        // Again, now that nobody is woken meanwhile.
        if self.is_past(position) {
            return Poll::Ready(());
        }
        if let Some(reader) = waiting.get_mut(reader) {
            match &mut reader.waker {
                Some(waker) => waker.clone_from(context.waker()),
                None => reader.waker = Some(context.waker().clone()),
            }
            reader.waits = true;
        }
        Poll::Pending
    }

    /// Lets them read further, and wakes those who wait.
    pub(super) fn wake(&self, head: Cursor) {
        self.reach(head);
        for (_, reader) in self.waiting().iter_mut().filter(|(_, reader)| reader.waits) {
            reader.waits = false;
            if let Some(waker) = &reader.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// In the moment between the two, readers are woken who find nothing, and wait again.
    fn reach(&self, head: Cursor) {
        self.head.store(head.sequence, Ordering::Release);
        self.epoch.store(head.epoch, Ordering::Release);
    }

    fn is_past(&self, position: Cursor) -> bool {
        let epoch = self.epoch.load(Ordering::Acquire);
        epoch > position.epoch
            || (epoch == position.epoch && self.head.load(Ordering::Acquire) > position.sequence)
    }

    fn waiting(&self) -> MutexGuard<'_, Slab<Reader>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
