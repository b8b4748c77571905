//! Which trades have come, as far back as has to be known.
//!
//! Ids are kept in generations. The young one is a set; once it is full, or trades of so much later begin to come, it is kept
//! as sorted numbers, which take eight bytes each. A generation is forgotten as a whole.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
    mem,
};

use chrono::{DateTime, TimeDelta, Utc};

/// How many generations there are if all are full.
const GENERATIONS: usize = 16;

/// So many trades are told as one at most; of more, the ids of the first are not known.
const MOST_JOINED: u32 = 1_000;

/// The ids of one market's trades at one venue.
///
/// A decimal number without zeros before it, up to 2⁶⁴ − 1, is kept as it is. Of other ids a hash of 64 bits is kept, with a
/// key of its own for each market and each run. So of such ids a new one is taken for a known one once in 2⁶⁴ ÷ n, where n of
/// them are kept: of a million, once in 2⁴⁴ trades, which are a thousand years of 500 trades a second.
///
/// Memory: at most twelve bytes for each of the ids that may be kept, and as much for each that is, in the mean.
#[derive(Debug)]
pub struct Seen {
    most: usize,
    span: TimeDelta,
    young: Young,
    /// When trades happen before which the young generation is not over.
    turn: DateTime<Utc>,
    /// From old to new.
    old: VecDeque<Old>,
    /// When the newest trade happened of those that were forgotten for want of room.
    lost: Option<DateTime<Utc>>,
    hasher: RandomState,
}

/// An id, as short as it can be told.
#[derive(Debug, Clone, Copy)]
enum Key {
    Number(u64),
    Hash(u64),
}

/// Numbers and hashes apart, as the one can look like the other.
#[derive(Debug, Default)]
struct Apart<T> {
    numbers: T,
    hashes: T,
}

/// The ids that come now.
#[derive(Debug, Default)]
struct Young {
    ids: Apart<HashSet<u64, foldhash::fast::RandomState>>,
    newest: DateTime<Utc>,
}

/// Ids that came together, and when the newest of their trades happened.
#[derive(Debug)]
struct Old {
    ids: Apart<Box<[u64]>>,
    newest: DateTime<Utc>,
}

impl Seen {
    /// Begins with none. So many ids are kept at most, and a generation is at most of trades of such a span.
    pub fn new(most: usize, span: TimeDelta) -> Self {
        Self {
            most,
            span,
            young: Young::default(),
            turn: DateTime::<Utc>::MIN_UTC,
            old: VecDeque::new(),
            lost: None,
            hasher: RandomState::new(),
        }
    }

    /// Remembers a trade that happened at a time; tells whether it is new. Whether it was [lost](Self::has_lost) is to be
    /// asked before, where that matters.
    pub fn insert(&mut self, time: DateTime<Utc>, id: &str) -> bool {
        self.remember(time, self.key(id))
    }

    /// Does the same for trades that are told as one: it has the last id, and theirs are the numbers before.
    pub fn insert_joined(&mut self, time: DateTime<Utc>, id: &str, count: u32) -> bool {
        let new = self.insert(time, id);
        if new && let Key::Number(last) = self.key(id) {
            let before = (1..u64::from(count.min(MOST_JOINED))).map_while(|back| last.checked_sub(back));
            before.for_each(|id| {
                self.remember(time, Key::Number(id));
            });
        }
        new
    }

    fn remember(&mut self, time: DateTime<Utc>, key: Key) -> bool {
        if self.young.holds(key) || self.old.iter().any(|old| old.holds(key)) {
            return false;
        }
        if time >= self.turn || self.young.len() >= self.full() {
            self.age();
            self.turn = self.turn.max(time.checked_add_signed(self.span).unwrap_or(DateTime::<Utc>::MAX_UTC));
        }
        self.young.insert(key, time);
        true
    }

    /// Tells whether trades of that time may have come without being remembered, for want of room.
    pub fn has_lost(&self, time: DateTime<Utc>) -> bool {
        self.lost.is_some_and(|lost| time <= lost)
    }

    /// Forgets generations that are of what was before a moment.
    pub fn forget(&mut self, time: DateTime<Utc>) {
        while self.old.front().is_some_and(|old| old.newest < time) {
            self.old.pop_front();
        }
        if self.young.newest < time && self.young.len() > 0 {
            self.young = Young::default();
        }
    }

    /// Forgets all, and that any was lost.
    pub fn clear(&mut self) {
        *self = Self::new(self.most, self.span);
    }

    /// Ends the young generation, and makes room for the next.
    fn age(&mut self) {
        if self.young.len() > 0 {
            self.old.push_back(mem::take(&mut self.young).age());
        }
        let room = self.most.saturating_sub(self.full());
        let mut kept: usize = self.old.iter().map(Old::len).sum();
        while kept > room
            && let Some(oldest) = self.old.pop_front()
        {
            kept -= oldest.len();
            self.lost = self.lost.max(Some(oldest.newest));
        }
    }

    /// Gets how many ids make a generation.
    const fn full(&self) -> usize {
        self.most.div_ceil(GENERATIONS)
    }

    fn key(&self, id: &str) -> Key {
        let plain = id.bytes().all(|byte| byte.is_ascii_digit()) && (!id.starts_with('0') || id == "0");
        match id.parse() {
            Ok(number) if plain => Key::Number(number),
            _ => Key::Hash(self.hasher.hash_one(id)),
        }
    }
}

impl<T> Apart<T> {
    /// Gets where a key belongs, and what it is there.
    const fn side(&self, key: Key) -> (&T, u64) {
        match key {
            Key::Number(number) => (&self.numbers, number),
            Key::Hash(hash) => (&self.hashes, hash),
        }
    }
}

impl Young {
    fn len(&self) -> usize {
        self.ids.numbers.len() + self.ids.hashes.len()
    }

    fn holds(&self, key: Key) -> bool {
        let (ids, key) = self.ids.side(key);
        ids.contains(&key)
    }

    fn insert(&mut self, key: Key, time: DateTime<Utc>) {
        self.newest = if self.len() == 0 { time } else { self.newest.max(time) };
        match key {
            Key::Number(number) => self.ids.numbers.insert(number),
            Key::Hash(hash) => self.ids.hashes.insert(hash),
        };
    }

    fn age(self) -> Old {
        let sorted = |ids: HashSet<u64, _>| {
            let mut ids: Box<[u64]> = ids.into_iter().collect();
            ids.sort_unstable();
            ids
        };
        let Apart { numbers, hashes } = self.ids;
        Old { ids: Apart { numbers: sorted(numbers), hashes: sorted(hashes) }, newest: self.newest }
    }
}

impl Old {
    fn len(&self) -> usize {
        self.ids.numbers.len() + self.ids.hashes.len()
    }

    fn holds(&self, key: Key) -> bool {
        let (ids, key) = self.ids.side(key);
        // Most venues count upwards: what is new is then above all that is old.
        ids.last().is_some_and(|last| key <= *last) && ids.binary_search(&key).is_ok()
    }
}

#[cfg(test)]
mod tests;
