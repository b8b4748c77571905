//! Derived pairs: which are kept on the board, the configured ones and those that somebody streams; and how any is
//! derived from what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};

use super::board::{Board, Update};
use crate::domain::{
    cross::{self, CrossPolicy, EdgeQuality, Step},
    pair::{Asset, Pair},
    price::{Price, Stamp, Status},
};

/// The derived pairs that are wanted. Clones share one set.
#[derive(Debug, Clone)]
pub struct Crosses(Arc<Shared>);

/// Keeps a derived pair on the board while it lives.
#[derive(Debug)]
pub struct Kept {
    crosses: Crosses,
    pair: Pair,
}

#[derive(Debug)]
struct Shared {
    wanted: Mutex<BTreeMap<Pair, usize>>,
    limit: usize,
    version: AtomicU64,
    policy: CrossPolicy,
    depegged: ArcSwap<BTreeSet<Asset>>,
}

impl Crosses {
    /// Starts with the configured pairs, which stay, and room for some more.
    pub fn new(configured: impl IntoIterator<Item = Pair>, limit: usize, policy: CrossPolicy) -> Self {
        let wanted: BTreeMap<_, _> = configured.into_iter().map(|pair| (pair, 1)).collect();
        Self(Arc::new(Shared {
            limit: limit.saturating_add(wanted.len()),
            wanted: Mutex::new(wanted),
            version: AtomicU64::new(1),
            policy,
            depegged: ArcSwap::default(),
        }))
    }

    /// Derives a pair from the direct prices on the board, along the best route. It has its newest leg's place in the
    /// sequence. There is none if no route of known pairs leads from base to quote; if one does, but its legs have no
    /// price, neither has the pair.
    pub fn derive(&self, board: &Board, pair: Pair, now: DateTime<Utc>) -> Option<(Price, Stamp)> {
        let legs = self.legs(board, pair)?;
        let newest = legs.iter().map(|(_, leg)| leg.stamp).max_by_key(|stamp| stamp.cursor)?;
        let legs: Vec<_> = legs.iter().map(|(step, leg)| (*step, &leg.price)).collect();
        let depegged = self.0.depegged.load();
        let lost = |asset| depegged.contains(&asset);
        Some((cross::derive(pair, &legs, &self.0.policy, &lost, now), newest))
    }

    /// Says which stablecoins have lost their peg: nothing is derived through them. Tells whether that is news.
    pub(super) fn set_depegged(&self, coins: BTreeSet<Asset>) -> bool {
        let news = **self.0.depegged.load() != coins;
        if news {
            self.0.depegged.store(Arc::new(coins));
        }
        news
    }

    fn legs(&self, board: &Board, pair: Pair) -> Option<Vec<(Step, Arc<Update>)>> {
        let direct = |update: &Arc<Update>| update.price.route.is_empty();
        if let Some(inverse) = board.get(pair.inverse()).filter(direct) {
            return Some(vec![(Step { pair: pair.inverse(), inverted: true }, inverse)]);
        }
        let edges: BTreeMap<Pair, Arc<Update>> = self
            .neighbourhood(board, pair)
            .filter(direct)
            .map(|update| (update.price.pair, update))
            .collect();
        let route = |quality: fn(&Price) -> EdgeQuality| {
            let edges = edges.iter().map(|(pair, update)| (*pair, quality(&update.price)));
            cross::route(pair.base, pair.quote, edges, self.0.policy.max_hops)
        };
        // Where none is priced, the way that would be taken tells why.
        let known = |price: &Price| EdgeQuality { status: price.status.min(Status::Stale), ..price.into() };
        let route = route(|price| price.into()).or_else(|| route(known))?;
        route.into_iter().map(|step| Some((step, Arc::clone(edges.get(&step.pair)?)))).collect()
    }

    /// Lists the pairs that a route can lead through: those at either end, and with three hops those in between.
    fn neighbourhood(&self, board: &Board, pair: Pair) -> impl Iterator<Item = Arc<Update>> {
        let from = board.with_asset(pair.base);
        let to = board.with_asset(pair.quote);
        let others = |updates: &[Arc<Update>], end: Asset| -> BTreeSet<Asset> {
            let other = |pair: Pair| if pair.base == end { pair.quote } else { pair.base };
            updates.iter().map(|update| other(update.price.pair)).collect()
        };
        let mut between = Vec::new();
        if self.0.policy.max_hops > 2 {
            let (near, far) = (others(&from, pair.base), others(&to, pair.quote));
            // Looked up from the smaller side: one end of a route is usually a hub.
            let (few, many) = if near.len() <= far.len() { (near, far) } else { (far, near) };
            for asset in few {
                let leads_on = |update: &Arc<Update>| {
                    let pair = update.price.pair;
                    many.contains(&if pair.base == asset { pair.quote } else { pair.base })
                };
                between.extend(board.with_asset(asset).into_iter().filter(leads_on));
            }
        }
        from.into_iter().chain(to).chain(between)
    }

    /// Keeps a pair while the answer lives, unless too many are kept already.
    pub fn keep(&self, pair: Pair) -> Option<Kept> {
        let mut wanted = self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.len() >= self.0.limit && !wanted.contains_key(&pair) {
            return None;
        }
        *wanted.entry(pair).or_insert(0) += 1;
        self.0.version.fetch_add(1, Ordering::Release);
        Some(Kept { crosses: self.clone(), pair })
    }

    /// Gets a number that changes whenever the set does.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Lists the pairs.
    pub fn wanted(&self) -> Vec<Pair> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut wanted = self.crosses.0.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = wanted.get_mut(&self.pair) {
            *count -= 1;
            if *count == 0 {
                wanted.remove(&self.pair);
            }
        }
        self.crosses.0.version.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_stay_while_wanted_and_the_set_is_bounded() {
        let [a, b, c] = ["A", "B", "C"].map(|base| Pair::literal(base, "EUR"));
        let crosses = Crosses::new([a], 1, CrossPolicy::default());
        let first = crosses.keep(b).unwrap();
        let second = crosses.keep(b).unwrap();
        assert!(crosses.keep(c).is_none());
        drop(first);
        assert_eq!(crosses.wanted(), [a, b]);
        let version = crosses.version();
        drop(second);
        assert_eq!(crosses.wanted(), [a]);
        assert_ne!(crosses.version(), version);
        drop(crosses.keep(a));
        assert_eq!(crosses.wanted(), [a]);
    }
}
