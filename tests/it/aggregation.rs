//! The aggregation on tickers that exchanges really sent, with the expected result worked by hand.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use cryptoprice::domain::{
    aggregate::{Aggregate, Basis, Policy, Verdict, aggregate},
    decimal::{parse, parse_venue, text},
    pair::Pair,
    peg::Pegs,
    price::{Status, StatusReason, Value},
    quote::{LastTrade, Quote, TopOfBook},
    venue::Venue,
};
use rust_decimal::Decimal;
use serde_json::Value as Json;

use crate::data;

/// The exchanges of the recordings, as venues.
const VENUES: &[&str] =
    &["binance", "bitflyer", "bter", "bybit", "chbtc", "coincheck", "okx", "quoine", "yuanbao"];

fn decimal(given: &str) -> Decimal {
    parse(given).unwrap()
}

/// Reads a number that is written as a JSON number or as a text.
fn number(json: &Json) -> Decimal {
    let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    parse_venue(&text).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Makes the quote of one hand-made reading.
fn quote(reading: &Json, quote_volume: Decimal, time: DateTime<Utc>) -> Quote {
    let exchange = reading["exchange"].as_str().unwrap().to_lowercase();
    let venue = VENUES.iter().find(|venue| **venue == exchange).unwrap();
    Quote {
        venue: Venue::new(venue),
        market: reading["symbol"].as_str().unwrap().parse().unwrap(),
        book: Some(TopOfBook { bid: Some(number(&reading["bid"])), ask: Some(number(&reading["ask"])) }),
        last: Some(LastTrade { price: number(&reading["last"]), time }),
        quote_volume_24h: Some(quote_volume),
        observe_time: time,
        confirm_time: time,
        receive_time: time,
        change_time: time,
        consensus_at_change: None,
    }
}

fn aggregated(pair: Pair, quotes: &[Quote], max_age: TimeDelta) -> Aggregate {
    let policy = Policy { max_age, ..Policy::default() };
    let now = quotes.iter().map(|quote| quote.confirm_time).max().unwrap();
    aggregate(pair, quotes, &Pegs::default(), None, &policy, now)
}

/// Compares what became of each venue's quote: its reading, its weight and its verdict.
fn check_contributions(made: &Aggregate, expected: &[(&str, &str, &str, Verdict)]) {
    let found: Vec<_> = made
        .contributions
        .iter()
        .map(|c| {
            let reading = c.reading.as_ref().unwrap();
            assert_eq!(reading.basis, Basis::Mid);
            let venue = c.quote.venue.as_str();
            (venue, text(reading.price), text(c.weight), c.verdict)
        })
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(venue, price, weight, verdict)| (*venue, (*price).to_owned(), (*weight).to_owned(), *verdict))
        .collect();
    assert_eq!(found, expected);
}

