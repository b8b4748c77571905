//! Puts onto a board what whoever leads has published, under its epoch and its sequence.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Board, Directory, Explanation, LOG, Slot, Update};
use crate::domain::{
    aggregate::Contribution,
    pair::Pair,
    price::{Cursor, Price, Status, StatusReason},
};

/// Writes a board with updates that have their places already. There is one.
///
/// Nothing goes back: what has a place that is not after the board's own is not taken.
#[derive(Debug)]
pub struct Applier {
    board: Board,
}

/// One update, and what it was made of.
#[derive(Debug, Clone)]
pub struct Record {
    /// The price with its place. The last of a pair says that it is gone.
    pub update: Arc<Update>,
    /// What each venue said. An update that was superseded before it was applied need not tell.
    pub contributions: Vec<Contribution>,
    /// When it was looked at.
    pub time: DateTime<Utc>,
}

impl Applier {
    pub(super) const fn new(board: Board) -> Self {
        Self { board }
    }

    /// Gets the board that this writes.
    pub const fn board(&self) -> &Board {
        &self.board
    }

    /// Replaces the whole board by what it is at a place: that of another epoch, or a later one of this epoch, of which
    /// what lies between is not known, but for the last updates `before` that place, from the newest. Tells whether that is
    /// ahead.
    pub fn replace(&mut self, to: Cursor, records: Vec<Record>, before: Vec<Arc<Update>>) -> bool {
        let ahead = to > self.board.cursor();
        if ahead {
            let kept = records.into_iter().filter(|record| !record.update.price.is_gone());
            let newest: BTreeMap<Pair, Record> =
                kept.map(|record| (record.update.price.pair, record)).collect();
            let slots = newest.into_values().map(|record| Arc::new(record.slot())).collect();
            // What was before leads nowhere, unless it leads here without a hole.
            self.board.0.log.iter().for_each(|entry| entry.store(None));
            let places = (1..=to.sequence).rev().map(|sequence| Cursor { sequence, ..to });
            let before = before.into_iter().zip(places).take(LOG);
            for (update, at) in before.take_while(|(update, at)| update.stamp.cursor == *at) {
                if let Some(entry) = self.board.entry(at.sequence) {
                    entry.store(Some(update));
                }
            }
            self.board.0.directory.store(Arc::new(Directory::of(slots)));
            self.board.0.head.send_replace(to);
        }
        ahead
    }

    /// Takes the updates that come next, in their order, and moves on to a place of the same epoch.
    pub fn apply(&mut self, to: Cursor, records: Vec<Record>) {
        let head = self.board.cursor();
        if to <= head {
            return;
        }
        let mut newest = BTreeMap::new();
        for record in records {
            let cursor = record.update.stamp.cursor;
            if cursor > head && cursor.epoch == to.epoch {
                if let Some(entry) = self.board.entry(cursor.sequence) {
                    entry.store(Some(Arc::clone(&record.update)));
                }
                newest.insert(record.update.price.pair, record);
            }
        }
        // The log before the slots, and both before the head: who sees the one sees the other.
        self.place(newest);
        self.board.0.head.send_replace(to);
    }

    /// Says of prices that were observed too long ago that they are STALE: whoever leads has not been heard of, and would
    /// have said so. They keep their places, and what comes next of their pairs takes their place as ever.
    pub fn age(&mut self, max_age: TimeDelta, now: DateTime<Utc>) {
        for slot in self.board.0.directory.load().all.iter() {
            let known = slot.explanation.load_full();
            let price = &known.update.price;
            let fresh = matches!(price.status, Status::Live | Status::Degraded);
            if !fresh || price.value.is_none_or(|value| now - value.observe_time <= max_age) {
                continue;
            }
            let (status, status_reason) = (Status::Stale, Some(StatusReason::NoFreshQuotes));
            let update = Price { status, status_reason, ..price.clone() };
            let update = self.board.encode(update, known.update.stamp);
            let contributions = known.contributions.clone();
            slot.set(Record { update, contributions, time: known.time });
            self.board.0.counts.ageings.fetch_add(1, Relaxed);
        }
    }

