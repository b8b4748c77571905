//! How the connections to a source are, and what they say of its state.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Why the last one ended or was not made, and what comes next; `None` once all stand.
    pub(super) lost: Option<(String, Outlook)>,
    /// Markets that are not listed or not traded, and why.
    pub(super) absent: BTreeMap<Pair, String>,
    /// Markets that are listened to and that the venue refuses, and its words.
    pub(super) refused: BTreeMap<Pair, String>,
    /// Markets that REST speaks for.
    pub(super) polled: usize,
}

impl Connections {
    /// Starts with none, and one that is wanted.
    pub(super) fn new() -> Self {
        Self {
            made: 0,
            open: BTreeSet::new(),
            wanted: 1,
            most: 1,
            lost: None,
            absent: BTreeMap::new(),
            refused: BTreeMap::new(),
            polled: 0,
        }
    }

    /// Lists the markets that are wanted and not there, and why.
    pub(super) fn lacking(&self) -> BTreeMap<Pair, String> {
        self.absent.iter().chain(&self.refused).map(|(market, why)| (*market, why.clone())).collect()
    }

    /// Says why a source is as it is.
    pub(super) fn reason(&self, state: SourceState, quiet: TimeDelta) -> String {
        let error = self.lost.as_ref().map_or("", |(error, _)| error);
        match state {
            SourceState::Live => {
                let open = self.open.len();
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
        match self.lost {
            Some((_, Outlook::Retry(time) | Outlook::Penalty(time))) => Some(time),
            Some((_, Outlook::Blocked)) | None => None,
        }
    }

    /// Tells until when the venue is left alone, if it is.
    pub(super) fn penalty_end_time(&self) -> Option<DateTime<Utc>> {
        match self.lost {
            Some((_, Outlook::Penalty(time))) => Some(time),
            _ => None,
        }
    }
}
