//! Two whole aggregations, worked by hand.

use super::*;

fn sized(quote: &Quote, volume: &str, confirmed: i64, received: i64) -> Quote {
    Quote {
        quote_volume_24h: Some(decimal(volume)),
        confirm_time: ago(confirmed),
        receive_time: ago(received),
        ..quote.clone()
    }
}

fn weights(aggregate: &Aggregate) -> Vec<(&'static str, String)> {
    let weight = |c: &Contribution| (c.quote.venue.as_str(), text(c.weight));
    aggregate.contributions.iter().map(weight).collect()
}

/// | venue | bid | ask | mid | volume | confirmed | received |
/// |---|---|---|---|---|---|---|
/// | a | 100.10 | 100.30 | 100.20 | 600 | 1 s ago | 1 s ago |
/// | b | 100.00 | 100.10 | 100.05 | 200 | 4 s | 1 s |
/// | c | 100.11 | 100.13 | 100.12 | 100 | 2 s | 3 s |
/// | d | 100.14 | 100.16 | 100.15 | 100 | 10 s | 3 s |
///
/// Outliers: the median is (100.12 + 100.15) ÷ 2 = 100.135, the distances 0.065, 0.085, 0.015, 0.015, the MAD
/// (0.015 + 0.065) ÷ 2 = 0.04. Allowed: max(3 × 1.4826 × 0.04 = 0.177912, 25 bps of 100.135 = 0.2503375): all stay.
///
/// Weights: 60, 20, 10, 10 %. a is capped at 40 %; the other 60 % go 2 : 1 : 1, that is 30, 15, 15 %.
///
/// Price, ascending: 100.05 (30 %), 100.12 (45 %), 100.15 (60 %): **100.15**. Bid: 100.00 (30 %), 100.10 (70 %):
/// **100.10**. Ask: 100.10 (30 %), 100.13 (45 %), 100.16 (60 %): **100.16**.
///
/// Dispersion: the distances from 100.15 are d 0 (15 %), c 0.03 (30 %), a 0.05 (70 %): 0.05. 1.4826 × 0.05 ÷ 100.15
/// × 10 000 = 741.3 ÷ 100.15 = 7.40189…: **7.4019 bps**.
///
/// Observed: 10 s ago (15 %), 4 s (45 %), 2 s (60 %): **2 s ago**. Received: 3 s (30 %), 1 s (100 %): **1 s ago**.
#[test]
fn a_plain_consensus() {
    let quotes = [
        sized(&quote("a", "BTC-USD", "100.10", "100.30"), "600", 1, 1),
        sized(&quote("b", "BTC-USD", "100.00", "100.10"), "200", 4, 1),
        sized(&quote("c", "BTC-USD", "100.11", "100.13"), "100", 2, 3),
        sized(&quote("d", "BTC-USD", "100.14", "100.16"), "100", 10, 3),
    ];
    let made = aggregated(&quotes, &pegs(&[]));
    let expected = Value {
        price: decimal("100.15"),
        bid: Some(decimal("100.10")),
        ask: Some(decimal("100.16")),
        dispersion_bps: decimal("7.4019"),
        observe_time: ago(2),
        receive_time: ago(1),
    };
    assert_eq!(made.value, Some(expected));
    assert_eq!((made.status, made.status_reason, made.source_count), (Status::Live, None, 4));
    let shares = [("a", "0.4"), ("b", "0.3"), ("c", "0.15"), ("d", "0.15")];
    assert_eq!(weights(&made), shares.map(|(venue, share)| (venue, share.to_owned())));
}

