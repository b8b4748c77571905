//! Streams: a snapshot, then changes; NDJSON and server-sent events over REST.

use std::time::Duration;

use cryptoprice::{
    app::Mode,
    client::v1::{StreamPricesKind, StreamPricesRequest},
    pipeline::replay::ReplayOptions,
};
use futures::StreamExt as _;
use tokio::time::timeout;

use crate::harness::{Running, eventually, frames};

async fn looping() -> Running {
    let options = ReplayOptions { files: frames(), speed: Some(20.0), repeat: true };
    let running = Running::start(Mode::Replay(options), &[]).await;
    eventually("BTC-USD and EUR-USD have prices", async || {
        let (btc, _) = running.get("/v1/prices/BTC-USD").await;
        let (eur, _) = running.get("/v1/prices/EUR-USD").await;
        (btc == 200 && eur == 200).then_some(())
    })
    .await;
    running
}

#[tokio::test]
async fn a_stream_starts_with_a_snapshot_and_goes_on_with_changes() {
    let running = looping().await;
    let pairs = vec!["BTC-USD".to_owned(), "SHIB-EUR".to_owned()];
    let mut prices = running.prices().await;
    let request = StreamPricesRequest { pairs, ..Default::default() };
    let mut stream = prices.stream_prices(request).await.unwrap().into_inner();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first.kind(), StreamPricesKind::Snapshot);
    let named: Vec<_> = first.prices.iter().map(|price| price.pair.as_str()).collect();
    assert_eq!(named, ["BTC-USD", "SHIB-EUR"]);
    let (mut cursor, mut derived) = (first.cursor.unwrap(), 0);
    for _ in 0..20 {
        let next = timeout(Duration::from_secs(15), stream.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(next.kind(), StreamPricesKind::Update);
        let place = next.cursor.unwrap();
        assert_eq!(place.epoch, cursor.epoch);
        assert!(place.sequence > cursor.sequence);
        for price in &next.prices {
            assert!(price.sequence > cursor.sequence && price.sequence <= place.sequence);
            assert!(["BTC-USD", "SHIB-EUR"].contains(&price.pair.as_str()));
            derived += u32::from(price.pair == "SHIB-EUR");
        }
        cursor = place;
    }
    assert!(derived > 0, "a derived pair is kept up to date while it is streamed");
    drop(stream);
    eventually("the derived pair leaves the board when nobody streams it", async || {
        let (_, listed) = running.get("/v1/prices?base=SHIB&quote=EUR").await;
        (listed["prices"] == serde_json::json!([])).then_some(())
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn rest_streams_are_lines_or_events() {
    let running = looping().await;
    let client = reqwest::Client::new();
    let url = running.url("/v1/prices:stream?pairs=BTC-USD");
    let mut lines = client.get(&url).send().await.unwrap();
    assert_eq!(lines.headers()["content-type"], "application/x-ndjson");
    let text = read_until(&mut lines, |text| text.matches('\n').count() >= 3).await;
    for (at, line) in text.lines().take(3).enumerate() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(message["kind"] == "STREAM_PRICES_KIND_SNAPSHOT", at == 0, "{line}");
    }
    let mut events = client.get(&url).header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let text = read_until(&mut events, |text| text.matches("\n\n").count() >= 3).await;
    assert!(text.contains("retry: "), "{text}");
    let event = text.split("\n\n").find(|event| event.contains("data: ")).unwrap();
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let message: serde_json::Value = serde_json::from_str(&field("data: ")).unwrap();
    let place = |part: &str| message["cursor"][part].as_str().unwrap().to_owned();
    assert_eq!(field("id: "), format!("{}-{}", place("epoch"), place("sequence")));
    running.stop().await;
}

#[tokio::test]
async fn a_price_below_the_bar_goes_out_without_its_number() {
    let running = looping().await;
    let mut prices = running.prices().await;
    let request = StreamPricesRequest { pairs: vec!["BTC-USD".into()], min_sources: 9, ..Default::default() };
    let mut stream = prices.stream_prices(request).await.unwrap().into_inner();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!((first.prices[0].pair.as_str(), &first.prices[0].price), ("BTC-USD", &None));
    assert_ne!(first.prices[0].status, 0);
    running.stop().await;
}

#[tokio::test]
async fn stopping_ends_streams_with_a_reason() {
    let running = looping().await;
    let mut prices = running.prices().await;
    let mut stream = prices.stream_prices(StreamPricesRequest::default()).await.unwrap().into_inner();
    let mut lines = reqwest::get(running.url("/v1/prices:stream")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let stopped = tokio::spawn(running.stop());
    let status = loop {
        if let Err(status) = stream.next().await.unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let text = read_until(&mut lines, |text| text.contains("\"error\"")).await;
    assert!(text.lines().last().unwrap().contains("STOPPING"), "{text}");
    stopped.await.unwrap();
}

async fn read_until(answer: &mut reqwest::Response, enough: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    while !enough(&text) {
        let chunk = timeout(Duration::from_secs(15), answer.chunk()).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk.expect("more to come")).unwrap());
    }
    text
}
