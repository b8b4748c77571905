//! Readers in step, behind, late, filtered, and beside a writer that does not wait.

mod epochs;

use bytes::Bytes;
use chrono::DateTime;

use super::*;
use crate::{
    domain::price::{Origin, Price, StatusReason},
    pipeline::{
        board::{Encoder, LOG, Publisher},
        message::{Batch, MessageKind},
    },
};

const A: Pair = Pair::literal("A", "USD");
const B: Pair = Pair::literal("B", "USD");
const C: Pair = Pair::literal("C", "USD");

struct Bench {
    fanout: Fanout,
    publisher: Publisher,
}

impl Bench {
    fn new() -> Self {
        let encoder = Encoder { price: |_, _| Bytes::new(), message: |_| Bytes::new() };
        let (board, publisher) = Board::new(7, encoder);
        Self { fanout: Fanout::new(board, 2), publisher }
    }

    /// Publishes, without a flush.
    fn publish(&mut self, pairs: &[Pair]) {
        let now = DateTime::UNIX_EPOCH;
        for pair in pairs {
            let price = Price::unavailable(*pair, StatusReason::NoFreshQuotes, Origin::Simulated, now);
            self.publisher.publish(price, Vec::new(), now);
        }
    }

    fn flush(&mut self, pairs: &[Pair]) {
        self.publish(pairs);
        self.fanout.flush();
    }

    fn remove(&mut self, pair: Pair) {
        self.publisher.remove(pair, DateTime::UNIX_EPOCH);
        self.fanout.flush();
    }
}

/// Updates, where they go to, and how many were left out.
type Held = (Vec<(Pair, u64)>, u64, u64);

/// What a batch holds.
fn held(batch: &Batch) -> Held {
    let place = |update: &Arc<Update>| (update.price.pair, update.stamp.cursor.sequence);
    let updates = batch.iter().flat_map(|message| &message.updates).map(place).collect();
    let to = batch.last().unwrap().cursor.sequence;
    (updates, to, batch.iter().map(|message| message.skipped).sum())
}

fn taken(subscription: &mut Subscription) -> Option<Held> {
    batch(subscription.take()).as_ref().map(held)
}

/// What news there is, which is not that of another epoch.
fn batch(news: News) -> Option<Batch> {
    match news {
        News::Nothing => None,
        News::Batch(batch) => Some(batch),
        News::Turned => panic!("another epoch"),
    }
}

#[tokio::test]
async fn a_flush_tells_the_latest_of_each_pair_and_only_to_those_who_asked() {
    let mut bench = Bench::new();
    bench.flush(&[A]);
    let mut all = bench.fanout.subscribe(None);
    let mut only_b = bench.fanout.subscribe(Some(&[B]));
    bench.flush(&[A, B, A, A, B, A]);
    all.changed().await;
    assert_eq!(taken(&mut all), Some((vec![(B, 6), (A, 7)], 7, 4)));
    assert_eq!(taken(&mut all), None);
    assert_eq!(taken(&mut only_b), Some((vec![(B, 6)], 7, 1)));
    bench.flush(&[A]);
    assert_eq!(taken(&mut only_b), None);
    assert_eq!(only_b.cursor().sequence, 8, "it has missed nothing up to there");
    assert_eq!(taken(&mut all), Some((vec![(A, 8)], 8, 0)));
    bench.flush(&[B, A]);
    assert_eq!(taken(&mut only_b), Some((vec![(B, 9)], 10, 0)));
}

#[tokio::test]
async fn readers_of_another_lane_are_woken_by_its_relay() {
    let mut bench = Bench::new();
    let elsewhere = bench.fanout.on_lane(1);
    let mut reader = elsewhere.subscribe(Some(&[A]));
    let shutdown = CancellationToken::new();
    let relay = tokio::spawn(elsewhere.relay(shutdown.clone()));
    bench.flush(&[A]);
    reader.changed().await;
    assert_eq!(taken(&mut reader), Some((vec![(A, 1)], 1, 0)));
    shutdown.cancel();
    relay.await.unwrap();
}

#[test]
fn nothing_is_told_before_the_flush() {
    let mut bench = Bench::new();
    let mut reader = bench.fanout.subscribe(None);
    bench.publish(&[A]);
    assert_eq!(taken(&mut reader), None);
    bench.fanout.flush();
    assert_eq!(taken(&mut reader), Some((vec![(A, 1)], 1, 0)));
}

#[test]
fn readers_in_step_share_one_message_and_so_do_those_behind() {
    let mut bench = Bench::new();
    let mut readers: Vec<_> = (0..4).map(|_| bench.fanout.subscribe(Some(&[B, A]))).collect();
    let mut same_pairs = bench.fanout.subscribe(Some(&[A, B, A]));
    bench.flush(&[A]);
    let first = batch(readers[0].take()).unwrap();
    assert!(Arc::ptr_eq(&first, &batch(readers[1].take()).unwrap()));
    assert!(Arc::ptr_eq(&first, &batch(same_pairs.take()).unwrap()));
    bench.flush(&[A, B]);
    bench.flush(&[C]);
    let behind = batch(readers[2].take()).unwrap();
    assert_eq!(held(&behind), (vec![(A, 2), (B, 3)], 3, 1));
    assert!(Arc::ptr_eq(&behind, &batch(readers[3].take()).unwrap()));
    assert_eq!(taken(&mut readers[0]), Some((vec![(A, 2), (B, 3)], 3, 0)));
}

