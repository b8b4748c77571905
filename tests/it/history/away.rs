//! A server that goes away, and comes back.

use std::time::Instant;

use cryptoprice::app::Mode;
use tokio_postgres::NoTls;

use super::*;
use crate::{
    harness::{Running, eventually},
    store::{
        faults::{Holder, Traffic, Way},
        postgres::Postgres,
        server,
    },
};

/// How long a price may take to be got, whatever the database does.
const FAST: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn prices_flow_and_no_candle_is_lost_whatever_the_server_does() {
    let Some(url) = server::database("history: a server in trouble").await else { return };
    let location = Location::parse(&url).unwrap();
    let store = Store::open(store_options(location.clone(), Origin::Simulated));
    store.migrate().await.unwrap();
    let way = Way::to(&url).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("CRYPTOPRICE__STORE__URL", way.url.as_str()),
        ("CRYPTOPRICE__STORE__CONNECT_TIMEOUT", "500ms"),
        ("CRYPTOPRICE__STORE__STATEMENT_TIMEOUT", "1s"),
        ("CRYPTOPRICE__STORE__LOCK_TIMEOUT", "500ms"),
        ("CRYPTOPRICE__HISTORY__FLUSH", "200ms"),
        ("CRYPTOPRICE__HISTORY__SPOOL_FOLDER", folder.path().to_str().unwrap()),
    ];
    let running = Running::start(Mode::Demo { seed: 7, trouble: false }, &settings).await;
    let count = async || stored(&store, SECONDS).await.len();
    let more = async |what: &str| {
        let before = count().await;
        eventually(what, async || (count().await > before + 1).then_some(())).await;
    };
    more("seconds are stored").await;

    way.set(Traffic::Refused).await;
    flowing(&running, Duration::from_secs(3)).await;
    let ready = reqwest::get(format!("http://{}/readyz", running.ops)).await.unwrap();
    assert!(ready.status().is_success(), "prices are there");
    let ready = ready.text().await.unwrap();
    assert!(ready.contains("HISTORY_UNAVAILABLE"), "{ready}");
    way.set(Traffic::Open).await;
    more("seconds are stored again").await;

    way.set(Traffic::Silent).await;
    flowing(&running, Duration::from_secs(2)).await;
    way.set(Traffic::Open).await;
    more("seconds are stored after a silence").await;

    let holder = Holder::held(location, Some(url.clone())).await;
    flowing(&running, Duration::from_secs(2)).await;
    holder.release().await;
    more("seconds are stored after a lock").await;

    // Cut in the middle of whatever it does.
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name = 'cryptoprice' AND query LIKE 'INSERT%'";
    for _ in 0..10 {
        server::execute(&url, cut).await.unwrap();
        flowing(&running, Duration::from_millis(100)).await;
    }
    more("seconds are stored after cuts").await;
    eventually("nothing waits any more", async || {
        let metrics = running.metrics().await;
        let done = metrics.get("cryptoprice_history_spool_rows") == 0
            && metrics.get("cryptoprice_history_available") == 1;
        done.then_some(())
    })
    .await;
    let metrics = running.metrics().await;
    assert_eq!(metrics.sum("cryptoprice_history_rows_dropped_total"), 0);
    assert!(metrics.sum("cryptoprice_history_errors_total") > 0);
    assert!(metrics.get("cryptoprice_history_rows_written_total{kind=\"price\"}") > 0);
    running.stop().await;

    figures(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_for_a_minute_costs_no_candle() {
    let Some(mut postgres) = Postgres::start("history: a minute without a server").await else { return };
    let url = server::address(postgres.port);
    let location = Location::parse(&url).unwrap();
    Store::open(store_options(location, Origin::Simulated)).migrate().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("CRYPTOPRICE__STORE__URL", url.as_str()),
        ("CRYPTOPRICE__HISTORY__FLUSH", "500ms"),
        ("CRYPTOPRICE__HISTORY__SPOOL_FOLDER", folder.path().to_str().unwrap()),
    ];
    let running = Running::start(Mode::Demo { seed: 7, trouble: false }, &settings).await;
    let count = async |name: &str| running.metrics().await.get(name);
    let written = "cryptoprice_history_rows_written_total{kind=\"candle\"}";
    eventually("candles are written", async || (count(written).await > 500).then_some(())).await;

    // It cuts all connections, in the middle of whatever they do; several ask for prices meanwhile.
    postgres.stop();
    let callers = (0..4).map(|_| took(&running, Duration::from_secs(60)));
    let mut times = futures::future::join_all(callers).await.concat();
    times.sort_unstable();
    // A busy machine may hold up a few; nobody waits for the database.
    assert!(times[times.len() / 2] < FAST && times[times.len() - 1] < 10 * FAST, "{:?}", times.last());
    let waiting = count("cryptoprice_history_spool_rows").await;
    assert!(waiting > 10_000, "{waiting} rows wait after a minute");
    assert!(server::execute(&url, "SELECT 1").await.is_err(), "it is stopped");
    postgres.restart().await;
    eventually("nothing waits any more", async || {
        let metrics = running.metrics().await;
        let done = metrics.get("cryptoprice_history_spool_rows") == 0
            && metrics.get("cryptoprice_history_available") == 1;
        done.then_some(())
    })
    .await;
    assert_eq!(running.metrics().await.sum("cryptoprice_history_rows_dropped_total"), 0);
    running.stop().await;
    figures(&url).await;
}

/// Asks the database itself: of each series every second from its first to its last, nothing twice, and prices all the time.
async fn figures(url: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    // Of each series, every second from its first to its last.
    let text = "SELECT pair || ' ' || venue, count(DISTINCT open_time), \
                CAST(extract(epoch FROM max(open_time) - min(open_time)) AS bigint) + 1 \
                FROM candles WHERE interval = '1s' AND venue <> '' GROUP BY 1";
    let rows = client.query(text, &[]).await.unwrap();
    assert!(rows.len() > 20, "{} series", rows.len());
    for row in rows {
        let (series, found, expected): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(found, expected, "seconds of {series}");
    }
    let doubled =
        "SELECT count(*) - count(DISTINCT (interval, pair, venue, open_time, revision)) FROM candles";
    assert_eq!(client.query_one(doubled, &[]).await.unwrap().get::<_, i64>(0), 0);
    // A price of BTC-USD in every second, too.
    let gaps = "SELECT coalesce(CAST(extract(epoch FROM max(step)) * 1000 AS bigint), 0) FROM (SELECT aggregate_time - \
                lag(aggregate_time) OVER (ORDER BY aggregate_time) AS step FROM prices WHERE pair = 'BTC-USD') AS steps";
    let longest: i64 = client.query_one(gaps, &[]).await.unwrap().get(0);
    assert!(longest < 10_000, "no price for {longest} ms");
}

/// Asks for prices for a while, each of which has to come fast.
async fn flowing(running: &Running, lasts: Duration) {
    for took in took(running, lasts).await {
        assert!(took < FAST, "{took:?}");
    }
}

/// Asks for prices for a while, and tells how long each took.
async fn took(running: &Running, lasts: Duration) -> Vec<Duration> {
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < lasts {
        let asked = Instant::now();
        let (status, _) = running.get("/v1/prices/BTC-USD").await;
        assert_eq!(status, 200);
        times.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    times
}
