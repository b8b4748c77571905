//! What becomes of readers when another epoch begins, and of those who come from a replica that was ahead.

use super::*;
use crate::{
    domain::price::Stamp,
    pipeline::board::{Applier, Record},
};

struct Mirrored {
    fanout: Fanout,
    applier: Applier,
}

fn record(pair: Pair, epoch: u64, sequence: u64) -> Record {
    said(pair, epoch, sequence, StatusReason::NoFreshQuotes)
}

/// The last update of a pair that leaves.
fn left(pair: Pair, epoch: u64, sequence: u64) -> Record {
    said(pair, epoch, sequence, StatusReason::NotKept)
}

fn said(pair: Pair, epoch: u64, sequence: u64, reason: StatusReason) -> Record {
    let now = DateTime::UNIX_EPOCH;
    let price = Price::unavailable(pair, reason, Origin::Simulated, now);
    let stamp = Stamp { cursor: at(epoch, sequence), publish_time: now };
    Record { update: Update::encoded(price, stamp, Bytes::new()), contributions: Vec::new(), time: now }
}

const fn at(epoch: u64, sequence: u64) -> Cursor {
    Cursor { epoch, sequence }
}

impl Mirrored {
    /// Starts with A and B at the tenth place of the fifth epoch.
    fn new() -> Self {
        let (board, applier) = Board::mirrored(Encoder::NONE);
        let mut mirrored = Self { fanout: Fanout::new(board, 1), applier };
        mirrored.replace(at(5, 10), &[(A, 9), (B, 10)]);
        mirrored
    }

    fn replace(&mut self, to: Cursor, records: &[(Pair, u64)]) {
        self.replace_knowing(to, records, Vec::new());
    }

    /// Replaces everything, and knows of updates that led there, from the newest.
    fn replace_knowing(&mut self, to: Cursor, records: &[(Pair, u64)], before: Vec<Record>) {
        let records = records.iter().map(|(pair, sequence)| record(*pair, to.epoch, *sequence));
        let before = before.into_iter().map(|record| record.update).collect();
        assert!(self.applier.replace(to, records.collect(), before));
        self.fanout.flush();
    }

    fn apply(&mut self, to: Cursor, records: &[(Pair, u64)]) {
        let records = records.iter().map(|(pair, sequence)| record(*pair, to.epoch, *sequence));
        self.applier.apply(to, records.collect());
        self.fanout.flush();
    }
}

#[tokio::test]
async fn readers_are_told_of_another_epoch_and_go_on_from_a_snapshot() {
    let mut mirrored = Mirrored::new();
    let mut readers = [None, Some([A])]
        .map(|pairs| mirrored.fanout.subscribe(pairs.as_ref().map(|pairs: &[Pair; 1]| pairs.as_slice())));
    // Its sequences are lower, and it has another pair.
    mirrored.replace(at(6, 2), &[(A, 1), (C, 2)]);
    for (reader, expected) in readers.iter_mut().zip([vec![(A, 1), (C, 2)], vec![(A, 1)]]) {
        reader.changed().await;
        assert!(matches!(reader.take(), News::Turned));
        assert!(matches!(reader.take_all(), Ok(News::Turned)), "until it has taken a snapshot");
        assert_eq!(held(&reader.snapshot()).0, expected);
        assert_eq!(reader.cursor(), at(6, 2));
        assert_eq!(taken(reader), None);
    }
    mirrored.apply(at(6, 4), &[(A, 3), (C, 4)]);
    let [all, one] = &mut readers;
    assert_eq!(taken(all), Some((vec![(A, 3), (C, 4)], 4, 0)));
    assert_eq!(taken(one), Some((vec![(A, 3)], 4, 0)));
    assert!(mirrored.fanout.resume(None, at(5, 10)).is_none());
    assert!(mirrored.fanout.resume(None, at(6, 2)).is_some());
    assert!(mirrored.fanout.resume(None, at(6, 1)).is_none(), "what came before is not known");
}

#[tokio::test]
async fn who_comes_from_a_replica_that_was_ahead_waits_and_gets_nothing_twice() {
    let mut mirrored = Mirrored::new();
    mirrored.apply(at(5, 11), &[(A, 11)]);
    assert!(mirrored.fanout.ahead(None, at(5, 11)).is_none(), "it is here already");
    let mut same = mirrored.fanout.ahead(None, at(5, 13)).unwrap();
    let mut every = mirrored.fanout.ahead(None, at(5, 13)).unwrap();
    let mut later = mirrored.fanout.ahead(None, at(6, 3)).unwrap();
    let mut overtaken = mirrored.fanout.ahead(None, at(5, 500)).unwrap();
    mirrored.apply(at(5, 12), &[(A, 12)]);
    assert_eq!((taken(&mut same), taken(&mut later)), (None, None));
    mirrored.apply(at(5, 15), &[(B, 13), (A, 14), (B, 15)]);
    same.changed().await;
    assert_eq!(taken(&mut same), Some((vec![(A, 14), (B, 15)], 15, 0)));
    assert_eq!(batch(every.take_all().unwrap()).as_ref().map(held), Some((vec![(A, 14), (B, 15)], 15, 0)));
    assert_eq!(taken(&mut later), None);
    mirrored.replace(at(6, 2), &[(A, 1), (B, 2)]);
    assert_eq!((taken(&mut later), later.cursor()), (None, at(6, 3)), "it was further already");
    assert!(matches!(overtaken.take(), News::Turned));
    mirrored.apply(at(6, 5), &[(A, 3), (B, 4), (A, 5)]);
    later.changed().await;
    assert_eq!(taken(&mut later), Some((vec![(B, 4), (A, 5)], 5, 0)));
}

