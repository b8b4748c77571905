//! Many markets that REST has to speak for, and little that may be asked.

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
