//! Redis that dies, comes back empty, stops, is slow, or cannot be reached by one replica.

use std::time::{Duration, Instant};

use cryptoprice::client::v1::{PriceStatus, StreamPricesRequest};
use tokio::time::sleep;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::node::{BRISK, CALM, Node, SOON, agree};
use crate::{
    cache::{proxy::Proxy, server::Redis},
    harness::{Metrics, eventually},
};

/// Prices are old soon, and silence is noticed soon.
const IMPATIENT: [(&str, &str); 2] =
    [("CRYPTOPRICE__CLUSTER__MAX_SILENCE", "1500ms"), ("CRYPTOPRICE__AGGREGATION__MAX_AGE", "4s")];

/// For how long Redis stands still.
const PAUSE: Duration = Duration::from_secs(30);

fn impatient(lease: [(&'static str, &'static str); 1]) -> Vec<(&'static str, &'static str)> {
    [&IMPATIENT[..], &lease].concat()
}

/// Waits until one follows the other closely again.
async fn catches_up(leader: &Node, follower: &Node) {
    leader.becomes("leader").await;
    follower.becomes("follower").await;
    let reached = leader.reached().await;
    eventually("the follower is where the leader was", async || {
        (follower.reached().await >= reached).then_some(())
    })
    .await;
    assert_eq!(agree(&[leader, follower]).await, leader.reached().await.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_serves_on_by_itself_while_redis_is_away_and_leads_again_in_a_higher_epoch() {
    let Some(mut redis) = Redis::start("replicas: Redis away") else {
        return;
    };
    let url = redis.url();
    let leader = Node::demo(&url, &impatient(BRISK)).await;
    leader.becomes("leader").await;
    let follower = Node::serve(&url, &impatient(BRISK)).await;
    catches_up(&leader, &follower).await;

    for trouble in ["paused", "killed"] {
        let (before, _) = leader.reached().await;
        let began = Instant::now();
        if trouble == "paused" {
            redis.pause();
        } else {
            redis.kill();
        }
        // Whoever listens goes on under an epoch of its own…
        leader.becomes("alone").await;
        let (alone, sequence) = leader.reached().await;
        assert!(alone > before, "{trouble}");
        eventually("its own prices go on", async || {
            let price = leader.price("BTC-USD").await?;
            (price.status() == PriceStatus::Live && (price.epoch, price.sequence) > (alone, sequence))
                .then_some(())
        })
        .await;
        // … and whoever follows keeps what it has, says so, and says it is old once it is.
        let price = follower.price("BTC-USD").await.unwrap();
        assert_eq!(price.epoch, before, "{trouble}: no epoch is invented");
        eventually("the follower is not ready", async || {
            follower.reasons().await.contains(&"MIRROR_STALE".to_owned()).then_some(())
        })
        .await;
        let old = eventually("what it has is STALE", async || {
            follower.price("BTC-USD").await.filter(|price| price.status() == PriceStatus::Stale)
        })
        .await;
        assert_eq!((old.epoch, old.sequence <= follower.reached().await.1), (before, true));
        if old.sequence == price.sequence {
            assert_eq!(old.observe_time, price.observe_time, "nothing is made fresh");
        }
        let status = follower.status().await;
        assert!(status["mirrorAgeSeconds"].as_f64().unwrap() > 1.0, "{status}");

        if trouble == "paused" {
            // For thirty seconds altogether: nothing more comes of it.
            sleep(PAUSE.saturating_sub(began.elapsed())).await;
            assert_eq!((leader.reached().await.0, follower.reached().await.0), (alone, before));
            let (first, second) = (leader.price("BTC-USD").await, follower.price("BTC-USD").await);
            assert_eq!(first.unwrap().status(), PriceStatus::Live);
            assert_eq!(second.unwrap().status(), PriceStatus::Stale);
            redis.go_on();
        } else {
            redis.restart();
        }
        leader.becomes("leader").await;
        assert!(leader.reached().await.0 > alone, "{trouble}");
        catches_up(&leader, &follower).await;
        eventually("what follows is LIVE again", async || {
            follower.price("BTC-USD").await.filter(|price| price.status() == PriceStatus::Live)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_far_from_redis_leads_on_and_all_have_what_it_has() {
    let Some(redis) = Redis::start("replicas: leader far away") else {
        return;
    };
    let proxy = Proxy::to(redis.port).await;
    let leader = Node::demo(&proxy.url(), &impatient(BRISK)).await;
    leader.becomes("leader").await;
    let follower = Node::serve(&redis.url(), &impatient(BRISK)).await;
    catches_up(&leader, &follower).await;
    let (epoch, _) = leader.reached().await;
    proxy.delay(Duration::from_millis(120));
    for _ in 0..5 {
        let before = leader.reached().await;
        sleep(Duration::from_secs(1)).await;
        catches_up(&leader, &follower).await;
        assert!(leader.reached().await.1 > before.1, "updates go on");
        for node in [&leader, &follower] {
            assert_eq!(node.price("BTC-USD").await.unwrap().status(), PriceStatus::Live);
            assert_eq!(node.reasons().await, Vec::<String>::new());
        }
    }
    assert_eq!(leader.reached().await.0, epoch, "it has led all the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_has_left_behind_is_old_from_the_first_answer_on() {
    let Some(redis) = Redis::start("replicas: left behind") else {
        return;
    };
    let url = redis.url();
    let leader = Node::demo(&url, &impatient(BRISK)).await;
    leader.becomes("leader").await;
    let left = eventually("there is a price", async || leader.price("BTC-USD").await).await;
    leader.kill();
    // Until prices of that time are STALE wherever they are judged.
    sleep(Duration::from_secs(5)).await;
    let origin = [("CRYPTOPRICE__CLUSTER__ORIGIN", "simulated")];
    let late = Node::serve(&url, &[&impatient(BRISK)[..], &origin].concat()).await;
    let first = eventually("there is a price", async || late.price("BTC-USD").await).await;
    assert_eq!((first.epoch, first.status()), (left.epoch, PriceStatus::Stale), "{first:?}");
    assert!(late.reasons().await.contains(&"MIRROR_STALE".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_writes_are_refused_says_that_its_prices_are_old_until_they_are_taken() {
    let Some(redis) = Redis::start("replicas: Redis full") else {
        return;
    };
    let url = redis.url();
    let leader = Node::demo(&url, &impatient(BRISK)).await;
    leader.becomes("leader").await;
    let follower = Node::serve(&url, &impatient(BRISK)).await;
    catches_up(&leader, &follower).await;
    let (epoch, _) = leader.reached().await;

    // It has no room for what is new, but the lease, which is there already, goes on.
    assert_eq!(redis.ask(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    for node in [&leader, &follower] {
        eventually("it is not ready", async || {
            node.reasons().await.contains(&"MIRROR_STALE".to_owned()).then_some(())
        })
        .await;
        eventually("what it has is STALE", async || {
            node.price("BTC-USD").await.filter(|price| price.status() == PriceStatus::Stale)
        })
        .await;
    }
    assert_eq!(leader.status().await["part"], "leader");

    assert_eq!(redis.ask(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    catches_up(&leader, &follower).await;
    eventually("its prices are LIVE again", async || {
        leader.price("BTC-USD").await.filter(|price| price.status() == PriceStatus::Live)
    })
    .await;
    assert_eq!(leader.reached().await.0, epoch, "it has led all the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_cut_off_or_far_away_answers_at_once_and_catches_up() {
    let Some(redis) = Redis::start("replicas: cut off") else {
        return;
    };
    let url = redis.url();
    let proxy = Proxy::to(redis.port).await;
    let near = proxy.url();
    let leader = Node::demo(&url, &impatient(CALM)).await;
    leader.becomes("leader").await;
    let follower = Node::serve(&near, &impatient(CALM)).await;
    catches_up(&leader, &follower).await;
    let (epoch, _) = leader.reached().await;

    // Far away: everything comes later, and nobody waits for it.
    proxy.delay(Duration::from_millis(120));
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    for _ in 0..20 {
        assert!(follower.price("ETH-USD").await.is_some());
    }
    assert!(began.elapsed() < SOON, "20 calls took {:?}", began.elapsed());
    assert_eq!(follower.reasons().await, Vec::<String>::new());
    proxy.delay(Duration::ZERO);

    // Cut off: it has what it had.
    let request = StreamPricesRequest {
        pairs: vec!["BTC-USD".to_owned()],
        heartbeat: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..Default::default()
    };
    let mut stream = follower.prices().await.stream_prices(request).await.unwrap().into_inner();
    proxy.cut();
    eventually("the follower is not ready", async || {
        follower.reasons().await.contains(&"MIRROR_STALE".to_owned()).then_some(())
    })
    .await;
    let reached = follower.reached().await;
    assert!(follower.price("BTC-USD").await.is_some());
    let age = |metrics: Metrics| {
        let line = metrics.0.lines().find(|line| line.starts_with("cryptoprice_mirror_age_seconds"));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).unwrap()
    };
    assert!(age(Metrics::of(follower.ops).await) > 1.0);
    assert_eq!(follower.reached().await, reached);
    leader.becomes("leader").await;

    // A stream that runs is told once prices are old, without a place of their own.
    let old = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let message = stream.message().await.unwrap().unwrap();
            if let Some(price) = message.prices.into_iter().find(|price| price.status() == PriceStatus::Stale)
            {
                return (price, message.cursor.unwrap());
            }
        }
    });
    let (old, cursor) = old.await.expect("it is told");
    assert_eq!((cursor.epoch, cursor.sequence), reached);
    assert!(old.sequence <= cursor.sequence);
    let mut health = HealthClient::new(follower.channel().await);
    eventually("the pair does not serve", async || {
        let request = HealthCheckRequest { service: "cryptoprice.v1/BTC-USD".to_owned() };
        let status = health.check(request).await.unwrap().into_inner().status();
        (status == ServingStatus::NotServing).then_some(())
    })
    .await;

    // It goes on where it was: the same epoch, and no snapshot was needed.
    proxy.mend();
    catches_up(&leader, &follower).await;
    assert_eq!(follower.reached().await.0, epoch);
    assert_eq!(Metrics::of(follower.ops).await.get("cryptoprice_mirror_snapshots_total"), 1);
    assert!(age(Metrics::of(follower.ops).await) < 2.0);
}
