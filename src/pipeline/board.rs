//! The only place where a current price lives.
//!
//! One writer publishes; any number of readers read. A reader takes no lock that the writer holds: the directory of
//! pairs, the latest update of each pair and the entries of the log are swapped atomically. One sequence runs over the
//! updates of all pairs; the log keeps the newest of them, so that what changed since a position can be told without a
//! queue for each reader.
//!
//! The writer is a [`Publisher`], which gives each price its place; or, among replicas, an [`Applier`], which takes
//! updates with the places that whoever leads has given them.

mod applier;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;
use tokio::sync::watch;

pub use self::applier::{Applier, Record};
use super::message::Message;
use crate::domain::{
    aggregate::Contribution,
    pair::{Asset, Pair},
    price::{Cursor, Price, Stamp, StatusReason},
};

/// Updates that the log keeps; a power of two.
pub(super) const LOG: usize = 1 << 14;

/// Turns what is published into what leaves the service: bytes that are opaque here.
#[derive(Debug, Clone, Copy)]
pub struct Encoder {
    /// Encodes a price. Called once for each update.
    pub price: fn(&Price, Stamp) -> Bytes,
    /// Encodes a message of a stream out of its encoded prices. Called once for each message, however many get it.
    pub message: fn(&Message) -> Bytes,
}

impl Encoder {
    /// Encodes nothing: for a board that nobody outside reads.
    pub const NONE: Self = Self { price: |_, _| Bytes::new(), message: |_| Bytes::new() };
}

/// Reads what an [`Encoder`] has made of a price; nothing where that is none.
pub type Decode = fn(&Bytes) -> Option<(Price, Stamp)>;

/// A published price.
#[derive(Debug)]
pub struct Update {
    /// The price.
    pub price: Price,
    /// Its place in the sequence.
    pub stamp: Stamp,
    /// The two as they leave the service.
    pub encoded: Bytes,
    /// The same as text, once somebody has asked for it.
    pub text: OnceLock<Bytes>,
    /// The same without its number, once somebody was not to see it.
    blank: OnceLock<Arc<Self>>,
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
    newest: Cursor,
}

/// How often something was encoded since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encodings {
    /// Prices: the published ones, and those derived when read.
    pub prices: u64,
    /// Messages of streams.
    pub messages: u64,
}

/// Some of the pairs, in their order.
type Slots = Arc<[Arc<Slot>]>;

/// The pairs on the board. Nobody but the writer puts a name into it, so its hashes need not withstand attacks.
#[derive(Debug, Default)]
struct Directory {
    slots: HashMap<Pair, Arc<Slot>, RandomState>,
    all: Slots,
    /// Those that have an asset on either side.
    by_asset: HashMap<Asset, Slots, RandomState>,
}

/// One pair's place.
#[derive(Debug)]
struct Slot {
    pair: Pair,
    latest: ArcSwap<Update>,
    /// Of the latest update. Apart from it: who reads prices touches no more memory than has to be shared.
    explanation: ArcSwap<Explanation>,
}

struct Shared {
    encoder: Encoder,
    directory: ArcSwap<Directory>,
    log: Box<[ArcSwapOption<Update>]>,
    head: watch::Sender<Cursor>,
    counts: Counts,
    mirrored: bool,
}

/// Counts that change with every update: away from what every reader reads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts {
    prices: AtomicU64,
    messages: AtomicU64,
    ageings: AtomicU64,
}

impl Update {
    /// Takes a price that was published elsewhere, as it was encoded there.
    pub fn encoded(price: Price, stamp: Stamp, encoded: Bytes) -> Arc<Self> {
        Arc::new(Self { price, stamp, encoded, text: OnceLock::new(), blank: OnceLock::new() })
    }
}

impl Board {
    /// Makes an empty board and its one writer.
    pub fn new(epoch: u64, encoder: Encoder) -> (Self, Publisher) {
        let newest = Cursor { epoch, sequence: 0 };
        let board = Self::empty(newest, encoder, false);
        (board.clone(), Publisher { board, newest })
    }

    /// Makes an empty board that takes updates of others, and what puts them there. It has no epoch yet.
    pub fn mirrored(encoder: Encoder) -> (Self, Applier) {
        let board = Self::empty(Cursor::default(), encoder, true);
        (board.clone(), Applier::new(board))
    }

    fn empty(head: Cursor, encoder: Encoder, mirrored: bool) -> Self {
        Self(Arc::new(Shared {
            encoder,
            directory: ArcSwap::default(),
            log: (0..LOG).map(|_| ArcSwapOption::empty()).collect(),
            head: watch::Sender::new(head),
            counts: Counts::default(),
            mirrored,
        }))
    }

