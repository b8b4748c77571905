//! Which trades have come, as far back as a trade may still be taken in.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};

use super::tally::TradeId;

/// The ids of one market's trades at one venue.
#[derive(Debug, Default)]
pub(super) struct Seen {
    known: HashSet<TradeId, foldhash::fast::RandomState>,
    by_second: BTreeMap<DateTime<Utc>, Vec<TradeId>>,
}

impl Seen {
    /// Remembers a trade of a second; tells whether it is new.
    pub(super) fn insert(&mut self, second: DateTime<Utc>, id: &TradeId) -> bool {
        let new = self.known.insert(id.clone());
        if new {
            self.by_second.entry(second).or_default().push(id.clone());
        }
        new
    }

    /// Forgets the trades of what was before a moment.
    pub(super) fn forget(&mut self, time: DateTime<Utc>) {
        while let Some(first) = self.by_second.first_entry()
            && *first.key() < time
        {
            for id in first.remove() {
                self.known.remove(&id);
            }
        }
    }
}
