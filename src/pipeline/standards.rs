//! What is judged by after it was made: prices of the past, sources that have fallen silent. It may change while the
//! service runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::TimeDelta;

use super::aggregator::Options;
use crate::domain::{
    pair::Asset,
    peg::PegPolicy,
    price::{Price, Status},
};

/// Keeps the standards. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Standards(Arc<ArcSwap<Current>>);

#[derive(Debug)]
struct Current {
    max_age: TimeDelta,
    peg: PegPolicy,
    coins: Vec<(Asset, Asset)>,
}

impl Standards {
    /// Takes the standards by which prices are made.
    pub fn new(options: &Options) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(options.into())))
    }

    /// Takes others.
    pub fn set(&self, options: &Options) {
        self.0.store(Arc::new(options.into()));
    }

    /// Gets the age at which a price is stale and a source silent.
    pub fn max_age(&self) -> TimeDelta {
        self.0.load().max_age
    }

    /// Gets what a stablecoin stands for; nothing for any other asset.
    pub fn reference(&self, coin: Asset) -> Option<Asset> {
        self.0.load().coins.iter().find(|(known, _)| *known == coin).map(|(_, reference)| *reference)
    }

    /// Tells whether a stablecoin of this price against what it stands for has lost its peg. Whether one that is on its
    /// way back has been lost before is not told by a price alone: it counts as held.
    pub fn is_lost(&self, price: &Price) -> bool {
        let current = self.0.load();
        let value = price.value.filter(|_| price.status != Status::Unavailable);
        value.is_some_and(|value| {
            price.source_count >= current.peg.anchors && current.peg.is_beyond(value.price)
        })
    }
}

impl From<&Options> for Current {
    fn from(options: &Options) -> Self {
        Self { max_age: options.policy.max_age, peg: options.peg.clone(), coins: options.coins.clone() }
    }
}
