//! Prices made for tests, and what is derived from them.

mod properties;
mod routes;

use chrono::{DateTime, Utc};

use super::*;
use crate::domain::{
    decimal::{parse, text},
    price::{Origin, Price, Status, StatusReason, Value},
};

const ASSETS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

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
    Price { value: Some(value), ..price.clone() }
}

/// Derives a price from legs, each turned as the one before it demands.
fn derived(pair: &str, legs: &[&Price], depegged: &[&str]) -> Price {
    let pair: Pair = pair.parse().unwrap();
    let mut reached = pair.base;
    let legs: Vec<_> = legs
        .iter()
        .map(|leg| {
            let step = Step { pair: leg.pair, inverted: leg.pair.base != reached };
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
    assert!(derived("ETH-EUR", &[&eth, &euro], &["ETH", "EUR"]).value.is_some());
}

#[test]
fn an_origin_is_never_better_than_its_legs() {
    let replayed = Price { origin: Origin::Replay, ..live("EUR-USD", "1.25") };
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
    let expected = Price { pair: price.pair.inverse(), route: vec![price.pair], ..expected };
    assert_eq!(inverse, expected);

    let route = vec!["ETH-USD".parse().unwrap(), "EUR-USD".parse().unwrap()];
    let derived = Price { route: route.clone(), ..live("ETH-EUR", "1600") };
    let back: Vec<_> = route.into_iter().rev().collect();
    assert_eq!(invert(&derived).unwrap().route, back);
}

#[test]
fn an_inverse_may_not_exist() {
    assert_eq!(invert(&live("BTC-USD", "0")), Err(DecimalError::DivisionByZero));
    assert_eq!(invert(&live("BTC-USD", "30000000000000")), Err(DecimalError::BelowPrecision));
    let missing =
        Price::unavailable("BTC-USD".parse().unwrap(), StatusReason::NoFreshQuotes, Origin::Live, ago(0));
    let inverse = invert(&missing).unwrap();
    assert_eq!((inverse.value, inverse.status_reason), (None, Some(StatusReason::NoFreshQuotes)));
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
