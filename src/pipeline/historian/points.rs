//! Which prices are kept: what changed, at a cadence, and every change of status.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    domain::{
        pair::Pair,
        price::{Cursor, Price},
    },
    pipeline::board::{Board, Update},
    store::prices::PricePoint,
};

/// When prices are kept.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    /// A price that changes is kept this often.
    pub every: TimeDelta,
    /// One that goes on as it is, this often.
    pub repeat: TimeDelta,
}

/// Picks prices out of what is published.
#[derive(Debug)]
pub struct Points {
    board: Board,
    cadence: Cadence,
    /// Up to where it was looked at.
    seen: Option<Cursor>,
    pairs: HashMap<Pair, Kept>,
    next: Option<DateTime<Utc>>,
}

/// What was last kept of a pair.
#[derive(Debug)]
struct Kept {
    update: Arc<Update>,
    at: DateTime<Utc>,
    /// Published since.
    newer: Option<Arc<Update>>,
}

impl Points {
    /// Looks at this board.
    pub fn new(board: Board, cadence: Cadence) -> Self {
        Self { board, cadence, seen: None, pairs: HashMap::new(), next: None }
    }

    /// Picks what is to be kept of all that was published since it was last asked.
    pub fn look(&mut self, now: DateTime<Utc>) -> Vec<PricePoint> {
        let mut out = Vec::new();
        let head = self.board.cursor();
        let after = self.seen.unwrap_or(Cursor { sequence: 0, ..head });
        match self.board.logged_between(after, head) {
            Some(updates) => updates.into_iter().for_each(|update| self.take(update, now, &mut out)),
            // More than the log keeps, or somebody else leads: what is on the board has to do.
            None => self.board.list(None, None).for_each(|update| self.take(update, now, &mut out)),
        }
        self.seen = Some(head);
        if self.next.is_none_or(|next| now >= next) {
            self.next = Some(now + self.cadence.every);
            self.keep_changed(now, &mut out);
        }
        out
    }

    /// Does the same, and leaves nothing for later: nothing comes after.
    pub fn last(&mut self, now: DateTime<Utc>) -> Vec<PricePoint> {
        self.next = None;
        self.look(now)
    }

    /// Goes on from a time to which our clock was set back.
    pub fn go_on(&mut self, now: DateTime<Utc>) {
        self.next = None;
        for kept in self.pairs.values_mut() {
            kept.at = now;
        }
    }

    /// Takes in an update: a change of status is kept at once, with what was the price until then.
    fn take(&mut self, update: Arc<Update>, now: DateTime<Utc>, out: &mut Vec<PricePoint>) {
        let pair = update.price.pair;
        if update.price.is_gone() {
            self.pairs.remove(&pair);
            out.push(point(&update));
            return;
        }
        match self.pairs.get_mut(&pair) {
            Some(kept) if !status_differs(&kept.update.price, &update.price) => kept.newer = Some(update),
            Some(kept) => {
                out.extend(kept.newer.take().as_ref().map(|last| point(last)));
                out.push(point(&update));
                *kept = Kept { update, at: now, newer: None };
            }
            None => {
                out.push(point(&update));
                self.pairs.insert(pair, Kept { update, at: now, newer: None });
            }
        }
    }

    /// Keeps the newest of each pair that says something else than what was kept, or that was kept long ago.
    fn keep_changed(&mut self, now: DateTime<Utc>, out: &mut Vec<PricePoint>) {
        for kept in self.pairs.values_mut() {
            let due = now - kept.at >= self.cadence.repeat;
            let newer = kept.newer.take_if(|newer| due || differs(&kept.update.price, &newer.price));
            if newer.is_none() && !due {
                continue;
            }
            let news = newer.as_ref().is_some_and(|newer| differs(&kept.update.price, &newer.price));
            if let Some(newer) = newer {
                kept.update = newer;
            }
            let mut point = point(&kept.update);
            // It goes on as it is: what the service would say now is the same.
            if !news && now - point.price.aggregate_time > self.cadence.every {
                point.price.aggregate_time = now;
            }
            out.push(point);
            kept.at = now;
        }
    }
}

fn point(update: &Update) -> PricePoint {
    let Update { price, stamp, .. } = update;
    PricePoint { price: price.clone(), stamp: *stamp }
}

fn status_differs(before: &Price, after: &Price) -> bool {
    (before.status, before.status_reason) != (after.status, after.status_reason)
}

/// Tells whether a price says something else, beyond when it was last seen to hold.
fn differs(before: &Price, after: &Price) -> bool {
    let numbers =
        |price: &Price| price.value.map(|value| (value.price, value.bid, value.ask, value.dispersion_bps));
    numbers(before) != numbers(after)
        || (before.source_count, &before.route) != (after.source_count, &after.route)
}

#[cfg(test)]
mod tests;
