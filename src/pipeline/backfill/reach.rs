//! Who is asked for candles, and of which pairs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Options,
    asker::{Asker, VenueClient},
};
use crate::domain::{pair::Pair, venue::Venue};

/// Who is asked, and of what.
#[derive(Debug)]
pub(super) struct Reach {
    askers: BTreeMap<Venue, Arc<Asker>>,
    /// Who is expected to have candles of a pair, whether it can be asked or not.
    markets: BTreeMap<Pair, BTreeSet<Venue>>,
}

impl Reach {
    /// Asks these venues.
    pub(super) fn new(
        venues: Vec<VenueClient>,
        markets: BTreeMap<Pair, BTreeSet<Venue>>,
        options: &Options,
    ) -> Self {
        let asker = |venue: VenueClient| (venue.protocol.venue(), Arc::new(Asker::new(venue, options)));
        Self { askers: venues.into_iter().map(asker).collect(), markets }
    }

    /// Asks some venues in a new way, and those that it asks already as before, as far as they are still expected.
    pub(super) fn with(
        &self,
        anew: Vec<VenueClient>,
        markets: BTreeMap<Pair, BTreeSet<Venue>>,
        options: &Options,
    ) -> Self {
        let Self { askers: mut begun, markets } = Self::new(anew, markets, options);
        let expected: BTreeSet<Venue> = markets.values().flatten().copied().collect();
        for (venue, asker) in self.askers.iter().filter(|(venue, _)| expected.contains(venue)) {
            begun.entry(*venue).or_insert_with(|| Arc::clone(asker));
        }
        Self { askers: begun, markets }
    }

    /// Finds who asks a venue.
    pub(super) fn asker(&self, venue: Venue) -> Option<&Asker> {
        self.askers.get(&venue).map(Arc::as_ref)
    }

    /// Tells who is expected to have candles of a pair.
    pub(super) fn expected(&self, pair: Pair) -> Option<&BTreeSet<Venue>> {
        self.markets.get(&pair)
    }

    /// Tells whether a venue is asked of a pair.
    pub(super) fn asks(&self, (pair, venue): (Pair, Venue)) -> bool {
        self.askers.contains_key(&venue) && self.expected(pair).is_some_and(|venues| venues.contains(&venue))
    }

    /// Lists which venues are asked of which pairs.
    pub(super) fn asked(&self) -> impl Iterator<Item = (Pair, Venue)> {
        let all = self.markets.iter().flat_map(|(pair, venues)| venues.iter().map(|venue| (*pair, *venue)));
        all.filter(|market| self.asks(*market))
    }
}