/// BTC-USDT on 8 February 2026, three venues within 23.606 s (Bybit's answer bears no time; it is taken as the last):
///
/// | venue | bid | ask | mid | quote volume |
/// |---|---|---|---|---|
/// | Binance | 69,383.05 | 69,383.06 | 69,383.055 | 2,650,347,449.741016 |
/// | Bybit | 69,372.5 | 69,372.6 | 69,372.55 | 814,182,828.7634721 |
/// | OKX | 69,346.7 | 69,346.8 | 69,346.75 | 814,107,860.3304123 |
///
/// Readings: the spreads are far below 100 bps, so each is a mid.
///
/// Outliers: the median is 69,372.55, the distances are 10.505, 0 and 25.8, the MAD 10.505. Allowed:
/// max(3 × 1.4826 × 10.505 = 46.724139, 25 bps = 173.431375). All stay.
///
/// Weights: Binance has 61.94 % and is capped at 40 %. The other 60 % go 814,182,828.7634721 : 814,107,860.3304123,
/// that is 30.00138124 and 29.99861876 %.
///
/// Price, ascending: OKX (30.0 %), Bybit (60.0 %): **69,372.55**, and likewise its bid **69,372.5** and ask
/// **69,372.6**.
///
/// Dispersion: the distances from Bybit are 0 (30.0 %), 10.505 (70.0 %): 1.4826 × 10.505 ÷ 69,372.55 × 10,000 =
/// 155,747.13 ÷ 69,372.55 = 2.24508…: **2.2451 bps**.
///
/// Observed: Binance first (40 %), then OKX and Bybit: the time of **OKX**.
#[test]
fn tickers_of_2026() {
    let Some(folder) = data::folder("aggregation of 2026") else {
        return;
    };
    let recorded = data::json(&folder.join("aggregation/tickers_2026-02-08.json"));
    let readings = recorded["readings"].as_array().unwrap();
    let time = |reading: &Json| {
        let milliseconds = reading["timestamp_ms"].as_i64();
        milliseconds.map(|milliseconds| DateTime::from_timestamp_millis(milliseconds).unwrap())
    };
    let latest = readings.iter().filter_map(time).max().unwrap();
    let quotes: Vec<_> = readings
        .iter()
        .map(|reading| {
            let volume = number(&reading["quote_volume_24h"]);
            quote(reading, volume, time(reading).unwrap_or(latest))
        })
        .collect();
    let made = aggregated(Pair::literal("BTC", "USDT"), &quotes, Policy::default().max_age);
    check_contributions(
        &made,
        &[
            ("binance", "69383.055", "0.4", Verdict::Used),
            ("bybit", "69372.55", "0.3000138124", Verdict::Used),
            ("okx", "69346.75", "0.2999861876", Verdict::Used),
        ],
    );
    let expected = Value {
        price: decimal("69372.55"),
        bid: Some(decimal("69372.5")),
        ask: Some(decimal("69372.6")),
        dispersion_bps: decimal("2.2451"),
        observe_time: latest,
        receive_time: latest,
    };
    assert_eq!(made.value, Some(expected));
    assert_eq!((made.status, made.status_reason, made.source_count), (Status::Live, None, 3));
}

/// The readings of 3 October 2017 on one pair, by the time of the HTTP answer; quote volume is base volume × last.
fn quotes_of_2017(recorded: &Json, symbol: &str) -> Vec<Quote> {
    let readings = recorded["readings"].as_array().unwrap().iter();
    readings
        .filter(|reading| reading["symbol"] == symbol)
        .map(|reading| {
            assert_eq!(reading["volume_unit"], "base");
            let volume = number(&reading["volume_24h"]) * number(&reading["last"]);
            let time = DateTime::parse_from_rfc2822(reading["recorded_at"].as_str().unwrap()).unwrap();
            quote(reading, volume, time.to_utc())
        })
        .collect()
}

/// Minutes within which the tickers of 2017 were recorded: as one moment they are too old for the default.
const SPAN_OF_2017: TimeDelta = TimeDelta::minutes(6);

