//! Every limit, on every door: a clear, typed error, and nobody else is harmed.

use std::{
    convert::Infallible,
    io::{Read as _, Write as _},
    time::Duration,
};

use bytes::Bytes;
use cryptoprice::{
    app::Mode,
    client::v1::{
        BatchGetPricesRequest, GetPriceRequest, ListPricesRequest, StreamPricesKind, StreamPricesRequest,
        StreamPricesResponse,
    },
    pipeline::replay::ReplayOptions,
};
use futures::{Stream, StreamExt as _, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message;
use serde_json::Value;
use tokio::time::timeout;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{Running, eventually, frames};

const GET: &str = "GetPrice";
const BATCH: &str = "BatchGetPrices";
const LIST: &str = "ListPrices";
const STREAM: &str = "StreamPrices";

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Grpc,
    GrpcWeb,
}

const DOORS: [Door; 2] = [Door::Grpc, Door::GrpcWeb];

/// What came of a call that failed: the status of HTTP, the code and the reason.
#[derive(Debug, PartialEq, Eq)]
struct Refused(u16, Code, String);

impl Refused {
    fn grpc(code: Code, reason: &str) -> Self {
        Self(200, code, reason.to_owned())
    }
}

/// A running service and clients of each kind.
struct Bench {
    running: Running,
    http1: reqwest::Client,
    http2: reqwest::Client,
}

impl Bench {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let options = ReplayOptions { files: frames(), speed: Some(50.0), repeat: true };
        let running = Running::start(Mode::Replay(options), settings).await;
        eventually("there are prices", async || {
            (running.get("/v1/prices/EUR-USD").await.0 == 200).then_some(())
        })
        .await;
        let http2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        Self { running, http1: reqwest::Client::new(), http2 }
    }

    /// Begins a call by hand: through a client library, most of these mistakes cannot be made.
    fn call(&self, door: Door, method: &str, message: &impl Message) -> reqwest::RequestBuilder {
        let url = self.running.url(&format!("/cryptoprice.v1.PriceService/{method}"));
        let (client, content_type) = match door {
            Door::Grpc => (&self.http2, "application/grpc"),
            Door::GrpcWeb => (&self.http1, "application/grpc-web+proto"),
        };
        client.post(url).header("content-type", content_type).header("te", "trailers").body(framed(message))
    }

    /// Asks with a body of a length that nobody tells, which HTTP/1.1 has to be told.
    fn sent_by(&self, client: &reqwest::Client, path: &str) -> reqwest::RequestBuilder {
        let request = client.get(self.running.url(path));
        if std::ptr::eq(client, &raw const self.http1) {
            request.header("transfer-encoding", "chunked")
        } else {
            request
        }
    }

    async fn end(self) {
        assert_eq!(self.running.get("/v1/prices/BTC-USD").await.0, 200, "it serves on");
        self.running.stop().await;
    }
}

fn framed(message: &impl Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
}

/// A body of a length that nobody tells.
fn in_pieces(pieces: impl Stream<Item = Result<Bytes, Infallible>> + Send + Sync + 'static) -> reqwest::Body {
    reqwest::Body::wrap(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))))
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Sends a call of gRPC or gRPC-Web that is refused before any message.
async fn refused(call: reqwest::RequestBuilder) -> Refused {
    let answer = timeout(Duration::from_secs(20), call.send()).await.unwrap().unwrap();
    let http = answer.status().as_u16();
    let status = Status::from_header_map(answer.headers()).expect("a refusal stands in the headers");
    Refused(http, status.code(), reason(&status))
}

/// Sends a request to the JSON door that is refused.
async fn rest_refused(request: reqwest::RequestBuilder) -> (u16, String) {
    let answer = timeout(Duration::from_secs(20), request.send()).await.unwrap().unwrap();
    let http = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], http, "{body}");
    (http, rest_reason(&body))
}