    /// Gets the latest price of a pair, if the pair is on the board.
    pub fn get(&self, pair: Pair) -> Option<Arc<Update>> {
        self.0.directory.load().slots.get(&pair).map(|slot| slot.update())
    }

    /// Gets the latest price of a pair with what it was made of.
    pub fn explain(&self, pair: Pair) -> Option<Arc<Explanation>> {
        self.0.directory.load().slots.get(&pair).map(|slot| slot.explanation.load_full())
    }

    /// Tells whether a pair is on the board.
    pub fn contains(&self, pair: Pair) -> bool {
        self.0.directory.load().slots.contains_key(&pair)
    }

    /// Lists the latest prices in the order of their pairs, from the first pair after `after`: all, or those of the
    /// pairs that have an asset on either side.
    pub fn list(&self, of: Option<Asset>, after: Option<Pair>) -> impl Iterator<Item = Arc<Update>> + use<> {
        let slots = self.slots(of);
        let start = after.map_or(0, |after| slots.partition_point(|slot| slot.pair <= after));
        (start..slots.len()).map_while(move |at| slots.get(at).map(|slot| slot.update()))
    }

    /// Lists the same in the reverse order, from the last pair before `before`.
    pub fn list_reversed(
        &self,
        of: Option<Asset>,
        before: Option<Pair>,
    ) -> impl Iterator<Item = Arc<Update>> + use<> {
        let slots = self.slots(of);
        let end = before.map_or(slots.len(), |before| slots.partition_point(|slot| slot.pair < before));
        (0..end).rev().map_while(move |at| slots.get(at).map(|slot| slot.update()))
    }

    /// Tells how many pairs have an asset on either side.
    pub fn degree(&self, asset: Asset) -> usize {
        self.0.directory.load().by_asset.get(&asset).map_or(0, |slots| slots.len())
    }

    fn slots(&self, of: Option<Asset>) -> Slots {
        let directory = self.0.directory.load();
        match of {
            None => Arc::clone(&directory.all),
            Some(asset) => directory.by_asset.get(&asset).cloned().unwrap_or_default(),
        }
    }

    /// Gets the place of the newest update.
    pub fn cursor(&self) -> Cursor {
        *self.0.head.borrow()
    }

    /// Follows the place of the newest update.
    pub(super) fn head(&self) -> watch::Receiver<Cursor> {
        self.0.head.subscribe()
    }

    /// Encodes a price that is not on the board, such as one derived when read.
    pub fn encode(&self, price: Price, stamp: Stamp) -> Arc<Update> {
        self.0.counts.prices.fetch_add(1, Relaxed);
        let encoded = (self.0.encoder.price)(&price, stamp);
        Update::encoded(price, stamp, encoded)
    }

    /// Takes the number from a price.
    pub fn blank(&self, update: &Arc<Update>) -> Arc<Update> {
        let blank = || self.encode(Price { value: None, ..update.price.clone() }, update.stamp);
        Arc::clone(update.blank.get_or_init(blank))
    }

    /// Encodes a message of a stream.
    pub(super) fn encode_message(&self, message: &Message) -> Bytes {
        self.0.counts.messages.fetch_add(1, Relaxed);
        (self.0.encoder.message)(message)
    }

    /// Tells how often something was encoded.
    pub fn encodings(&self) -> Encodings {
        let Counts { prices, messages, .. } = &self.0.counts;
        Encodings { prices: prices.load(Relaxed), messages: messages.load(Relaxed) }
    }

    /// Tells whether it takes updates of others.
    pub fn is_mirrored(&self) -> bool {
        self.0.mirrored
    }

    /// Tells how often prices were said to have grown old in their places.
    pub fn ageings(&self) -> u64 {
        self.0.counts.ageings.load(Relaxed)
    }

    /// Gets what has become of an update in its place: itself, or the same price grown old.
    pub(super) fn aged(&self, update: &Arc<Update>) -> Arc<Update> {
        let latest = (self.ageings() > 0).then(|| self.get(update.price.pair)).flatten();
        latest.filter(|latest| latest.stamp == update.stamp).unwrap_or_else(|| Arc::clone(update))
    }

    /// Tells how many pairs are on the board.
    pub fn len(&self) -> usize {
        self.0.directory.load().all.len()
    }

