//! From the board to its readers: what has changed, told in flushes.
//!
//! A reader of its own position would have to look at every update to find those that it asked for. So there is one
//! task that reads the board's log, once for all, and at every flush tells each *channel* what has changed of its
//! pairs. Readers that ask for the same pairs share a channel, and with it the messages: those are made once, and
//! encoded once, however many get them.
//!
//! Readers live on several threads, and waking one from another thread is dear. So each thread has a lane: a flush wakes
//! the lane once, and the lane's own task ([`Fanout::relay`]) wakes the readers.
//!
//! A channel knows the state of its pairs as of the last flush. That answers every reader: one that is in step gets
//! the last flush; one that is behind, however far, gets what is newer than its position, each pair once; one that
//! comes gets the whole as its snapshot. No reader has a queue, so a slow one costs nothing but its position, and
//! there is nothing to hold back for it.
//!
//! When another epoch begins, whoever stands in an earlier one is told so, and gets a snapshot. So is whoever knows of a
//! pair that has left without an update that says so.

mod channel;
mod readers;
mod subscription;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use self::channel::Channel;
pub use self::subscription::{News, Subscription, TooSlow};
use super::board::{Board, Update};
use crate::domain::{pair::Pair, price::Cursor};

/// Tells readers what changes on a board. Clones tell the same, to readers of the same lane.
#[derive(Debug, Clone)]
pub struct Fanout {
    shared: Arc<Shared>,
    lane: usize,
}

#[derive(Debug)]
struct Shared {
    board: Board,
    /// All updates up to here have been told.
    flushed: ArcSwap<Cursor>,
    hub: Mutex<Hub>,
    lanes: Box<[Lane]>,
}

/// The readers of one thread.
#[derive(Debug, Default)]
struct Lane {
    /// The channels whose readers have to be woken.
    woken: Mutex<Vec<Arc<Channel>>>,
    notify: Notify,
}

/// Who is told what.
#[derive(Debug)]
struct Hub {
    everything: Arc<Channel>,
    by_filter: HashMap<Arc<[Pair]>, Entry>,
    /// The channels of each pair that is asked for by name, by their numbers.
    by_pair: HashMap<Pair, BTreeMap<u64, Arc<Channel>>>,
    next: u64,
}

/// A channel of some pairs, and how many read it.
#[derive(Debug)]
struct Entry {
    channel: Arc<Channel>,
    readers: usize,
}

impl Fanout {
    /// Starts from the board as it is, with so many lanes. The first is that of the thread that flushes.
    pub fn new(board: Board, lanes: usize) -> Self {
        let lanes: Box<[Lane]> = (0..lanes.max(1)).map(|_| Lane::default()).collect();
        let Settled { state, to: flushed, begun } = Settled::of(&board);
        let places = (begun, flushed, flushed.sequence);
        let everything = Channel::new(board.clone(), 0, None, state, places, lanes.len());
        let everything = Arc::new(everything);
        let hub = Hub { everything, by_filter: HashMap::new(), by_pair: HashMap::new(), next: 1 };
        let (flushed, hub) = (ArcSwap::from_pointee(flushed), Mutex::new(hub));
        Self { shared: Arc::new(Shared { board, flushed, hub, lanes }), lane: 0 }
    }

    /// Tells readers of another lane.
    #[must_use]
    pub fn on_lane(&self, lane: usize) -> Self {
        Self { shared: Arc::clone(&self.shared), lane: lane.min(self.shared.lanes.len() - 1) }
    }

    /// Wakes the readers of this lane, on whose thread it runs, until told to stop.
    pub async fn relay(self, shutdown: CancellationToken) {
        let Some(lane) = self.shared.lanes.get(self.lane) else { return };
        while shutdown.run_until_cancelled(lane.notify.notified()).await.is_some() {
            self.wake();
        }
    }

    /// Flushes what changes, once in an interval at most, until told to stop.
    pub async fn run(self, interval: Duration, shutdown: CancellationToken) {
        let mut head = self.shared.board.head();
        let flush = async {
            loop {
                let flushed = self.flushed();
                // The sender lives in the board that this holds: waiting cannot fail.
                let _ = head.wait_for(|head| *head > flushed).await;
                sleep(interval).await;
                self.flush();
            }
        };
        let _: Option<()> = shutdown.run_until_cancelled(flush).await;
    }

