//! Streams that go on at a replica that has just started.

use std::collections::BTreeMap;

use cryptoprice::client::v1::{
    Cursor, StreamDelivery, StreamPricesKind, StreamPricesRequest, StreamPricesResponse,
};
use prost::Message as _;

use super::node::{CALM, Node};
use crate::{cache::server::Redis, harness::eventually};

/// Follows all updates after a place up to another, and gives them by their places.
async fn between(
    node: &Node,
    after: Option<Cursor>,
    to: u64,
) -> (Vec<StreamPricesKind>, BTreeMap<u64, Vec<u8>>) {
    let request = StreamPricesRequest {
        delivery: StreamDelivery::All.into(),
        resume_after: after,
        ..Default::default()
    };
    let mut stream = node.prices().await.stream_prices(request).await.unwrap().into_inner();
    let (mut kinds, mut updates) = (Vec::new(), BTreeMap::new());
    loop {
        let message: StreamPricesResponse = stream.message().await.unwrap().unwrap();
        kinds.push(message.kind());
        if message.kind() == StreamPricesKind::Update {
            updates.extend(message.prices.iter().map(|price| (price.sequence, price.encode_to_vec())));
        }
        if message.cursor.unwrap().sequence >= to {
            return (kinds, updates);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_at_a_replica_that_was_started_after_it_was_cut() {
    let Some(redis) = Redis::start("replicas: resume") else {
        return;
    };
    let url = redis.url();
    let leader = Node::demo(&url, &CALM).await;
    leader.becomes("leader").await;
    let (epoch, sequence) = leader.reached().await;
    let cut = Cursor { epoch, sequence };
    eventually("there is something to miss", async || {
        (leader.reached().await.1 > sequence + 300).then_some(())
    })
    .await;
    let late = Node::serve(&url, &CALM).await;
    late.becomes("follower").await;
    let to = late.reached().await.1;
    let ((kinds, resumed), (_, truth)) =
        tokio::join!(between(&late, Some(cut), to), between(&leader, Some(cut), to));
    assert!(kinds.iter().all(|kind| *kind == StreamPricesKind::Update), "{kinds:?}");
    let resumed: Vec<_> = resumed.range(..=to).collect();
    assert_eq!(resumed.len() as u64, to - sequence, "none is missing");
    assert!(resumed.into_iter().eq(truth.range(..=to)), "and each is the leader's");
}
