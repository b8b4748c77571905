//! Replicas that are cut off from Redis while others are not.

use std::time::Duration;

use cryptoprice::client::v1::StreamPricesKind;
use tokio::time::sleep;

use super::node::{BRISK, Node, agree};
use crate::{
    cache::{proxy::Proxy, server::Redis},
    harness::{Metrics, eventually},
    program::follow,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_cut_off_deposes_nobody_when_it_is_back() {
    let Some(redis) = Redis::start("replicas: leader cut off") else {
        return;
    };
    let url = redis.url();
    let proxy = Proxy::to(redis.port).await;
    let apart = Node::demo(&proxy.url(), &BRISK).await;
    apart.becomes("leader").await;
    let (standby, serving) = tokio::join!(Node::demo(&url, &BRISK), Node::serve(&url, &BRISK));
    standby.becomes("standby").await;
    let before = agree(&[&apart, &standby, &serving]).await;

    proxy.cut();
    standby.becomes("leader").await;
    apart.becomes("alone").await;
    let (epoch, _) = standby.reached().await;
    let (alone, _) = apart.reached().await;
    assert!(before < alone && alone < epoch, "{before} < {alone} < {epoch}");
    let mut stream = follow(&serving.channel().await, &["BTC-USD"], None).await;
    assert_eq!(stream.message().await.unwrap().unwrap().kind(), StreamPricesKind::Snapshot);

    proxy.mend();
    apart.becomes("standby").await;
    assert_eq!(agree(&[&apart, &standby, &serving]).await, epoch);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(agree(&[&apart, &standby, &serving]).await, epoch, "who has taken over leads on");
    assert_eq!(Metrics::of(standby.ops).await.get("cryptoprice_lease_terms_total"), 1);
    let (_, reached) = serving.reached().await;
    loop {
        let message = stream.message().await.unwrap().unwrap();
        assert_eq!(message.kind(), StreamPricesKind::Update);
        if message.cursor.unwrap().sequence >= reached {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_begun_cut_off_from_redis_has_the_leader_take_a_higher_epoch() {
    let Some(redis) = Redis::start("replicas: begun cut off") else {
        return;
    };
    let leader = Node::demo(&redis.url(), &BRISK).await;
    leader.becomes("leader").await;
    let (before, _) = leader.reached().await;
    let proxy = Proxy::to(redis.port).await;
    proxy.cut();
    let apart = Node::demo(&proxy.url(), &BRISK).await;
    apart.becomes("alone").await;
    let (alone, _) = apart.reached().await;
    assert!(alone > before);

    proxy.mend();
    eventually("one epoch is above both", async || {
        let (one, other) = (leader.reached().await.0, apart.reached().await.0);
        (one == other && one > alone).then_some(())
    })
    .await;
    let parts = [&leader, &apart].map(|node| async { node.status().await["part"].clone() });
    let mut parts = futures::future::join_all(parts).await;
    parts.sort_by_key(ToString::to_string);
    assert_eq!(parts, ["leader", "standby"]);
}
