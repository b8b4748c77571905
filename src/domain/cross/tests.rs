//! Routes, and prices derived along them.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::domain::{
    decimal::{parse, text},
    price::{Origin, Price, Status, StatusReason, Value},
};

fn decimal(given: &str) -> Decimal {
    parse(given).unwrap()
}

fn ago(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000 - seconds, 0).unwrap()
}

/// A live price of five sources, just observed.
fn live(pair: &str, price: &str) -> Price {
    Price {
        pair: pair.parse().unwrap(),
        status: Status::Live,
        status_reason: None,
        value: Some(Value {
            price: decimal(price),
            bid: None,
            ask: None,
            dispersion_bps: Decimal::ZERO,
            observe_time: ago(0),
            receive_time: ago(0),
        }),
        source_count: 5,
        aggregate_time: ago(0),
        route: Vec::new(),
        origin: Origin::Live,
    }
}

/// Edits the numbers of a price.
fn with(price: &Price, edit: impl FnOnce(&mut Value)) -> Price {
    let mut value = price.value.unwrap();
    edit(&mut value);
    Price {
        value: Some(value),
        ..price.clone()
    }
}

fn step(pair: &str, inverted: bool) -> Step {
    Step {
        pair: pair.parse().unwrap(),
        inverted,
    }
}

/// Derives a price from legs, each turned as the one before it demands.
fn derived(pair: &str, legs: &[&Price], depegged: &[&str]) -> Price {
    let pair: Pair = pair.parse().unwrap();
    let mut reached = pair.base;
    let legs: Vec<_> = legs
        .iter()
        .map(|leg| {
            let step = Step {
                pair: leg.pair,
                inverted: leg.pair.base != reached,
            };
            reached = step.to();
            (step, *leg)
        })
        .collect();
    let depegged = |asset: Asset| depegged.contains(&asset.as_str());
    derive(pair, &legs, &CrossPolicy::default(), &depegged, ago(0))
}

/// ETH-EUR of ETH-USD and EUR-USD, which is inverted:
///
/// | | price | bid | ask | dispersion | sources | observed | received |
/// |---|---|---|---|---|---|---|---|
/// | ETH-USD | 2000 | 1999 | 2001 | 3 | 5 | 1 s ago | 3 s ago |
/// | EUR-USD | 1.25 | 1.24 | 1.26 | 2.5 | 3 | 4 s ago | 2 s ago |
///
/// Price 2000 ÷ 1.25 = **1600**. Bid 1999 ÷ 1.26 = 1586.50793650793650…, to 16 digits **1586.507936507937**. Ask
/// 2001 ÷ 1.24 = 1613.70967741935483…, **1613.709677419355**. Dispersion 3 + 2.5 = **5.5**. Sources **3**. Observed
/// **4 s ago**, received **3 s ago**. EUR-USD is DEGRADED for too few sources, and so is the result.
#[test]
fn a_cross_of_two_legs() {
    let eth = with(&live("ETH-USD", "2000"), |value| {
        *value = Value {
            bid: Some(decimal("1999")),
            ask: Some(decimal("2001")),
            dispersion_bps: decimal("3"),
            observe_time: ago(1),
            receive_time: ago(3),
            ..*value
        };
    });
    let euro = with(&live("EUR-USD", "1.25"), |value| {
        *value = Value {
            bid: Some(decimal("1.24")),
            ask: Some(decimal("1.26")),
            dispersion_bps: decimal("2.5"),
            observe_time: ago(4),
            receive_time: ago(2),
            ..*value
        };
    });
    let euro = Price {
        status: Status::Degraded,
        status_reason: Some(StatusReason::TooFewSources),
        source_count: 3,
        ..euro
    };
    let expected = Price {
        pair: "ETH-EUR".parse().unwrap(),
        status: Status::Degraded,
        status_reason: Some(StatusReason::TooFewSources),
        value: Some(Value {
            price: decimal("1600"),
            bid: Some(decimal("1586.507936507937")),
            ask: Some(decimal("1613.709677419355")),
            dispersion_bps: decimal("5.5"),
            observe_time: ago(4),
            receive_time: ago(3),
        }),
        source_count: 3,
        aggregate_time: ago(0),
        route: vec!["ETH-USD".parse().unwrap(), "EUR-USD".parse().unwrap()],
        origin: Origin::Live,
    };
    assert_eq!(derived("ETH-EUR", &[&eth, &euro], &[]), expected);
}

#[test]
fn a_route_of_three_legs_is_rounded_once() {
    // 1 ÷ 3 × 3 is 1, not 0.9999999999999999.
    let legs = [&live("B-A", "3"), &live("B-C", "3"), &live("C-D", "0.1")];
    let made = derived("A-D", &legs, &[]);
    assert_eq!(made.value.unwrap().price, decimal("0.1"));
}