    /// Subscribes to some pairs, or to all, from the last flush on.
    pub fn subscribe(&self, pairs: Option<&[Pair]>) -> Subscription {
        let mut hub = self.hub();
        let channel = self.join(&mut hub, pairs);
        let total = channel.total();
        Subscription::new(self.clone(), channel, self.flushed(), Some(total))
    }

    /// Subscribes from an earlier position on, if it is one of this epoch that the log still reaches.
    pub fn resume(&self, pairs: Option<&[Pair]>, after: Cursor) -> Option<Subscription> {
        let board = self.board();
        let newest = board.cursor();
        let next = Cursor { sequence: after.sequence.saturating_add(1), ..after };
        let reached = || after.sequence == newest.sequence || board.logged(next).is_some();
        if after.epoch != newest.epoch || after > newest || !reached() {
            return None;
        }
        Some(self.join_at(pairs, after))
    }

    /// Subscribes from a position on that lies ahead, as another board of the same updates has reached it: whoever is
    /// there waits until this one has, too.
    pub fn ahead(&self, pairs: Option<&[Pair]>, after: Cursor) -> Option<Subscription> {
        (after > self.board().cursor()).then(|| self.join_at(pairs, after))
    }

    fn join_at(&self, pairs: Option<&[Pair]>, after: Cursor) -> Subscription {
        let mut hub = self.hub();
        let channel = self.join(&mut hub, pairs);
        // In the channel of all pairs, the count of updates is their sequence.
        let total = pairs.is_none().then_some(after.sequence);
        Subscription::new(self.clone(), channel, after, total)
    }

    /// Gets the board.
    pub fn board(&self) -> &Board {
        &self.shared.board
    }

    /// Tells all channels what has changed since the last flush.
    pub(super) fn flush(&self) {
        let before = self.flushed();
        let head = self.board().cursor();
        let logged = self.board().logged_between(before, head);
        // Held until all is told: who joins meanwhile must not miss a part of it.
        let hub = self.hub();
        let to = if let Some(updates) = logged {
            hub.tell(&updates, true, before, head, &self.shared.lanes);
            head
        } else {
            // The log has moved past the last flush, or it is that of another epoch: what is on the board is left to tell.
            let Settled { state, to, begun } = Settled::of(self.board());
            if to.epoch == before.epoch {
                let mut newer: Vec<_> =
                    state.values().filter(|update| update.stamp.cursor > before).cloned().collect();
                newer.sort_by_key(|update| update.stamp.cursor);
                hub.tell(&newer, false, before, to, &self.shared.lanes);
                hub.keep(&state, to, &self.shared.lanes);
            } else {
                hub.turn(&state, begun, to, &self.shared.lanes);
            }
            to
        };
        self.shared.flushed.store(Arc::new(to));
        drop(hub);
        self.wake();
        for lane in self.shared.lanes.iter().skip(1).filter(|lane| !lane.woken().is_empty()) {
            lane.notify.notify_one();
        }
    }

    /// Wakes the readers of this lane.
    fn wake(&self) {
        let Some(lane) = self.shared.lanes.get(self.lane) else { return };
        let woken = std::mem::take(&mut *lane.woken());
        for channel in woken {
            channel.wake(self.lane);
        }
    }

