//! Which route is taken.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;

const GOOD: EdgeQuality = EdgeQuality { status: Status::Live, source_count: 3, dispersion_bps: Decimal::TEN };

/// Finds a route among edges such as `ETH-USD`, and writes it with `!` before what is inverted.
fn found(pair: &str, edges: &[(&str, EdgeQuality)], max_hops: usize) -> String {
    let pair: Pair = pair.parse().unwrap();
    let edges = edges.iter().map(|(edge, quality)| (edge.parse().unwrap(), *quality));
    let Some(steps) = route(pair.base, pair.quote, edges, max_hops) else {
        return "none".to_owned();
    };
    let written = steps.iter().map(|step| format!("{}{}", if step.inverted { "!" } else { "" }, step.pair));
    written.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_shortest_route_is_found() {
    let check = |pair: &str, edges: &str, expected: &str| {
        let edges: Vec<_> = edges.split(' ').map(|edge| (edge, GOOD)).collect();
        assert_eq!(found(pair, &edges, 3), expected, "{pair}");
    };
    check("ETH-EUR", "ETH-USD EUR-USD", "ETH-USD !EUR-USD");
    check("EUR-ETH", "ETH-USD EUR-USD", "EUR-USD !ETH-USD");
    check("A-D", "A-B B-C C-D", "A-B B-C C-D");
    check("A-E", "A-B B-C C-D D-E", "none");
    check("A-D", "A-B B-C C-D A-X X-D", "A-X X-D");
    check("A-C", "A-B D-C", "none");
    check("A-Z", "A-B B-C", "none");
    check("A-B", "C-D", "none");
    // Never through itself, either way.
    check("A-B", "A-B B-A", "none");
    check("A-B", "A-B B-A A-C C-B", "A-C C-B");
    let one = [("A-B", GOOD), ("B-C", GOOD)];
    assert_eq!(found("A-C", &one, 1), "none");
    let nothing = Asset::literal("A");
    assert_eq!(route(nothing, nothing, [], 3), None);
}

#[test]
fn the_better_of_routes_of_one_length_is_taken() {
    let degraded = EdgeQuality { status: Status::Degraded, ..GOOD };
    let gone = EdgeQuality { status: Status::Unavailable, ..GOOD };
    let few = EdgeQuality { source_count: 2, ..GOOD };
    let apart = EdgeQuality { dispersion_bps: Decimal::ONE_HUNDRED, ..GOOD };
    let check = |m: EdgeQuality, n: EdgeQuality, expected: &str| {
        let edges = [("A-M", m), ("M-B", GOOD), ("A-N", GOOD), ("N-B", n)];
        assert_eq!(found("A-B", &edges, 3), expected);
    };
    let (by_m, by_n) = ("A-M M-B", "A-N N-B");
    check(GOOD, GOOD, by_m);
    check(gone, GOOD, by_n);
    check(degraded, GOOD, by_n);
    check(degraded, few, by_n);
    check(few, GOOD, by_n);
    check(few, apart, by_n);
    check(apart, GOOD, by_n);
    check(apart, few, by_m);
    check(GOOD, degraded, by_m);
    // The worst leg counts, not their number; but fewer hops count more than all.
    let edges = [("A-M", degraded), ("M-B", degraded), ("A-N", GOOD), ("N-B", degraded)];
    assert_eq!(found("A-B", &edges, 3), by_m);
    let edges = [("A-M", degraded), ("M-B", few), ("A-N", GOOD), ("N-O", GOOD), ("O-B", GOOD)];
    assert_eq!(found("A-B", &edges, 3), by_m);
}

fn any_pair() -> impl Strategy<Value = Pair> {
    let assets = prop::sample::subsequence(ASSETS.to_vec(), 2).prop_shuffle();
    assets.prop_map(|assets| Pair::literal(assets[0], assets[1]))
}

prop_compose! {
    fn any_quality()(
        status in prop::sample::select(vec![Status::Live, Status::Degraded, Status::Stale, Status::Unavailable]),
        source_count in 1_u32..4,
        dispersion in 0_i64..3,
    ) -> EdgeQuality {
        EdgeQuality { status, source_count, dispersion_bps: Decimal::from(dispersion) }
    }
}

/// Edges of a board in two orders.
fn any_edges() -> impl Strategy<Value = [Vec<(Pair, EdgeQuality)>; 2]> {
    prop::collection::btree_map(any_pair(), any_quality(), 0..14)
        .prop_map(Vec::from_iter)
        .prop_flat_map(|edges| [Just(edges.clone()).boxed(), Just(edges).prop_shuffle().boxed()])
}

/// Extends a path in every way that passes no asset twice, and collects those of up to three steps that end at B.
fn all_paths(
    path: &[(Step, EdgeQuality)],
    edges: &[(Pair, EdgeQuality)],
    all: &mut Vec<Vec<(Step, EdgeQuality)>>,
) {
    let start = Asset::literal("A");
    let reached = path.last().map_or(start, |(step, _)| step.to());
    if reached == Asset::literal("B") {
        all.push(path.to_vec());
    } else if path.len() < 3 {
        for (pair, quality) in edges {
            for inverted in [false, true] {
                let step = Step { pair: *pair, inverted };
                let passed = step.to() == start || path.iter().any(|(other, _)| other.to() == step.to());
                if step.from() == reached && !passed {
                    all_paths(&[path, &[(step, *quality)]].concat(), edges, all);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn the_best_of_all_routes_is_found_whatever_the_order([edges, shuffled] in any_edges()) {
        let (base, quote) = (Asset::literal("A"), Asset::literal("B"));
        let found = route(base, quote, edges.iter().copied(), 3);
        prop_assert_eq!(&found, &route(base, quote, shuffled, 3));

        let wanted = Pair::new(base, quote);
        let usable = edges.into_iter().filter(|(pair, quality)| {
            *pair != wanted && *pair != wanted.inverse() && quality.status != Status::Unavailable
        });
        let mut all = Vec::new();
        all_paths(&[], &usable.collect::<Vec<_>>(), &mut all);
        let best = all.into_iter().min_by_key(|path| {
            let qualities = || path.iter().map(|(_, quality)| quality);
            (
                path.len(),
                qualities().map(|quality| quality.status).max(),
                Reverse(qualities().map(|quality| quality.source_count).min()),
                qualities().map(|quality| quality.dispersion_bps).sum::<Decimal>(),
                path.iter().map(|(step, _)| step.pair).collect::<Vec<_>>(),
            )
        });
        let best = best.map(|path| path.into_iter().map(|(step, _)| step).collect::<Vec<_>>());
        prop_assert_eq!(found, best);
    }
}