fn rest_reason(body: &Value) -> String {
    let details = body["error"]["details"].as_array().unwrap();
    details.iter().find_map(|detail| detail["reason"].as_str()).unwrap_or_default().to_owned()
}

fn btc() -> GetPriceRequest {
    GetPriceRequest { pair: "BTC-USD".into(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large() {
    let bench = Bench::start(&[]).await;
    let long = "x".repeat(20_000);
    for door in DOORS {
        let call = bench.call(door, GET, &btc()).header("x-long", &long);
        assert_eq!(refused(call).await, Refused::grpc(Code::ResourceExhausted, "HEAD_TOO_LARGE"), "{door:?}");
        let value = "x".repeat(200);
        let many =
            (0..90).fold(bench.call(door, GET, &btc()), |call, at| call.header(format!("x-{at}"), &value));
        assert_eq!(refused(many).await, Refused::grpc(Code::ResourceExhausted, "HEAD_TOO_LARGE"), "{door:?}");
    }
    for client in [&bench.http1, &bench.http2] {
        let get = |path: &str| client.get(bench.running.url(path));
        let expected = (431, "HEAD_TOO_LARGE".to_owned());
        assert_eq!(rest_refused(get("/v1/prices/BTC-USD").header("x-long", &long)).await, expected);
        assert_eq!(rest_refused(get(&format!("/v1/prices/{long}"))).await, expected);
        assert_eq!(rest_refused(get(&format!("/v1/prices?base={long}"))).await, expected);
        // What is far too large is not even read: the transport says so, without words.
        let beyond = get("/v1/prices/BTC-USD").header("x-long", "x".repeat(200_000)).send().await;
        assert!(beyond.is_err() || beyond.is_ok_and(|answer| answer.status() == 431));
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large() {
    let bench = Bench::start(&[]).await;
    let large = GetPriceRequest { pair: "x".repeat(70_000), ..Default::default() };
    for door in DOORS {
        let expected = Refused::grpc(Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
        assert_eq!(refused(bench.call(door, GET, &large)).await, expected, "{door:?}");
        // A length that is only claimed.
        let claimed = bench.call(door, GET, &btc()).body(vec![0, 0xff, 0xff, 0xff, 0xff, 1]);
        assert_eq!(refused(claimed).await, expected, "{door:?}");
    }
    for client in [&bench.http1, &bench.http2] {
        let whole = client.get(bench.running.url("/v1/prices/BTC-USD")).body("x".repeat(70_000));
        assert_eq!(rest_refused(whole).await, (413, "MESSAGE_TOO_LARGE".to_owned()));
        // Of a length that nobody tells.
        let pieces = stream::iter((0..8).map(|_| Ok::<_, Infallible>(Bytes::from(vec![b' '; 10_000]))));
        let pieces = bench.sent_by(client, "/v1/prices/BTC-USD").body(in_pieces(pieces));
        assert_eq!(rest_refused(pieces).await, (413, "MESSAGE_TOO_LARGE".to_owned()));
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_before_the_body_has_is_not_lost() {
    let bench = Bench::start(&[]).await;
    let address = bench.running.address;
    let asked = tokio::task::spawn_blocking(move || {
        for _ in 0..50 {
            let mut socket = std::net::TcpStream::connect(address).unwrap();
            let head = "GET /v1/prices/BTC-USD HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n";
            socket.write_all(head.as_bytes()).unwrap();
            for _ in 0..100 {
                socket.write_all(&[b' '; 5_000]).unwrap();
            }
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("MESSAGE_TOO_LARGE"), "{answer}");
        }
    });
    asked.await.unwrap();
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come() {
    let bench = Bench::start(&[("CRYPTOPRICE__SERVER__CALL_TIMEOUT", "300ms")]).await;
    let silent = || in_pieces(stream::pending::<Result<Bytes, Infallible>>());
    for door in DOORS {
        let call = bench.call(door, GET, &btc()).body(silent());
        assert_eq!(
            refused(call).await,
            Refused::grpc(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            "{door:?}"
        );
        let call = bench.call(door, GET, &btc()).header("grpc-timeout", "100m").body(silent());
        assert_eq!(
            refused(call).await,
            Refused::grpc(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            "{door:?}"
        );
    }
    for client in [&bench.http1, &bench.http2] {
        let request = bench.sent_by(client, "/v1/prices/BTC-USD").body(silent());
        assert_eq!(rest_refused(request).await, (504, "DEADLINE_EXCEEDED".to_owned()));
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_and_pages() {
    let bench = Bench::start(&[]).await;
    let batch = |count| BatchGetPricesRequest { pairs: vec!["BTC-USD".into(); count], ..Default::default() };
    let expected = || Refused::grpc(Code::InvalidArgument, "FIELD_INVALID");
    for door in DOORS {
        for count in [0, 101] {
            assert_eq!(refused(bench.call(door, BATCH, &batch(count))).await, expected(), "{door:?} {count}");
        }
        let page = ListPricesRequest { page_size: -1, ..Default::default() };
        assert_eq!(refused(bench.call(door, LIST, &page)).await, expected(), "{door:?}");
        let pairs = StreamPricesRequest { pairs: vec!["BTC-USD".into(); 1_001], ..Default::default() };
        assert_eq!(refused(bench.call(door, STREAM, &pairs)).await, expected(), "{door:?}");
    }
    let pairs = |count: usize| vec!["pairs=BTC-USD"; count].join("&");
    for path in [
        "/v1/prices:batchGet".to_owned(),
        format!("/v1/prices:batchGet?{}", pairs(101)),
        "/v1/prices?page_size=-1".to_owned(),
        "/v1/prices:stream?heartbeat=0.5s".to_owned(),
        "/v1/prices:stream?min_interval=-1s".to_owned(),
    ] {
        let request = bench.http1.get(bench.running.url(&path));
        assert_eq!(rest_refused(request).await, (400, "FIELD_INVALID".to_owned()), "{path}");
    }
    // A page may be asked to be larger than it gets.
    let (status, page) = bench.running.get("/v1/prices?page_size=100000").await;
    assert_eq!((status, page["nextPageToken"].as_str()), (200, Some("")));
    let (status, all) = bench.running.get(&format!("/v1/prices:batchGet?{}", pairs(100))).await;
    assert_eq!((status, all["results"].as_array().unwrap().len()), (200, 100));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines() {
    let bench = Bench::start(&[]).await;
    for (timeout, code, reason, http) in [
        ("soon", Code::InvalidArgument, "REQUEST_MALFORMED", 400),
        ("123456789S", Code::InvalidArgument, "REQUEST_MALFORMED", 400),
        ("0S", Code::DeadlineExceeded, "DEADLINE_EXCEEDED", 504),
    ] {
        for door in DOORS {
            let call = bench.call(door, GET, &btc()).header("grpc-timeout", timeout);
            assert_eq!(refused(call).await, Refused::grpc(code, reason), "{door:?} {timeout}");
        }
        let request =
            bench.http1.get(bench.running.url("/v1/prices/BTC-USD")).header("grpc-timeout", timeout);
        assert_eq!(rest_refused(request).await, (http, reason.to_owned()), "{timeout}");
    }
    // A stream ends when its time is up, and says where it was.
    let mut request = tonic::Request::new(StreamPricesRequest::default());
    request.set_timeout(Duration::from_millis(1_500));
    let mut prices = bench.running.prices().await;
    let mut answers = prices.stream_prices(request).await.unwrap().into_inner();
    let end = loop {
        if let Err(status) = answers.next().await.unwrap() {
            break status;
        }
    };
    assert_eq!(end.code(), Code::DeadlineExceeded, "{end:?}");
    // The client's own timer may be first.
    if let Some(info) = end.get_details_error_info() {
        assert!(info.metadata["sequence"].parse::<u64>().unwrap() > 0);
    }
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let request = bench.http1.get(bench.running.url("/v1/prices:stream"));
        let answer = request.header("grpc-timeout", "300m").header("accept", accept).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let last = text.trim_end().lines().last().unwrap();
        let error: Value = serde_json::from_str(last.strip_prefix("data: ").unwrap_or(last)).unwrap();
        assert_eq!(
            (error["error"]["code"].as_i64(), rest_reason(&error).as_str()),
            (Some(504), "DEADLINE_EXCEEDED")
        );
        assert!(last.contains("\"sequence\":"), "{last}");
        assert_eq!(text.contains("event: error\n"), accept == "text/event-stream");
    }
    let web =
        bench.call(Door::GrpcWeb, STREAM, &StreamPricesRequest::default()).header("grpc-timeout", "300m");
    let body = web.send().await.unwrap().bytes().await.unwrap();
    let trailers = String::from_utf8_lossy(&body).into_owned();
    assert!(trailers.contains("grpc-status:4"), "the last frame tells the status");
    let metrics = bench.running.metrics().await;
    assert!(metrics.get("cryptoprice_streams_cut_total{reason=\"deadline\"}") >= 3);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_connection() {
    let bench = Bench::start(&[("CRYPTOPRICE__SERVER__MAX_STREAMS", "2")]).await;
    let mut prices = bench.running.prices().await;
    let all = StreamPricesRequest::default();
    let first = prices.stream_prices(all.clone()).await.unwrap();
    let _second = prices.stream_prices(all.clone()).await.unwrap();
    let third = prices.stream_prices(all.clone()).await.unwrap_err();
    assert_eq!((third.code(), reason(&third).as_str()), (Code::ResourceExhausted, "TOO_MANY_STREAMS"));
    assert_eq!(third.get_details_error_info().unwrap().metadata["limit"], "2");
    assert!(prices.get_price(btc()).await.is_ok(), "other calls go on");
    let mut elsewhere = bench.running.prices().await;
    assert!(elsewhere.stream_prices(all.clone()).await.is_ok(), "so do other connections");
    drop(first);
    eventually("a place is free again", async || prices.stream_prices(all.clone()).await.ok()).await;
    // The same over one connection of HTTP/2 by the other doors.
    let open = async || bench.http2.get(bench.running.url("/v1/prices:stream")).send().await.unwrap();
    let mut held = [open().await, open().await];
    for answer in &mut held {
        assert!(answer.chunk().await.unwrap().is_some());
    }
    let third = bench.http2.get(bench.running.url("/v1/prices:stream"));
    assert_eq!(rest_refused(third).await, (429, "TOO_MANY_STREAMS".to_owned()));
    let url = bench.running.url("/cryptoprice.v1.PriceService/StreamPrices");
    let web = bench.http2.post(url).header("content-type", "application/grpc-web+proto").body(framed(&all));
    assert_eq!(refused(web).await, Refused::grpc(Code::ResourceExhausted, "TOO_MANY_STREAMS"));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encodings_that_nobody_knows() {
    let bench = Bench::start(&[]).await;
    for door in DOORS {
        let call = bench.call(door, GET, &btc()).header("grpc-encoding", "snappy");
        assert_eq!(
            refused(call).await,
            Refused::grpc(Code::Unimplemented, "ENCODING_UNSUPPORTED"),
            "{door:?}"
        );
        // Compressed, so it says; but it is not.
        let mut broken = framed(&btc());
        broken[0] = 1;
        let call = bench.call(door, GET, &btc()).header("grpc-encoding", "gzip").body(broken);
        assert_eq!(
            refused(call).await,
            Refused::grpc(Code::InvalidArgument, "REQUEST_MALFORMED"),
            "{door:?}"
        );
    }
    let request =
        bench.http1.get(bench.running.url("/v1/prices/BTC-USD")).header("content-encoding", "br").body("{}");
    assert_eq!(rest_refused(request).await, (501, "ENCODING_UNSUPPORTED".to_owned()));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_old() {
    let bench = Bench::start(&[("CRYPTOPRICE__SERVER__MAX_CONNECTION_AGE", "1s")]).await;
    let all = || StreamPricesRequest { delivery: 2, ..Default::default() };
    let mut cursor = None;
    let mut sequences = Vec::new();
    // Three lives of one stream, each on a connection of its own.
    for life in 0..3 {
        let mut prices = bench.running.prices().await;
        let request = StreamPricesRequest { resume_after: cursor, ..all() };
        let mut answers = prices.stream_prices(request).await.unwrap().into_inner();
        let end = loop {
            match timeout(Duration::from_secs(20), answers.next()).await.unwrap().unwrap() {
                Ok(message) => take(&message, life, &mut sequences, &mut cursor),
                Err(status) => break status,
            }
        };
        assert_eq!((end.code(), reason(&end).as_str()), (Code::Unavailable, "CONNECTION_AGE"), "{end:?}");
        let named = end.get_details_error_info().unwrap().metadata["sequence"].parse::<u64>().unwrap();
        assert_eq!(Some(named), cursor.map(|cursor| cursor.sequence), "it says where to go on");
    }
    assert!(sequences.windows(2).all(|two| two[1] == two[0] + 1), "no gap, no duplicate: {sequences:?}");
    let text =
        bench.http1.get(bench.running.url("/v1/prices:stream")).send().await.unwrap().text().await.unwrap();
    assert!(text.trim_end().lines().last().unwrap().contains("CONNECTION_AGE"), "{text}");
    // Calls that are no streams do not notice: the client takes a new connection.
    let mut prices = bench.running.prices().await;
    for _ in 0..15 {
        prices.get_price(btc()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bench.end().await;
}

fn take(
    message: &StreamPricesResponse,
    life: usize,
    sequences: &mut Vec<u64>,
    cursor: &mut Option<cryptoprice::client::v1::Cursor>,
) {
    assert_ne!(message.kind(), StreamPricesKind::Reset);
    assert!(life == 0 || message.kind() != StreamPricesKind::Snapshot);
    if message.kind() == StreamPricesKind::Update {
        sequences.extend(message.prices.iter().map(|price| price.sequence));
    }
    *cursor = message.cursor;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_compressed_for_those_who_ask() {
    use tonic::codec::CompressionEncoding;
    let bench = Bench::start(&[]).await;
    let mut plain = bench.running.prices().await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut prices = bench.running.prices().await.accept_compressed(encoding).send_compressed(encoding);
        let answer = prices.stream_prices(StreamPricesRequest::default()).await.unwrap();
        assert_eq!(answer.metadata().get("grpc-encoding").unwrap().to_str().ok(), encoding.as_str_of());
        let mut compressed = answer.into_inner();
        let first = compressed.next().await.unwrap().unwrap();
        assert_eq!(first.kind(), StreamPricesKind::Snapshot);
        let listed = plain.list_prices(ListPricesRequest::default()).await.unwrap().into_inner();
        assert_eq!(first.prices.len(), listed.prices.len());
        for _ in 0..5 {
            assert_eq!(compressed.next().await.unwrap().unwrap().kind(), StreamPricesKind::Update);
        }
        let one = prices.get_price(btc()).await.unwrap().into_inner();
        assert_eq!(one.price.unwrap().pair, "BTC-USD");
    }
    bench.end().await;
}

/// The name of an encoding, which the library keeps to itself.
trait Name {
    fn as_str_of(&self) -> Option<&'static str>;
}

impl Name for tonic::codec::CompressionEncoding {
    fn as_str_of(&self) -> Option<&'static str> {
        match self {
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
            _ => None,
        }
    }
}