    /// Puts the newest of some pairs in their places.
    fn place(&self, newest: BTreeMap<Pair, Record>) {
        let directory = self.board.0.directory.load();
        let mut changed: Option<BTreeMap<Pair, Arc<Slot>>> = None;
        for (pair, record) in newest {
            let gone = record.update.price.is_gone();
            match directory.slots.get(&pair) {
                Some(slot) if !gone => slot.set(record),
                None if gone => {}
                _ => {
                    let all = || directory.all.iter().map(|slot| (slot.pair, Arc::clone(slot))).collect();
                    let slots = changed.get_or_insert_with(all);
                    if gone {
                        slots.remove(&pair);
                    } else {
                        slots.insert(pair, Arc::new(record.slot()));
                    }
                }
            }
        }
        if let Some(slots) = changed {
            self.board.0.directory.store(Arc::new(Directory::of(slots.into_values().collect())));
        }
    }
}

impl Record {
    fn slot(self) -> Slot {
        Slot::new(self.update, self.contributions, self.time)
    }
}

impl Slot {
    fn set(&self, Record { update, contributions, time }: Record) {
        let explanation = Explanation { update: Arc::clone(&update), contributions, time };
        self.explanation.store(Arc::new(explanation));
        self.latest.store(update);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        domain::price::{Origin, Stamp, Value},
        pipeline::board::Encoder,
    };

    const A: Pair = Pair::literal("A", "USD");
    const B: Pair = Pair::literal("B", "USD");
    const START: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn board() -> (Board, Applier) {
        let price = |price: &Price, stamp: Stamp| format!("{:?} {stamp:?}", price.status).into();
        Board::mirrored(Encoder { price, message: |_| Bytes::new() })
    }

    fn record(pair: Pair, epoch: u64, sequence: u64, number: Option<i64>) -> Record {
        let mut price = Price::unavailable(pair, StatusReason::NotKept, Origin::Simulated, START);
        if let Some(number) = number {
            let [bid, ask] = [None; 2];
            let (observe_time, receive_time) = (START, START);
            let value = (number.into(), 0.into());
            let (price_, dispersion_bps) = value;
            price.value = Some(Value { price: price_, bid, ask, dispersion_bps, observe_time, receive_time });
            (price.status, price.status_reason) = (Status::Live, None);
        }
        let stamp = Stamp { cursor: Cursor { epoch, sequence }, publish_time: START };
        let update = Update::encoded(price, stamp, Bytes::from_static(b"theirs"));
        Record { update, contributions: Vec::new(), time: START }
    }

    fn shown(board: &Board) -> Vec<(Pair, u64, u64)> {
        let place = |update: Arc<Update>| {
            let Cursor { epoch, sequence } = update.stamp.cursor;
            (update.price.pair, epoch, sequence)
        };
        board.list(None, None).map(place).collect()
    }

    const fn at(epoch: u64, sequence: u64) -> Cursor {
        Cursor { epoch, sequence }
    }

    #[test]
    fn updates_keep_their_places_and_what_comes_late_or_twice_changes_nothing() {
        let (board, mut applier) = board();
        assert!(applier.replace(
            at(5, 7),
            vec![record(A, 5, 3, Some(1)), record(B, 5, 7, Some(1))],
            Vec::new()
        ));
        applier.apply(at(5, 9), vec![record(A, 5, 8, Some(2)), record(A, 5, 9, Some(3))]);
        let expected = vec![(A, 5, 9), (B, 5, 7)];
        assert_eq!((board.cursor(), shown(&board)), (at(5, 9), expected.clone()));
        assert_eq!(board.logged_between(at(5, 7), at(5, 9)).map(|updates| updates.len()), Some(2));
        assert!(board.logged_between(at(5, 6), at(5, 9)).is_none(), "what came before is not known");
        applier.apply(at(5, 9), vec![record(A, 5, 9, Some(4))]);
        applier.apply(at(5, 10), vec![record(A, 5, 8, Some(4)), record(B, 5, 10, None)]);
        assert_eq!((board.cursor(), shown(&board)), (at(5, 10), vec![(A, 5, 9)]));
        assert!(!applier.replace(at(5, 4), Vec::new(), Vec::new()));
        assert!(!applier.replace(at(4, 99), Vec::new(), Vec::new()));
        assert_eq!(board.get(A).unwrap().price.value.unwrap().price, 3.into());
    }

