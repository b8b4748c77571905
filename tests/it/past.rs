//! The past through the public doors: prices at a time, how a pair did, candles in pages and as they form.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use cryptoprice::{
    app::Mode,
    client::v1::{
        BatchGetPricesRequest, Candle, CandleFill, CandleState, GetPriceRequest, GetPriceStatsRequest,
        ListCandlesRequest, Price, PriceStatus, StreamCandlesRequest,
        candle_service_client::CandleServiceClient, price_result,
    },
    domain::{
        pair::Pair,
        price::{self as domain, Cursor, Origin, Stamp, Status, Value},
    },
    pipeline::replay::ReplayOptions,
    store::{
        Location, Options, Store,
        prices::{PricePoint, StoredPrice},
    },
};
use prost_types::Timestamp;
use rust_decimal::Decimal;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::harness::{Running, eventually, frames};

const PAIR: &str = "BTC-USD";

/// A calm market that has run until its first seconds are over.
async fn scene() -> (Running, CandleServiceClient<Channel>) {
    let running = Running::demo(false).await;
    let candles = CandleServiceClient::new(running.channel().await);
    let mut asking = candles.clone();
    eventually("five seconds are over", async || {
        let over = seconds(&mut asking, ListCandlesRequest::default()).await;
        (over.iter().filter(|candle| candle.state() == CandleState::Final).count() >= 5).then_some(())
    })
    .await;
    (running, candles)
}

/// Lists candles of a second of all venues together.
async fn seconds(candles: &mut CandleServiceClient<Channel>, request: ListCandlesRequest) -> Vec<Candle> {
    let request = ListCandlesRequest { pair: PAIR.into(), interval: "1s".into(), ..request };
    candles.list_candles(request).await.map(|page| page.into_inner().candles).unwrap_or_default()
}

fn opens(candles: &[Candle]) -> Vec<i64> {
    candles.iter().map(|candle| candle.open_time.unwrap().seconds).collect()
}

