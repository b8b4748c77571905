//! The back-fill of a running service: the last hours, and every gap from then on.

use chrono::{TimeDelta, Utc};
use cryptoprice::{
    app::Mode,
    domain::{candle::Interval, pair::Pair},
    feed::venues,
    pipeline::backfill::service::{Service, ServiceOptions},
};
use tokio_util::sync::CancellationToken;

use super::{PAIR, at, backfill, client, exchange::Exchange, listing, rig, stored, venue};
use crate::harness::{Running, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_fills_in_the_last_hours_and_then_every_gap() {
    let (clock, _, store) = rig(1_000).await;
    let exchange = Exchange::start(at(1_010)).await;
    let options = ServiceOptions { look_back: TimeDelta::hours(1), intervals: vec![Interval::Minute] };
    let (service, handle) =
        Service::new(backfill(&exchange, &store, &["binance", "coinbase"], &clock), options);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(service.run(shutdown.clone()));
    let minutes = async |count: usize| {
        eventually("the candles are filled in", async || {
            (stored(&store, None, Interval::Minute).await.len() == count).then_some(())
        })
        .await;
    };
    minutes(59).await;
    assert_eq!(["binance", "coinbase"].map(|name| exchange.count(name)), [1, 1]);
    // Of a venue that nobody can ask, and of a market that it does not have, nothing can be asked for.
    handle.request(PAIR, venue("kraken"), at(0)..at(5));
    handle.request(Pair::literal("ETH", "USD"), venue("binance"), at(0)..at(5));
    for name in ["binance", "coinbase"] {
        handle.request(PAIR, venue(name), at(1_000)..at(1_004));
        handle.request(PAIR, venue(name), at(1_002)..at(1_005));
    }
    clock.advance_to(at(1_007));
    minutes(64).await;
    assert_eq!(["binance", "coinbase"].map(|name| exchange.count(name)), [2, 2]);
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_hours_of_a_market_that_is_added_are_filled_in_as_at_a_start() {
    let (clock, _, store) = rig(1_000).await;
    let exchange = Exchange::start(at(1_010)).await;
    let options = ServiceOptions { look_back: TimeDelta::hours(1), intervals: vec![Interval::Minute] };
    let (service, handle) = Service::new(backfill(&exchange, &store, &["binance"], &clock), options);
    let extender = service.extender(handle.clone());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(service.run(shutdown.clone()));
    let filled = async |name: &str, count: usize| {
        eventually("the candles are filled in", async || {
            (stored(&store, Some(name), Interval::Minute).await.len() == count).then_some(())
        })
        .await;
    };
    filled("binance", 59).await;
    extender.extend(vec![client(&exchange, "coinbase")], listing(&["binance", "coinbase"]));
    filled("coinbase", 59).await;
    assert_eq!(
        ["binance", "coinbase"].map(|name| exchange.count(name)),
        [1, 1],
        "the other is not asked anew"
    );

    // One that is not listened to any more is not asked, and the other as before.
    extender.extend(Vec::new(), listing(&["coinbase"]));
    for name in ["binance", "coinbase"] {
        handle.request(PAIR, venue(name), at(1_000)..at(1_004));
    }
    clock.advance_to(at(1_007));
    filled("coinbase", 63).await;
    assert_eq!(["binance", "coinbase"].map(|name| exchange.count(name)), [1, 2]);
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_service_asks_by_itself_and_counts_it() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = Exchange::start(Utc::now()).await;
    let mut settings: Vec<(String, String)> = venues::ALL
        .iter()
        .map(|protocol| protocol.venue().as_str().to_uppercase())
        .map(|name| (format!("CRYPTOPRICE__VENUES__{name}__ENABLED"), (name == "COINBASE").to_string()))
        .collect();
    let coinbase = |key: &str, value: String| (format!("CRYPTOPRICE__VENUES__COINBASE__{key}"), value);
    settings.extend([
        coinbase("PAIRS", PAIR.to_string()),
        coinbase("URL", "ws://127.0.0.1:9".to_owned()),
        coinbase("REST_URL", exchange.base("coinbase")),
        ("CRYPTOPRICE__STORE__FOLDER".to_owned(), folder.path().display().to_string()),
        ("CRYPTOPRICE__BACKFILL__LOOK_BACK".to_owned(), "30m".to_owned()),
    ]);
    let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let running = Running::start(Mode::Live, &settings).await;
    eventually("candles are filled in", async || {
        let metrics = running.metrics().await;
        let written = metrics.sum("cryptoprice_backfill_candles_total");
        (written > 2 * 25 && metrics.get("cryptoprice_backfill_waiting_markets") == 0).then_some(())
    })
    .await;
    let metrics = running.metrics().await;
    assert_eq!(metrics.get("cryptoprice_backfill_requests_total{source=\"coinbase\"}"), 1);
    assert_eq!(metrics.get("cryptoprice_backfill_dropped_total"), 0);
    assert!(metrics.get("cryptoprice_backfill_candles_total{source=\"composite\",state=\"final\"}") > 0);
    running.stop().await;
    assert_eq!(exchange.count("coinbase"), 1);

    // Where it is off, or nobody can be asked, nothing is asked and nothing counted.
    let off = [("CRYPTOPRICE__BACKFILL__ENABLED", "false")];
    let running = Running::start(Mode::Live, &[settings.as_slice(), &off].concat()).await;
    assert!(!running.metrics().await.0.contains("cryptoprice_backfill"));
    running.stop().await;
    assert_eq!(exchange.count("coinbase"), 1);
}