    /// Tells whether no pair is on the board.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gets the update with a place in the sequence, unless the log has moved past it.
    pub(super) fn logged(&self, at: Cursor) -> Option<Arc<Update>> {
        let update = self.entry(at.sequence)?.load_full()?;
        (update.stamp.cursor == at).then_some(update)
    }

    /// Gets the updates after a place up to another of the same epoch; nothing if the log has moved past the first.
    pub(super) fn logged_between(&self, after: Cursor, to: Cursor) -> Option<Vec<Arc<Update>>> {
        let same_epoch = after.epoch == to.epoch;
        let places = (after.sequence + 1..=to.sequence).map(|sequence| Cursor { sequence, ..to });
        same_epoch.then(|| places.map(|at| self.logged(at)).collect()).flatten()
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
        let mut sorted = self.board.0.directory.load().all.to_vec();
        for price in prices {
            sorted.push(Arc::new(Slot::new(self.stamp(price, now), Vec::new(), now)));
        }
        sorted.sort_by_key(|slot| slot.pair);
        self.board.0.directory.store(Arc::new(Directory::of(sorted)));
        self.board.0.head.send_replace(self.newest);
    }

    /// Publishes a price with what it was made of.
    pub fn publish(&mut self, price: Price, contributions: Vec<Contribution>, now: DateTime<Utc>) {
        let pair = price.pair;
        let update = self.stamp(price, now);
        let directory = self.board.0.directory.load();
        if let Some(slot) = directory.slots.get(&pair) {
            let explanation = Explanation { update: Arc::clone(&update), contributions, time: now };
            slot.explanation.store(Arc::new(explanation));
            slot.latest.store(update);
        } else {
            let mut sorted = directory.all.to_vec();
            let at = sorted.partition_point(|other| other.pair < pair);
            sorted.insert(at, Arc::new(Slot::new(update, contributions, now)));
            self.board.0.directory.store(Arc::new(Directory::of(sorted)));
        }
        // After the entry and the slot: who sees the head sees them too.
        self.board.0.head.send_replace(self.newest);
    }

    /// Explains the latest price of a pair anew: it was looked at again, and is what it was.
    pub fn explain(&mut self, pair: Pair, contributions: Vec<Contribution>, now: DateTime<Utc>) {
        if let Some(slot) = self.board.0.directory.load().slots.get(&pair) {
            slot.explanation.store(Arc::new(Explanation { update: slot.update(), contributions, time: now }));
        }
    }

    /// Takes a pair off the board. Its last update says that it is gone.
    pub fn remove(&mut self, pair: Pair, now: DateTime<Utc>) {
        let directory = self.board.0.directory.load();
        let Some(slot) = directory.slots.get(&pair) else { return };
        let gone = Price::unavailable(pair, StatusReason::NotKept, slot.update().price.origin, now);
        let rest = directory.all.iter().filter(|slot| slot.pair != pair).cloned().collect();
        self.board.0.directory.store(Arc::new(Directory::of(rest)));
        self.stamp(gone, now);
        self.board.0.head.send_replace(self.newest);
    }

    /// Gives a price its place, encodes it, and enters it in the log.
    fn stamp(&mut self, price: Price, now: DateTime<Utc>) -> Arc<Update> {
        self.newest.sequence += 1;
        let update = self.board.encode(price, Stamp { cursor: self.newest, publish_time: now });
        if let Some(entry) = self.board.entry(self.newest.sequence) {
            entry.store(Some(Arc::clone(&update)));
        }
        update
    }
}

impl Directory {
    fn of(sorted: Vec<Arc<Slot>>) -> Self {
        let mut by_asset: HashMap<Asset, Vec<Arc<Slot>>, RandomState> = HashMap::default();
        for slot in &sorted {
            for asset in [slot.pair.base, slot.pair.quote] {
                by_asset.entry(asset).or_default().push(Arc::clone(slot));
            }
        }
        Self {
            slots: sorted.iter().map(|slot| (slot.pair, Arc::clone(slot))).collect(),
            all: sorted.into(),
            by_asset: by_asset.into_iter().map(|(asset, slots)| (asset, slots.into())).collect(),
        }
    }
}

impl Slot {
    fn new(update: Arc<Update>, contributions: Vec<Contribution>, time: DateTime<Utc>) -> Self {
        let explanation = Explanation { update: Arc::clone(&update), contributions, time };
        Self {
            pair: update.price.pair,
            latest: ArcSwap::new(update),
            explanation: ArcSwap::from_pointee(explanation),
        }
    }

    fn update(&self) -> Arc<Update> {
        self.latest.load_full()
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}