    fn flushed(&self) -> Cursor {
        **self.shared.flushed.load()
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.shared.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds or makes the channel of some pairs. Nothing is flushed meanwhile.
    fn join(&self, hub: &mut Hub, pairs: Option<&[Pair]>) -> Arc<Channel> {
        let Some(pairs) = pairs else { return Arc::clone(&hub.everything) };
        let filter: Arc<[Pair]> = pairs.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        if let Some(entry) = hub.by_filter.get_mut(&filter) {
            entry.readers += 1;
            return Arc::clone(&entry.channel);
        }
        let (state, begun) = hub.everything.of(&filter);
        let (board, places) = (self.board().clone(), (begun, self.flushed(), 0));
        let lanes = self.shared.lanes.len();
        let channel = Channel::new(board, hub.next, Some(Arc::clone(&filter)), state, places, lanes);
        let channel = Arc::new(channel);
        hub.next += 1;
        for pair in filter.iter() {
            hub.by_pair.entry(*pair).or_default().insert(channel.id(), Arc::clone(&channel));
        }
        hub.by_filter.insert(filter, Entry { channel: Arc::clone(&channel), readers: 1 });
        channel
    }

    /// Takes away a reader, and the channel with the last.
    fn leave(&self, channel: &Channel) {
        let Some(filter) = channel.filter() else { return };
        let mut hub = self.hub();
        let Some(entry) = hub.by_filter.get_mut(filter) else { return };
        entry.readers -= 1;
        if entry.readers > 0 {
            return;
        }
        hub.by_filter.remove(filter);
        for pair in filter.iter() {
            if let Some(channels) = hub.by_pair.get_mut(pair) {
                channels.remove(&channel.id());
                if channels.is_empty() {
                    hub.by_pair.remove(pair);
                }
            }
        }
    }
}

impl Hub {
    /// Hands updates, in their order, to the channels that they concern.
    fn tell(&self, updates: &[Arc<Update>], complete: bool, before: Cursor, to: Cursor, lanes: &[Lane]) {
        let mut concerned: BTreeMap<u64, (&Arc<Channel>, Vec<Arc<Update>>)> = BTreeMap::new();
        concerned.insert(self.everything.id(), (&self.everything, updates.to_vec()));
        for update in updates.iter().filter(|_| !self.by_pair.is_empty()) {
            for (id, channel) in self.by_pair.get(&update.price.pair).into_iter().flatten() {
                concerned.entry(*id).or_insert((channel, Vec::new())).1.push(Arc::clone(update));
            }
        }
        for (channel, updates) in concerned.into_values().filter(|(_, updates)| !updates.is_empty()) {
            channel.flush(updates, complete, before.sequence, to);
            channel.call(lanes);
        }
    }

    /// Lets all channels begin another epoch.
    fn turn(&self, state: &BTreeMap<Pair, Arc<Update>>, begun: Cursor, to: Cursor, lanes: &[Lane]) {
        for channel in self.channels() {
            channel.turn(state, begun, to);
            channel.call(lanes);
        }
    }

    /// Has all channels forget pairs that are not on the board any more, of which no update has told.
    fn keep(&self, state: &BTreeMap<Pair, Arc<Update>>, to: Cursor, lanes: &[Lane]) {
        for channel in self.channels().filter(|channel| channel.keep(state, to)) {
            channel.call(lanes);
        }
    }

    fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        std::iter::once(&self.everything).chain(self.by_filter.values().map(|entry| &entry.channel))
    }
}

impl Lane {
    fn woken(&self) -> MutexGuard<'_, Vec<Arc<Channel>>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The board as it is at one place of the sequence, though it changes meanwhile.
struct Settled {
    /// The latest update of each pair; and the last of those that have left, as far as the log knows.
    state: BTreeMap<Pair, Arc<Update>>,
    /// The place.
    to: Cursor,
    /// From here on the log knows all that led there.
    begun: Cursor,
}

impl Settled {
    fn of(board: &Board) -> Self {
        loop {
            let before = board.cursor();
            let mut state: BTreeMap<_, _> =
                board.list(None, None).map(|update| (update.price.pair, update)).collect();
            // An update is listed a moment before the board's own cursor shows it.
            let listed = state.values().map(|update| update.stamp.cursor).max().unwrap_or_default();
            let to = board.cursor().max(listed);
            // What was listed early may have changed since: the log knows.
            if let Some(updates) = board.logged_between(before, to) {
                state.extend(updates.into_iter().map(|update| (update.price.pair, update)));
                let mut begun = to;
                while let Some(update) = board.logged(begun) {
                    if update.price.is_gone() {
                        state.entry(update.price.pair).or_insert(update);
                    }
                    begun.sequence -= 1;
                }
                return Self { state, to, begun };
            }
        }
    }
}