#[test]
fn a_jump_within_an_epoch_tells_the_latest_and_who_wants_every_update_begins_anew() {
    let mut mirrored = Mirrored::new();
    mirrored.apply(at(5, 12), &[(A, 11), (B, 12)]);
    let mut latest = mirrored.fanout.subscribe(None);
    let mut every = mirrored.fanout.subscribe(None);
    mirrored.replace(at(5, 99), &[(A, 50), (B, 12), (C, 99)]);
    let (updates, to, _) = taken(&mut latest).unwrap();
    assert_eq!((updates, to), (vec![(A, 50), (C, 99)], 99));
    assert!(matches!(every.take_all(), Err(TooSlow)), "every update cannot be told any more");
    mirrored.apply(at(5, 100), &[(A, 100)]);
    for sequence in 10..99 {
        assert!(mirrored.fanout.resume(None, at(5, sequence)).is_none(), "nor on from {sequence}");
    }
    let mut resumed = mirrored.fanout.resume(None, at(5, 99)).unwrap();
    assert_eq!(batch(resumed.take_all().unwrap()).as_ref().map(held), Some((vec![(A, 100)], 100, 0)));
}

#[tokio::test]
async fn who_knows_of_a_pair_that_left_in_a_jump_begins_anew_and_others_go_on() {
    let mut mirrored = Mirrored::new();
    let mut all = mirrored.fanout.subscribe(None);
    let mut gone = mirrored.fanout.subscribe(Some(&[B]));
    let mut other = mirrored.fanout.subscribe(Some(&[A]));
    mirrored.replace(at(5, 99), &[(A, 50), (C, 99)]);
    for (reader, expected) in [(&mut all, vec![(A, 50), (C, 99)]), (&mut gone, vec![])] {
        reader.changed().await;
        assert!(matches!(reader.take(), News::Turned));
        assert!(matches!(reader.take_all(), Ok(News::Turned)), "until it has taken a snapshot");
        assert_eq!(held(&reader.snapshot()).0, expected);
        assert_eq!((taken(reader), reader.cursor()), (None, at(5, 99)));
    }
    assert_eq!(taken(&mut other), Some((vec![(A, 50)], 99, 0)));
    mirrored.apply(at(5, 101), &[(B, 100), (A, 101)]);
    assert_eq!(taken(&mut gone), Some((vec![(B, 100)], 101, 0)));
}

#[tokio::test]
async fn whoever_comes_to_a_replica_that_has_just_started_goes_on_where_its_log_begins() {
    let mut mirrored = Mirrored::new();
    // Two who come from elsewhere, before this one has come to that epoch.
    let mut early = mirrored.fanout.ahead(None, at(6, 96)).unwrap();
    let mut too_early = mirrored.fanout.ahead(None, at(6, 95)).unwrap();
    let before = vec![record(C, 6, 99), left(B, 6, 98), record(A, 6, 97)];
    mirrored.replace_knowing(at(6, 99), &[(A, 97), (C, 99)], before);
    let all = vec![(A, 97), (B, 98), (C, 99)];
    early.changed().await;
    assert_eq!(taken(&mut early), Some((all.clone(), 99, 0)));
    assert!(matches!(too_early.take(), News::Turned), "it is said that it begins anew");

    assert!(mirrored.fanout.resume(None, at(6, 95)).is_none());
    let mut latest = mirrored.fanout.resume(None, at(6, 96)).unwrap();
    let mut every = mirrored.fanout.resume(None, at(6, 96)).unwrap();
    let mut gone = mirrored.fanout.resume(Some(&[B]), at(6, 97)).unwrap();
    assert_eq!(taken(&mut latest), Some((all.clone(), 99, 0)));
    assert_eq!(batch(every.take_all().unwrap()).as_ref().map(held), Some((all, 99, 0)));
    assert_eq!(taken(&mut gone), Some((vec![(B, 98)], 99, 0)), "and that a pair has left");
    assert_eq!(held(&mirrored.fanout.subscribe(None).snapshot()).0, [(A, 97), (C, 99)]);
    mirrored.apply(at(6, 100), &[(B, 100)]);
    assert_eq!(taken(&mut gone), Some((vec![(B, 100)], 100, 0)));
}

#[tokio::test]
async fn a_jump_of_which_everything_is_known_is_none() {
    let mut mirrored = Mirrored::new();
    let (mut latest, mut every) = (mirrored.fanout.subscribe(None), mirrored.fanout.subscribe(None));
    mirrored.replace_knowing(at(5, 12), &[(A, 12)], vec![record(A, 5, 12), left(B, 5, 11)]);
    let all = vec![(B, 11), (A, 12)];
    assert_eq!(taken(&mut latest), Some((all.clone(), 12, 0)));
    assert_eq!(batch(every.take_all().unwrap()).as_ref().map(held), Some((all, 12, 0)));
    // Where the log does not reach so far, who wants the latest still hears that a pair has left.
    mirrored.apply(at(5, 13), &[(B, 13)]);
    assert_eq!(taken(&mut latest), Some((vec![(B, 13)], 13, 0)));
    mirrored.replace_knowing(at(5, 99), &[(A, 98)], vec![left(B, 5, 99), record(A, 5, 98)]);
    let (updates, to, _) = taken(&mut latest).unwrap();
    assert_eq!((updates, to), (vec![(A, 98), (B, 99)], 99));
    assert!(matches!(every.take_all(), Err(TooSlow)));
}