#[test]
fn what_cannot_be_derived_says_why() {
    let check = |pair: &str, legs: &[&Price], depegged: &[&str], expected| {
        let made = derived(pair, legs, depegged);
        assert_eq!(
            (made.status, made.status_reason, made.value, made.source_count),
            (Status::Unavailable, Some(expected), None, 0),
            "{pair}"
        );
        assert_eq!(made.route.len(), legs.len());
    };
    let eth = live("ETH-USDT", "2000");
    let euro = live("EUR-USDT", "1.25");
    let old = |seconds| with(&euro, |value| value.observe_time = ago(seconds));
    let missing = |reason| Price::unavailable(euro.pair, reason, Origin::Live, ago(0));
    check("ETH-EUR", &[&eth, &old(31)], &[], StatusReason::LegSkew);
    check("ETH-EUR", &[&eth, &euro], &["USDT"], StatusReason::Depegged);
    for reason in [StatusReason::NoFreshQuotes, StatusReason::Depegged] {
        check("ETH-EUR", &[&eth, &missing(reason)], &[], reason);
    }
    // Legs that do not meet, or not at the end, or are none at all.
    check("ETH-EUR", &[&euro, &eth], &[], StatusReason::NoRoute);
    check("ETH-EUR", &[&eth], &[], StatusReason::NoRoute);
    check("ETH-EUR", &[], &[], StatusReason::NoRoute);
    let tiny = live("ETH-USDT", "0.0000000000001");
    let huge = live("EUR-USDT", "30000000000");
    check("ETH-EUR", &[&tiny, &huge], &[], StatusReason::BelowPrecision);
    let zero = live("EUR-USDT", "0");
    check("ETH-EUR", &[&eth, &zero], &[], StatusReason::BelowPrecision);

    // At the limit, and at the ends of the route, there is a price.
    assert!(derived("ETH-EUR", &[&eth, &old(30)], &[]).value.is_some());
    assert!(
        derived("ETH-EUR", &[&eth, &euro], &["ETH", "EUR"])
            .value
            .is_some()
    );
}

#[test]
fn an_origin_is_never_better_than_its_legs() {
    let replayed = Price {
        origin: Origin::Replay,
        ..live("EUR-USD", "1.25")
    };
    let made = derived("ETH-EUR", &[&live("ETH-USD", "2000"), &replayed], &[]);
    assert_eq!(made.origin, Origin::Replay);
}

#[test]
fn an_inverse_turns_bid_and_ask() {
    let price = with(&live("BTC-USD", "50000"), |value| {
        value.bid = Some(decimal("40000"));
        value.ask = Some(decimal("60000"));
        value.dispersion_bps = decimal("7");
    });
    let inverse = invert(&price).unwrap();
    let expected = with(&price, |value| {
        value.price = decimal("0.00002");
        value.bid = Some(decimal("0.00001666666666666667"));
        value.ask = Some(decimal("0.000025"));
    });
    let expected = Price {
        pair: price.pair.inverse(),
        route: vec![price.pair],
        ..expected
    };
    assert_eq!(inverse, expected);

    let route = vec!["ETH-USD".parse().unwrap(), "EUR-USD".parse().unwrap()];
    let derived = Price {
        route: route.clone(),
        ..live("ETH-EUR", "1600")
    };
    let back: Vec<_> = route.into_iter().rev().collect();
    assert_eq!(invert(&derived).unwrap().route, back);
}

#[test]
fn an_inverse_may_not_exist() {
    assert_eq!(invert(&live("BTC-USD", "0")), Err(DecimalError::DivisionByZero));
    assert_eq!(
        invert(&live("BTC-USD", "30000000000000")),
        Err(DecimalError::BelowPrecision)
    );
    let missing = Price::unavailable(
        "BTC-USD".parse().unwrap(),
        StatusReason::NoFreshQuotes,
        Origin::Live,
        ago(0),
    );
    let inverse = invert(&missing).unwrap();
    assert_eq!(
        (inverse.value, inverse.status_reason),
        (None, Some(StatusReason::NoFreshQuotes))
    );
}

#[test]
fn amounts_are_converted() {
    for (amount, price, expected) in [
        ("2.5", "69382.5", "173456.25"),
        ("0", "69382.5", "0"),
        ("-1", "0.1", "-0.1"),
        ("0.3333333333333333", "3", "0.9999999999999999"),
        ("1234567890.123456", "1.000000001", "1234567891.358024"),
    ] {
        let converted = convert(decimal(amount), decimal(price)).unwrap();
        assert_eq!(text(converted), expected, "{amount} × {price}");
    }
    assert_eq!(convert(Decimal::MAX, Decimal::TEN), Err(DecimalError::TooLarge));
}

