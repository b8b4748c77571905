//! Replicas that die, wake up late, and are started anew.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    ops::Range,
    process::Stdio,
    time::{Duration, Instant},
};

use futures::future::join_all;
use rustix::process::Signal;
use tokio::time::sleep;

use super::{
    node::{BRISK, Node, agree, take_leader},
    subscriber::{Account, Addresses, Subscriber},
};
use crate::{
    cache::server::{Redis, signal},
    harness::eventually,
    program::command,
};

/// Pairs that callers follow.
const PAIRS: [&str; 3] = ["BTC-USD", "ETH-USD", "BTC-EUR"];

/// Those who follow all pairs: what they are told is what there was.
const OF_ALL: usize = 3;

/// How often whoever leads dies.
const KILLS: usize = 9;

/// How many follow meanwhile.
const CALLERS: usize = 200;

/// Waits until all callers have been told of a later epoch.
async fn all_go_on(subscribers: &[Subscriber], after: u64) {
    eventually("all callers go on in another epoch", async || {
        subscribers.iter().all(|subscriber| subscriber.epoch() > after).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_miss_nothing_and_get_nothing_twice_while_replicas_die_and_are_replaced() {
    let Some(redis) = Redis::start("replicas: failures") else {
        return;
    };
    let url = redis.url();
    let addresses = Addresses::default();
    let (one, other, first, second) = tokio::join!(
        Node::demo(&url, &[]),
        Node::demo(&url, &[]),
        Node::serve(&url, &[]),
        Node::serve(&url, &[]),
    );
    first.becomes("follower").await;
    second.becomes("follower").await;
    agree(&[&one, &other, &first, &second]).await;
    for node in [&one, &other, &first, &second] {
        addresses.add(node.address);
    }
    // On a busy machine the lease may go from one to the other without being told to.
    let mut listening = vec![one, other];
    let pair = |number: usize| (number >= OF_ALL).then(|| PAIRS[number % PAIRS.len()]);
    let subscribers: Vec<_> =
        (0..CALLERS).map(|number| Subscriber::start(number, pair(number), &addresses)).collect();
    all_go_on(&subscribers, 0).await;
    sleep(Duration::from_secs(1)).await;

    // Whoever leads dies, again and again.
    let mut killed = Vec::new();
    for _ in 0..KILLS {
        let leader = take_leader(&mut listening).await;
        let (epoch, _) = leader.reached().await;
        addresses.remove(leader.address);
        killed.push(Instant::now());
        leader.kill();
        all_go_on(&subscribers, epoch).await;
        let new = Node::demo(&url, &[]).await;
        eventually("it has what the others have", async || (new.reached().await.0 > epoch).then_some(()))
            .await;
        addresses.add(new.address);
        listening.push(new);
    }

    // A rolling restart of all: those that serve, the one that stands by, the one that leads.
    let mut replaced = Vec::new();
    for serving in [first, second] {
        let new = Node::serve(&url, &[]).await;
        new.becomes("follower").await;
        addresses.add(new.address);
        addresses.remove(serving.address);
        serving.terminate().await;
        replaced.push(new);
    }
    let leader = take_leader(&mut listening).await;
    let (epoch, _) = leader.reached().await;
    addresses.remove(leader.address);
    let told = Instant::now();
    leader.terminate().await;
    all_go_on(&subscribers, epoch).await;
    sleep(Duration::from_millis(500)).await;

    let accounts = join_all(subscribers.into_iter().map(Subscriber::stop)).await;
    settle(&accounts);
    let next = killed.iter().skip(1).copied().chain([told]);
    let kills: Vec<_> =
        killed.iter().zip(next).map(|(killed, next)| silences(&accounts, *killed..next)).collect();
    let mut medians: Vec<_> = kills.iter().map(|(median, _)| *median).collect();
    medians.sort_unstable();
    let median = medians[medians.len() / 2];
    let worst = kills.iter().map(|(_, worst)| *worst).max().unwrap();
    let given_up = silences(&accounts, told..Instant::now());
    eprintln!(
        "silence of {CALLERS} callers after each of {KILLS} kills: median {median:?}, worst {worst:?}; after SIGTERM {given_up:?}"
    );
    assert!(median < Duration::from_secs(2), "{kills:?}");
}

/// Gets the median and the worst of how long callers heard nothing after something had happened, before the next did.
fn silences(accounts: &[Account], after: Range<Instant>) -> (Duration, Duration) {
    let mut silences: Vec<_> = accounts.iter().map(|account| account.silence(&after)).collect();
    silences.sort_unstable();
    (silences[silences.len() / 2], silences[silences.len() - 1])
}

/// Holds what all callers were told against each other.
fn settle(accounts: &[Account]) {
    for account in accounts {
        assert!(account.faults.is_empty(), "{:?}: {:?}", account.pair, account.faults);
        assert!(!account.updates.is_empty());
    }
    let mut truth: BTreeMap<(u64, u64), String> = BTreeMap::new();
    for (place, pair) in accounts.iter().filter(|a| a.pair.is_none()).flat_map(|a| &a.updates) {
        let known = truth.entry(*place).or_insert_with(|| pair.clone());
        assert_eq!(known, pair, "{place:?} is the same for all");
    }
    let mut compared = 0;
    for account in accounts.iter().filter(|account| account.pair.is_some()) {
        assert_eq!(account.lacks(&truth), [], "{:?} over {:?}", account.pair, account.spans);
        compared += account.updates.keys().filter(|place| truth.contains_key(place)).count();
    }
    assert!(compared > 100, "{compared} updates were compared");
    let (resets, connections) = accounts.iter().fold((0, 0), |(resets, connections), account| {
        (resets + account.resets, connections + account.connections)
    });
    eprintln!("{compared} updates compared; {resets} resets, {connections} connections");
}

#[tokio::test]
async fn one_that_waits_for_a_leader_ends_when_it_is_told_to() {
    let Some(redis) = Redis::start("replicas: waiting") else {
        return;
    };
    let mut waiting = command()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("REDIS_URL", redis.url())
        .env("CRYPTOPRICE__ROLE", "serve")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("waiting for a replica that leads")));
    signal(&waiting, Signal::HUP);
    sleep(Duration::from_millis(200)).await;
    assert!(waiting.try_wait().unwrap().is_none(), "there is nothing to reload yet");
    signal(&waiting, Signal::TERM);
    let ended = eventually("it ends", async || waiting.try_wait().unwrap()).await;
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_wakes_up_too_late_overwrites_nothing_and_follows() {
    let Some(redis) = Redis::start("replicas: late") else {
        return;
    };
    let url = redis.url();
    let late = Node::demo(&url, &BRISK).await;
    late.becomes("leader").await;
    let standby = Node::demo(&url, &BRISK).await;
    standby.becomes("standby").await;
    let before = agree(&[&late, &standby]).await;
    let serving = Node::serve(&url, &BRISK).await;
    serving.becomes("follower").await;

    late.pause();
    standby.becomes("leader").await;
    let (epoch, sequence) = standby.reached().await;
    assert!(epoch > before);
    late.go_on();
    late.becomes("standby").await;
    // The epoch in Redis is still that of the one that leads, and so it is on all boards.
    sleep(Duration::from_secs(1)).await;
    for node in [&late, &standby, &serving] {
        eventually("all are where the new leader is", async || {
            let reached = node.reached().await;
            (reached > (epoch, sequence)).then_some(())
        })
        .await;
        assert_eq!(node.reached().await.0, epoch);
    }
    let held = redis.ask(&["HGET", "cryptoprice:{simulated:ingest}:1:mirror-head", "epoch"]);
    assert_eq!(held, epoch.to_string());
    let (first, second) = (serving.price("BTC-USD").await.unwrap(), late.price("BTC-USD").await.unwrap());
    assert_eq!((first.epoch, second.epoch), (epoch, epoch));
}
