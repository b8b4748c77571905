//! Connections: what they do when Redis does not do what it should.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use cryptoprice::cache::{
    CacheError,
    metrics::PoolMetrics,
    pool::{Pool, PoolOptions},
};
use futures::future::join_all;
use prometheus::core::Collector as _;
use redis::cmd;

use super::{
    other_process,
    proxy::Proxy,
    server::{COMMAND, Redis, pool},
};
use crate::harness::eventually;

async fn ping(pool: &Pool) -> Result<String, CacheError> {
    pool.query("ping", &cmd("PING")).await
}

/// Asks until there is an answer.
async fn recovered(pool: &Pool) {
    eventually("Redis is used again", async || ping(pool).await.ok()).await;
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_an_error_at_once() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Were anything waited for, it would be for longer than the whole takes on the busiest machine.
    let waited_for = Duration::from_secs(60);
    let options = PoolOptions {
        url: format!("redis://{nobody}").into(),
        size: 8,
        connect_timeout: waited_for,
        command_timeout: waited_for,
    };
    let pool = Pool::new(&options).unwrap();
    let began = Instant::now();
    for answer in join_all((0..1_000).map(|_| ping(&pool))).await {
        assert!(matches!(answer, Err(CacheError::Unavailable(_))), "{answer:?}");
    }
    for _ in 0..100 {
        assert!(matches!(ping(&pool).await, Err(CacheError::Unavailable(_))));
    }
    assert!(began.elapsed() < waited_for, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_redis_that_stands_still_is_an_error_in_time_and_is_used_again_when_it_goes_on() {
    let Some(redis) = Redis::start("cache: pool: paused") else {
        return;
    };
    let pool = redis.pool();
    ping(&pool).await.unwrap();
    redis.pause();
    let began = Instant::now();
    // More than there are connections.
    for answer in join_all((0..50).map(|_| ping(&pool))).await {
        assert!(matches!(answer, Err(CacheError::TimedOut(_) | CacheError::Unavailable(_))), "{answer:?}");
    }
    // Not one after the other, which would take as long at least.
    let longest = COMMAND * 50;
    assert!(began.elapsed() < longest, "{:?}", began.elapsed());
    redis.go_on();
    recovered(&pool).await;
}

#[tokio::test]
async fn a_redis_that_was_killed_is_used_again_when_it_is_back() {
    let Some(mut redis) = Redis::start("cache: pool: killed") else {
        return;
    };
    let pool = redis.pool();
    for answer in join_all((0..50).map(|_| ping(&pool))).await {
        assert_eq!(answer.unwrap(), "PONG");
    }
    redis.kill();
    for _ in 0..50 {
        assert!(matches!(ping(&pool).await, Err(CacheError::Unavailable(_))));
    }
    redis.restart();
    recovered(&pool).await;
    // None of the connections from before is left to fail.
    for answer in join_all((0..50).map(|_| ping(&pool))).await {
        assert_eq!(answer.unwrap(), "PONG");
    }
}

#[tokio::test]
async fn a_slow_way_is_waited_for_in_bounds_and_a_cut_one_is_an_error() {
    let Some(redis) = Redis::start("cache: pool: slow and cut") else {
        return;
    };
    let proxy = Proxy::to(redis.port).await;
    let pool = pool(&proxy.url());
    proxy.delay(Duration::from_millis(30));
    assert_eq!(ping(&pool).await.unwrap(), "PONG");
    let delay = Duration::from_secs(30);
    proxy.delay(delay);
    let began = Instant::now();
    let answer = ping(&pool).await;
    assert!(matches!(answer, Err(CacheError::TimedOut(_))), "{answer:?}");
    assert!(began.elapsed() < delay, "before an answer could come: {:?}", began.elapsed());
    proxy.delay(Duration::ZERO);
    recovered(&pool).await;
    proxy.cut();
    let answer = ping(&pool).await;
    assert!(matches!(answer, Err(CacheError::Unavailable(_))), "{answer:?}");
    proxy.mend();
    recovered(&pool).await;
}

#[tokio::test]
async fn a_redis_that_only_reads_any_more_is_left_for_the_one_that_writes() {
    let Some(redis) = Redis::start("cache: pool: read-only") else {
        return;
    };
    let pool = redis.pool();
    ping(&pool).await.unwrap();
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let refused = pool.query::<()>("set", cmd("SET").arg("key").arg("1")).await;
    assert!(matches!(refused, Err(CacheError::Unavailable(_))), "{refused:?}");
    redis.ask(&["REPLICAOF", "NO", "ONE"]);
    let connections = || {
        redis
            .ask(&["INFO", "stats"])
            .lines()
            .find_map(|line| line.trim().strip_prefix("total_connections_received:")?.parse::<u64>().ok())
    };
    let before = connections().unwrap();
    pool.query::<()>("set", cmd("SET").arg("key").arg("1")).await.unwrap();
    // Each question of ours is a connection, too.
    assert_eq!(connections().unwrap(), before + 2, "it was asked over another connection");
}

#[tokio::test]
async fn users_and_passwords_are_told_and_wrong_ones_are_not_shown() {
    let users = "--user default off --user reader on >s@cret:word ~test:* +@all";
    let arguments: Vec<_> = users.split(' ').collect();
    let Some(redis) = Redis::start_with("cache: pool: users", &arguments) else {
        return;
    };
    let at = format!("127.0.0.1:{}", redis.port);
    let good = pool(&format!("redis://reader:s%40cret%3Aword@{at}"));
    assert_eq!(ping(&good).await.unwrap(), "PONG");
    let refused = good.query::<()>("set", cmd("SET").arg("other").arg("1")).await;
    assert!(matches!(refused, Err(CacheError::Refused(_))), "{refused:?}");
    for wrong in [format!("redis://reader:wrongword@{at}"), format!("redis://{at}")] {
        let answer = ping(&pool(&wrong)).await.unwrap_err();
        assert!(matches!(answer, CacheError::Refused(_)), "{answer:?}");
        assert!(!answer.to_string().contains("wrongword"), "{answer}");
    }
}

#[tokio::test]
async fn what_is_said_over_tls_is_said_to_whom_the_certificate_names() {
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("certificate.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        return crate::data::skip("cache: pool: TLS", "openssl is not installed");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (key, certificate) = (key.display().to_string(), certificate.display().to_string());
    let arguments = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let arguments = [&arguments[..], &["--tls-auth-clients", "no"]].concat();
    let Some(_redis) = Redis::start_with("cache: pool: TLS", &arguments) else {
        return;
    };
    let url = format!("rediss://127.0.0.1:{port}");
    let trusted = other_process::ask("ping", &[("URL", &url), ("SSL_CERT_FILE", &certificate)]);
    assert_eq!(trusted, "PONG");
    let unknown = ping(&pool(&url)).await.unwrap_err();
    assert!(matches!(unknown, CacheError::Unavailable(_)), "{unknown:?}");
}

#[tokio::test]
async fn what_happens_is_counted() {
    let Some(mut redis) = Redis::start("cache: pool: metrics") else {
        return;
    };
    let pool = redis.pool();
    let metrics = PoolMetrics::new(pool.clone()).unwrap();
    join_all((0..20).map(|_| ping(&pool))).await;
    redis.kill();
    ping(&pool).await.unwrap_err();
    let registry = prometheus::Registry::new();
    assert_eq!(metrics.desc().len(), 8);
    registry.register(Box::new(metrics)).unwrap();
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        "cryptoprice_redis_command_duration_seconds_count{command=\"ping\"} 20",
        "cryptoprice_redis_errors_total{command=\"ping\",kind=\"unavailable\"} 1",
        "cryptoprice_redis_connections{state=\"used\"} 0",
        "cryptoprice_redis_pool_timeouts_total 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}: {text}");
    }
}
