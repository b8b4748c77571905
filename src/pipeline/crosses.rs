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
pub struct Crosses(Arc<Shared>, Arc<ArcSwap<BTreeSet<Asset>>>);

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
}

impl Crosses {
    /// Starts with the configured pairs, which stay, and room for some more.
    pub fn new(configured: impl IntoIterator<Item = Pair>, limit: usize, policy: CrossPolicy) -> Self {
        let wanted: BTreeMap<_, _> = configured.into_iter().map(|pair| (pair, 1)).collect();
        let shared = Shared {
            limit: limit.saturating_add(wanted.len()),
            wanted: Mutex::new(wanted),
            version: AtomicU64::new(1),
            policy,
        };
        Self(Arc::new(shared), Arc::default())
    }

    /// Shares the set, but is told by itself which stablecoins have lost their peg: for prices that others publish.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        Self(Arc::clone(&self.0), Arc::default())
    }

    /// Derives a pair from the direct prices on the board, along the best route. It has its newest leg's place in the
    /// sequence. There is none if no route of known pairs leads from base to quote; if one does, but its legs have no
    /// price, neither has the pair.
    pub fn derive(&self, board: &Board, pair: Pair, now: DateTime<Utc>) -> Option<(Price, Stamp)> {
        let legs = self.legs(board, pair)?;
        let newest = legs.iter().map(|(_, leg)| leg.stamp).max_by_key(|stamp| stamp.cursor)?;
        let legs: Vec<_> = legs.iter().map(|(step, leg)| (*step, &leg.price)).collect();
        let depegged = self.1.load();
        let lost = |asset| depegged.contains(&asset);
        Some((cross::derive(pair, &legs, &self.0.policy, &lost, now), newest))
    }

    /// Finds the way that a pair would be derived by now.
    pub fn route(&self, board: &Board, pair: Pair) -> Option<Vec<Step>> {
        Some(self.legs(board, pair)?.into_iter().map(|(step, _)| step).collect())
    }

    /// Derives a price of the prices of the legs of a way, as they were at a time, when `lost` stablecoins had no peg.
    pub fn combine(
        &self,
        pair: Pair,
        legs: &[(Step, &Price)],
        lost: &dyn Fn(Asset) -> bool,
        time: DateTime<Utc>,
    ) -> Price {
        cross::derive(pair, legs, &self.0.policy, lost, time)
    }

    /// Says which stablecoins have lost their peg: nothing is derived through them. Tells whether that is news.
    pub(super) fn set_depegged(&self, coins: BTreeSet<Asset>) -> bool {
        let news = **self.1.load() != coins;
        if news {
            self.1.store(Arc::new(coins));
        }
        news
    }

    /// Lists them.
    pub(super) fn depegged(&self) -> Vec<Asset> {
        self.1.load().iter().copied().collect()
    }

    fn legs(&self, board: &Board, pair: Pair) -> Option<Vec<(Step, Arc<Update>)>> {
        if let Some(inverse) = board.get(pair.inverse()).filter(is_direct) {
            return Some(vec![(Step { pair: pair.inverse(), inverted: true }, inverse)]);
        }
        let edges = self.edges(board, pair);
        let route = |quality: fn(&Price) -> EdgeQuality| {
            let edges = edges.iter().map(|(pair, update)| (*pair, quality(&update.price)));
            cross::route(pair.base, pair.quote, edges, self.0.policy.max_hops)
        };
        // Where none is priced, the way that would be taken tells why.
        let known = |price: &Price| EdgeQuality { status: price.status.min(Status::Stale), ..price.into() };
        let route = route(|price| price.into()).or_else(|| route(known))?;
        route.into_iter().map(|step| Some((step, Arc::clone(edges.get(&step.pair)?)))).collect()
    }

    /// Finds the direct prices on the routes from base to quote. It starts from the end that has fewer pairs: the other
    /// is mostly a hub, which has thousands.
    fn edges(&self, board: &Board, pair: Pair) -> BTreeMap<Pair, Arc<Update>> {
        let mut edges = BTreeMap::new();
        let (few, many) = if board.degree(pair.base) <= board.degree(pair.quote) {
            (pair.base, pair.quote)
        } else {
            (pair.quote, pair.base)
        };
        let firsts = direct_of(board, few).map(|first| (first.price.pair.other(few), first));
        for (near, first) in firsts.filter(|(near, _)| *near != many) {
            let mut leads_there = false;
            let mut found = |ways: Vec<Arc<Update>>| {
                leads_there |= !ways.is_empty();
                edges.extend(ways.into_iter().map(|update| (update.price.pair, update)));
            };
            found(between(board, near, many));
            if self.0.policy.max_hops > 2 {
                let from_near = board.degree(near) <= board.degree(many);
                let (end, other) = if from_near { (near, many) } else { (many, near) };
                for second in direct_of(board, end) {
                    let rest = between(board, second.price.pair.other(end), other);
                    if !rest.is_empty() {
                        found(rest.into_iter().chain([second]).collect());
                    }
                }
            }
            if leads_there {
                edges.insert(first.price.pair, first);
            }
        }
        edges
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

impl Kept {
    /// Gets the pair.
    pub const fn pair(&self) -> Pair {
        self.pair
    }
}

/// Lists the direct prices of an asset.
fn direct_of(board: &Board, asset: Asset) -> impl Iterator<Item = Arc<Update>> {
    board.list(Some(asset), None).filter(is_direct)
}

/// Lists the direct prices of two assets in each other.
fn between(board: &Board, a: Asset, b: Asset) -> Vec<Arc<Update>> {
    let pairs = [Pair { base: a, quote: b }, Pair { base: b, quote: a }];
    pairs.into_iter().filter_map(|pair| board.get(pair)).filter(is_direct).collect()
}

fn is_direct(update: &Arc<Update>) -> bool {
    update.price.route.is_empty()
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