const GOOD: EdgeQuality = EdgeQuality {
    status: Status::Live,
    source_count: 3,
    dispersion_bps: Decimal::TEN,
};

/// Finds a route among edges such as `ETH-USD`, and writes it with `!` before what is inverted.
fn found(pair: &str, edges: &[(&str, EdgeQuality)], max_hops: usize) -> String {
    let pair: Pair = pair.parse().unwrap();
    let edges = edges
        .iter()
        .map(|(edge, quality)| (edge.parse().unwrap(), *quality));
    let Some(steps) = route(pair.base, pair.quote, edges, max_hops) else {
        return "none".to_owned();
    };
    let written = steps
        .iter()
        .map(|step| format!("{}{}", if step.inverted { "!" } else { "" }, step.pair));
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
    let degraded = EdgeQuality {
        status: Status::Degraded,
        ..GOOD
    };
    let gone = EdgeQuality {
        status: Status::Unavailable,
        ..GOOD
    };
    let few = EdgeQuality {
        source_count: 2,
        ..GOOD
    };
    let apart = EdgeQuality {
        dispersion_bps: Decimal::ONE_HUNDRED,
        ..GOOD
    };
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
    let edges = [
        ("A-M", degraded),
        ("M-B", degraded),
        ("A-N", GOOD),
        ("N-B", degraded),
    ];
    assert_eq!(found("A-B", &edges, 3), by_m);
    let edges = [
        ("A-M", degraded),
        ("M-B", few),
        ("A-N", GOOD),
        ("N-O", GOOD),
        ("O-B", GOOD),
    ];
    assert_eq!(found("A-B", &edges, 3), by_m);
}

const ASSETS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

prop_compose! {
    fn any_edge()(
        base in 0_usize..6,
        offset in 1_usize..6,
        status in prop::sample::select(vec![Status::Live, Status::Degraded, Status::Stale, Status::Unavailable]),
        source_count in 1_u32..4,
        dispersion in 0_i64..3,
    ) -> (Pair, EdgeQuality) {
        let pair = Pair::literal(ASSETS[base], ASSETS[(base + offset) % 6]);
        (pair, EdgeQuality { status, source_count, dispersion_bps: Decimal::from(dispersion) })
    }
}

/// Ranks every simple path from `from` to `to`, one by one.
fn all_routes(
    from: Asset,
    to: Asset,
    edges: &[(Pair, EdgeQuality)],
    path: &[(Step, EdgeQuality)],
    all: &mut Vec<Vec<(Step, EdgeQuality)>>,
) {
    if from == to {
        all.push(path.to_vec());
        return;
    }
    if path.len() == 3 {
        return;
    }
    for (pair, quality) in edges {
        for inverted in [false, true] {
            let step = Step {
                pair: *pair,
                inverted,
            };
            let visited =
                step.to() == Asset::literal("A") || path.iter().any(|(step_, _)| step_.to() == step.to());
            if step.from() == from && !visited {
                let longer: Vec<_> = path.iter().copied().chain([(step, *quality)]).collect();
                all_routes(step.to(), to, edges, &longer, all);
            }
        }
    }
}

fn any_price() -> impl Strategy<Value = Decimal> {
    (1_i128..1 << 90, 0_u32..=28).prop_map(|(mantissa, scale)| Decimal::from_i128_with_scale(mantissa, scale))
}

prop_compose! {
    fn any_leg()(
        price in any_price(),
        half_spread in 0_i64..100,
        status in prop::sample::select(vec![Status::Live, Status::Degraded, Status::Stale]),
        source_count in 1_u32..9,
        dispersion in any_price(),
        observed in -5_i64..40,
        received in -5_i64..40,
    ) -> Price {
        let side = |bps: i64| price.checked_mul(Decimal::new(10_000 + bps, 4));
        let edit = |value: &mut Value| *value = Value {
            price,
            bid: side(-half_spread),
            ask: side(half_spread),
            dispersion_bps: dispersion,
            observe_time: ago(observed),
            receive_time: ago(received),
        };
        Price { status, source_count, ..with(&live("A-B", "1"), edit) }
    }
}

/// Tells whether two numbers differ by at most so many 10⁻¹⁶ of the first.
fn close(a: Decimal, b: Decimal, parts: i64) -> bool {
    let distance = Exact::of(a).distance(&Exact::of(b));
    distance <= Exact::of(a).times(Decimal::new(parts, 16))
}