/// BTC-JPY:
///
/// | venue | bid | ask | mid | spread |
/// |---|---|---|---|---|
/// | Bitflyer | 495,917 | 496,019 | 495,968 | 2.1 bps |
/// | Coincheck | 495,642 | 495,830 | 495,736 | 3.8 bps |
/// | Quoine | 497,102.88839 | 497,687.83364 | 497,395.361015 | 11.8 bps |
///
/// Outliers: the median is 495,968, the distances are 0, 232 and 1,427.361015, the MAD 232. Allowed:
/// max(3 × 1.4826 × 232 = 1,031.8896, 25 bps = 1,239.92). Quoine is out.
///
/// Weights: two times 40 % are less than all, so the cap cannot hold: 50 % each.
///
/// Price: exactly half at Coincheck, so the mean with Bitflyer: (495,736 + 495,968) ÷ 2 = **495,852**. Bid
/// (495,642 + 495,917) ÷ 2 = **495,779.5**, ask (495,830 + 496,019) ÷ 2 = **495,924.5**.
///
/// Dispersion: both are 116 away: 1.4826 × 116 ÷ 495,852 × 10,000 = 1,719,816 ÷ 495,852 = 3.46840…: **3.4684 bps**.
#[test]
fn tickers_of_2017_in_yen() {
    let Some(folder) = data::folder("aggregation of 2017, yen") else {
        return;
    };
    let recorded = data::json(&folder.join("aggregation/tickers_2017-10-03.json"));
    let quotes = quotes_of_2017(&recorded, "BTC/JPY");
    let made = aggregated(Pair::literal("BTC", "JPY"), &quotes, SPAN_OF_2017);
    check_contributions(
        &made,
        &[
            ("bitflyer", "495968", "0.5", Verdict::Used),
            ("coincheck", "495736", "0.5", Verdict::Used),
            ("quoine", "497395.361015", "0", Verdict::Outlier),
        ],
    );
    // Of two equal weights the lower median is the earlier time: Bitflyer's.
    let bitflyer = "2017-10-03T04:04:10Z".parse().unwrap();
    let expected = Value {
        price: decimal("495852"),
        bid: Some(decimal("495779.5")),
        ask: Some(decimal("495924.5")),
        dispersion_bps: decimal("3.4684"),
        observe_time: bitflyer,
        receive_time: bitflyer,
    };
    assert_eq!(made.value, Some(expected));
    assert_eq!((made.status, made.status_reason, made.source_count), (Status::Live, None, 2));
}

/// BTC-CNY:
///
/// | venue | bid | ask | mid | spread | base volume × last |
/// |---|---|---|---|---|---|
/// | Bter | 26,530 | 26,700 | 26,615 | 63.9 bps | 34.7957 × 26,700.23 = 929,053.193011 |
/// | Chbtc | 27,130 | 27,197 | 27,163.5 | 24.7 bps | 3,190.296 × 27,197 = 86,766,480.312 |
/// | Yuanbao | 27,628 | 27,700 | 27,664 | 26.0 bps | 150.2478 × 27,654.32 = 4,155,000.740496 |
///
/// Outliers: the median is 27,163.5, the distances are 548.5, 0 and 500.5, the MAD 500.5. Allowed:
/// max(3 × 1.4826 × 500.5 = 2,226.1239, 25 bps = 67.90875). All stay.
///
/// Weights: Chbtc has 94.5 % and is capped at 40 %. The other 60 % would go 929,053.193011 : 4,155,000.740496, that
/// is 11.0 and 49.0 %: Yuanbao is capped too, and Bter takes the 20 % that are left.
///
/// Price, ascending: Bter (20 %), Chbtc (60 %): **27,163.5**, and likewise its bid **27,130** and ask **27,197**.
///
/// Dispersion: the distances from Chbtc are 0 (40 %), 500.5 (80 %): 1.4826 × 500.5 ÷ 27,163.5 × 10,000 =
/// 7,420,413 ÷ 27,163.5 = 273.17587…: **273.1759 bps**, above 100: DEGRADED.
///
/// Observed: Bter 04:04:25 (20 %), Chbtc **04:04:27** (60 %).
#[test]
fn tickers_of_2017_in_yuan() {
    let Some(folder) = data::folder("aggregation of 2017, yuan") else {
        return;
    };
    let recorded = data::json(&folder.join("aggregation/tickers_2017-10-03.json"));
    let quotes = quotes_of_2017(&recorded, "BTC/CNY");
    let made = aggregated(Pair::literal("BTC", "CNY"), &quotes, SPAN_OF_2017);
    check_contributions(
        &made,
        &[
            ("bter", "26615", "0.2", Verdict::Used),
            ("chbtc", "27163.5", "0.4", Verdict::Used),
            ("yuanbao", "27664", "0.4", Verdict::Used),
        ],
    );
    let chbtc = "2017-10-03T04:04:27Z".parse().unwrap();
    let expected = Value {
        price: decimal("27163.5"),
        bid: Some(decimal("27130")),
        ask: Some(decimal("27197")),
        dispersion_bps: decimal("273.1759"),
        observe_time: chbtc,
        receive_time: chbtc,
    };
    assert_eq!(made.value, Some(expected));
    assert_eq!(
        (made.status, made.status_reason, made.source_count),
        (Status::Degraded, Some(StatusReason::Divergent), 3)
    );
}

