//! Takes what is new on a board, for another one that shows it in another epoch.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::{
    domain::{
        aggregate::Contribution,
        pair::Pair,
        price::{Cursor, Stamp},
    },
    pipeline::board::{Board, Explanation, Record, Update},
};

/// How often it is tried to find updates and explanations that belong together.
const ATTEMPTS: usize = 16;

/// Takes from one board for another.
#[derive(Debug)]
pub(super) struct Tap {
    from: Board,
    to: Board,
    head: watch::Receiver<Cursor>,
    /// What was taken, in the epoch of the one.
    taken: Cursor,
    /// The epoch of the other.
    epoch: u64,
}

impl Tap {
    pub(super) fn new(from: Board, to: Board, epoch: u64) -> Self {
        Self { head: from.head(), taken: from.cursor(), from, to, epoch }
    }

    /// Waits until there is something to take.
    pub(super) async fn changed(&mut self) {
        let taken = self.taken;
        // The sender lives in the board that this holds: waiting cannot fail.
        let _ = self.head.wait_for(|head| *head > taken).await;
    }

    /// Goes on from a place.
    pub(super) fn moves_to(&mut self, sequence: u64) {
        self.taken.sequence = sequence;
    }

    /// Takes all updates since the last, and tells how far they go; nothing if the log has moved past them.
    pub(super) fn news(&mut self) -> Option<(u64, Vec<Record>)> {
        let (to, updates) = self.since(self.taken, self.from.cursor())?;
        self.taken = to;
        Some((to.sequence, updates))
    }

    /// Lists the latest update of each pair, and tells as of where. It moves on to nowhere.
    pub(super) fn everything(&self) -> (u64, Vec<Record>) {
        loop {
            let before = self.from.cursor();
            let listed = self.from.list(None, None).map(|update| update.price.pair);
            let explained = listed.filter_map(|pair| Some((pair, self.from.explain(pair)?)));
            let mut latest: BTreeMap<Pair, Record> =
                explained.map(|(pair, explanation)| (pair, self.explained(&explanation))).collect();
            // An update is listed a moment before the board's own cursor shows it.
            let sequences = latest.values().map(|record| record.update.stamp.cursor.sequence);
            let sequence = sequences.max().unwrap_or_default().max(self.from.cursor().sequence);
            // What was listed early may have changed since: the log knows.
            if let Some((to, updates)) = self.since(before, Cursor { sequence, ..before }) {
                latest.extend(updates.into_iter().map(|record| (record.update.price.pair, record)));
                latest.retain(|_, record| !record.update.price.is_gone());
                let mut records: Vec<_> = latest.into_values().collect();
                records.sort_unstable_by_key(|record| record.update.stamp.cursor);
                return (to.sequence, records);
            }
        }
    }

    /// Takes the updates after a place up to another, or somewhat further: the latest of each pair comes with what it was
    /// made of.
    fn since(&self, after: Cursor, to: Cursor) -> Option<(Cursor, Vec<Record>)> {
        let mut to = to;
        let mut updates = self.from.logged_between(after, to)?;
        let mut explanations: BTreeMap<Pair, Arc<Explanation>> = BTreeMap::new();
        for _ in 0..ATTEMPTS {
            let mut reached = to;
            for pair in updates.iter().map(|update| update.price.pair) {
                if let Some(explanation) = self.from.explain(pair) {
                    reached = reached.max(explanation.update.stamp.cursor);
                    explanations.insert(pair, explanation);
                }
            }
            if reached == to {
                break;
            }
            // It was explained after it had entered the log.
            updates.extend(self.from.logged_between(to, reached)?);
            to = reached;
        }
        let record = |update: Arc<Update>| {
            let explanation = explanations.get(&update.price.pair);
            match explanation.filter(|explanation| explanation.update.stamp == update.stamp) {
                Some(explanation) => self.explained(explanation),
                None => self.record(&update, Vec::new(), update.stamp.publish_time),
            }
        };
        Some((to, updates.into_iter().map(record).collect()))
    }

    fn explained(&self, explanation: &Explanation) -> Record {
        self.record(&explanation.update, explanation.contributions.clone(), explanation.time)
    }

    /// Gives an update its place in the other epoch.
    fn record(&self, update: &Update, contributions: Vec<Contribution>, time: DateTime<Utc>) -> Record {
        let cursor = Cursor { epoch: self.epoch, ..update.stamp.cursor };
        let stamp = Stamp { cursor, ..update.stamp };
        Record { update: self.to.encode(update.price.clone(), stamp), contributions, time }
    }
}
