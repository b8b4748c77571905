//! What `/metrics` tells, in how many series at most, and that it is what the format says.

use std::collections::BTreeSet;

use cryptoprice::client::v1::{GetPriceRequest, StreamPricesRequest};
use futures::StreamExt as _;

use crate::harness::{Running, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted() {
    let running = Running::demo(false).await;
    eventually("BTC-USD has a price", async || {
        (running.get("/v1/prices/BTC-USD").await.0 == 200).then_some(())
    })
    .await;
    let mut prices = running.prices().await;
    let get = |pair: &str| GetPriceRequest { pair: pair.into(), ..Default::default() };
    prices.get_price(get("BTC-USD")).await.unwrap();
    prices.get_price(get("NOPE-USD")).await.unwrap_err();
    let mut stream = prices.stream_prices(StreamPricesRequest::default()).await.unwrap().into_inner();
    for _ in 0..5 {
        stream.next().await.unwrap().unwrap();
    }
    let metrics = running.metrics().await;
    let method = "method=\"cryptoprice.v1.PriceService/GetPrice\"";
    assert_eq!(metrics.get(&format!("cryptoprice_calls_total{{code=\"OK\",door=\"grpc\",{method}}}")), 1);
    assert_eq!(
        metrics.get(&format!("cryptoprice_calls_total{{code=\"NOT_FOUND\",door=\"grpc\",{method}}}")),
        1
    );
    assert!(metrics.get(&format!("cryptoprice_calls_total{{code=\"OK\",door=\"rest\",{method}}}")) >= 1);
    assert_eq!(metrics.get(&format!("cryptoprice_call_duration_seconds_count{{door=\"grpc\",{method}}}")), 2);
    assert_eq!(metrics.get("cryptoprice_open_streams{door=\"grpc\"}"), 1);
    assert!(metrics.get("cryptoprice_stream_messages_total") >= 5);
    assert!(metrics.get("cryptoprice_stream_updates_total") >= 5);
    assert!(metrics.get("cryptoprice_ingest_duration_seconds_count") > 0);
    assert!(metrics.get("cryptoprice_board_pairs{status=\"live\"}") > 0);
    for reason in ["stalled", "overrun", "connection_age", "stopping", "deadline"] {
        assert_eq!(metrics.get(&format!("cryptoprice_streams_cut_total{{reason=\"{reason}\"}}")), 0);
    }
    for expected in [
        "cryptoprice_price_age_seconds{pair=\"BTC-USD\"}",
        "cryptoprice_source_state{source=\"kraken\",state=\"live\"}",
        "cryptoprice_source_silence_seconds{source=\"kraken\"}",
        "cryptoprice_source_markets{",
        "cryptoprice_build_info{",
        "process_resident_memory_bytes",
    ] {
        assert!(
            metrics.series().iter().any(|series| series.starts_with(expected)),
            "{expected}: {}",
            metrics.0
        );
    }
    drop(stream);
    eventually("the end of a stream is seen", async || {
        let metrics = running.metrics().await;
        let ended = "cryptoprice_calls_total{code=\"CANCELLED\",door=\"grpc\",\
                     method=\"cryptoprice.v1.PriceService/StreamPrices\"}";
        (metrics.get("cryptoprice_open_streams{door=\"grpc\"}") == 0 && metrics.series().contains(&ended))
            .then_some(())
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_caller_can_make_more_series() {
    let running = Running::replayed().await;
    let client = reqwest::Client::new();
    let ask = async |round: usize| {
        for at in 0..50 {
            let name = format!("x{round}n{at}");
            let pair = running.url(&format!("/v1/prices/{name}-USD"));
            for url in [pair, running.url(&format!("/{name}")), running.url(&format!("/v1/sources/{name}"))] {
                client.get(url).header("user-agent", &name).send().await.unwrap();
            }
            let call = running.url(&format!("/{name}.Service/{name}"));
            let web = client.post(call).header("content-type", "application/grpc-web").body(vec![0; 5]);
            web.send().await.unwrap();
            let odd = reqwest::Method::from_bytes(name.to_uppercase().as_bytes()).unwrap();
            client.request(odd, running.url("/v1/prices")).send().await.unwrap();
        }
    };
    ask(0).await;
    let before = running.metrics().await;
    ask(1).await;
    let after = running.metrics().await;
    let (before, after) = (before.series().len(), after.series().len());
    assert_eq!(before, after);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_is_what_prometheus_reads() {
    let running = Running::replayed().await;
    let answer = reqwest::get(format!("http://{}/metrics", running.ops)).await.unwrap();
    let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(content_type.starts_with("text/plain; version=0.0.4"), "{content_type}");
    let text = answer.text().await.unwrap();
    let mut typed = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(typed.insert(rest.split(' ').next().unwrap().to_owned()), "{line} comes twice");
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let of = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            assert!(typed.contains(name) || of.is_some_and(|of| typed.contains(of)), "{line} has no type");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(seen.insert(series.to_owned()), "{line} comes twice");
        }
    }
    // Each has its help, and units as Prometheus names them.
    for name in &typed {
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    // Nothing is public that is not meant to be.
    assert_eq!(reqwest::get(running.url("/metrics")).await.unwrap().status(), 404);
    running.stop().await;
}