/// A tether is worth 0.999 dollars, observed and received 6 s ago. In dollars:
///
/// | venue | market | mid | × rate | volume in dollars | confirmed |
/// |---|---|---|---|---|---|
/// | kraken | BTC-USD | 1,999 | | 4,000,000 | 1 s ago |
/// | coinbase | BTC-USD | 2,001 | | 3,000,000 | 2 s ago |
/// | binance | BTC-USDT | 2,002 | 1,999.998 | 9,990,000 | 1 s, peg 6 s ago |
/// | binanceus | BTC-USDT | 2,003 | 2,000.997 | 49,950 | 1 s, peg 6 s ago |
/// | okx | BTC-USDT | 2,101 | 2,098.899 | 4,995,000 | 1 s, peg 6 s ago |
///
/// Votes: binance and binanceus have one owner, and binance the larger volume.
///
/// Outliers: of 1,999, 1,999.998, 2,001 and 2,098.899 the median is (1,999.998 + 2,001) ÷ 2 = 2,000.499; the
/// distances are 1.499, 0.501, 0.501, 98.4, the MAD (0.501 + 1.499) ÷ 2 = 1. Allowed: max(3 × 1.4826 = 4.4478, 25 bps
/// = 5.0012475). okx is out.
///
/// Weights: 4 : 3 : 9.99, so binance has 58.8 % and is capped at 40 %; the other 60 % go 4 : 3, that is 34.2857…
/// and 25.7142… %.
///
/// Price, ascending: kraken 1,999 (34.3 %), binance (74.3 %): **1,999.998**. Bid: kraken 1,998, binance 2,001 × 0.999:
/// **1,998.999**. Ask: kraken 2,000, binance 2,003 × 0.999: **2,000.997**.
///
/// Dispersion: the distances from 1,999.998 are 0 (40 %), 0.998 (74.3 %): 1.4826 × 0.998 ÷ 1,999.998 × 10,000 =
/// 14,796.348 ÷ 1,999.998 = 7.39818…: **7.3982 bps**.
///
/// Observed: binance 6 s ago (40 %), coinbase 2 s (65.7 %): **2 s ago**. Received: binance 6 s ago (40 %), the others
/// 1 s: **1 s ago**.
#[test]
fn a_consensus_with_a_stablecoin_an_owner_of_two_and_an_outlier() {
    let quotes = [
        sized(&quote("kraken", "BTC-USD", "1998", "2000"), "4000000", 1, 1),
        sized(&quote("coinbase", "BTC-USD", "2000", "2002"), "3000000", 2, 1),
        sized(&quote("binance", "BTC-USDT", "2001", "2003"), "10000000", 1, 1),
        sized(&quote("binanceus", "BTC-USDT", "2002", "2004"), "50000", 1, 1),
        sized(&quote("okx", "BTC-USDT", "2100", "2102"), "5000000", 1, 1),
    ];
    let made = aggregated(&quotes, &pegs(&[(USDT, "0.999", 6)]));
    let expected = Value {
        price: decimal("1999.998"),
        bid: Some(decimal("1998.999")),
        ask: Some(decimal("2000.997")),
        dispersion_bps: decimal("7.3982"),
        observe_time: ago(2),
        receive_time: ago(1),
    };
    assert_eq!(made.value, Some(expected));
    assert_eq!((made.status, made.status_reason, made.source_count), (Status::Live, None, 3));
    assert_eq!(
        verdicts(&made),
        [
            ("binance", Verdict::Used),
            ("binanceus", Verdict::OwnerVotesElsewhere),
            ("coinbase", Verdict::Used),
            ("kraken", Verdict::Used),
            ("okx", Verdict::Outlier),
        ]
    );
    let shares = [
        ("binance", "0.4"),
        ("binanceus", "0"),
        ("coinbase", "0.2571428571"),
        ("kraken", "0.3428571429"),
        ("okx", "0"),
    ];
    assert_eq!(weights(&made), shares.map(|(venue, share)| (venue, share.to_owned())));
    let binance = made.contributions[0].reading.clone().unwrap();
    let expected = Reading {
        price: decimal("1999.998"),
        bid: Some(decimal("1998.999")),
        ask: Some(decimal("2000.997")),
        basis: Basis::Mid,
        peg: Some((Pair::literal("USDT", "USD"), decimal("0.999"))),
        quote_volume_24h: Some(decimal("9990000")),
        observe_time: ago(6),
        receive_time: ago(6),
    };
    assert_eq!(binance, expected);
}
