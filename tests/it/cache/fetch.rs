//! Answers that replicas fetch once for all.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use cryptoprice::cache::{
    budget::{Budget, Rate},
    fetch::{Answer, FetchError, FetchOptions, Fetcher, Policy, Upstream},
    pool::Pool,
};
use futures::future::join_all;
use redis::cmd;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::{
    other_process,
    server::{COMMAND, CONNECT, Redis, keys},
};

const POLICY: Policy = Policy {
    fresh: Duration::from_secs(60),
    stale: Duration::from_secs(60),
    missing: Duration::from_secs(60),
    failed: Duration::from_secs(60),
    patience: Duration::from_secs(5),
};

/// One replica.
struct Replica {
    fetcher: Fetcher,
    upstream: Upstream,
}

impl Replica {
    fn new(pool: Pool, burst: u32) -> Self {
        let rate = Rate { each: Duration::from_secs(600), burst };
        let budget = Budget::new("kraken", rate, Some((&pool, &keys())));
        let options = FetchOptions { memory: 1 << 20, max_answer: 1 << 16 };
        Self {
            fetcher: Fetcher::new(options, Some((pool, keys()))),
            upstream: Upstream { name: "kraken".to_owned(), budget },
        }
    }

    async fn get(
        &self,
        name: &str,
        policy: &Policy,
        counted: &Counted,
    ) -> Result<(String, bool), FetchError> {
        let counted = counted.clone();
        let answer = self.fetcher.get_or_fetch(&self.upstream, name, policy, move || counted.ask()).await?;
        Ok((String::from_utf8(answer.body.unwrap().to_vec()).unwrap(), answer.stale))
    }
}