    #[test]
    fn after_a_jump_nobody_goes_on_from_before_it() {
        let (board, mut applier) = board();
        applier.replace(at(5, 7), vec![record(A, 5, 7, Some(1))], Vec::new());
        applier.apply(at(5, 9), vec![record(A, 5, 8, Some(2)), record(A, 5, 9, Some(3))]);
        assert!(board.logged(at(5, 8)).is_some());
        assert!(applier.replace(at(5, 90), vec![record(A, 5, 90, Some(4))], Vec::new()));
        for sequence in 1..=90 {
            assert!(board.logged(at(5, sequence)).is_none(), "{sequence}");
        }
        applier.apply(at(5, 91), vec![record(A, 5, 91, Some(5))]);
        assert_eq!(board.logged_between(at(5, 90), at(5, 91)).map(|updates| updates.len()), Some(1));
    }

    #[test]
    fn what_came_before_is_known_as_far_back_as_there_is_no_hole() {
        let (board, mut applier) = board();
        let before = |sequences: &[u64]| -> Vec<_> {
            sequences.iter().map(|sequence| record(A, 5, *sequence, Some(1)).update).collect()
        };
        applier.replace(at(5, 90), vec![record(A, 5, 90, Some(1))], before(&[90, 89, 88, 86]));
        let known = |from| board.logged_between(at(5, from), at(5, 90)).map(|updates| updates.len());
        assert_eq!([known(89), known(87), known(86), known(85)], [Some(1), Some(3), None, None]);
        applier.replace(at(5, 99), vec![record(A, 5, 99, Some(1))], before(&[98, 97]));
        assert!(board.logged(at(5, 98)).is_none(), "it does not lead to where the board is");
        applier.replace(at(6, 1), vec![record(A, 6, 1, Some(1))], before(&[1]));
        assert!(board.logged(at(6, 1)).is_none(), "it is of another epoch");
    }

    #[test]
    fn another_epoch_replaces_everything_though_its_sequences_are_lower() {
        let (board, mut applier) = board();
        applier.replace(at(5, 700), vec![record(A, 5, 700, Some(1))], Vec::new());
        assert!(applier.replace(at(6, 2), vec![record(B, 6, 2, Some(1))], Vec::new()));
        assert_eq!((board.cursor(), shown(&board)), (at(6, 2), vec![(B, 6, 2)]));
        assert!(!board.contains(A));
        applier.apply(at(6, 3), vec![record(A, 5, 701, Some(1))]);
        assert!(!board.contains(A), "it is of another epoch");
    }

    #[test]
    fn what_has_grown_old_is_stale_in_its_place_until_something_newer_comes() {
        let (board, mut applier) = board();
        applier.replace(at(5, 7), vec![record(A, 5, 7, Some(1))], Vec::new());
        let second = TimeDelta::seconds(1);
        applier.age(second, START + second);
        let update = board.get(A).unwrap();
        assert_eq!((update.price.status, &update.encoded[..]), (Status::Live, &b"theirs"[..]));
        applier.age(second, START + second * 2);
        let update = board.get(A).unwrap();
        let price = &update.price;
        assert_eq!((price.status, price.status_reason), (Status::Stale, Some(StatusReason::NoFreshQuotes)));
        assert_eq!((update.stamp.cursor, board.cursor()), (at(5, 7), at(5, 7)));
        assert!(update.encoded.starts_with(b"Stale"), "{:?}", update.encoded);
        assert_eq!(board.explain(A).unwrap().update.price.status, Status::Stale);
        applier.apply(at(5, 8), vec![record(A, 5, 8, Some(1))]);
        assert_eq!(board.get(A).unwrap().price.status, Status::Live);
    }
}
