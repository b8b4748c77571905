//! Streams of candles are held to what other streams are, through every door.

use std::time::Duration;

use cryptoprice::{
    app::Mode,
    client::v1::{StreamCandlesRequest, candle_service_client::CandleServiceClient},
    pipeline::replay::ReplayOptions,
};
use prost::Message as _;
use tokio::time::timeout;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::{Running, eventually, frames};

fn bitcoin() -> StreamCandlesRequest {
    StreamCandlesRequest { pair: "BTC-USD".into(), interval: "1d".into(), ..Default::default() }
}

async fn scene(settings: &[(&str, &str)]) -> Running {
    let options = ReplayOptions { files: frames(), speed: None, repeat: false };
    let running = Running::start(Mode::Replay(options), settings).await;
    running.until_ended().await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_counted_and_a_connection_has_only_so_many() {
    let running = scene(&[("CRYPTOPRICE__SERVER__MAX_STREAMS", "2")]).await;
    let mut candles = CandleServiceClient::new(running.channel().await);
    let open =
        [candles.stream_candles(bitcoin()).await.unwrap(), candles.stream_candles(bitcoin()).await.unwrap()];
    let refused = candles.stream_candles(bitcoin()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "TOO_MANY_STREAMS");
    assert_eq!(running.metrics().await.get("cryptoprice_open_streams{door=\"grpc\"}"), 2);
    drop(open);
    eventually("none is open", async || {
        (running.metrics().await.get("cryptoprice_open_streams{door=\"grpc\"}") == 0).then_some(())
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn their_time_is_up_when_the_caller_said() {
    let running = scene(&[]).await;
    let message = bitcoin().encode_to_vec();
    let body = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat();
    let call = "/cryptoprice.v1.CandleService/StreamCandles";
    let clients = [
        ("application/grpc", reqwest::Client::builder().http2_prior_knowledge().build().unwrap()),
        ("application/grpc-web+proto", reqwest::Client::new()),
    ];
    for (content_type, client) in clients {
        let answer = client
            .post(running.url(call))
            .header("content-type", content_type)
            .header("te", "trailers")
            .header("grpc-timeout", "300m")
            .body(body.clone())
            .send();
        let answer = timeout(Duration::from_secs(20), async { answer.await.unwrap().bytes().await }).await;
        let answer = answer.unwrap_or_else(|_| panic!("{content_type}: the stream went on"));
        if content_type.contains("web") {
            let text = String::from_utf8_lossy(&answer.unwrap()).into_owned();
            assert!(text.contains("grpc-status:4"), "{text}");
        }
    }
    let metrics = running.metrics().await;
    assert_eq!(metrics.get("cryptoprice_streams_cut_total{reason=\"deadline\"}"), 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_say_that_they_have_nothing_to_say() {
    let running = scene(&[]).await;
    let mut candles = CandleServiceClient::new(running.channel().await);
    let heartbeat = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let request = StreamCandlesRequest { heartbeat: heartbeat(1), ..bitcoin() };
    let mut stream = candles.stream_candles(request).await.unwrap().into_inner();
    let quiet = async { while stream.message().await.unwrap().unwrap().candle.is_some() {} };
    timeout(Duration::from_secs(20), quiet).await.expect("a heartbeat comes");
    let request = StreamCandlesRequest { heartbeat: heartbeat(0), ..bitcoin() };
    let refused = candles.stream_candles(request).await.unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().reason, "FIELD_INVALID");
    running.stop().await;
}