/// An upstream that counts how often it is asked, and answers with the count.
#[derive(Debug, Clone, Default)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    async fn ask(self) -> Result<Option<Bytes>, String> {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        sleep(Duration::from_millis(100)).await;
        Ok(Some(Bytes::from(count.to_string())))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn three(redis: &Redis, burst: u32) -> [Replica; 3] {
    [(); 3].map(|()| Replica::new(redis.pool(), burst))
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a fetch gives")]
fn fresh(count: usize) -> Result<(String, bool), FetchError> {
    Ok((count.to_string(), false))
}

/// Set once all processes are ready.
const BEGIN: &str = "begin";

/// What another process does: asks so many times at once, when it is told to, and says what it got.
pub(super) async fn ask_for_another(pool: Pool, upstream: &str, asked: usize) {
    let replica = Replica::new(pool.clone(), 9);
    other_process::say("ready");
    while pool.query::<Option<String>>("begin", cmd("GET").arg(BEGIN)).await.unwrap().is_none() {
        sleep(Duration::from_millis(5)).await;
    }
    let ask = async || {
        let upstream = upstream.to_owned();
        let fetch = async move || {
            let mut body = Vec::new();
            let mut stream = TcpStream::connect(upstream).await.map_err(|error| error.to_string())?;
            stream.read_to_end(&mut body).await.map_err(|error| error.to_string())?;
            Ok(Some(Bytes::from(body)))
        };
        replica.fetcher.get_or_fetch(&replica.upstream, "assets", &POLICY, fetch).await
    };
    let mut bodies = BTreeMap::<_, usize>::new();
    for answer in join_all((0..asked).map(|_| ask())).await {
        *bodies.entry(format!("{:?}", answer.unwrap())).or_default() += 1;
    }
    other_process::say(&format!("{bodies:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_miss_the_same_over_three_processes_ask_once() {
    let Some(redis) = Redis::start("cache: fetch: three processes") else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    let counted = Counted::default();
    let told = counted.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let told = told.clone();
            tokio::spawn(async move {
                let body = told.ask().await.unwrap().unwrap();
                stream.write_all(&body).await.unwrap();
            });
        }
    });
    let ask = |asked: usize| {
        let asked = asked.to_string();
        other_process::start("fetch", &[("URL", &redis.url()), ("UPSTREAM", &upstream), ("ASKED", &asked)])
    };
    let mut processes = [ask(334), ask(333), ask(333)];
    let mut lines = processes.each_mut().map(other_process::listen);
    // Reading what they say blocks, and the upstream answers meanwhile.
    let said = tokio::task::spawn_blocking(move || {
        for lines in &mut lines {
            assert_eq!(other_process::said(lines).as_deref(), Some("ready"));
        }
        redis.ask(&["SET", BEGIN, "1"]);
        lines.map(|mut lines| {
            let said = other_process::said(&mut lines);
            // To the end: who says something that nobody reads fails.
            lines.for_each(drop);
            said.unwrap()
        })
    });
    let answer = Answer { body: Some(Bytes::from_static(b"1")), stale: false };
    let expected =
        [334, 333, 333].map(|asked| format!("{:?}", BTreeMap::from([(format!("{answer:?}"), asked)])));
    assert_eq!(said.await.unwrap(), expected);
    assert_eq!(counted.count(), 1);
    for process in &mut processes {
        assert!(process.wait().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_miss_the_same_over_three_fetchers_ask_once() {
    let Some(redis) = Redis::start("cache: fetch: a thousand") else {
        return;
    };
    let (replicas, counted) = (three(&redis, 9), Counted::default());
    let asked = (0..1_000).map(|at| replicas[at % 3].get("assets", &POLICY, &counted));
    for answer in join_all(asked).await {
        assert_eq!(answer, fresh(1));
    }
    assert_eq!(counted.count(), 1);
    // Another replica that comes later finds it, and another name does not.
    let late = Replica::new(redis.pool(), 9);
    assert_eq!(late.get("assets", &POLICY, &counted).await, fresh(1));
    assert_eq!(late.get("other", &POLICY, &counted).await, fresh(2));
    assert_eq!(redis.ask(&["EXISTS", &keys().fetched("kraken", "assets").lock]), "0");
}

#[tokio::test]
async fn what_another_replica_has_and_is_stale_is_given_at_once_and_fetched_behind_it() {
    let Some(redis) = Redis::start("cache: fetch: stale") else {
        return;
    };
    let ([first, second, third], counted) = (three(&redis, 9), Counted::default());
    let policy = Policy { fresh: Duration::from_millis(1), ..POLICY };
    first.get("assets", &policy, &counted).await.unwrap();
    sleep(Duration::from_millis(5)).await;
    assert_eq!(second.get("assets", &POLICY, &counted).await, Ok(("1".to_owned(), true)));
    second.fetcher.close().await;
    assert_eq!(third.get("assets", &POLICY, &counted).await, fresh(2));
}

#[tokio::test]
async fn a_budget_is_one_for_all_replicas() {
    let Some(redis) = Redis::start("cache: fetch: budget") else {
        return;
    };
    let (replicas, counted) = (three(&redis, 5), Counted::default());
    let names: Vec<_> = (0..30).map(|at| format!("name {at}")).collect();
    let asked = names.iter().enumerate().map(|(at, name)| replicas[at % 3].get(name, &POLICY, &counted));
    let answers = join_all(asked).await;
    let refused = |answer: &&Result<_, _>| matches!(answer, Err(FetchError::Budget(_)));
    assert_eq!(answers.iter().filter(refused).count(), 25, "{answers:?}");
    assert_eq!(counted.count(), 5);
}

#[tokio::test]
async fn while_redis_is_away_each_replica_fetches_for_itself_and_none_hangs() {
    let Some(mut redis) = Redis::start("cache: fetch: away") else {
        return;
    };
    let (replicas, counted) = (three(&redis, 99), Counted::default());
    replicas[0].get("before", &POLICY, &counted).await.unwrap();
    for (trouble, name) in [("paused", "a"), ("killed", "b")] {
        if trouble == "paused" {
            redis.pause();
        } else {
            redis.kill();
        }
        let before = counted.count();
        let began = Instant::now();
        let asked = (0..300).map(|at| replicas[at % 3].get(name, &POLICY, &counted));
        for answer in join_all(asked).await {
            assert!(answer.is_ok(), "{trouble}: {answer:?}");
        }
        assert_eq!(counted.count() - before, 3, "{trouble}: one each");
        // Redis is given up for the answer, for the budget, and for telling others.
        let longest = (CONNECT + COMMAND) * 3;
        assert!(began.elapsed() < longest, "{trouble}: {:?}", began.elapsed());
        assert_eq!(replicas[0].get("before", &POLICY, &counted).await, fresh(1));
        if trouble == "paused" {
            redis.go_on();
        }
    }
    redis.restart();
    let asked = (0..3).map(|at| replicas[at].get("c", &POLICY, &counted));
    assert!(join_all(asked).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_replica_that_dies_while_it_fetches_holds_others_up_for_no_longer_than_its_patience() {
    let Some(redis) = Redis::start("cache: fetch: lock") else {
        return;
    };
    let (replica, counted) = (Replica::new(redis.pool(), 9), Counted::default());
    let policy = Policy { patience: Duration::from_millis(400), ..POLICY };
    let lock = keys().fetched("kraken", "assets").lock;
    assert_eq!(redis.ask(&["SET", &lock, "of one that has died", "PX", "500"]), "OK");
    assert_eq!(replica.get("assets", &policy, &counted).await, fresh(1));
}
