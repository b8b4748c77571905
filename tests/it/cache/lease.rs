//! One leads at a time, whatever happens to Redis, to the way there, and to whoever leads.

use std::{collections::BTreeSet, time::Duration};

use chrono::DateTime;
use cryptoprice::{
    cache::{
        CacheError,
        fence::{Batch, Fence},
        lease::{Lease, LeaseOptions, Role, Tenure, holder},
        pool::Pool,
    },
    clock::{Clock, uptime},
};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use redis::cmd;
use rustix::process::Signal;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    other_process,
    proxy::Proxy,
    server::{self, Redis, keys},
};
use crate::harness::eventually;

const SPAN: Duration = Duration::from_millis(1_200);
const HISTORY: &str = "{simulated:ingest}:history";

/// A replica that asks for the lease.
struct Replica {
    name: String,
    role: watch::Receiver<Role>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(pool: &Pool) -> Self {
        Self::start_at(pool, Clock::system())
    }

    fn start_at(pool: &Pool, clock: Clock) -> Self {
        let name = holder("test");
        let options =
            LeaseOptions { holder: name.clone(), span: SPAN, renew_every: Duration::from_millis(300) };
        let (lease, role) = Lease::new(pool, keys().ingest(), options, clock);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(lease.run(shutdown.clone()));
        Self { name, role, shutdown, task }
    }

    fn tenure(&self) -> Option<Tenure> {
        match &*self.role.borrow() {
            Role::Leader(tenure) => Some(tenure.clone()).filter(|tenure| tenure.guard().is_ok()),
            _ => None,
        }
    }

    async fn leads(&self) -> Tenure {
        eventually("a replica leads", async || self.tenure()).await
    }

