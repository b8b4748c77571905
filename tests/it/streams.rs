//! Streams: a snapshot, then changes; NDJSON and server-sent events over REST.

use std::time::Duration;

use cryptoprice::{
    app::Mode,
    client::v1::{Cursor, StreamDelivery, StreamPricesKind, StreamPricesRequest, StreamPricesResponse},
    pipeline::replay::ReplayOptions,
};
use futures::StreamExt as _;
use tokio::time::timeout;
use tonic_types::StatusExt as _;

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

/// Reads messages until there are this many prices.
async fn prices_of(
    stream: &mut tonic::Streaming<StreamPricesResponse>,
    enough: usize,
) -> (Vec<(String, u64)>, Cursor) {
    let (mut read, mut cursor) = (Vec::new(), None);
    while read.len() < enough {
        let next = timeout(Duration::from_secs(15), stream.next()).await.unwrap().unwrap().unwrap();
        read.extend(next.prices.into_iter().map(|price| (price.pair, price.sequence)));
        cursor = next.cursor;
    }
    (read, cursor.unwrap())
}

#[tokio::test]
async fn a_cut_stream_goes_on_without_gap_or_duplicate() {
    let running = looping().await;
    let mut prices = running.prices().await;
    let request = |resume_after| StreamPricesRequest {
        delivery: StreamDelivery::All.into(),
        resume_after,
        ..Default::default()
    };
    let mut whole = prices.stream_prices(request(None)).await.unwrap().into_inner();
    let snapshot = whole.next().await.unwrap().unwrap();
    assert_eq!(snapshot.kind(), StreamPricesKind::Snapshot);
    let (expected, _) = prices_of(&mut whole, 60).await;
    let (mut pieced, mut cursor) = (Vec::new(), snapshot.cursor);
    while pieced.len() < 60 {
        let mut part = prices.stream_prices(request(cursor)).await.unwrap().into_inner();
        let (read, place) = prices_of(&mut part, 10).await;
        pieced.extend(read);
        cursor = Some(place);
    }
    assert_eq!(pieced[..60], expected[..60]);
    // Every update: the sequence has no holes.
    assert!(expected.windows(2).all(|two| two[1].1 == two[0].1 + 1), "{expected:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_position_that_is_not_known_resets_the_stream() {
    let running = looping().await;
    let mut prices = running.prices().await;
    let (_, listed) = running.get("/v1/prices/BTC-USD").await;
    let epoch = listed["price"]["epoch"].as_str().unwrap().parse::<u64>().unwrap();
    for (epoch, sequence) in [(epoch - 1, 5), (epoch + 1, 5), (epoch, u64::MAX), (0, 0)] {
        let request = StreamPricesRequest {
            pairs: vec!["BTC-USD".into()],
            resume_after: Some(Cursor { epoch, sequence }),
            ..Default::default()
        };
        let mut stream = prices.stream_prices(request).await.unwrap().into_inner();
        let kinds =
            [stream.next().await.unwrap().unwrap().kind(), stream.next().await.unwrap().unwrap().kind()];
        assert_eq!(kinds, [StreamPricesKind::Reset, StreamPricesKind::Snapshot], "{epoch}-{sequence}");
    }
    running.stop().await;
}

#[tokio::test]
async fn events_are_resumed_by_the_last_id() {
    let running = looping().await;
    let client = reqwest::Client::new();
    let open = async |last: Option<&str>| {
        let url = running.url("/v1/prices:stream?pairs=BTC-USD&delivery=STREAM_DELIVERY_ALL");
        let request = client.get(url).header("accept", "text/event-stream");
        match last {
            Some(id) => request.header("last-event-id", id).send().await.unwrap(),
            None => request.send().await.unwrap(),
        }
    };
    let mut first = open(None).await;
    let text = read_until(&mut first, |text| text.matches("\n\n").count() >= 4).await;
    let id = text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    let mut second = open(Some(id)).await;
    let text = read_until(&mut second, |text| text.contains("data: ") && text.ends_with("\n\n")).await;
    assert!(text.contains("STREAM_PRICES_KIND_UPDATE") && !text.contains("SNAPSHOT"), "{text}");
    let refused = open(Some("nonsense")).await;
    assert_eq!(refused.status(), 400);
    running.stop().await;
}

#[tokio::test]
async fn the_caller_says_how_often_and_how_much() {
    let running = looping().await;
    let mut prices = running.prices().await;
    let interval = prost_types::Duration { seconds: 0, nanos: 400_000_000 };
    let request = StreamPricesRequest { min_interval: Some(interval), ..Default::default() };
    let mut slow = prices.stream_prices(request).await.unwrap().into_inner();
    slow.next().await.unwrap().unwrap();
    let started = tokio::time::Instant::now();
    let mut skipped = 0;
    for _ in 0..4 {
        skipped += slow.next().await.unwrap().unwrap().skipped;
    }
    assert!(
        started.elapsed() >= Duration::from_millis(1_500) && skipped > 0,
        "{:?} {skipped}",
        started.elapsed()
    );
    // Between two updates that are far apart the stream still says that it lives, and does not move on.
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let request =
        StreamPricesRequest { min_interval: seconds(2), heartbeat: seconds(1), ..Default::default() };
    let mut sparse = prices.stream_prices(request).await.unwrap().into_inner();
    let snapshot = sparse.next().await.unwrap().unwrap();
    let alive = sparse.next().await.unwrap().unwrap();
    assert_eq!((alive.kind(), alive.cursor), (StreamPricesKind::Heartbeat, snapshot.cursor));
    assert_eq!(sparse.next().await.unwrap().unwrap().kind(), StreamPricesKind::Update);
    // Nothing in the recordings moves by a half: after the snapshot there are heartbeats only.
    let request = StreamPricesRequest {
        pairs: vec!["BTC-USD".into()],
        deviation_bps: "5000".into(),
        heartbeat: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..Default::default()
    };
    let mut quiet = prices.stream_prices(request).await.unwrap().into_inner();
    let first = quiet.next().await.unwrap().unwrap();
    let second = quiet.next().await.unwrap().unwrap();
    assert_eq!((second.kind(), second.prices.len()), (StreamPricesKind::Heartbeat, 0));
    assert!(second.cursor.unwrap().sequence > first.cursor.unwrap().sequence, "the cursor moves on");
    running.stop().await;
}

#[tokio::test]
async fn a_price_that_grows_too_old_loses_its_number() {
    // Played at its own speed, SHIB-USD is quoted once in two and a half seconds.
    let options = ReplayOptions { files: frames(), speed: Some(1.0), repeat: true };
    let running = Running::start(Mode::Replay(options), &[]).await;
    eventually("SHIB-USD has a price", async || {
        (running.get("/v1/prices/SHIB-USD").await.0 == 200).then_some(())
    })
    .await;
    let mut prices = running.prices().await;
    let max_age = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let request = StreamPricesRequest { pairs: vec!["SHIB-USD".into()], max_age, ..Default::default() };
    let mut stream = prices.stream_prices(request).await.unwrap().into_inner();
    let mut seen = Vec::new();
    let turns = timeout(Duration::from_secs(20), async {
        while !seen.ends_with(&[true, false, true, false]) {
            let next = stream.next().await.unwrap().unwrap();
            seen.extend(next.prices.iter().map(|price| price.price.is_some()));
            seen.dedup();
        }
    });
    assert!(turns.await.is_ok(), "with a number, without, and again: {seen:?}");
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
    let place = status.get_error_details().error_info().unwrap().metadata["sequence"].parse::<u64>().unwrap();
    assert!(place > 0, "the reason names where to resume");
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