proptest! {
    #[test]
    fn the_best_route_is_found_whatever_the_order(
        (edges, shuffled) in prop::collection::vec(any_edge(), 0..14)
            .prop_flat_map(|edges| (Just(edges.clone()), Just(edges).prop_shuffle())),
    ) {
        // The first of equal pairs only: a board holds each pair once.
        let mut seen = std::collections::BTreeMap::new();
        for (pair, quality) in &edges {
            seen.entry(*pair).or_insert(*quality);
        }
        let once: Vec<_> = edges.into_iter().filter(|(pair, quality)| seen.get(pair) == Some(quality)).collect();
        let shuffled: Vec<_> = shuffled.into_iter().filter(|(pair, quality)| seen.get(pair) == Some(quality)).collect();
        let (base, quote) = (Asset::literal("A"), Asset::literal("B"));
        let found = route(base, quote, once.iter().copied(), 3);
        prop_assert_eq!(&found, &route(base, quote, shuffled, 3));

        let allowed: Vec<_> = once
            .into_iter()
            .filter(|(pair, quality)| {
                let own = (pair.base == base && pair.quote == quote) || (pair.base == quote && pair.quote == base);
                !own && quality.status != Status::Unavailable
            })
            .collect();
        let mut all = Vec::new();
        all_routes(base, quote, &allowed, &[], &mut all);
        let best = all.into_iter().min_by_key(|path| {
            let qualities = || path.iter().map(|(_, quality)| quality);
            (
                path.len(),
                qualities().map(|quality| quality.status).max(),
                std::cmp::Reverse(qualities().map(|quality| quality.source_count).min()),
                qualities().map(|quality| quality.dispersion_bps).sum::<Decimal>(),
                path.iter().map(|(step, _)| step.pair).collect::<Vec<_>>(),
            )
        });
        let best = best.map(|path| path.into_iter().map(|(step, _)| step).collect::<Vec<_>>());
        prop_assert_eq!(found, best);
    }

    #[test]
    fn a_derived_price_is_never_better_than_its_legs(
        legs in prop::collection::vec((any_leg(), any::<bool>()), 1..4),
    ) {
        // A-B, B-C, C-D, each in one of its two spellings.
        let legs: Vec<_> = legs
            .into_iter()
            .zip(ASSETS.windows(2))
            .map(|((leg, inverted), names)| {
                let pair = Pair::literal(names[0], names[1]);
                let pair = if inverted { pair.inverse() } else { pair };
                (Step { pair, inverted }, Price { pair, ..leg })
            })
            .collect();
        let legs: Vec<_> = legs.iter().map(|(step, leg)| (*step, leg)).collect();
        let pair = Pair::new(Asset::literal("A"), legs[legs.len() - 1].0.to());
        let made = derive(pair, &legs, &CrossPolicy::default(), &|_| false, ago(0));
        prop_assert_eq!(made.value.is_none(), made.status == Status::Unavailable);
        for (_, leg) in &legs {
            prop_assert!(made.status >= leg.status);
            prop_assert!(made.source_count <= leg.source_count);
            let own = leg.value.unwrap();
            if let Some(value) = made.value {
                prop_assert!(value.observe_time <= own.observe_time);
                prop_assert!(value.receive_time <= own.receive_time);
                prop_assert!(value.dispersion_bps >= own.dispersion_bps);
                prop_assert!(value.bid.is_none_or(|bid| bid <= value.price));
                prop_assert!(value.ask.is_none_or(|ask| ask >= value.price));
            }
        }
    }

    /// An inverse is rounded once, by half a unit of its 16th digit: 5 × 10⁻¹⁶ of it at most. So twice the inverse
    /// is within 10 × 10⁻¹⁶, and the products of two such errors that are left are far below one more.
    #[test]
    fn twice_the_inverse_is_the_price(price in any_price()) {
        let one_way = edit_price(price);
        let back = invert(&one_way).and_then(|inverse| invert(&inverse));
        if let Ok(back) = back {
            prop_assert!(close(price, back.value.unwrap().price, 11));
        }
    }

    /// There and back: the inverse and the two amounts are rounded once each, by 5 × 10⁻¹⁶ at most.
    #[test]
    fn an_amount_converts_there_and_back(amount in any_price(), price in any_price()) {
        let inverse = invert(&edit_price(price)).map(|inverse| inverse.value.unwrap().price);
        let there = convert(amount, price);
        if let (Ok(inverse), Ok(there)) = (inverse, there)
            && let Ok(back) = convert(there, inverse)
        {
            prop_assert!(close(amount, back, 16));
        }
    }
}

fn edit_price(price: Decimal) -> Price {
    with(&live("A-B", "1"), |value| value.price = price)
}
