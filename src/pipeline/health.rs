//! What each source does, counted as it happens and read without stopping the count.

mod connections;
mod recent;
mod report;
mod reports;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};

pub use self::{
    recent::{Quantiles, RecentReport},
    report::{Counts, SourceReport, SourceState},
    reports::{Reports, Told},
    source::{Counted, Source},
};
use super::standards::Standards;
use crate::domain::{pair::Pair, price::Origin, venue::Venue};

/// All sources. Clones share them.
#[derive(Debug, Clone)]
pub struct Sources {
    by_name: Arc<ArcSwap<BTreeMap<&'static str, Arc<Source>>>>,
    origin: Origin,
    standards: Standards,
}

impl Sources {
    /// Starts counting for these venues, with the markets that are asked of them.
    pub fn new(
        venues: impl IntoIterator<Item = (Venue, Vec<Pair>)>,
        origin: Origin,
        standards: Standards,
        now: DateTime<Utc>,
    ) -> Self {
        let source = |(venue, mut markets): (Venue, Vec<Pair>)| {
            markets.sort_unstable();
            (venue.as_str(), Arc::new(Source::new(venue, markets, origin, now)))
        };
        let by_name = Arc::new(ArcSwap::from_pointee(venues.into_iter().map(source).collect()));
        Self { by_name, origin, standards }
    }

    /// Gets a source's counters.
    pub fn get(&self, venue: Venue) -> Option<Arc<Source>> {
        self.by_name.load().get(venue.as_str()).cloned()
    }

    /// Starts counting for one more, from nothing.
    pub fn add(&self, venue: Venue, mut markets: Vec<Pair>, now: DateTime<Utc>) {
        markets.sort_unstable();
        let source = Arc::new(Source::new(venue, markets, self.origin, now));
        self.by_name.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.insert(venue.as_str(), Arc::clone(&source));
            known
        });
    }

    /// Forgets one.
    pub fn remove(&self, venue: Venue) {
        self.by_name.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.remove(venue.as_str());
            known
        });
    }

    /// Picks the pairs that some source is asked for and none lists or trades.
    pub fn unlisted(&self, pairs: impl IntoIterator<Item = Pair>) -> Vec<Pair> {
        let known = self.by_name.load();
        let lacked = |pair: &Pair| {
            known.values().any(|source| source.lacks(*pair))
                && !known.values().any(|source| source.has(*pair))
        };
        pairs.into_iter().filter(lacked).collect()
    }

    /// Lists all such pairs.
    pub fn all_unlisted(&self) -> Vec<Pair> {
        let absent: BTreeSet<Pair> =
            self.by_name.load().values().flat_map(|source| source.absent()).collect();
        self.unlisted(absent)
    }

    /// Reports one source.
    pub fn report(&self, name: &str, now: DateTime<Utc>) -> Option<SourceReport> {
        self.by_name.load().get(name).map(|source| source.report(self.standards.max_age(), now))
    }

    /// Reports all sources whose names come after a name, in order.
    pub fn reports(&self, after: &str, now: DateTime<Utc>) -> impl Iterator<Item = SourceReport> {
        let silent_after = self.standards.max_age();
        let reports: Vec<_> = {
            let known = self.by_name.load();
            let later = known.iter().filter(|(name, _)| **name > after);
            later.map(|(_, source)| source.report(silent_after, now)).collect()
        };
        reports.into_iter()
    }

    /// Lists the counters of all.
    pub fn all(&self) -> Vec<Arc<Source>> {
        self.by_name.load().values().cloned().collect()
    }

    /// Lists the names.
    pub fn names(&self) -> Vec<&'static str> {
        self.by_name.load().keys().copied().collect()
    }
}
