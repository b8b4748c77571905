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
    pub(super) fn new(board: Board, pairs: Option<Vec<Pair>>, mut head: watch::Receiver<u64>) -> Self {
        let position = *head.borrow_and_update();
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