/// When the last answer of 2017 came in, the others were 72 to 96 s old: by the default of 30 s there is one source.
#[test]
fn tickers_of_2017_are_stale_by_the_default_age() {
    let Some(folder) = data::folder("aggregation of 2017, ages") else {
        return;
    };
    let recorded = data::json(&folder.join("aggregation/tickers_2017-10-03.json"));
    for (symbol, expected_price, fresh) in
        [("BTC/JPY", "497395.361015", "quoine"), ("BTC/CNY", "27664", "yuanbao")]
    {
        let quotes = quotes_of_2017(&recorded, symbol);
        let made = aggregated(symbol.parse().unwrap(), &quotes, Policy::default().max_age);
        for contribution in &made.contributions {
            let venue = contribution.quote.venue.as_str();
            let expected = if venue == fresh { Verdict::Used } else { Verdict::Stale };
            assert_eq!(contribution.verdict, expected, "{venue}");
        }
        assert_eq!(made.value.map(|value| text(value.price)).as_deref(), Some(expected_price));
        assert_eq!(made.status_reason, Some(StatusReason::TooFewSources));
    }
}

/// Each raw body of 2017 holds the numbers of its reading, or is an error page that holds none and makes no quote.
#[test]
fn error_bodies_are_no_quotes() {
    let Some(folder) = data::folder("aggregation of 2017, raw") else {
        return;
    };
    let recorded = data::json(&folder.join("aggregation/tickers_2017-10-03.json"));
    // Where each exchange writes bid, ask and last; the last three answered with an error.
    let places = BTreeMap::from([
        ("Bitflyer", ["/best_bid", "/best_ask", "/ltp"]),
        ("Bter", ["/highestBid", "/lowestAsk", "/last"]),
        ("Chbtc", ["/ticker/buy", "/ticker/sell", "/ticker/last"]),
        ("Coincheck", ["/bid", "/ask", "/last"]),
        ("Quoine", ["/market_bid", "/market_ask", "/last_traded_price"]),
        ("Yuanbao", ["/buy", "/sale", "/price"]),
        ("Jubi", ["/btc/buy", "/btc/sell", "/btc/last"]),
        ("Viabtc", ["/data/ticker/buy", "/data/ticker/sell", "/data/ticker/last"]),
        ("Yunbi", ["/ticker/buy", "/ticker/sell", "/ticker/last"]),
    ]);
    let readings = recorded["readings"].as_array().unwrap();
    let mut unread = Vec::new();
    for raw in recorded["raw"].as_array().unwrap() {
        let exchange = raw["exchange"].as_str().unwrap();
        let body: Json = serde_json::from_str(raw["body"].as_str().unwrap()).unwrap_or_default();
        // Quoine lists all its products.
        let products = body.as_array().into_iter().flatten();
        let product = products.clone().find(|product| product["currency_pair_code"] == "BTCJPY");
        let ticker = product.unwrap_or(&body);
        let found: Option<Vec<_>> = places[exchange].iter().map(|place| ticker.pointer(place)).collect();
        if let Some(reading) = readings.iter().find(|reading| reading["exchange"] == exchange) {
            let found: Vec<_> = found.unwrap().into_iter().map(number).collect();
            let read = ["bid", "ask", "last"].map(|name| number(&reading[name]));
            assert_eq!(found, read, "{exchange}");
        } else {
            assert_eq!(found, None, "{exchange}");
            unread.push(exchange);
        }
    }
    assert_eq!(unread, ["Jubi", "Viabtc", "Yunbi"]);
}