#[test]
fn a_reader_that_the_log_has_left_behind_gets_the_state() {
    let mut bench = Bench::new();
    bench.flush(&[B]);
    let mut late = bench.fanout.subscribe(None);
    let mut filtered = bench.fanout.subscribe(Some(&[A, B]));
    bench.flush(&[B]);
    for _ in 0..100 {
        bench.flush(&[A; 400]);
    }
    assert_eq!(taken(&mut late), Some((vec![(B, 2), (A, 40_002)], 40_002, 39_999)));
    assert_eq!(taken(&mut filtered), Some((vec![(B, 2), (A, 40_002)], 40_002, 39_999)));
}

#[test]
fn a_flush_that_comes_too_late_for_the_log_tells_the_newest() {
    let mut bench = Bench::new();
    let mut reader = bench.fanout.subscribe(None);
    let mut every = bench.fanout.subscribe(None);
    bench.publish(&[B]);
    bench.publish(&vec![A; 2 * LOG]);
    bench.fanout.flush();
    let (updates, to, _) = taken(&mut reader).unwrap();
    assert_eq!((updates, to), (vec![(B, 1), (A, 2 * LOG as u64 + 1)], 2 * LOG as u64 + 1));
    assert!(every.take_all().is_err(), "every update cannot be told any more");
}

#[test]
fn every_update_is_told_to_who_wants_every_one() {
    let mut bench = Bench::new();
    let mut every = bench.fanout.subscribe(Some(&[A]));
    let told = |subscription: &mut Subscription| batch(subscription.take_all().unwrap()).as_ref().map(held);
    bench.flush(&[A, B, A]);
    assert_eq!(told(&mut every), Some((vec![(A, 1), (A, 3)], 3, 0)));
    assert_eq!(told(&mut every), None);
    bench.flush(&[A]);
    bench.flush(&[B]);
    bench.flush(&[A, A]);
    assert_eq!(told(&mut every), Some((vec![(A, 4), (A, 6), (A, 7)], 7, 0)));
    bench.flush(&[A]);
    bench.flush(&vec![B; LOG]);
    assert_eq!(told(&mut every), Some((vec![(A, 8)], 8, 0)), "the last flush that concerns it");
    bench.flush(&[A]);
    bench.flush(&vec![B; LOG]);
    bench.flush(&[A]);
    assert!(matches!(every.take_all(), Err(TooSlow)));
}

#[test]
fn a_stream_is_resumed_from_wherever_the_log_reaches() {
    let mut bench = Bench::new();
    bench.flush(&[A, B, A]);
    bench.flush(&[B, A]);
    bench.publish(&[C]);
    let at = |sequence| Cursor { epoch: 7, sequence };
    // From within a flush, too; and of what is filtered only what matches is counted.
    for (pairs, after, expected) in [
        (None, 0, Some((vec![(B, 4), (A, 5)], 5, 3))),
        (None, 2, Some((vec![(B, 4), (A, 5)], 5, 1))),
        (None, 4, Some((vec![(A, 5)], 5, 0))),
        (None, 5, None),
        (None, 6, None),
        (Some([A]), 0, Some((vec![(A, 5)], 5, 2))),
        (Some([A]), 3, Some((vec![(A, 5)], 5, 0))),
        (Some([C]), 0, None),
    ] {
        let pairs = pairs.as_ref().map(|pairs: &[Pair; 1]| pairs.as_slice());
        let mut resumed = bench.fanout.resume(pairs, at(after)).unwrap();
        assert_eq!(taken(&mut resumed), expected, "{pairs:?} after {after}");
    }
    assert!(bench.fanout.resume(None, Cursor { epoch: 6, sequence: 2 }).is_none());
    assert!(bench.fanout.resume(None, Cursor { epoch: 8, sequence: 2 }).is_none());
    assert!(bench.fanout.resume(None, at(7)).is_none(), "nobody has been there");
    assert!(bench.fanout.resume(None, at(u64::MAX)).is_none());
    bench.publish(&vec![A; LOG]);
    assert!(bench.fanout.resume(None, at(2)).is_none(), "the log has moved past it");
}

#[test]
fn who_was_ahead_of_the_flush_gets_nothing_twice() {
    let mut bench = Bench::new();
    bench.publish(&[A, B]);
    // A price that was read alone tells a place that no flush has reached yet.
    let mut ahead = bench.fanout.resume(None, Cursor { epoch: 7, sequence: 1 }).unwrap();
    bench.fanout.flush();
    assert_eq!(taken(&mut ahead), Some((vec![(B, 2)], 2, 0)));
}

