//! What callers are told of the sources: what this process counts, or what whoever leads has counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};

use super::{SourceReport, Sources};
use crate::domain::pair::Pair;

/// Reports how the sources do. Clones report the same.
#[derive(Debug, Clone)]
pub enum Reports {
    /// As it is counted here.
    Own(Sources),
    /// As it was last told.
    Told(Told),
}

/// What was last told of all sources. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<ArcSwap<BTreeMap<&'static str, SourceReport>>>);

impl Told {
    /// Takes what is told.
    pub(in crate::pipeline) fn tell(&self, reports: Vec<SourceReport>) {
        let by_name = reports.into_iter().map(|report| (report.venue.as_str(), report)).collect();
        self.0.store(Arc::new(by_name));
    }
}

impl Reports {
    /// Reports one source.
    pub fn report(&self, name: &str, now: DateTime<Utc>) -> Option<SourceReport> {
        match self {
            Self::Own(sources) => sources.report(name, now),
            Self::Told(told) => told.0.load().get(name).cloned(),
        }
    }

    /// Reports all sources whose names come after a name, in order.
    pub fn reports(&self, after: &str, now: DateTime<Utc>) -> Vec<SourceReport> {
        match self {
            Self::Own(sources) => sources.reports(after, now).collect(),
            Self::Told(told) => {
                let told = told.0.load();
                let later = told.iter().filter(|(name, _)| **name > after);
                later.map(|(_, report)| report.clone()).collect()
            }
        }
    }

    /// Lists the names.
    pub fn names(&self) -> Vec<&'static str> {
        match self {
            Self::Own(sources) => sources.names(),
            Self::Told(told) => told.0.load().keys().copied().collect(),
        }
    }

    /// Lists the pairs that some source is asked for and none lists or trades.
    pub fn all_unlisted(&self) -> Vec<Pair> {
        match self {
            Self::Own(sources) => sources.all_unlisted(),
            Self::Told(told) => {
                let told = told.0.load();
                let absent: BTreeSet<_> = told.values().flat_map(|report| report.absent.keys()).collect();
                // What is refused is among its markets, and absent.
                let has = |report: &SourceReport, pair: &Pair| {
                    report.markets.contains(pair) && !report.absent.contains_key(pair)
                };
                let listed = |pair: &Pair| told.values().any(|report| has(report, pair));
                absent.into_iter().copied().filter(|pair| !listed(pair)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        domain::{aggregate::Policy, jump::JumpPolicy, peg::PegPolicy, price::Origin, venue::Venue},
        pipeline::{
            aggregator::{Markets, Options},
            standards::Standards,
        },
    };

    #[test]
    fn who_follows_tells_the_same_pairs_as_unlisted_as_who_leads() {
        let now = DateTime::UNIX_EPOCH;
        let pairs = ["BTC", "ETH", "SOL"].map(|base| Pair::literal(base, "USD"));
        let [bitcoin, ether, solana] = pairs;
        let venues = ["gate", "kraken"].map(Venue::new);
        let asked = venues.map(|venue| (venue, pairs.to_vec()));
        let options = Options {
            policy: Policy::default(),
            peg: PegPolicy::default(),
            coins: Vec::new(),
            jump: JumpPolicy::default(),
            refresh: TimeDelta::seconds(1),
            origin: Origin::Live,
            markets: Markets::Met,
        };
        let sources = Sources::new(asked, Origin::Live, Standards::new(&options), now);
        let [gate, kraken] = venues.map(|venue| sources.get(venue).unwrap());
        gate.listening(vec![bitcoin, ether], &[(solana, "not listed".to_owned())], 1);
        kraken.listening(vec![bitcoin], &[ether, solana].map(|pair| (pair, "not traded".to_owned())), 1);
        gate.refused(Some(ether), "no", now);
        gate.refused(Some(bitcoin), "no", now);
        let told = Told::default();
        told.tell(sources.reports("", now).collect());
        // Kraken has the first, and nobody has the others.
        assert_eq!(Reports::Told(told).all_unlisted(), [ether, solana]);
        assert_eq!(Reports::Own(sources).all_unlisted(), [ether, solana]);
    }
}
