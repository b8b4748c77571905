//! Candles are the leader's on every replica, those that form too.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cryptoprice::client::v1::{Candle, CandleState, StreamCandlesRequest};
use futures::future::join_all;
use prost::Message as _;
use tokio::time::{Instant, timeout_at};

use super::node::{CALM, Node, agree};
use crate::{cache::server::Redis, harness::eventually};

/// For how long candles are collected.
const COLLECTING: Duration = Duration::from_secs(6);

/// What was told of a series.
#[derive(Debug, Default)]
struct Told {
    /// Candles that form, encoded.
    forming: BTreeSet<Vec<u8>>,
    /// Final ones, by when they open.
    closed: BTreeMap<i64, Candle>,
}

async fn collect(node: &Node, interval: &str, source: &str, until: Instant) -> Told {
    let request = StreamCandlesRequest {
        pair: "BTC-USD".to_owned(),
        interval: interval.to_owned(),
        source: source.to_owned(),
        ..Default::default()
    };
    let mut stream = node.candles().await.stream_candles(request).await.unwrap().into_inner();
    let mut told = Told::default();
    while let Ok(message) = timeout_at(until, stream.message()).await {
        // A message without a candle says that the stream goes on.
        let Some(candle) = message.unwrap().unwrap().candle else { continue };
        if candle.state() == CandleState::Forming {
            told.forming.insert(candle.encode_to_vec());
        } else {
            let opened = candle.open_time.as_ref().unwrap().seconds;
            assert_eq!(told.closed.insert(opened, candle), None, "closed once");
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candles_that_form_and_those_that_close_are_the_leaders_on_every_replica() {
    let Some(redis) = Redis::start("replicas: candles") else {
        return;
    };
    let url = redis.url();
    let leader = Node::demo(&url, &CALM).await;
    leader.becomes("leader").await;
    let (standby, serving) = tokio::join!(Node::demo(&url, &CALM), Node::serve(&url, &CALM));
    standby.becomes("standby").await;
    serving.becomes("follower").await;
    let nodes = [&leader, &standby, &serving];
    agree(&nodes).await;

    for (interval, source) in [("1s", ""), ("1m", "")] {
        let until = Instant::now() + COLLECTING;
        let told = join_all(nodes.map(|node| collect(node, interval, source, until))).await;
        assert!(told[0].forming.len() > 2, "{interval}: {} that form", told[0].forming.len());
        for other in &told[1..] {
            // Each message tells of the newest: some may be left out, and none made up.
            let common = other.forming.intersection(&told[0].forming).count();
            assert!(common + 2 >= other.forming.len(), "{interval}: {common} of {}", other.forming.len());
            assert!(common > 0, "{interval}: {common} in common");
            let both: Vec<_> = other.closed.keys().filter(|at| told[0].closed.contains_key(at)).collect();
            assert!(interval != "1s" || both.len() > 1, "{} were closed", both.len());
            for at in both {
                assert_eq!(other.closed[at], told[0].closed[at], "{interval}");
            }
        }
    }
    // Whoever has just come knows what forms, and what was closed last.
    let late = Node::serve(&url, &CALM).await;
    late.becomes("follower").await;
    for (interval, source, newest) in [("1w", "", 1), ("1m", "coinbase", 1), ("1s", "kraken", 4)] {
        eventually("all list the same candles", async || {
            let mut listed = Vec::new();
            for node in [&leader, &standby, &serving, &late] {
                let mut candles = node.last_candles("BTC-USD", source, interval).await;
                candles.truncate(newest);
                listed.push(candles);
            }
            let same = listed.iter().all(|candles| *candles == listed[0]);
            (same && listed[0].len() == newest && listed[0][0].state() == CandleState::Forming).then_some(())
        })
        .await;
    }
}