#[test]
fn a_snapshot_is_the_state_of_the_last_flush_and_is_shared() {
    let mut bench = Bench::new();
    bench.flush(&[B, A]);
    bench.publish(&[A]);
    let mut first = bench.fanout.subscribe(None);
    let snapshot = first.snapshot();
    assert_eq!(snapshot[0].kind, MessageKind::Snapshot);
    assert_eq!(held(&snapshot), (vec![(A, 2), (B, 1)], 2, 0));
    assert!(Arc::ptr_eq(&snapshot, &bench.fanout.subscribe(None).snapshot()));
    bench.fanout.flush();
    assert_eq!(taken(&mut first), Some((vec![(A, 3)], 3, 0)));
    let mut filtered = bench.fanout.subscribe(Some(&[B]));
    assert_eq!(held(&filtered.snapshot()).0, [(B, 1)]);
    assert_eq!(filtered.cursor().sequence, 3);
}

#[test]
fn what_does_not_fit_into_one_message_comes_in_several_that_can_each_be_resumed_after() {
    let mut bench = Bench::new();
    let pairs: Vec<Pair> = (0..1_200).map(|n| format!("X{n:04}-USD").parse().unwrap()).collect();
    let mut reader = bench.fanout.subscribe(None);
    bench.flush(&[pairs.as_slice(), &pairs[..100]].concat());
    let first = batch(reader.take()).unwrap();
    let lengths: Vec<_> = first.iter().map(|message| message.updates.len()).collect();
    assert_eq!(lengths, [500, 500, 200]);
    assert_eq!(held(&first).1, 1_300);
    let mut resumed = bench.fanout.resume(None, first[1].cursor).unwrap();
    let rest = batch(resumed.take()).unwrap();
    assert_eq!(
        held(&rest).0,
        first[2].updates.iter().map(|u| (u.price.pair, u.stamp.cursor.sequence)).collect::<Vec<_>>()
    );
    assert_eq!(bench.fanout.subscribe(None).snapshot().len(), 3);
}

#[test]
fn a_pair_that_leaves_says_so_and_is_in_no_snapshot_after() {
    let mut bench = Bench::new();
    bench.flush(&[A, B]);
    let mut reader = bench.fanout.subscribe(None);
    bench.remove(B);
    let told = batch(reader.take()).unwrap();
    assert!(told[0].updates[0].price.is_gone() && told[0].updates[0].price.pair == B);
    assert_eq!(held(&bench.fanout.subscribe(None).snapshot()).0, [(A, 1)]);
    // Who was away is told as well.
    let mut late = bench.fanout.resume(None, Cursor { epoch: 7, sequence: 2 }).unwrap();
    assert_eq!(taken(&mut late), Some((vec![(B, 3)], 3, 0)));
    bench.flush(&[B]);
    assert_eq!(held(&bench.fanout.subscribe(None).snapshot()).0, [(A, 1), (B, 4)]);
}

#[test]
fn a_channel_goes_with_its_last_reader() {
    let bench = Bench::new();
    let first = bench.fanout.subscribe(Some(&[A, B]));
    let second = bench.fanout.subscribe(Some(&[B, A]));
    let kept = || {
        let hub = bench.fanout.hub();
        (hub.by_filter.len(), hub.by_pair.len())
    };
    assert_eq!(kept(), (1, 2));
    drop(first);
    assert_eq!(kept(), (1, 2));
    drop(second);
    assert_eq!(kept(), (0, 0));
}

#[test]
fn readers_beside_a_writer_and_a_flusher_see_every_update_once() {
    const UPDATES: u64 = 20_000;
    let Bench { fanout, mut publisher } = Bench::new();
    let reader = |mut subscription: Subscription| {
        move || {
            let (mut seen, mut last) = (0, 0);
            while last < UPDATES {
                if let Some((updates, cursor, skipped)) = taken(&mut subscription) {
                    assert!(updates.iter().all(|(_, sequence)| *sequence > last && *sequence <= cursor));
                    assert!(updates.is_sorted_by_key(|(_, sequence)| *sequence));
                    seen += updates.len() as u64 + skipped;
                    last = cursor;
                }
                std::thread::yield_now();
            }
            seen
        }
    };
    let readers: Vec<_> = (0..2).map(|_| std::thread::spawn(reader(fanout.subscribe(None)))).collect();
    let flusher = {
        let fanout = fanout.clone();
        std::thread::spawn(move || {
            while fanout.flushed().sequence < UPDATES {
                fanout.flush();
                std::thread::yield_now();
            }
        })
    };
    let now = DateTime::UNIX_EPOCH;
    for at in 0..UPDATES {
        let pair = if at % 3 == 0 { A } else { B };
        let price = Price::unavailable(pair, StatusReason::NoFreshQuotes, Origin::Simulated, now);
        publisher.publish(price, Vec::new(), now);
        if at % 100 == 0 {
            std::thread::yield_now();
        }
    }
    flusher.join().unwrap();
    for reader in readers {
        // Each was delivered or is counted as skipped.
        assert_eq!(reader.join().unwrap(), UPDATES);
    }
}
