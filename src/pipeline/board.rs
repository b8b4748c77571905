//! The only place where a current price lives.
//!
//! One writer publishes; any number of readers read. A reader takes no lock that the writer holds: the directory of
//! pairs, the latest update of each pair and the entries of the log are swapped atomically. One sequence runs over the
//! updates of all pairs; the log keeps the newest of them, so that a subscription can tell what changed since a
//! position without a queue of its own.

use std::{collections::HashMap, fmt, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::subscription::Subscription;
use crate::domain::{
    aggregate::Contribution,
    pair::{Asset, Pair},
    price::{Cursor, Price, Stamp},
};

/// Updates that the log keeps; a power of two.
const LOG: usize = 1 << 14;

/// A price in the form in which it leaves the service: opaque here.
pub type Encoded = Bytes;

/// Turns a published price into what leaves the service. Called once for each update.
pub type Encoder = fn(&Price, Stamp) -> Encoded;

/// A published price.
#[derive(Debug)]
pub struct Update {
    /// The price.
    pub price: Price,
    /// Its place in the sequence.
    pub stamp: Stamp,
    /// The two as they leave the service.
    pub encoded: Encoded,
}

/// How a published price came about.
#[derive(Debug)]
pub struct Explanation {
    /// The price.
    pub update: Arc<Update>,
    /// What each venue said when the price was last looked at; empty for a derived price.
    pub contributions: Vec<Contribution>,
    /// When it was last looked at.
    pub time: DateTime<Utc>,
}

/// Reads the board. Clones read the same board.
#[derive(Clone)]
pub struct Board(Arc<Shared>);

/// Writes the board. There is one.
#[derive(Debug)]
pub struct Publisher {
    board: Board,
    sequence: u64,
}

/// The pairs on the board.
#[derive(Debug, Default)]
pub(super) struct Directory {
    slots: HashMap<Pair, Arc<Slot>>,
    sorted: Vec<Arc<Slot>>,
    by_asset: HashMap<Asset, Vec<Arc<Slot>>>,
}

/// One pair's place.
#[derive(Debug)]
pub(super) struct Slot {
    pair: Pair,
    latest: ArcSwap<Explanation>,
}

struct Shared {
    epoch: u64,
    encoder: Encoder,
    directory: ArcSwap<Directory>,
    log: Box<[ArcSwapOption<Update>]>,
    head: watch::Sender<u64>,
}

impl Board {
    /// Makes an empty board and its one writer.
    pub fn new(epoch: u64, encoder: Encoder) -> (Self, Publisher) {
        let board = Self(Arc::new(Shared {
            epoch,
            encoder,
            directory: ArcSwap::default(),
            log: (0..LOG).map(|_| ArcSwapOption::empty()).collect(),
            head: watch::Sender::new(0),
        }));
        (board.clone(), Publisher { board, sequence: 0 })
    }

    /// Gets the latest price of a pair, if the pair is on the board.
    pub fn get(&self, pair: Pair) -> Option<Arc<Update>> {
        self.explain(pair).map(|explanation| Arc::clone(&explanation.update))
    }

    /// Gets the latest price of a pair with what it was made of.
    pub fn explain(&self, pair: Pair) -> Option<Arc<Explanation>> {
        self.0.directory.load().slots.get(&pair).map(|slot| slot.latest.load_full())
    }

    /// Tells whether a pair is on the board.
    pub fn contains(&self, pair: Pair) -> bool {
        self.0.directory.load().slots.contains_key(&pair)
    }

    /// Lists the latest prices in the order of their pairs, from the first pair after `after`.
    pub fn list(&self, after: Option<Pair>) -> impl Iterator<Item = Arc<Update>> {
        let directory = self.0.directory.load_full();
        let start = after.map_or(0, |after| directory.sorted.partition_point(|slot| slot.pair <= after));
        (start..directory.sorted.len())
            .map_while(move |at| directory.sorted.get(at).map(|slot| slot.update()))
    }

    /// Lists the latest prices in the reverse order of their pairs, from the last pair before `before`.
    pub fn list_reversed(&self, before: Option<Pair>) -> impl Iterator<Item = Arc<Update>> {
        let directory = self.0.directory.load_full();
        let all = directory.sorted.len();
        let end = before.map_or(all, |before| directory.sorted.partition_point(|slot| slot.pair < before));
        (0..end).rev().map_while(move |at| directory.sorted.get(at).map(|slot| slot.update()))
    }

    /// Lists the latest prices of the pairs that have an asset on either side.
    pub fn with_asset(&self, asset: Asset) -> Vec<Arc<Update>> {
        let directory = self.0.directory.load();
        directory
            .by_asset
            .get(&asset)
            .map(|slots| slots.iter().map(|slot| slot.update()).collect())
            .unwrap_or_default()
    }

    /// Gets the place of the newest update.
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.0.epoch, sequence: *self.0.head.borrow() }
    }

    /// Subscribes to some pairs, or to all, from the newest update on.
    pub fn subscribe(&self, pairs: Option<Vec<Pair>>) -> Subscription {
        let head = self.0.head.subscribe();
        let newest = *head.borrow();
        Subscription::new(self.clone(), pairs, head, newest)
    }

    /// Subscribes from an earlier position on, if it is one of this board that the log still reaches.
    pub fn resume(&self, pairs: Option<Vec<Pair>>, after: Cursor) -> Option<Subscription> {
        let head = self.0.head.subscribe();
        let newest = *head.borrow();
        let reached = after.sequence == newest || self.logged(after.sequence.checked_add(1)?).is_some();
        let known = after.epoch == self.0.epoch && after.sequence <= newest && reached;
        known.then(|| Subscription::new(self.clone(), pairs, head, after.sequence))
    }

    /// Encodes a price that is not on the board, such as one derived when read.
    pub fn encode(&self, price: Price, stamp: Stamp) -> Arc<Update> {
        let encoded = (self.0.encoder)(&price, stamp);
        Arc::new(Update { price, stamp, encoded })
    }

    /// Gets the update with a sequence number, unless the log has moved past it.
    pub(super) fn logged(&self, sequence: u64) -> Option<Arc<Update>> {
        let update = self.entry(sequence)?.load_full()?;
        (update.stamp.cursor.sequence == sequence).then_some(update)
    }

    fn entry(&self, sequence: u64) -> Option<&ArcSwapOption<Update>> {
        let at = usize::try_from(sequence % LOG as u64).ok()?;
        self.0.log.get(at)
    }
}