    async fn until(&mut self, expected: impl Fn(&Role) -> bool) {
        timeout(Duration::from_secs(20), self.role.wait_for(expected)).await.unwrap().unwrap();
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

/// Writes an epoch to the history, if it is let.
async fn write(pool: &Pool, tenure: Tenure) -> Result<(), CacheError> {
    let epoch = tenure.epoch().to_string();
    let mut batch = Batch::new();
    batch.command("RPUSH", HISTORY, [epoch.as_bytes()]);
    Fence::new(pool.clone(), &keys().ingest(), tenure).run(&batch).await
}

async fn history(pool: &Pool) -> Vec<u64> {
    pool.query("history", cmd("LRANGE").arg(HISTORY).arg(0).arg(-1)).await.unwrap()
}

#[tokio::test]
async fn one_leads_and_who_stands_by_takes_over_when_it_is_given_up() {
    let Some(redis) = Redis::start("cache: lease: handover") else {
        return;
    };
    let pool = redis.pool();
    let first = Replica::start(&pool);
    let before = first.leads().await;
    let mut second = Replica::start(&redis.pool());
    let standby = Role::Standby { leader: first.name.clone(), epoch: before.epoch() };
    second.until(|role| *role == standby).await;
    // Renewed several times over, it stays where it is.
    sleep(SPAN * 2).await;
    assert_eq!((before.guard().is_ok(), second.tenure()), (true, None));

    let name = first.name.clone();
    first.stop().await;
    assert!(matches!(before.guard(), Err(CacheError::Lapsed { .. })));
    let held = redis.ask(&["GET", &keys().ingest().lease]);
    assert!(!held.ends_with(&name), "it need not run out: {held}");
    let after = second.leads().await;
    assert!(after.epoch() > before.epoch());
    second.stop().await;
    assert_eq!(redis.ask(&["EXISTS", &keys().ingest().lease]), "0");
}

#[tokio::test]
async fn who_leads_stops_before_redis_would_let_another_lead() {
    let Some(redis) = Redis::start("cache: lease: paused Redis") else {
        return;
    };
    let mut replica = Replica::start(&redis.pool());
    let before = replica.leads().await;
    redis.pause();
    let paused = uptime();
    // What Redis had answered before that is heard.
    sleep(Duration::from_millis(100)).await;
    let end = before.until();
    assert!(end < paused + SPAN, "{end:?}, paused at {paused:?}");
    replica.until(|role| *role == Role::Unknown).await;
    assert!(before.guard().is_err());
    sleep(SPAN).await;
    redis.go_on();
    let after = replica.leads().await;
    assert!(after.epoch() > before.epoch());
    assert!(before.guard().is_err(), "what is over stays over");
    replica.stop().await;
}

#[tokio::test]
async fn epochs_rise_although_redis_was_emptied_and_the_clock_is_wrong() {
    let Some(mut redis) = Redis::start("cache: lease: emptied Redis") else {
        return;
    };
    let pool = redis.pool();
    let ahead = Clock::standing_at(DateTime::from_timestamp(4_000_000_000, 0).unwrap());
    let first = Replica::start_at(&pool, ahead);
    let ahead = first.leads().await.epoch();
    assert!(ahead >= 4_000_000_000_000, "the clock is a lower bound: {ahead}");
    first.stop().await;

    let behind = Clock::standing_at(DateTime::from_timestamp(1_000_000_000, 0).unwrap());
    let mut second = Replica::start_at(&pool, behind);
    let mut last = second.leads().await;
    assert!(last.epoch() > ahead, "what Redis remembers is one, too");
    for forgets in ["FLUSHALL", "restart", "FLUSHALL"] {
        if forgets == "restart" {
            redis.kill();
            second.until(|role| *role == Role::Unknown).await;
            redis.restart();
        } else {
            assert_eq!(redis.ask(&[forgets]), "OK");
        }
        let epoch = last.epoch();
        eventually("it leads anew", async || second.tenure().filter(|tenure| tenure.epoch() > epoch)).await;
        assert!(last.guard().is_err());
        last = second.leads().await;
    }
    second.stop().await;
}

#[tokio::test]
async fn a_newer_epoch_refuses_the_older_ones_and_leaves_nothing_half_done() {
    let Some(redis) = Redis::start("cache: lease: fence") else {
        return;
    };
    let pool = redis.pool();
    let forever = uptime() + Duration::from_secs(3_600);
    write(&pool, Tenure::new(10, forever)).await.unwrap();
    write(&pool, Tenure::new(11, forever)).await.unwrap();
    let refused = write(&pool, Tenure::new(10, forever)).await;
    assert!(matches!(refused, Err(CacheError::Deposed { epoch: 10, newest: 11 })), "{refused:?}");
    let lapsed = write(&pool, Tenure::new(12, uptime())).await;
    assert!(matches!(lapsed, Err(CacheError::Lapsed { epoch: 12 })), "{lapsed:?}");
    write(&pool, Tenure::new(11, forever)).await.unwrap();
    assert_eq!(history(&pool).await, [10, 11, 11]);
}

#[tokio::test]
async fn a_process_that_was_stopped_for_longer_than_its_lease_writes_nothing_afterwards() {
    let Some(redis) = Redis::start("cache: lease: stopped process") else {
        return;
    };
    let pool = redis.pool();
    let mut process = other_process::start("sleeper", &[("URL", &redis.url())]);
    let mut lines = other_process::listen(&mut process);
    let before: u64 = other_process::said(&mut lines).unwrap().parse().unwrap();
    let replica = Replica::start(&pool);
    server::signal(&process, Signal::STOP);
    let after = replica.leads().await;
    assert!(after.epoch() > before);
    write(&pool, after.clone()).await.unwrap();
    server::signal(&process, Signal::CONT);
    // It says that it was refused, either by its own clock or by Redis, and then stands by.
    let refused = other_process::said(&mut lines).unwrap();
    let lapsed = format!("the lease of epoch {before} has run out");
    let deposed = format!("epoch {before} is over: {} has taken over", after.epoch());
    assert!(refused == lapsed || refused == deposed || refused.starts_with("Redis "), "{refused}");
    sleep(SPAN).await;
    write(&pool, after.clone()).await.unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    let written = history(&pool).await;
    let of_before = written.iter().filter(|epoch| **epoch == before).count();
    assert_eq!(written[of_before..], [after.epoch(), after.epoch()], "nothing of it came after");
    replica.stop().await;
}

/// Three replicas, each of which writes as often as it can while it believes that it leads; two of them over ways that
/// are slow or cut at random, and a Redis that stands still at times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_has_epochs_that_never_go_back() {
    let Some(redis) = Redis::start("cache: lease: trouble") else {
        return;
    };
    let ways = [Proxy::to(redis.port).await, Proxy::to(redis.port).await, Proxy::to(redis.port).await];
    let replicas = ways.each_ref().map(|way| Replica::start(&server::pool(&way.url())));
    let mut writers = JoinSet::new();
    let ended = CancellationToken::new();
    for (way, replica) in ways.iter().zip(&replicas) {
        let (pool, role, ended) = (server::pool(&way.url()), replica.role.clone(), ended.clone());
        writers.spawn(async move {
            let mut accepted = BTreeSet::new();
            while !ended.is_cancelled() {
                let Role::Leader(tenure) = role.borrow().clone() else {
                    sleep(Duration::from_millis(2)).await;
                    continue;
                };
                let epoch = tenure.epoch();
                if write(&pool, tenure).await.is_ok() {
                    accepted.insert(epoch);
                }
            }
            accepted
        });
    }
    let mut chance = SmallRng::seed_from_u64(7);
    for round in 0..9 {
        let leader =
            eventually("one leads", async || replicas.iter().position(|replica| replica.tenure().is_some()))
                .await;
        sleep(Duration::from_millis(chance.random_range(50..250))).await;
        match round % 3 {
            0 => ways[leader].cut(),
            // What was sent when it led arrives when another one does.
            1 => ways[leader].delay(Duration::from_millis(chance.random_range(1_600..3_000))),
            _ => redis.pause(),
        }
        sleep(Duration::from_millis(chance.random_range(1_000..2_000))).await;
        redis.go_on();
        ways[leader].delay(Duration::ZERO);
        ways[leader].mend();
    }
    ended.cancel();
    let accepted: Vec<BTreeSet<u64>> = writers.join_all().await;
    let written = history(&redis.pool()).await;
    assert!(written.is_sorted(), "{written:?}");
    let epochs: BTreeSet<_> = written.iter().copied().collect();
    assert!(epochs.len() >= 4, "it changed hands: {epochs:?}");
    for (at, one) in accepted.iter().enumerate() {
        for other in &accepted[at + 1..] {
            assert!(one.is_disjoint(other), "no epoch was given twice: {accepted:?}");
        }
    }
    for replica in replicas {
        replica.stop().await;
    }
}