fn decimal(text: Option<&str>) -> Decimal {
    text.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn candles_are_listed_without_holes_in_both_directions_and_page_by_page() {
    let (running, mut candles) = scene().await;
    let all = seconds(&mut candles, ListCandlesRequest { page_size: 1_000, ..Default::default() }).await;
    let listed = opens(&all);
    let (first, last) = (listed[0], *listed.last().unwrap());
    assert_eq!(listed, (first..=last).collect::<Vec<_>>());
    for candle in &all {
        assert!(candle.source.is_empty() && candle.interval == "1s" && !candle.filled);
        assert_eq!(candle.close_time.unwrap().seconds, candle.open_time.unwrap().seconds + 1);
        if candle.trade_count > 0 {
            let [open, high, low, close] = [&candle.open, &candle.high, &candle.low, &candle.close]
                .map(|price| decimal(price.as_deref()));
            let vwap = decimal(candle.vwap.as_deref());
            assert!(low <= open.min(close) && high >= open.max(close) && (low..=high).contains(&vwap));
        } else {
            assert_eq!((&candle.open, candle.base_volume.as_str()), (&None, "0"));
        }
    }
    // Up to a second that will not change any more, in pages of two.
    let end = Some(Timestamp { seconds: first + 5, nanos: 0 });
    for (order, expected) in
        [("", (first..first + 5).collect::<Vec<_>>()), ("open_time desc", (first..first + 5).rev().collect())]
    {
        let mut request = ListCandlesRequest {
            pair: PAIR.into(),
            interval: "1s".into(),
            end_time: end,
            order_by: order.into(),
            page_size: 2,
            ..Default::default()
        };
        let mut paged = Vec::new();
        loop {
            let page = candles.list_candles(request.clone()).await.unwrap().into_inner();
            assert!(page.candles.len() <= 2);
            paged.extend(page.candles);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(opens(&paged), expected, "{order}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_filled_in_unless_it_is_asked_for_and_then_it_says_so() {
    let (running, mut candles) = scene().await;
    let first = opens(&seconds(&mut candles, ListCandlesRequest::default()).await)[0];
    let range = |fill: CandleFill| ListCandlesRequest {
        start_time: Some(Timestamp { seconds: first - 3, nanos: 0 }),
        end_time: Some(Timestamp { seconds: first + 2, nanos: 0 }),
        fill: fill.into(),
        ..Default::default()
    };
    let known = seconds(&mut candles, range(CandleFill::None)).await;
    assert_eq!(opens(&known), [first, first + 1]);
    for fill in [CandleFill::Null, CandleFill::Previous] {
        let filled = seconds(&mut candles, range(fill)).await;
        assert_eq!(opens(&filled), (first - 3..first + 2).collect::<Vec<_>>());
        for candle in &filled[..3] {
            assert!(candle.filled && candle.open.is_none() && candle.state() == CandleState::Gap);
        }
    }
    // Where there was a price before, it stands in for seconds without trades.
    let later = ListCandlesRequest {
        start_time: Some(Timestamp { seconds: first, nanos: 0 }),
        end_time: Some(Timestamp { seconds: first + 5, nanos: 0 }),
        fill: CandleFill::Previous.into(),
        ..Default::default()
    };
    let mut price = None;
    for candle in seconds(&mut candles, later).await {
        if candle.trade_count == 0 && price.is_some() {
            assert!(candle.filled && candle.open == price && candle.close == price, "{candle:?}");
        }
        price = candle.close.or(price);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candle_forms_and_is_then_final() {
    let (running, mut candles) = scene().await;
    let request = StreamCandlesRequest { pair: PAIR.into(), interval: "1s".into(), ..Default::default() };
    let mut stream = candles.stream_candles(request).await.unwrap().into_inner();
    let told = async {
        let mut told: Vec<Candle> = Vec::new();
        while told.iter().filter(|candle| candle.state() == CandleState::Final).count() < 4 {
            told.extend(stream.message().await.unwrap().unwrap().candle);
        }
        told
    };
    let told = tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
    let last_words: Vec<&Candle> =
        told.iter().filter(|candle| candle.state() == CandleState::Final).collect();
    let order: Vec<i64> = last_words.iter().map(|candle| candle.open_time.unwrap().seconds).collect();
    assert!(order.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{order:?}");
    for last in &last_words {
        let earlier = told.iter().filter(|candle| candle.open_time == last.open_time);
        let most = earlier.map(|candle| candle.trade_count).max().unwrap();
        assert!(last.trade_count >= most && last.revision == 0);
    }
    assert!(told.iter().any(|candle| candle.state() == CandleState::Forming));
    // Over REST, too.
    let mut answer =
        reqwest::get(running.url(&format!("/v1/candles/{PAIR}:stream?interval=1s"))).await.unwrap();
    let mut line = Vec::new();
    while !line.contains(&b'\n') {
        line.extend_from_slice(&answer.chunk().await.unwrap().unwrap());
    }
    let line: serde_json::Value =
        serde_json::from_slice(line.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(line["candle"]["pair"], PAIR);
    drop(answer);
    // A stream that is open when the service stops is told so.
    let stopping = tokio::spawn(running.stop());
    let end = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without a word"),
                Err(status) => return status,
            }
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(15), end).await.unwrap();
    assert_eq!(status.get_details_error_info().unwrap().reason, "STOPPING");
    stopping.await.unwrap();
}

#[tokio::test]
async fn callers_do_not_hear_what_is_wrong_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    // Nothing lies below a file.
    let url = format!("sqlite://{}/below/history.db", file.display());
    let settings = [("CRYPTOPRICE__STORE__URL", url.as_str())];
    let options = ReplayOptions { files: frames(), speed: None, repeat: false };
    let running = Running::start(Mode::Replay(options), &settings).await;
    running.until_ended().await;
    for path in [
        "/v1/prices/BTC-USD?time=2001-01-01T00:00:00Z",
        "/v1/prices/BTC-USD/stats",
        "/v1/candles/BTC-USD?interval=1d",
    ] {
        let (status, body) = running.get(path).await;
        let details = body["error"]["details"].as_array().unwrap();
        let detail = details.iter().find(|detail| detail["reason"].is_string()).unwrap();
        assert_eq!((status, detail["reason"].as_str()), (503, Some("HISTORY_UNAVAILABLE")), "{path}: {body}");
        assert_eq!(body["error"]["message"], "the history cannot be read now", "{path}");
        assert_eq!(detail["metadata"], serde_json::json!({}), "{path}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_at_a_time_is_what_was_answered_then() {
    let (running, _) = scene().await;
    let mut prices = running.prices().await;
    let mut ask_as_known = async |time: Option<Timestamp>, pair: &str, known_by: Option<Timestamp>| {
        let request = GetPriceRequest { pair: pair.into(), time, known_by, ..Default::default() };
        prices.get_price(request).await.map(|answer| answer.into_inner().price.unwrap())
    };
    let then = eventually("the price is LIVE", async || {
        let price = ask_as_known(None, PAIR, None).await.ok();
        price.filter(|price| price.status() == PriceStatus::Live)
    })
    .await;
    let cross = ask_as_known(None, "ETH-GBP", None).await.unwrap();
    // What is recorded later than that does not change what was said.
    eventually("later prices are recorded", async || {
        // What is asked for as it was known is read from the record alone.
        let now = Some(Timestamp::from(SystemTime::now()));
        let price = ask_as_known(now, PAIR, now).await.ok()?;
        (price.publish_time.unwrap().seconds > cross.publish_time.unwrap().seconds).then_some(())
    })
    .await;
    let mut ask = async |time: Option<Timestamp>, pair: &str| ask_as_known(time, pair, None).await;
    let same = |past: &Price, then: &Price| {
        let lag = then.publish_time.unwrap().seconds - past.publish_time.unwrap().seconds;
        assert!((0..=2).contains(&lag), "{past:?} instead of {then:?}");
        let apart = (decimal(past.price.as_deref()) / decimal(then.price.as_deref()) - Decimal::ONE).abs();
        assert!(apart < Decimal::new(1, 2), "{past:?} instead of {then:?}");
        assert_eq!((past.status(), past.epoch), (then.status(), then.epoch));
        // Which way it was derived may change from one update to the next.
        assert_eq!(past.route.is_empty(), then.route.is_empty());
    };
    same(&ask(then.publish_time, PAIR).await.unwrap(), &then);
    same(&ask(cross.publish_time, "ETH-GBP").await.unwrap(), &cross);

    let early = Timestamp { seconds: 1_000_000_000, nanos: 0 };
    let error = ask(Some(early), PAIR).await.unwrap_err();
    assert_eq!(error.get_details_error_info().unwrap().reason, "PRICE_NOT_RECORDED");
    let batch = BatchGetPricesRequest {
        pairs: vec![PAIR.into(), "NOPE-USD".into()],
        times: vec![early, then.publish_time.unwrap()],
        ..Default::default()
    };
    let results = prices.batch_get_prices(batch).await.unwrap().into_inner().results;
    let found: Vec<_> = results
        .iter()
        .map(|item| {
            let is_price = matches!(item.result, Some(price_result::Result::Price(_)));
            (item.pair.as_str(), item.time.unwrap().seconds, is_price)
        })
        .collect();
    let at = then.publish_time.unwrap().seconds;
    let expected = [
        (PAIR, early.seconds, false),
        (PAIR, at, true),
        ("NOPE-USD", early.seconds, false),
        ("NOPE-USD", at, false),
    ];
    assert_eq!(found, expected);

    let stats = prices.get_price_stats(GetPriceStatsRequest { pair: PAIR.into() }).await.unwrap();
    let stats = stats.into_inner().stats.unwrap();
    assert_eq!(stats.pair, PAIR);
    assert!(
        (decimal(stats.price.as_deref()) / decimal(then.price.as_deref()) - Decimal::ONE).abs()
            < Decimal::new(5, 2)
    );
    // Nobody was there an hour ago.
    assert_eq!((stats.change_1h, stats.change_7d), (None, None));
    running.stop().await;
}

/// A price of a pair that was computed and written at times, in seconds after another.
fn recorded(pair: &str, since: DateTime<Utc>, (computed, written): (i64, i64), price: i64) -> StoredPrice {
    let time = since + TimeDelta::seconds(computed);
    let value = Value {
        price: price.into(),
        bid: None,
        ask: None,
        dispersion_bps: Decimal::ZERO,
        observe_time: time,
        receive_time: time,
    };
    let price = domain::Price {
        pair: Pair::split_at(pair, '-').unwrap(),
        status: Status::Live,
        status_reason: None,
        value: Some(value),
        source_count: 3,
        aggregate_time: time,
        route: Vec::new(),
        origin: Origin::Simulated,
    };
    let stamp = Stamp { cursor: Cursor { epoch: 1, sequence: 1 }, publish_time: time };
    StoredPrice { point: PricePoint { price, stamp }, record_time: since + TimeDelta::seconds(written) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_price_holds_until_it_would_have_been_recorded_again_and_as_it_was_known() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::File(folder.path().join("history.db"));
    let settings =
        [("CRYPTOPRICE__STORE__URL", &*location.to_string()), ("CRYPTOPRICE__HISTORY__PRICES_REPEAT", "1m")];
    let running = Running::start(Mode::Demo { seed: 7, trouble: false }, &settings).await;
    let options = Options {
        location,
        origin: Origin::Simulated,
        max_connections: 2,
        connect_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(10),
        lock_timeout: Duration::from_secs(10),
        max_bytes: 1 << 30,
    };
    let store = Store::open(options);
    eventually("the history is there", async || store.check().await.ok()).await;
    // Not so long ago that it is taken away.
    let since = DateTime::from_timestamp(Utc::now().timestamp() - 7_200, 0).unwrap();
    let rows = [
        recorded("ADA-USD", since, (0, 0), 6),
        recorded("DOGE-USD", since, (50, 50), 3),
        // Of a price that the store did not take for half an hour it was known at once, and of one that came late it was not.
        recorded(PAIR, since, (0, 0), 100),
        recorded(PAIR, since, (1, 1_800), 200),
    ];
    assert_eq!(store.keep_prices(&rows).await.unwrap(), 4);
    let ask = async |pair: &str, second: i64, known_by: Option<i64>| {
        let time = |second| (since + TimeDelta::seconds(second)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let known_by = known_by.map_or_else(String::new, |known_by| format!("&known_by={}", time(known_by)));
        let path = format!("/v1/prices/{pair}?time={}{known_by}", time(second));
        let (status, body) = running.get(&path).await;
        assert_eq!(status, 200, "{path}: {body}");
        let price = &body["price"];
        let word = |key: &str| price[key].as_str().unwrap_or_default().to_owned();
        (word("status").replace("PRICE_STATUS_", ""), word("price"))
    };
    eventually("the pairs are known", async || {
        (running.get("/v1/prices/ADA-DOGE").await.0 == 200).then_some(())
    })
    .await;
    let row = |status: &str, price: &str| (status.to_owned(), price.to_owned());
    for (second, status) in [(0, "LIVE"), (31, "LIVE"), (59, "LIVE"), (90, "LIVE"), (91, "STALE")] {
        assert_eq!(ask("ADA-USD", second, None).await, row(status, "6"), "{second}");
    }
    // What is derived of two that were recorded at other times: they held all the same.
    assert_eq!(ask("ADA-DOGE", 55, None).await, row("LIVE", "2"));
    for (known_by, price) in [(Some(2), "100"), (Some(1_799), "100"), (Some(1_800), "200"), (None, "200")] {
        assert_eq!(ask(PAIR, 2, known_by).await, row("LIVE", price), "{known_by:?}");
    }
    running.stop().await;
}
