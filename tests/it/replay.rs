//! Recordings: played through the same parsers, deterministic, counted, and refused when they are broken.

use std::{collections::BTreeMap, fs, io::Write as _, path::PathBuf};

use cryptoprice::{
    app::{Application, Mode},
    client::v1::{ListPricesRequest, ListSourcesRequest, Origin, Source},
    config::Config,
    pipeline::replay::ReplayOptions,
};
use serde_json::Value;

use crate::{
    data,
    harness::{Running, eventually, frame, frames},
};

#[tokio::test]
async fn prices_are_calculated_from_the_recorded_quotes() {
    let running = Running::replayed().await;
    // At the end Coinbase says 60010.00 and 60010.02, Kraken 60009 and 60011: mids 60010.01 and 60010, with equal
    // weights, as 40 % of the vote is too little for either of two. Exactly half of the weight lies at the lower one, so
    // the median is the mean of both. Binance quotes in USDT, which has two anchors only: it does not count.
    let (_, answer) = running.get("/v1/prices/BTC-USD").await;
    let price = &answer["price"];
    assert_eq!((price["price"].as_str(), price["sourceCount"].as_u64()), (Some("60010.005"), Some(2)));
    assert_eq!((price["bid"].as_str(), price["ask"].as_str()), (Some("60009.5"), Some("60010.51")));
    assert_eq!(
        (price["status"].as_str(), price["origin"].as_str()),
        (Some("PRICE_STATUS_LIVE"), Some("ORIGIN_REPLAY"))
    );
    let (_, answer) = running.get("/v1/prices/BTC-USD:explain").await;
    let verdicts: BTreeMap<_, _> = answer["legs"][0]["contributions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|made| (made["source"].as_str().unwrap(), made["verdict"].as_str().unwrap()))
        .collect();
    let used = "QUOTE_VERDICT_USED";
    let expected = [("binance", "QUOTE_VERDICT_PEG_UNKNOWN"), ("coinbase", used), ("kraken", used)];
    assert_eq!(verdicts, BTreeMap::from(expected));
    // ETH-EUR is derived: ETH-USD is the mean of 3000.30 twice, EUR-USD that of 1.08 and 1.07995, so 1.079975; their
    // quotient is 2778.119863885738… (to 16 digits).
    let (_, answer) = running.get("/v1/prices/ETH-EUR").await;
    assert_eq!(answer["price"]["price"].as_str(), Some("2778.119863885738"));
    assert_eq!(answer["price"]["route"], serde_json::json!(["ETH-USD", "EUR-USD"]));
    running.stop().await;
}

#[tokio::test]
async fn a_recording_that_starts_again_says_its_trades_again() {
    let trades = async |running: &Running| {
        let listed = running.sources().await.list_sources(ListSourcesRequest::default()).await;
        let sources = listed.unwrap().into_inner().sources;
        sources.iter().map(|source| (source.trade_count, source.duplicate_count)).collect::<Vec<_>>()
    };
    let once = Running::replayed().await;
    let expected = trades(&once).await;
    once.stop().await;
    assert!(expected.iter().any(|(counted, _)| *counted > 0));
    let options = ReplayOptions { files: frames(), speed: Some(50.0), repeat: true };
    let looped = Running::start(Mode::Replay(options), &[]).await;
    eventually("every trade has come three times", async || {
        let counted = trades(&looped).await;
        let thrice = |((now, _), (once, _)): (&(u64, u64), &(u64, u64))| *now >= 3 * once;
        counted.iter().zip(&expected).all(thrice).then_some(())
    })
    .await;
    looped.stop().await;
}

#[tokio::test]
async fn two_runs_give_the_same_prices_byte_for_byte() {
    let once = outcome(frames()).await;
    assert!(once.len() > 5);
    assert_eq!(outcome(frames()).await, once);
    if let Some(folder) = data::folder("two_runs_give_the_same_prices_byte_for_byte") {
        let files = recorded(&folder);
        assert_eq!(outcome(files.clone()).await, outcome(files).await);
    }
}

#[tokio::test]
async fn the_speed_changes_nothing_of_what_comes_out() {
    let options = ReplayOptions { files: frames(), speed: Some(4.0), repeat: false };
    let paced = Running::start(Mode::Replay(options), &[]).await;
    paced.until_ended().await;
    let prices = listed(&paced).await;
    paced.stop().await;
    assert_eq!(outcome(frames()).await, prices);
}

#[tokio::test]
async fn all_recordings_are_served_and_counted() {
    let Some(folder) = data::folder("all_recordings_are_served_and_counted") else { return };
    let running = Running::replay(recorded(&folder)).await;
    let index = data::json(&folder.join("replay/index.json"));
    let mut sources = running.sources().await;
    let listed = sources.list_sources(ListSourcesRequest::default()).await.unwrap().into_inner().sources;
    let listed: BTreeMap<_, _> = listed.into_iter().map(|source| (source.source.clone(), source)).collect();
    let recordings = index.as_array().unwrap();
    assert_eq!(listed.len(), recordings.len());
    for recording in recordings {
        let exchange = recording["exchange"].as_str().unwrap();
        let source = &listed[&name(exchange)];
        assert_eq!(source.origin(), Origin::Replay);
        assert_eq!((source.malformed_count, source.duplicate_count), (0, 0), "{exchange}");
        assert_eq!(source.frame_count, number(&recording["records"]["recv"]), "{exchange}");
        assert_eq!(trades(exchange, source), number(&recording["peer_events"]["trades"]), "{exchange}");
        let channels = &recording["received_by_channel"];
        let tickers = match exchange {
            // Best bid and ask come from books here: every one is a whole book.
            "HUOBI" => number(&channels["depth.step0"]),
            "UPBIT" => number(&channels["orderbook"]),
            _ => number(&recording["peer_events"]["ticker"]),
        };
        assert_eq!(source.ticker_count, tickers, "{exchange}");
    }
    // The recorded spot pairs are served; perpetual and dated ones are not.
    for (pair, http) in
        [("NKN-USDT", 200), ("BTC-USD", 200), ("BTC-KRW", 404), ("SUSHI-USDT", 200), ("UNI-USD", 404)]
    {
        assert_eq!(running.get(&format!("/v1/prices/{pair}")).await.0, http, "{pair}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_symbol_that_can_be_read_in_two_ways_is_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, asked] = ["plain", "asked"].map(|name| folder.path().join(format!("{name}.jsonl")));
    let connect = [
        r#"{"t":"header","format":2,"exchange":"BINANCEUS","recorded":1767323045.0}"#,
        r#"{"t":"connect","conn":"a","ts":1767323045.0,"addr":"wss://example.com/"}"#,
    ];
    let pairs = r#"{"t":"asked","conn":"a","ts":1767323045.0,"pairs":{"SHIBUSD":"SHIB-USD"}}"#;
    let said = r#"{"t":"recv","conn":"a","ts":1767323045.5,"data":"{\"stream\":\"shibusd@bookTicker\",\"data\":{\"u\":1,\"s\":\"SHIBUSD\",\"b\":\"600.1\",\"B\":\"1\",\"a\":\"600.3\",\"A\":\"2\"}}"}"#;
    fs::write(&plain, [connect[0], connect[1], said].join("\n")).unwrap();
    fs::write(&asked, [connect[0], connect[1], pairs, said].join("\n")).unwrap();
    for (file, expected) in [(plain, None), (asked, Some("600.2"))] {
        let running = Running::replay(vec![file]).await;
        let (_, answer) = running.get("/v1/prices/SHIB-USD").await;
        // By itself it is SHI in BUSD, a coin whose worth is not known here.
        assert_eq!(answer["price"]["price"].as_str(), expected, "{answer}");
        running.stop().await;
    }
}

#[tokio::test]
async fn a_recording_that_is_missing_or_broken_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::File::create(&path).unwrap().write_all(content).unwrap();
        path
    };
    let header = br#"{"t":"header","format":2,"exchange":"NOWHERE","recorded":1.0}"#;
    for (file, expected) in [
        (folder.path().join("missing.jsonl.zst"), "missing.jsonl.zst"),
        (write("empty.jsonl", b""), "empty.jsonl"),
        (write("nonsense.jsonl", b"nonsense\n"), "nonsense.jsonl"),
        (write("nowhere.jsonl", header), "NOWHERE"),
        (write("cut.jsonl.zst", &[0x28, 0xb5, 0x2f, 0xfd, 0, 0]), "cut.jsonl.zst"),
    ] {
        let options = ReplayOptions { files: vec![frame("KRAKEN"), file], speed: None, repeat: false };
        let free =
            ["CRYPTOPRICE__SERVER__LISTEN", "CRYPTOPRICE__OPS__LISTEN"].map(|name| (name, "127.0.0.1:0"));
        let config = Config::load(None, free.map(|(key, value)| (key.to_owned(), value.to_owned()))).unwrap();
        let error = Application::build(config, Mode::Replay(options)).await.unwrap_err();
        let shown = format!("{error:#}");
        assert!(shown.contains(expected), "{shown}");
    }
}

/// Plays recordings to their end and gives all prices as bytes.
async fn outcome(files: Vec<PathBuf>) -> Vec<Vec<u8>> {
    let running = Running::replay(files).await;
    let prices = listed(&running).await;
    running.stop().await;
    prices
}

async fn listed(running: &Running) -> Vec<Vec<u8>> {
    let mut prices = running.prices().await;
    let request = ListPricesRequest { page_size: 1_000, ..Default::default() };
    let listed = prices.list_prices(request).await.unwrap().into_inner();
    listed.prices.iter().map(prost::Message::encode_to_vec).collect()
}

fn recorded(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.join("replay"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".jsonl.zst"))
        .collect();
    files.sort();
    files
}

/// Counts the trades as the peer does: with the past ones that were sent on subscription, but for Coinbase's, which it
/// leaves out.
fn trades(exchange: &str, source: &Source) -> u64 {
    let past = if exchange == "COINBASE" { 0 } else { source.snapshot_trade_count };
    source.trade_count + past
}

fn name(exchange: &str) -> String {
    match exchange {
        "CRYPTO.COM" => "cryptocom".to_owned(),
        "HUOBI" => "htx".to_owned(),
        "GATEIO" => "gate".to_owned(),
        "BINANCE_FUTURES" => "binancefutures".to_owned(),
        other => other.to_lowercase(),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}
