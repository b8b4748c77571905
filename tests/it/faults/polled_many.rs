//! Many markets that REST has to speak for, and little that may be asked.

use std::net::TcpListener;

use cryptoprice::client::v1::PriceStatus::Live;
use serde_json::{Map, Value, json};

use super::{
    answers::{Answers, parameter},
    stage::Stage,
    tongue::Tongue::{Gate, Kraken},
    venue::Venue,
};
use crate::harness::eventually;

const MARKETS: [&str; 16] = [
    "BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", "DOT-USD", "LTC-USD", "BCH-USD", "LINK-USD",
    "ATOM-USD", "UNI-USD", "AAVE-USD", "ALGO-USD", "FIL-USD", "TRX-USD", "NEAR-USD",
];

/// Waits until all of some markets are priced, at the same time.
async fn all_live(stage: &Stage, markets: &[&str]) {
    eventually("all are live", async || {
        for market in markets {
            if stage.price(market).await.status() != Live {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// Names a market as Kraken's answers do.
fn key(name: &str) -> String {
    match name {
        "XBTUSD" => "XXBTZUSD".to_owned(),
        "ETHUSD" => "XETHZUSD".to_owned(),
        _ => name.to_owned(),
    }
}

/// Answers as Kraken does, which refuses to tell anything with a market that it does not know.
fn kraken(target: &str, unknown: Option<&str>) -> String {
    let answer = |result: Map<String, Value>| json!({"error": [], "result": result}).to_string();
    if target.starts_with("/AssetPairs") {
        let listed = |market: &&str| {
            let (base, quote) = market.split_once('-').unwrap();
            (format!("{base}{quote}"), json!({"wsname": format!("{base}/{quote}"), "status": "online"}))
        };
        return answer(MARKETS.iter().map(listed).collect());
    }
    let names = parameter(target, "pair").unwrap_or_default();
    if unknown.is_some_and(|unknown| names.contains(unknown)) {
        return json!({"error": ["EQuery:Unknown asset pair"]}).to_string();
    }
    let day =
        json!({"a": ["60001", "1", "1"], "b": ["60000", "1", "1"], "c": ["60000", "1"], "v": ["1", "1"]});
    answer(names.split(',').map(|name| (key(name), day.clone())).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn markets_that_are_asked_for_one_by_one_all_get_their_turn() {
    let settings = [
        ("AGGREGATION__MIN_SOURCES", "1"),
        ("FEED__POLL_EVERY", "50ms"),
        // Ten a second: a turn of all takes less than two.
        ("VENUES__GATE__REQUESTS_PER_MINUTE", "600"),
    ];
    let stage = Stage::starting(&[Gate], &MARKETS, &settings, Venue::refuse_sockets).await;
    all_live(&stage, &MARKETS).await;
    stage.until(Gate, "is polled", |source| source.polled_market_count == 16).await;
    // For some more turns none is passed over.
    let asked = || -> Vec<usize> {
        let known = stage.venue(Gate).state();
        let of = |market: &&str| {
            let symbol = Gate.symbol(market);
            known.questions.iter().filter(|(_, target)| target.ends_with(&format!("pair={symbol}"))).count()
        };
        MARKETS.iter().map(of).collect()
    };
    eventually("all are asked for again and again", async || asked().iter().all(|n| *n > 5).then_some(()))
        .await;
    let asked = asked();
    let (least, most) = (asked.iter().min().unwrap(), asked.iter().max().unwrap());
    assert!(most - least <= 1, "{asked:?}");
    all_live(&stage, &MARKETS).await;
    stage.stop(&[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_little_may_be_asked_one_question_is_for_all_markets() {
    let rest = Answers::open(|target| kraken(target, None)).await;
    let settings = [
        ("AGGREGATION__MIN_SOURCES", "1"),
        ("VENUES__KRAKEN__REST_URL", rest.url.as_str()),
        // Kraken's own budget: one in two seconds.
        ("VENUES__KRAKEN__REQUESTS_PER_MINUTE", "30"),
    ];
    let stage = Stage::starting(&[Kraken], &MARKETS, &settings, Venue::refuse_sockets).await;
    all_live(&stage, &MARKETS).await;
    // And for longer than prices may be old.
    let asked = rest.asked("/Ticker").len();
    eventually("they are asked for again", async || (rest.asked("/Ticker").len() > asked + 12).then_some(()))
        .await;
    all_live(&stage, &MARKETS).await;
    assert!(rest.asked("/Ticker").iter().all(|target| target.matches(',').count() == 15));
    stage.stop(&[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_that_the_venue_refuses_does_not_cost_the_others_theirs() {
    let rest = Answers::open(|target| kraken(target, Some("DOTUSD"))).await;
    let settings = [("AGGREGATION__MIN_SOURCES", "1"), ("VENUES__KRAKEN__REST_URL", rest.url.as_str())];
    let stage = Stage::starting(&[Kraken], &MARKETS, &settings, Venue::refuse_sockets).await;
    let others: Vec<&str> = MARKETS.into_iter().filter(|market| *market != "DOT-USD").collect();
    all_live(&stage, &others).await;
    stage.until(Kraken, "is polled", |source| source.polled_market_count == 15).await;
    stage.until(Kraken, "says why", |source| source.last_error.contains("Unknown asset pair")).await;
    // They are asked for together again, without that one.
    let together = || rest.asked("/Ticker").iter().filter(|target| target.matches(',').count() == 14).count();
    eventually("the others are together again", async || (together() > 2).then_some(())).await;
    stage.stop(&[Live]).await;
}

/// Answers as Upbit does, of one market: the ticker has no bid and ask.
fn upbit(target: &str) -> String {
    let market = "KRW-BTC";
    match target.split('?').next() {
        Some("/market/all") => json!([{"market": market}]),
        Some("/orderbook") => {
            json!([{"market": market, "orderbook_units": [{"bid_price": 99, "ask_price": 101}]}])
        }
        _ => json!([{"market": market, "trade_timestamp": 1_700_000_000_000_i64, "trade_price": 90}]),
    }
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn best_bid_and_ask_are_asked_for_where_a_ticker_has_none() {
    let rest = Answers::open(upbit).await;
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("ws://127.0.0.1:{port}");
    let settings = [
        ("AGGREGATION__MIN_SOURCES", "1"),
        ("AGGREGATION__MAX_SPREAD_BPS", "500"),
        ("VENUES__UPBIT__ENABLED", "true"),
        ("VENUES__UPBIT__PAIRS", "BTC-KRW"),
        ("VENUES__UPBIT__URL", url.as_str()),
        ("VENUES__UPBIT__REST_URL", rest.url.as_str()),
    ];
    let stage = Stage::starting(&[Gate], &MARKETS[..1], &settings, |_| ()).await;
    all_live(&stage, &["BTC-KRW"]).await;
    let asked = rest.asked("/orderbook").len();
    // For longer than a quote may be old.
    eventually("it is asked again", async || (rest.asked("/orderbook").len() > asked + 20).then_some(()))
        .await;
    let price = stage.price("BTC-KRW").await;
    assert_eq!((price.status(), price.price.as_deref()), (Live, Some("100")), "{price:?}");
    stage.stop(&[Live]).await;
}
