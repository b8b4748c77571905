//! The best route from one asset to another over the pairs on the board.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use rust_decimal::Decimal;

use super::Step;
use crate::domain::{
    pair::{Asset, Pair},
    price::{Price, Status},
};

/// How good a pair is as a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeQuality {
    /// The status of its price; an UNAVAILABLE one is no leg.
    pub status: Status,
    /// Independent owners behind it.
    pub source_count: u32,
    /// How far they lie apart.
    pub dispersion_bps: Decimal,
}

impl From<&Price> for EdgeQuality {
    fn from(price: &Price) -> Self {
        Self {
            status: price.status,
            source_count: price.source_count,
            dispersion_bps: price.value.map(|value| value.dispersion_bps).unwrap_or_default(),
        }
    }
}

/// Finds the best route from `base` to `quote` of at most `max_hops` pairs, never through the pair in question or
/// its inverse.
///
/// The shortest routes are compared by their worst status, then by their fewest sources (more are better), by the
/// sum of their dispersions (less is better), and in the end by the names of their pairs. So the order of the
/// edges does not matter. No asset is passed twice: a shortest route never comes back.
pub fn route(
    base: Asset,
    quote: Asset,
    edges: impl IntoIterator<Item = (Pair, EdgeQuality)>,
    max_hops: usize,
) -> Option<Vec<Step>> {
    let wanted = Pair::new(base, quote);
    let usable = edges.into_iter().filter(|(pair, quality)| {
        quality.status != Status::Unavailable && *pair != wanted && *pair != wanted.inverse()
    });
    let graph = Graph::of(usable);
    let search = Search { hops: graph.hops_to(quote), graph };
    let within = search.hops.get(&base).is_some_and(|hops| *hops <= max_hops);
    if !within || base == quote {
        return None;
    }
    let mut best = None;
    search.extend(base, &Route::default(), &mut best);
    best.map(|route: Route| route.steps)
}

/// The steps that lead away from each asset.
struct Graph(BTreeMap<Asset, Vec<(Step, EdgeQuality)>>);

/// The graph, and how far each asset is from the goal.
struct Search {
    graph: Graph,
    hops: BTreeMap<Asset, usize>,
}

/// A route, or the beginning of one.
#[derive(Clone)]
struct Route {
    steps: Vec<Step>,
    quality: EdgeQuality,
}

impl Graph {
    fn of(edges: impl Iterator<Item = (Pair, EdgeQuality)>) -> Self {
        let mut graph = BTreeMap::<_, Vec<_>>::new();
        for (pair, quality) in edges {
            for inverted in [false, true] {
                let step = Step { pair, inverted };
                graph.entry(step.from()).or_default().push((step, quality));
            }
        }
        Self(graph)
    }

    fn steps_from(&self, asset: Asset) -> &[(Step, EdgeQuality)] {
        self.0.get(&asset).map(Vec::as_slice).unwrap_or_default()
    }

    /// Counts the hops from every asset to the goal, breadth first. Every step can be walked both ways.
    fn hops_to(&self, goal: Asset) -> BTreeMap<Asset, usize> {
        let mut hops = BTreeMap::from([(goal, 0)]);
        let mut waiting = VecDeque::from([(goal, 0)]);
        while let Some((asset, distance)) = waiting.pop_front() {
            for (step, _) in self.steps_from(asset) {
                hops.entry(step.to()).or_insert_with(|| {
                    waiting.push_back((step.to(), distance + 1));
                    distance + 1
                });
            }
        }
        hops
    }
}

impl Search {
    /// Walks every shortest route on from `from`, each step one hop closer to the goal, and keeps the best.
    fn extend(&self, from: Asset, so_far: &Route, best: &mut Option<Route>) {
        let left = self.hops.get(&from).copied().unwrap_or_default();
        if left == 0 {
            if best.as_ref().is_none_or(|best| so_far.rank() < best.rank()) {
                *best = Some(so_far.clone());
            }
            return;
        }
        for (step, quality) in self.graph.steps_from(from) {
            if self.hops.get(&step.to()).is_some_and(|hops| hops + 1 == left) {
                self.extend(step.to(), &so_far.with(*step, *quality), best);
            }
        }
    }
}

impl Default for Route {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            quality: EdgeQuality {
                status: Status::Live,
                source_count: u32::MAX,
                dispersion_bps: Decimal::ZERO,
            },
        }
    }
}

impl Route {
    fn with(&self, step: Step, quality: EdgeQuality) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        Self {
            steps,
            quality: EdgeQuality {
                status: self.quality.status.max(quality.status),
                source_count: self.quality.source_count.min(quality.source_count),
                dispersion_bps: self.quality.dispersion_bps.saturating_add(quality.dispersion_bps),
            },
        }
    }

    /// Ranks the route among others of its length: the lowest is the best.
    fn rank(&self) -> impl Ord {
        let pairs: Vec<_> = self.steps.iter().map(|step| step.pair).collect();
        let EdgeQuality { status, source_count, dispersion_bps } = self.quality;
        (status, Reverse(source_count), dispersion_bps, pairs)
    }
}
