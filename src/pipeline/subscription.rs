//! A reader of the board's updates with nothing of its own but a position.
//!
//! However slow the reader, it holds no queue: what it gets next is the latest price of each pair that changed since
//! its position, read from the board's log, or from the board itself once the log has moved past the position.

use std::{collections::HashSet, sync::Arc};

use tokio::sync::watch;

use super::board::{Board, Update};
use crate::domain::{pair::Pair, price::Cursor};

/// Follows the board from a position.
#[derive(Debug)]
pub struct Subscription {
    board: Board,
    pairs: Option<HashSet<Pair>>,
    position: u64,
    head: watch::Receiver<u64>,
}

/// What changed since the last time.
#[derive(Debug)]
pub struct Changes {
    /// The latest update of each pair that changed, oldest first.
    pub updates: Vec<Arc<Update>>,
    /// All matching updates up to here are in `updates` or were superseded.
    pub cursor: Cursor,
    /// Updates that were superseded by newer ones of the same pair.
    pub skipped: u64,
}

impl Subscription {
    pub(super) fn new(
        board: Board,
        pairs: Option<Vec<Pair>>,
        head: watch::Receiver<u64>,
        position: u64,
    ) -> Self {
        Self { board, pairs: pairs.map(|pairs| pairs.into_iter().collect()), position, head }
    }

    /// Gets the position.
    pub fn cursor(&self) -> Cursor {
        Cursor { sequence: self.position, ..self.board.cursor() }
    }

    /// Waits until there are updates past the position, of any pair.
    pub async fn changed(&mut self) {
        let position = self.position;
        // The sender lives in the board that this holds: waiting cannot fail.
        let _ = self.head.wait_for(|head| *head > position).await;
    }

    /// Takes all that changed since the position, and moves the position on.
    pub fn take(&mut self) -> Changes {
        let head = *self.head.borrow_and_update();
        let (updates, skipped) = self.logged(head).unwrap_or_else(|| self.scanned(head));
        self.position = head;
        Changes { updates, cursor: Cursor { sequence: head, ..self.board.cursor() }, skipped }
    }

    /// Takes every update since the position, and moves the position on; `None`, and no move, if the log no longer
    /// reaches back to it.
    pub fn take_all(&mut self) -> Option<Changes> {
        let head = *self.head.borrow_and_update();
        let logged: Option<Vec<_>> =
            (self.position + 1..=head).map(|sequence| self.board.logged(sequence)).collect();
        let updates = logged?.into_iter().filter(|update| self.matches(update.price.pair)).collect();
        self.position = head;
        Some(Changes { updates, cursor: self.cursor(), skipped: 0 })
    }

    /// Reads the log from the newest update back to the position; `None` if it no longer reaches that far.
    fn logged(&self, head: u64) -> Option<(Vec<Arc<Update>>, u64)> {
        let mut seen = HashSet::new();
        let mut updates = Vec::new();
        let mut skipped = 0;
        for sequence in (self.position + 1..=head).rev() {
            let update = self.board.logged(sequence)?;
            if !self.matches(update.price.pair) {
                continue;
            }
            if seen.insert(update.price.pair) {
                updates.push(update);
            } else {
                skipped += 1;
            }
        }
        updates.reverse();
        Some((updates, skipped))
    }

    /// Finds what is newer than the position on the board itself; what has become newer than the head comes next
    /// time. How often each pair changed is not known any more: at least one update was skipped, or the log would have
    /// reached.
    fn scanned(&self, head: u64) -> (Vec<Arc<Update>>, u64) {
        let newer = |update: &Arc<Update>| {
            let sequence = update.stamp.cursor.sequence;
            sequence > self.position && sequence <= head && self.matches(update.price.pair)
        };
        let mut updates: Vec<_> = self.board.list(None).filter(newer).collect();
        updates.sort_by_key(|update| update.stamp.cursor);
        (updates, 1)
    }

    fn matches(&self, pair: Pair) -> bool {
        self.pairs.as_ref().is_none_or(|pairs| pairs.contains(&pair))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;

    use super::*;
    use crate::{
        domain::price::{Origin, Price, StatusReason},
        pipeline::board::Publisher,
    };

    const A: Pair = Pair::literal("A", "USD");
    const B: Pair = Pair::literal("B", "USD");

    fn board() -> (Board, Publisher) {
        Board::new(7, |_, _| Bytes::new())
    }

    fn publish(publisher: &mut Publisher, pair: Pair) {
        let now = DateTime::UNIX_EPOCH;
        let price = Price::unavailable(pair, StatusReason::NoFreshQuotes, Origin::Simulated, now);
        publisher.publish(price, Vec::new(), now);
    }

    fn taken(subscription: &mut Subscription) -> (Vec<(Pair, u64)>, u64, u64) {
        let changes = subscription.take();
        let place = |update: &Arc<Update>| (update.price.pair, update.stamp.cursor.sequence);
        (changes.updates.iter().map(place).collect(), changes.cursor.sequence, changes.skipped)
    }

    #[tokio::test]
    async fn what_changed_comes_once_and_only_the_latest_of_each_pair() {
        let (board, mut publisher) = board();
        publish(&mut publisher, A);
        let mut all = board.subscribe(None);
        let mut only_b = board.subscribe(Some(vec![B]));
        for pair in [A, B, A, A, B, A] {
            publish(&mut publisher, pair);
        }
        all.changed().await;
        assert_eq!(taken(&mut all), (vec![(B, 6), (A, 7)], 7, 4));
        assert_eq!(taken(&mut all), (vec![], 7, 0));
        assert_eq!(taken(&mut only_b), (vec![(B, 6)], 7, 1));
        publish(&mut publisher, A);
        assert_eq!(taken(&mut only_b), (vec![], 8, 0));
        assert_eq!(taken(&mut all), (vec![(A, 8)], 8, 0));
    }

    #[tokio::test]
    async fn a_reader_that_the_log_has_left_behind_reads_the_board() {
        let (board, mut publisher) = board();
        publish(&mut publisher, B);
        let mut late = board.subscribe(None);
        publish(&mut publisher, B);
        for _ in 0..40_000 {
            publish(&mut publisher, A);
        }
        let (updates, cursor, skipped) = taken(&mut late);
        assert_eq!((updates, cursor), (vec![(B, 2), (A, 40_002)], 40_002));
        assert!(skipped > 0);
    }

    #[test]
    fn readers_beside_a_writer_see_every_update_once() {
        let (board, mut publisher) = board();
        publish(&mut publisher, A);
        publish(&mut publisher, B);
        let reader = |mut subscription: Subscription| {
            move || {
                let (mut seen, mut skipped) = (0, 0);
                let mut last = 2;
                while last < 20_002 {
                    let (updates, cursor, passed) = taken(&mut subscription);
                    assert!(updates.iter().all(|(_, sequence)| *sequence > last && *sequence <= cursor));
                    assert!(updates.is_sorted_by_key(|(_, sequence)| *sequence));
                    seen += updates.len() as u64;
                    skipped += passed;
                    last = cursor;
                }
                (seen, skipped)
            }
        };
        let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(reader(board.subscribe(None)))).collect();
        for at in 0..20_000 {
            publish(&mut publisher, if at % 3 == 0 { A } else { B });
            if at % 100 == 0 {
                std::thread::yield_now();
            }
        }
        for thread in threads {
            let (seen, skipped) = thread.join().unwrap();
            // Whoever the log has left behind counts less than was passed over, never more.
            assert!(seen > 0 && seen + skipped <= 20_000, "{seen} {skipped}");
        }
    }
}
