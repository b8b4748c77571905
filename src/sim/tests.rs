//! Talks to every venue as a real client would: subscribes in the venue's own words, over a socket, and checks
//! what comes against the truth.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use chrono::DateTime;
use futures::{SinkExt, StreamExt};
use rust_decimal::Decimal;
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::{connect_async, tungstenite::Message};
use tokio_util::sync::CancellationToken;

use super::{SimOptions, Simulation};
use crate::domain::pair::Pair;

/// A price in a frame.
enum Price {
    Trade(Decimal),
    Book(Decimal, Decimal),
}

/// How to talk to a venue, and how to find prices in its answers.
struct Probe {
    venue: &'static str,
    pair: &'static str,
    requests: &'static [&'static str],
    find: fn(&Value) -> Option<Price>,
}

const PROBES: [Probe; 6] = [
    Probe {
        venue: "binance",
        pair: "BTC-USDT",
        requests: &[
            r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@bookTicker","btcusdt@ticker"],"id":1}"#,
        ],
        find: |frame| match text(frame, "/stream")? {
            "btcusdt@aggTrade" => trade(frame, "/data/p"),
            "btcusdt@bookTicker" => book(frame, "/data/b", "/data/a"),
            _ => None,
        },
    },
    Probe {
        venue: "coinbase",
        pair: "PEPE-USD",
        requests: &[
            r#"{"type":"subscribe","product_ids":["PEPE-USD"],"channel":"market_trades"}"#,
            r#"{"type":"subscribe","product_ids":["PEPE-USD"],"channel":"ticker"}"#,
            r#"{"type":"subscribe","product_ids":["PEPE-USD"],"channel":"heartbeats"}"#,
        ],
        find: |frame| match text(frame, "/channel")? {
            "market_trades" => trade(frame, "/events/0/trades/0/price"),
            "ticker" => book(frame, "/events/0/tickers/0/best_bid", "/events/0/tickers/0/best_ask"),
            _ => None,
        },
    },
    Probe {
        venue: "kraken",
        pair: "EUR-USD",
        requests: &[
            r#"{"method":"subscribe","params":{"channel":"trade","symbol":["EUR/USD"],"snapshot":true}}"#,
            r#"{"method":"subscribe","params":{"channel":"ticker","event_trigger":"bbo","symbol":["EUR/USD"]}}"#,
        ],
        find: |frame| match text(frame, "/channel")? {
            "trade" => trade(frame, "/data/0/price"),
            "ticker" => book(frame, "/data/0/bid", "/data/0/ask"),
            _ => None,
        },
    },
    Probe {
        venue: "okx",
        pair: "ETH-BTC",
        requests: &[
            r#"{"op":"subscribe","args":[{"channel":"trades","instId":"ETH-BTC"},{"channel":"tickers","instId":"ETH-BTC"}]}"#,
        ],
        find: |frame| match text(frame, "/arg/channel")? {
            "trades" => trade(frame, "/data/0/px"),
            "tickers" => book(frame, "/data/0/bidPx", "/data/0/askPx"),
            _ => None,
        },
    },
    Probe {
        venue: "bitfinex",
        pair: "BTC-USDT",
        requests: &[
            r#"{"event":"conf","flags":65536}"#,
            r#"{"event":"subscribe","channel":"trades","symbol":"tBTCUST"}"#,
            r#"{"event":"subscribe","channel":"ticker","symbol":"tBTCUST"}"#,
        ],
        find: |frame| match (frame.pointer("/1")?, frame.pointer("/2")?) {
            (Value::String(kind), _) if kind == "te" => trade(frame, "/2/3"),
            (Value::Array(cells), _) if cells.len() == 10 && cells[0].is_number() => {
                book(frame, "/1/0", "/1/2")
            }
            _ => None,
        },
    },
    Probe {
        venue: "cryptocom",
        pair: "SHIB-USD",
        requests: &[
            r#"{"id":1,"method":"subscribe","params":{"channels":["trade.SHIB_USD","ticker.SHIB_USD"]},"nonce":1760000000000}"#,
        ],
        find: |frame| match text(frame, "/result/channel")? {
            "trade" => trade(frame, "/result/data/0/p"),
            "ticker" => book(frame, "/result/data/0/b", "/result/data/0/k"),
            _ => None,
        },
    },
];

fn text<'a>(frame: &'a Value, pointer: &str) -> Option<&'a str> {
    frame.pointer(pointer)?.as_str()
}

/// Reads a decimal, whether it is text or a number.
fn decimal(frame: &Value, pointer: &str) -> Option<Decimal> {
    let value = frame.pointer(pointer)?;
    let digits = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    digits.parse().or_else(|_| Decimal::from_scientific(&digits)).ok()
}

fn trade(frame: &Value, price: &str) -> Option<Price> {
    decimal(frame, price).map(Price::Trade)
}

fn book(frame: &Value, bid: &str, ask: &str) -> Option<Price> {
    Some(Price::Book(decimal(frame, bid)?, decimal(frame, ask)?))
}

async fn simulation(shutdown: &CancellationToken) -> Simulation {
    let options = SimOptions {
        seed: 7,
        updates_per_second: NonZeroU32::new(50).unwrap(),
        trouble: false,
        now: Arc::new(|| DateTime::from_timestamp(1_760_000_000, 0).unwrap()),
    };
    Simulation::start(options, shutdown.clone()).await.unwrap()
}

/// Subscribes, and follows the venue until it has traded and quoted.
async fn check(simulation: &Simulation, probe: &Probe) {
    let venue = simulation.venues().iter().find(|v| v.venue.as_str() == probe.venue).unwrap();
    let pair: Pair = probe.pair.parse().unwrap();
    assert!(venue.pairs.contains(&pair));
    let (mut socket, _) = connect_async(&venue.url).await.unwrap();
    for request in probe.requests {
        socket.send(Message::text(*request)).await.unwrap();
    }
    let near = |price: Decimal| {
        let truth = simulation.truth().of(pair).unwrap();
        let bps = ((price - truth) / truth).abs() * Decimal::from(10_000);
        assert!(bps < Decimal::from(30), "{} {price} against {truth}", probe.venue);
    };
    let (mut trades, mut books) = (0, 0);
    while trades < 1 || books < 5 {
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else {
            continue;
        };
        let frame: Value = serde_json::from_str(&text).unwrap();
        match (probe.find)(&frame) {
            Some(Price::Trade(price)) => {
                near(price);
                trades += 1;
            }
            Some(Price::Book(bid, ask)) => {
                assert!(bid < ask, "{text}");
                near(bid);
                near(ask);
                books += 1;
            }
            None => {}
        }
    }
}

#[tokio::test]
async fn every_venue_answers_in_its_own_words_and_near_the_truth() {
    let shutdown = CancellationToken::new();
    let simulation = simulation(&shutdown).await;
    let checks = PROBES.iter().map(|probe| async {
        let checked = timeout(Duration::from_secs(60), check(&simulation, probe)).await;
        assert!(checked.is_ok(), "{} says too little", probe.venue);
    });
    futures::future::join_all(checks).await;
    shutdown.cancel();
    timeout(Duration::from_secs(10), simulation.join()).await.unwrap();
}

#[tokio::test]
async fn the_simulation_stops_with_clients_connected() {
    let shutdown = CancellationToken::new();
    let simulation = simulation(&shutdown).await;
    let mut sockets = Vec::new();
    for venue in simulation.venues() {
        sockets.push(connect_async(&venue.url).await.unwrap().0);
    }
    shutdown.cancel();
    timeout(Duration::from_secs(10), simulation.join()).await.unwrap();
}
