//! Quotes made for tests, and what becomes of many.

mod examples;
mod properties;
mod reading;
mod votes;

use super::*;
use crate::domain::{
    decimal::{parse, text},
    pair::Asset,
    peg::PegPolicy,
    quote::{LastTrade, TopOfBook},
    venue::Venue,
};

const BTC_USD: Pair = Pair::literal("BTC", "USD");
const USDT: Asset = Asset::literal("USDT");
const USDC: Asset = Asset::literal("USDC");

fn decimal(given: &str) -> Decimal {
    parse(given).unwrap()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000, 0).unwrap()
}

fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

/// A quote with a book, confirmed and changed just now.
fn quote(venue: &'static str, market: &str, bid: &str, ask: &str) -> Quote {
    Quote {
        venue: Venue::new(venue),
        market: market.parse().unwrap(),
        book: Some(TopOfBook { bid: Some(decimal(bid)), ask: Some(decimal(ask)) }),
        last: None,
        quote_volume_24h: None,
        observe_time: now(),
        confirm_time: now(),
        receive_time: now(),
        change_time: now(),
        consensus_at_change: None,
    }
}

/// A quote whose bid and ask lie one below and one above the mid.
fn around(venue: &'static str, mid: i64) -> Quote {
    quote(venue, "BTC-USD", &(mid - 1).to_string(), &(mid + 1).to_string())
}

fn last(price: &str, seconds_ago: i64) -> LastTrade {
    LastTrade { price: decimal(price), time: ago(seconds_ago) }
}

/// Stablecoins of the dollar, each with the rate that three anchors confirmed so many seconds ago, or unknown.
fn pegs(known: &[(Asset, &str, i64)]) -> Pegs {
    let mut pegs = Pegs::new([(USDT, Asset::USD), (USDC, Asset::USD)]);
    for (asset, rate, seconds) in known {
        let anchors = ["kraken", "coinbase", "bitstamp"].map(|venue| Quote {
            observe_time: ago(*seconds),
            confirm_time: ago(*seconds),
            receive_time: ago(*seconds),
            last: Some(last(rate, *seconds)),
            book: None,
            ..quote(venue, &format!("{asset}-USD"), "1", "1")
        });
        let at = ago(*seconds);
        let pair = Pair::new(*asset, Asset::USD);
        let made = aggregate(pair, &anchors, &pegs, None, &Policy::default(), at);
        pegs.update(*asset, &made, &PegPolicy::default(), at);
    }
    pegs
}

fn aggregated(quotes: &[Quote], pegs: &Pegs) -> Aggregate {
    aggregate(BTC_USD, quotes, pegs, None, &Policy::default(), now())
}

fn price(aggregate: &Aggregate) -> Option<String> {
    aggregate.value.map(|value| text(value.price))
}

fn verdicts(aggregate: &Aggregate) -> Vec<(&'static str, Verdict)> {
    let verdict = |c: &Contribution| (c.quote.venue.as_str(), c.verdict);
    aggregate.contributions.iter().map(verdict).collect()
}

#[test]
fn a_pair_has_its_markets() {
    let mut declared: Vec<_> = pegs(&[]).declared().collect();
    declared.push((Asset::literal("EURT"), Asset::literal("EUR")));
    let pegs = Pegs::new(declared);
    for (pair, expected) in [
        ("BTC-USD", "BTC-USD BTC-USDC BTC-USDT"),
        ("BTC-USDT", "BTC-USDT"),
        ("BTC-EUR", "BTC-EUR BTC-EURT"),
        ("ETH-BTC", "ETH-BTC"),
        // A peg hangs on no other.
        ("USDT-USD", "USDT-USD"),
        ("USDT-EUR", "USDT-EUR USDT-EURT"),
        ("EURT-EUR", "EURT-EUR"),
        ("EURT-USD", "EURT-USD EURT-USDC EURT-USDT"),
    ] {
        let markets = markets(pair.parse().unwrap(), &pegs);
        let names: Vec<_> = markets.iter().map(ToString::to_string).collect();
        assert_eq!(names.join(" "), expected, "{pair}");
    }
}

#[test]
fn what_misses_the_bar_is_degraded() {
    let check = |mids: &[i64], status, reason, dispersion: &str| {
        let quotes: Vec<_> = ["a", "b"].iter().zip(mids).map(|(venue, mid)| around(venue, *mid)).collect();
        let made = aggregated(&quotes, &pegs(&[]));
        assert_eq!((made.status, made.status_reason), (status, reason), "{mids:?}");
        assert_eq!(text(made.value.unwrap().dispersion_bps), dispersion, "{mids:?}");
    };
    let few = Some(StatusReason::TooFewSources);
    check(&[1_000], Status::Degraded, few, "0");
    check(&[1_000, 1_000], Status::Live, None, "0");
    // Both are 67 away from 10,067: 1.4826 × 67 ÷ 10,067 × 10,000 = 98.67309….
    check(&[10_000, 10_134], Status::Live, None, "98.6731");
    // 1.4826 × 68 ÷ 10,068 × 10,000 = 100.13587….
    check(&[10_000, 10_136], Status::Degraded, Some(StatusReason::Divergent), "100.1359");
}

#[test]
fn a_result_that_cannot_be_held_is_no_price() {
    let tiny = |venue, price: &str| Quote { book: None, last: Some(last(price, 0)), ..around(venue, 10) };
    let smallest = "0.0000000000000000000000000001";
    let made = aggregated(&[tiny("a", smallest)], &pegs(&[]));
    assert_eq!(price(&made).unwrap(), smallest);
    // The mean of 1 and 2 of the smallest units would need half a unit.
    let made = aggregated(&[tiny("a", smallest), tiny("b", "0.0000000000000000000000000002")], &pegs(&[]));
    assert_eq!(made.value, None);
    assert_eq!(made.status_reason, Some(StatusReason::BelowPrecision));
    assert_eq!(made.source_count, 0);
}
