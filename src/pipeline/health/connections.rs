//! How the connections to a source are, and what they say of its state.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::report::SourceState;
use crate::{domain::pair::Pair, feed::delivery::Outlook};

/// How the connections to a source are.
#[derive(Debug)]
pub(super) struct Connections {
    /// Made so far.
    pub(super) made: u64,
    /// Standing now, by their numbers.
    pub(super) open: BTreeSet<u64>,
    /// Wanted now, and the most that ever were.
    pub(super) wanted: usize,
    pub(super) most: usize,
    /// Those that ended or were not made, the last one at the end, until one is made that is asked for the same.
    lost: Vec<Lost>,
    /// Markets that are not listed or not traded, and why.
    pub(super) absent: BTreeMap<Pair, String>,
    /// Markets that are listened to and that the venue refuses, and its words.
    pub(super) refused: BTreeMap<Pair, String>,
    /// Markets that REST speaks for.
    pub(super) polled: usize,
}

/// A connection that does not stand.
#[derive(Debug)]
struct Lost {
    markets: Arc<[Pair]>,
    error: String,
    /// What comes next.
    outlook: Outlook,
}

impl Connections {
    /// Starts with none, and one that is wanted.
    pub(super) fn new() -> Self {
        Self {
            made: 0,
            open: BTreeSet::new(),
            wanted: 1,
            most: 1,
            lost: Vec::new(),
            absent: BTreeMap::new(),
            refused: BTreeMap::new(),
            polled: 0,
        }
    }

    /// Lists the markets that are wanted and not there, and why.
    pub(super) fn lacking(&self) -> BTreeMap<Pair, String> {
        self.absent.iter().chain(&self.refused).map(|(market, why)| (*market, why.clone())).collect()
    }

    /// Notes that one stands which is asked for some markets: it, or what came before it, is not lost any more.
    pub(super) fn found(&mut self, markets: &[Pair]) {
        self.lost.retain(|lost| !lost.markets.iter().any(|market| markets.contains(market)));
    }

    /// Notes that one does not stand which is to be asked for some markets.
    pub(super) fn lose(&mut self, markets: &Arc<[Pair]>, error: &str, outlook: Outlook) {
        self.found(markets);
        self.lost.push(Lost { markets: Arc::clone(markets), error: error.to_owned(), outlook });
    }

    /// Forgets those that are not wanted any more.
    pub(super) fn want(&mut self, markets: &[Pair]) {
        self.lost.retain(|lost| lost.markets.iter().any(|market| markets.contains(market)));
    }

    /// Says why a source is as it is.
    pub(super) fn reason(&self, state: SourceState, quiet: TimeDelta) -> String {
        let error = self.lost.last().map_or("", |lost| &lost.error);
        match state {
            SourceState::Live => {
                // One that takes over from another stands in no third one's place.
                let open = self.open.len().min(self.wanted.saturating_sub(self.lost.len()));
                let missing = (open < self.wanted)
                    .then(|| format!("{open} of {} connections stand: {error}", self.wanted));
                let polled = (self.polled > 0).then(|| format!("{} markets over REST", self.polled));
                missing.into_iter().chain(polled).collect::<Vec<_>>().join("; ")
            }
            SourceState::Silent => format!("nothing said for {} s", quiet.num_seconds()),
            SourceState::Connecting => {
                let why = if self.open.is_empty() { error } else { "connected; nothing said yet" };
                let polled =
                    (self.polled > 0).then(|| format!("{} markets over REST meanwhile", self.polled));
                let why = Some(why.to_owned()).filter(|why| !why.is_empty());
                why.into_iter().chain(polled).collect::<Vec<_>>().join("; ")
            }
            SourceState::Blocked => error.to_owned(),
            SourceState::Penalized => format!("failed again and again: {error}"),
            SourceState::Ended => String::new(),
        }
    }

    /// Tells when the next is tried, if one is missing and will be.
    pub(super) fn retry_time(&self) -> Option<DateTime<Utc>> {
        let times = self.lost.iter().filter_map(|lost| match lost.outlook {
            Outlook::Retry(time) | Outlook::Penalty(time) => Some(time),
            Outlook::Blocked => None,
        });
        times.min()
    }

    /// Tells until when the venue is left alone, if it is.
    pub(super) fn penalty_end_time(&self) -> Option<DateTime<Utc>> {
        let times = self.lost.iter().filter_map(|lost| match lost.outlook {
            Outlook::Penalty(time) => Some(time),
            Outlook::Retry(_) | Outlook::Blocked => None,
        });
        times.max()
    }
}
