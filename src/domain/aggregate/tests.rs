//! Quotes made for tests, and tables of what becomes of them.

mod examples;
mod properties;

use super::*;
use crate::domain::{
    decimal::{parse, text},
    exact::Exact,
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
        book: Some(TopOfBook {
            bid: Some(decimal(bid)),
            ask: Some(decimal(ask)),
        }),
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

fn last(price: &str, seconds_ago: i64) -> Option<LastTrade> {
    Some(LastTrade {
        price: decimal(price),
        time: ago(seconds_ago),
    })
}

/// Stablecoins of the dollar, each with the rate that three anchors confirmed so many seconds ago, or unknown.
fn pegs(known: &[(Asset, &str, i64)]) -> Pegs {
    let mut pegs = Pegs::new([(USDT, Asset::USD), (USDC, Asset::USD)]);
    for (asset, rate, seconds) in known {
        let anchors = ["kraken", "coinbase", "bitstamp"].map(|venue| Quote {
            observe_time: ago(*seconds),
            confirm_time: ago(*seconds),
            receive_time: ago(*seconds),
            last: last(rate, *seconds),
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
fn a_quote_is_judged_by_itself_first() {
    let good = || quote("kraken", "BTC-USD", "100", "101");
    let book = |bid: Option<&str>, ask: Option<&str>| Quote {
        book: Some(TopOfBook {
            bid: bid.map(decimal),
            ask: ask.map(decimal),
        }),
        last: last("100.5", 0),
        ..good()
    };
    let frozen = |seconds, then: &str| Quote {
        change_time: ago(seconds),
        consensus_at_change: Some(decimal(then)),
        ..good()
    };
    // The consensus is 100.5; 25 bps away from it are about 100.249 and 100.752.
    let cases: Vec<(&str, Quote, Verdict)> = vec![
        ("a good one", good(), Verdict::Used),
        (
            "30 s old",
            Quote {
                confirm_time: ago(30),
                ..good()
            },
            Verdict::Used,
        ),
        (
            "31 s old",
            Quote {
                confirm_time: ago(31),
                ..good()
            },
            Verdict::Stale,
        ),
        (
            "unchanged for long, but confirmed",
            Quote {
                observe_time: ago(9_000),
                change_time: ago(9_000),
                ..good()
            },
            Verdict::Used,
        ),
        (
            "5 s ahead",
            Quote {
                confirm_time: ago(-5),
                ..good()
            },
            Verdict::Used,
        ),
        (
            "6 s ahead",
            Quote {
                confirm_time: ago(-6),
                ..good()
            },
            Verdict::FromTheFuture,
        ),
        (
            "observed ahead, confirmed long ago",
            Quote {
                observe_time: ago(-6),
                confirm_time: ago(99),
                ..good()
            },
            Verdict::FromTheFuture,
        ),
        ("no ask", book(Some("100"), None), Verdict::OneSided),
        ("no bid", book(None, Some("101")), Verdict::OneSided),
        ("an empty book", book(None, None), Verdict::OneSided),
        ("a bid of zero", book(Some("0"), Some("1")), Verdict::OneSided),
        ("a bid below zero", book(Some("-1"), Some("1")), Verdict::OneSided),
        ("locked", book(Some("100"), Some("100")), Verdict::Crossed),
        ("crossed", book(Some("101"), Some("100")), Verdict::Crossed),
        (
            "a spread of 100 bps of the mid",
            book(Some("99.5"), Some("100.5")),
            Verdict::Used,
        ),
        (
            "a wider one with a trade",
            book(Some("99.5"), Some("100.6")),
            Verdict::Used,
        ),
        (
            "a wider one without",
            Quote {
                last: None,
                ..book(Some("99.5"), Some("100.6"))
            },
            Verdict::NoReading,
        ),
        (
            "no book, a trade",
            Quote {
                book: None,
                last: last("100", 30),
                ..good()
            },
            Verdict::Used,
        ),
        (
            "no book, an old trade",
            Quote {
                book: None,
                last: last("100", 31),
                ..good()
            },
            Verdict::NoReading,
        ),
        (
            "no book, a trade of tomorrow",
            Quote {
                book: None,
                last: last("100", -86_400),
                ..good()
            },
            Verdict::NoReading,
        ),
        (
            "no book, a trade at zero",
            Quote {
                book: None,
                last: last("0", 0),
                ..good()
            },
            Verdict::NoReading,
        ),
        ("nothing", Quote { book: None, ..good() }, Verdict::NoReading),
        (
            "another market",
            quote("kraken", "ETH-USD", "100", "101"),
            Verdict::NoReading,
        ),
        (
            "frozen while the price rose",
            frozen(60, "100.2"),
            Verdict::Frozen,
        ),
        (
            "frozen while the price fell",
            frozen(60, "100.8"),
            Verdict::Frozen,
        ),
        ("not for long enough", frozen(59, "100.2"), Verdict::Used),
        ("not by enough", frozen(60, "100.3"), Verdict::Used),
    ];
    for (name, quote, expected) in cases {
        let made = aggregate(
            BTC_USD,
            &[quote],
            &pegs(&[]),
            Some(decimal("100.5")),
            &Policy::default(),
            now(),
        );
        assert_eq!(verdicts(&made), [("kraken", expected)], "{name}");
        assert_eq!(made.value.is_some(), expected == Verdict::Used, "{name}");
    }
}

#[test]
fn a_wide_book_gives_way_to_the_last_trade() {
    let wide = Quote {
        last: last("100.03", 3),
        ..quote("kraken", "BTC-USD", "99.5", "100.6")
    };
    let made = aggregated(&[wide], &pegs(&[]));
    let reading = made.contributions[0].reading.as_ref().unwrap();
    assert_eq!(reading.basis, Basis::LastTrade);
    assert_eq!((reading.bid, reading.ask), (None, None));
    let value = made.value.unwrap();
    assert_eq!(text(value.price), "100.03");
    assert_eq!((value.bid, value.ask), (None, None));
}

#[test]
fn a_stablecoin_is_converted_at_its_live_rate_or_not_at_all() {
    let check = |known: &[(Asset, &str, i64)], expected: Verdict, expected_price: Option<&str>, reason| {
        let made = aggregated(&[quote("okx", "BTC-USDT", "199", "201")], &pegs(known));
        assert_eq!(verdicts(&made), [("okx", expected)], "{known:?}");
        assert_eq!(price(&made).as_deref(), expected_price, "{known:?}");
        assert_eq!(made.status_reason, Some(reason), "{known:?}");
    };
    let few = StatusReason::TooFewSources;
    check(&[(USDT, "0.9991", 0)], Verdict::Used, Some("199.82"), few);
    check(&[(USDT, "0.985", 0)], Verdict::Used, Some("197"), few);
    check(
        &[(USDT, "0.97", 0)],
        Verdict::Depegged,
        None,
        StatusReason::Depegged,
    );
    check(&[], Verdict::PegUnknown, None, StatusReason::NoFreshQuotes);
    check(
        &[(USDC, "1", 0)],
        Verdict::PegUnknown,
        None,
        StatusReason::NoFreshQuotes,
    );
    // What was known half a minute ago is not known.
    check(&[(USDT, "0.9991", 30)], Verdict::Used, Some("199.82"), few);
    check(
        &[(USDT, "0.9991", 31)],
        Verdict::PegUnknown,
        None,
        StatusReason::NoFreshQuotes,
    );
}

#[test]
fn a_lost_peg_is_the_reason_only_if_nothing_else_is_missing() {
    let in_tether = quote("okx", "BTC-USDT", "199", "201");
    let in_circle = quote("kraken", "BTC-USDC", "199", "201");
    let stale = Quote {
        confirm_time: ago(60),
        ..quote("bitstamp", "BTC-USD", "199", "201")
    };
    let check = |quotes: &[&Quote], expected| {
        let quotes: Vec<_> = quotes.iter().copied().cloned().collect();
        let made = aggregated(&quotes, &pegs(&[(USDT, "0.9", 0)]));
        assert_eq!(
            (made.status, made.status_reason),
            (Status::Unavailable, Some(expected))
        );
        assert_eq!(made.source_count, 0);
    };
    check(&[&in_tether, &stale], StatusReason::Depegged);
    check(&[&in_tether, &in_circle], StatusReason::NoFreshQuotes);
    check(&[&stale], StatusReason::NoFreshQuotes);
    check(&[], StatusReason::NoFreshQuotes);
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
fn an_owner_has_one_vote() {
    let sized = |venue, market, volume: Option<&str>| Quote {
        quote_volume_24h: volume.map(decimal),
        ..quote(venue, market, "199", "201")
    };
    let elected = |quotes: &[Quote]| {
        let made = aggregated(quotes, &pegs(&[(USDT, "1", 0), (USDC, "1", 0)]));
        assert_eq!(made.source_count, 1);
        let used: Vec<_> = made
            .contributions
            .iter()
            .filter(|c| c.verdict == Verdict::Used)
            .collect();
        assert!(made.contributions.iter().all(|c| {
            c.verdict == Verdict::Used || (c.verdict == Verdict::OwnerVotesElsewhere && c.weight.is_zero())
        }));
        assert_eq!(used.len(), 1);
        assert_eq!(used[0].weight, Decimal::ONE);
        format!("{} {}", used[0].quote.venue, used[0].quote.market)
    };
    // A direct market before a larger one that is converted.
    let direct = sized("binanceus", "BTC-USD", Some("5"));
    let large = sized("binance", "BTC-USDT", Some("900"));
    assert_eq!(elected(&[large.clone(), direct]), "binanceus BTC-USD");
    // The larger of two that are converted; a known volume before an unknown one.
    let small = sized("binance", "BTC-USDC", Some("899"));
    let unknown = sized("binanceus", "BTC-USDT", None);
    assert_eq!(elected(&[small, unknown.clone(), large]), "binance BTC-USDT");
    // The first by venue, then by market.
    let same = sized("binance", "BTC-USDC", None);
    assert_eq!(elected(&[unknown, same]), "binance BTC-USDC");
}

#[test]
fn an_owner_with_three_markets_is_no_median() {
    // Were outliers looked for first, 200, 200 and 200 of one owner would throw out 190 and 190.2 of two others.
    let quotes = [
        quote("binance", "BTC-USD", "199.9", "200.1"),
        quote("binanceus", "BTC-USD", "199.9", "200.1"),
        quote("binance", "BTC-USDT", "199.9", "200.1"),
        quote("kraken", "BTC-USD", "189.9", "190.1"),
        quote("coinbase", "BTC-USD", "190.1", "190.3"),
    ];
    let made = aggregated(&quotes, &pegs(&[(USDT, "1", 0)]));
    assert_eq!(
        verdicts(&made),
        [
            ("binance", Verdict::Outlier),
            ("binance", Verdict::OwnerVotesElsewhere),
            ("binanceus", Verdict::OwnerVotesElsewhere),
            ("coinbase", Verdict::Used),
            ("kraken", Verdict::Used),
        ]
    );
    assert_eq!(price(&made).unwrap(), "190.1");
}

#[test]
fn outliers_need_three_readings_and_a_distance() {
    let check = |mids: &[i64], rejected: &[i64]| {
        const VENUES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
        let quotes: Vec<_> = VENUES
            .iter()
            .zip(mids)
            .map(|(venue, mid)| around(venue, *mid))
            .collect();
        let made = aggregated(&quotes, &pegs(&[]));
        let outliers = made
            .contributions
            .iter()
            .filter(|c| c.verdict == Verdict::Outlier);
        let found: Vec<_> = outliers
            .map(|c| text(c.reading.as_ref().unwrap().price).parse::<i64>().unwrap())
            .collect();
        assert_eq!(found, rejected, "{mids:?}");
    };
    // Of two, nobody can tell which is wrong.
    check(&[10_000, 20_000], &[]);
    check(&[10_000, 20_000, 10_010], &[20_000]);
    // Values that agree too well do not reject a good one: the MAD is 0 and the floor 25 bps.
    check(&[10_000, 10_000, 10_000, 10_000, 10_025], &[]);
    check(&[10_000, 10_000, 10_000, 10_000, 10_026], &[10_026]);
    check(&[10_000, 10_000, 10_000, 9_975], &[]);
    check(&[10_000, 10_000, 10_000, 9_974], &[9_974]);
    // Beyond the floor the MAD decides: 100 here, so 444.78 are allowed.
    check(&[9_900, 10_000, 10_100, 10_444], &[]);
    check(&[9_900, 9_950, 10_000, 10_100, 10_444], &[]);
    check(&[9_900, 9_900, 10_000, 10_100, 10_445], &[10_445]);
    // An even count: the median is 10,020, distances 20, 20, 40 and 980, the MAD 30, so 133.434 are allowed.
    check(&[9_980, 10_000, 10_040, 11_000], &[11_000]);
}

#[test]
fn volumes_share_the_vote_up_to_the_cap() {
    let check = |volumes: &[&str], expected: &[&str]| {
        let known: Vec<_> = volumes.iter().map(|volume| parse(volume).ok()).collect();
        let shown = Weights::new(&known, Decimal::new(4, 1)).shown();
        let shown: Vec<_> = shown.into_iter().map(text).collect();
        assert_eq!(shown, expected, "{volumes:?}");
    };
    check(&[], &[]);
    check(&["5"], &["1"]);
    // With two, 40 % cannot hold.
    check(&["1", "99"], &["0.5", "0.5"]);
    check(&["30", "30", "40"], &["0.3", "0.3", "0.4"]);
    // 60, 20, 20 %: the first is capped and its 20 go to the others.
    check(&["600", "200", "200"], &["0.4", "0.3", "0.3"]);
    // 70, 20, 10 %: capped, the second gets 2 ÷ 3 of 60 %, which is exactly the cap.
    check(&["7", "2", "1"], &["0.4", "0.4", "0.2"]);
    // 60, 30, 10 %: capped, the second would get 45 %, so it is capped too, and the third takes what is left.
    check(&["6.0", "3.00", "1"], &["0.4", "0.4", "0.2"]);
    // One unknown, zero or absurd volume: equal, and the thirds still add up to 1.
    for odd in ["?", "0", "-4"] {
        check(
            &["600", odd, "200"],
            &["0.3333333334", "0.3333333333", "0.3333333333"],
        );
    }
    check(
        &["1", "1", "1", "1", "1", "1", "1"],
        &[
            "0.1428571429",
            "0.1428571429",
            "0.1428571429",
            "0.1428571429",
            "0.1428571428",
            "0.1428571428",
            "0.1428571428",
        ],
    );
    check(
        &[
            "0.0000000000000000000000000001",
            "10000000000000000000000000000",
            "1",
            "1",
        ],
        &["0", "0.4", "0.3", "0.3"],
    );
}

#[test]
fn a_weighted_median_splits_exact_halves() {
    let check = |readings: &[(&str, &str)], expected: &str, expected_lower: &str| {
        let volumes: Vec<_> = readings.iter().map(|(_, volume)| Some(decimal(volume))).collect();
        let weights = Weights::new(&volumes, Decimal::ONE);
        let values = || readings.iter().map(|(value, _)| decimal(value));
        let median = weights.median(values().map(Exact::of)).unwrap();
        assert_eq!(text(median.rounded().unwrap()), expected, "{readings:?}");
        assert_eq!(
            text(weights.lower_median(values()).unwrap()),
            expected_lower,
            "{readings:?}"
        );
    };
    check(&[("5", "1")], "5", "5");
    check(&[("5", "1"), ("6", "1")], "5.5", "5");
    check(&[("6", "2"), ("5", "1")], "6", "6");
    check(&[("7", "3"), ("5", "1"), ("6", "2")], "6.5", "6");
    check(&[("7", "3"), ("5", "1"), ("6", "2.0000000001")], "6", "6");
    check(&[("5", "1"), ("5", "1"), ("6", "2")], "5.5", "5");
    check(&[("5", "1"), ("5", "1"), ("5", "2")], "5", "5");
}

#[test]
fn what_misses_the_bar_is_degraded() {
    let check = |mids: &[i64], status, reason, dispersion: &str| {
        let quotes: Vec<_> = ["a", "b"]
            .iter()
            .zip(mids)
            .map(|(venue, mid)| around(venue, *mid))
            .collect();
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
    check(
        &[10_000, 10_136],
        Status::Degraded,
        Some(StatusReason::Divergent),
        "100.1359",
    );
}

#[test]
fn a_result_that_cannot_be_held_is_no_price() {
    let tiny = |venue, price: &str| Quote {
        book: None,
        last: last(price, 0),
        ..around(venue, 10)
    };
    let smallest = "0.0000000000000000000000000001";
    let made = aggregated(&[tiny("a", smallest)], &pegs(&[]));
    assert_eq!(price(&made).unwrap(), smallest);
    // The mean of 1 and 2 of the smallest units would need half a unit.
    let made = aggregated(
        &[tiny("a", smallest), tiny("b", "0.0000000000000000000000000002")],
        &pegs(&[]),
    );
    assert_eq!(made.value, None);
    assert_eq!(made.status_reason, Some(StatusReason::BelowPrecision));
    assert_eq!(made.source_count, 0);
}