impl Publisher {
    /// Gets the board that this writes.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Puts pairs on the board, all at once: cheaper than one by one where there are thousands.
    pub fn register(&mut self, prices: Vec<Price>, now: DateTime<Utc>) {
        let mut sorted = self.board.0.directory.load().sorted.clone();
        for price in prices {
            let pair = price.pair;
            let explanation = self.stamp(price, Vec::new(), now);
            sorted.push(Arc::new(Slot { pair, latest: ArcSwap::new(explanation) }));
        }
        sorted.sort_by_key(|slot| slot.pair);
        self.board.0.directory.store(Arc::new(Directory::of(sorted)));
        self.board.0.head.send_replace(self.sequence);
    }

    /// Publishes a price with what it was made of.
    pub fn publish(&mut self, price: Price, contributions: Vec<Contribution>, now: DateTime<Utc>) {
        let pair = price.pair;
        let explanation = self.stamp(price, contributions, now);
        let directory = self.board.0.directory.load();
        if let Some(slot) = directory.slots.get(&pair) {
            slot.latest.store(explanation);
        } else {
            let mut sorted = directory.sorted.clone();
            let at = sorted.partition_point(|other| other.pair < pair);
            sorted.insert(at, Arc::new(Slot { pair, latest: ArcSwap::new(explanation) }));
            self.board.0.directory.store(Arc::new(Directory::of(sorted)));
        }
        // After the entry and the slot: who sees the head sees them too.
        self.board.0.head.send_replace(self.sequence);
    }

    /// Explains the latest price of a pair anew: it was looked at again, and is what it was.
    pub fn explain(&mut self, pair: Pair, contributions: Vec<Contribution>, now: DateTime<Utc>) {
        if let Some(slot) = self.board.0.directory.load().slots.get(&pair) {
            slot.latest.store(Arc::new(Explanation { update: slot.update(), contributions, time: now }));
        }
    }

    /// Takes a pair off the board.
    pub fn remove(&mut self, pair: Pair) {
        let directory = self.board.0.directory.load();
        if directory.slots.contains_key(&pair) {
            let rest = directory.sorted.iter().filter(|slot| slot.pair != pair).cloned().collect();
            self.board.0.directory.store(Arc::new(Directory::of(rest)));
        }
    }

    /// Gives a price its place, encodes it, and enters it in the log.
    fn stamp(
        &mut self,
        price: Price,
        contributions: Vec<Contribution>,
        now: DateTime<Utc>,
    ) -> Arc<Explanation> {
        self.sequence += 1;
        let cursor = Cursor { epoch: self.board.0.epoch, sequence: self.sequence };
        let update = self.board.encode(price, Stamp { cursor, publish_time: now });
        if let Some(entry) = self.board.entry(self.sequence) {
            entry.store(Some(Arc::clone(&update)));
        }
        Arc::new(Explanation { update, contributions, time: now })
    }
}

impl Directory {
    fn of(sorted: Vec<Arc<Slot>>) -> Self {
        let mut directory = Self::default();
        for slot in &sorted {
            directory.slots.insert(slot.pair, Arc::clone(slot));
            for asset in [slot.pair.base, slot.pair.quote] {
                directory.by_asset.entry(asset).or_default().push(Arc::clone(slot));
            }
        }
        directory.sorted = sorted;
        directory
    }
}

impl Slot {
    fn update(&self) -> Arc<Update> {
        Arc::clone(&self.latest.load().update)
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}
