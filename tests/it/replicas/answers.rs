//! What they answer is the same, field for field.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use cryptoprice::client::v1::{
    ConvertAmountRequest, Origin, Price, PriceStatus, StreamPricesKind, StreamPricesResponse,
};
use prost::Message as _;

use super::node::{CALM, Node, agree};
use crate::{
    cache::server::Redis,
    harness::{Metrics, eventually},
    program::follow,
};

/// For how long updates are collected.
const COLLECTING: Duration = Duration::from_secs(4);

/// Encoded prices by their places.
type Updates = BTreeMap<(u64, u64), Vec<u8>>;

/// Collects every update that a replica tells.
async fn collect(node: &Node, until: Instant) -> Updates {
    let mut stream = follow(&node.channel().await, &[], None).await;
    let mut updates = Updates::new();
    while let Ok(message) = tokio::time::timeout_at(until.into(), stream.message()).await {
        let message: StreamPricesResponse = message.unwrap().unwrap();
        if message.kind() == StreamPricesKind::Update {
            let place = |price: &Price| (price.epoch, price.sequence);
            updates.extend(message.prices.iter().map(|price| (place(price), price.encode_to_vec())));
        }
    }
    updates
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_answer_alike_field_for_field_at_the_same_sequence() {
    let Some(redis) = Redis::start("replicas: answers") else {
        return;
    };
    let url = redis.url();
    let leader = Node::demo(&url, &CALM).await;
    leader.becomes("leader").await;
    let (standby, first, second) =
        tokio::join!(Node::demo(&url, &CALM), Node::serve(&url, &CALM), Node::serve(&url, &CALM),);
    standby.becomes("standby").await;
    first.becomes("follower").await;
    second.becomes("follower").await;
    let nodes = [&leader, &standby, &first, &second];
    agree(&nodes).await;

    // Whoever is asked says who leads.
    for node in nodes {
        let told = node.status().await;
        let name = leader.status().await["name"].clone();
        eventually("it knows who leads", async || (node.status().await["leader"] == name).then_some(()))
            .await;
        assert_eq!((&told["origin"], &told["redis"]), (&"ORIGIN_SIMULATED".into(), &"answers".into()));
        let ready = node.readiness().await;
        assert_eq!((&ready["leader"], &ready["part"]), (&name, &told["part"]));
        // The past is read by all of them.
        let metrics = Metrics::of(node.ops).await;
        assert!(metrics.0.contains("cryptoprice_history_pool_connections{"), "{}", metrics.0);
    }

    streams_are_the_same(nodes).await;

    // Single calls: asked until all have answered at the same place.
    for pair in ["BTC-USD", "USDT-USD", "ETH-EUR"] {
        let answers = eventually("all explain the same update", async || {
            let mut answers = Vec::new();
            for node in nodes {
                answers.push(node.explained(pair).await);
            }
            let place = |answer: &cryptoprice::client::v1::ExplainPriceResponse| {
                answer.price.as_ref().map(|price| (price.epoch, price.sequence))
            };
            let legs = |answer: &cryptoprice::client::v1::ExplainPriceResponse| {
                let legs = answer.legs.iter().map(|leg| leg.price.as_ref().map(|price| price.sequence));
                legs.collect::<Vec<_>>()
            };
            let same = answers.iter().all(|a| place(a) == place(&answers[0]) && legs(a) == legs(&answers[0]));
            same.then_some(answers)
        })
        .await;
        assert!(answers[0].legs.iter().all(|leg| !leg.contributions.is_empty()), "{:?}", answers[0]);
        for answer in &answers {
            assert_eq!(answer, &answers[0], "{pair}");
        }
    }
    eventually("all list the same prices", async || {
        let (leading, following) = (leader.all_prices().await, second.all_prices().await);
        (leading == following && leading.len() > 10).then_some(())
    })
    .await;
    let sources = eventually("all list the same sources", async || {
        let mut listed = Vec::new();
        for node in nodes {
            listed.push(node.sources().await);
        }
        let same = listed.iter().all(|sources| *sources == listed[0]);
        (same && listed[0].iter().all(|source| source.frame_count > 0)).then(|| listed.remove(0))
    })
    .await;
    assert_eq!(sources.len(), 3, "{sources:?}");
    assert!(sources.iter().all(|source| source.origin() == Origin::Simulated));
    amounts_and_derived_pairs_follow(&leader, &second).await;
    let metrics = Metrics::of(second.ops).await;
    assert!(metrics.get("cryptoprice_mirror_followed_total") > 0);
    assert_eq!(metrics.get("cryptoprice_lease_held"), 0);
    assert_eq!(Metrics::of(leader.ops).await.get("cryptoprice_lease_held"), 1);
}

async fn streams_are_the_same(nodes: [&Node; 4]) {
    let until = Instant::now() + COLLECTING;
    let collected = nodes.map(|node| collect(node, until));
    let collected = futures::future::join_all(collected).await;
    let places =
        |updates: &Updates| (*updates.first_key_value().unwrap().0, *updates.last_key_value().unwrap().0);
    let from = collected.iter().map(|updates| places(updates).0).max().unwrap();
    let to = collected.iter().map(|updates| places(updates).1).min().unwrap();
    let common: Vec<Vec<_>> = collected.iter().map(|updates| updates.range(from..=to).collect()).collect();
    assert!(common[0].len() > 50, "{} updates in common", common[0].len());
    assert_eq!(common[0].len() as u64, to.1 - from.1 + 1, "none is missing");
    for updates in &common {
        assert_eq!(updates, &common[0], "every update is the same, byte for byte");
    }
}

/// What is not on the board is kept by whoever leads once somebody streams it from a replica.
async fn amounts_and_derived_pairs_follow(leader: &Node, follower: &Node) {
    let request = ConvertAmountRequest {
        amount: "2".into(),
        from: "BTC".into(),
        to: "EUR".into(),
        ..Default::default()
    };
    eventually("an amount is the same on both", async || {
        let leading = leader.prices().await.convert_amount(request.clone()).await.unwrap().into_inner();
        let following = follower.prices().await.convert_amount(request.clone()).await.unwrap().into_inner();
        (leading.amount == following.amount).then_some(())
    })
    .await;
    let pair = "SOL-ETH";
    assert!(leader.all_prices().await.iter().all(|price| price.pair != pair));
    let mut stream = follow(&follower.channel().await, &[pair], None).await;
    let updated = async {
        loop {
            let message = stream.message().await.unwrap().unwrap();
            if message.kind() == StreamPricesKind::Update
                && let Some(price) =
                    message.prices.into_iter().find(|price| price.status() == PriceStatus::Live)
            {
                return price;
            }
        }
    };
    let updated = tokio::time::timeout(Duration::from_secs(30), updated).await.expect("it is kept");
    assert!(!updated.route.is_empty());
    assert!(leader.price(pair).await.is_some_and(|price| price.sequence >= updated.sequence));
}
