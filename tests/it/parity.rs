//! One proto, every door: the same call through gRPC, gRPC-Web and REST gives the same answer, field by field, and the
//! same error with the same reason. The calls are enumerated from the descriptors: a new one without a case fails.

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Buf, BufMut, Bytes};
use cryptoprice::api::pb::DESCRIPTORS;
use futures::StreamExt as _;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::{Value, json};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::harness::Running;

/// Calls by name, each with requests and the same as REST.
#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<(&'static str, Vec<(Value, &'static str)>)> {
    vec![
        (
            "GetPrice",
            vec![
                (json!({"pair": "BTC-USD"}), "/v1/prices/BTC-USD"),
                (json!({"pair": "btc/usd"}), "/v1/prices/btc%2Fusd"),
                (json!({"pair": "XBTUSD", "minSources": 2}), "/v1/prices/XBTUSD?min_sources=2"),
                (json!({"pair": "SHIB-EUR"}), "/v1/prices/SHIB-EUR"),
                (json!({"pair": "USD-SHIB"}), "/v1/prices/USD-SHIB"),
                (
                    json!({"pair": "SHIB-EUR", "allowDerived": false}),
                    "/v1/prices/SHIB-EUR?allowDerived=false",
                ),
                (json!({"pair": "BTC-USD", "maxAge": "0.000001s"}), "/v1/prices/BTC-USD?max_age=0.000001s"),
                (json!({"pair": "BTC-USD", "minSources": 9}), "/v1/prices/BTC-USD?minSources=9"),
                (
                    json!({"pair": "BTC-USD", "maxDispersionBps": "0.0001"}),
                    "/v1/prices/BTC-USD?max_dispersion_bps=0.0001",
                ),
                (json!({"pair": "BTC-USD", "maxAge": "-1s"}), "/v1/prices/BTC-USD?max_age=-1s"),
                (json!({"pair": "BTX-USD"}), "/v1/prices/BTX-USD"),
                (json!({"pair": "nonsense!"}), "/v1/prices/nonsense!"),
                (
                    json!({"pair": "BTC-USD", "time": "2001-01-01T00:00:00Z"}),
                    "/v1/prices/BTC-USD?time=2001-01-01T00:00:00Z",
                ),
                (
                    json!({"pair": "SHIB-EUR", "time": "2001-01-01T00:00:00Z", "knownBy": "2001-01-02T00:00:00Z"}),
                    "/v1/prices/SHIB-EUR?time=2001-01-01T00:00:00Z&known_by=2001-01-02T00:00:00Z",
                ),
                (
                    json!({"pair": "BTC-USD", "time": "9999-01-01T00:00:00Z"}),
                    "/v1/prices/BTC-USD?time=9999-01-01T00:00:00Z",
                ),
                (
                    json!({"pair": "BTC-USD", "knownBy": "2001-01-01T00:00:00Z"}),
                    "/v1/prices/BTC-USD?knownBy=2001-01-01T00:00:00Z",
                ),
            ],
        ),
        (
            "BatchGetPrices",
            vec![
                (
                    json!({"pairs": ["BTC-USD", "eth/eur", "NOPE-USD", "!"]}),
                    "/v1/prices:batchGet?pairs=BTC-USD&pairs=eth/eur&pairs=NOPE-USD&pairs=!",
                ),
                (json!({"pairs": []}), "/v1/prices:batchGet"),
                (
                    json!({"pairs": ["BTC-USD", "NOPE-USD"], "times": ["2001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"]}),
                    "/v1/prices:batchGet?pairs=BTC-USD&pairs=NOPE-USD&times=2001-01-01T00:00:00Z&times=9999-01-01T00:00:00Z",
                ),
                (
                    json!({"pairs": ["ETH-USD"], "minSources": 5}),
                    "/v1/prices:batchGet?pairs=ETH-USD&minSources=5",
                ),
            ],
        ),
        (
            "ListPrices",
            vec![
                (json!({}), "/v1/prices"),
                (json!({"quote": "USD", "pageSize": 2}), "/v1/prices?quote=USD&page_size=2"),
                (json!({"orderBy": "pair desc"}), "/v1/prices?order_by=pair%20desc"),
                (json!({"status": "PRICE_STATUS_LIVE"}), "/v1/prices?status=PRICE_STATUS_LIVE"),
                (json!({"minSources": 2}), "/v1/prices?minSources=2"),
                (json!({"pageSize": -1}), "/v1/prices?pageSize=-1"),
                (json!({"pageToken": "foreign"}), "/v1/prices?pageToken=foreign"),
                (json!({"orderBy": "price"}), "/v1/prices?orderBy=price"),
            ],
        ),
        (
            "StreamPrices",
            vec![
                (json!({"pairs": ["BTC-USD", "SHIB-EUR"]}), "/v1/prices:stream?pairs=BTC-USD&pairs=SHIB-EUR"),
                (json!({"pairs": ["NOPE-NOPE"]}), "/v1/prices:stream?pairs=NOPE-NOPE"),
                (
                    json!({"pairs": ["BTC-USD"], "resumeAfter": {"epoch": "1", "sequence": "2"}}),
                    "/v1/prices:stream?pairs=BTC-USD&resumeAfter.epoch=1&resume_after.sequence=2",
                ),
                (json!({"heartbeat": "0.5s"}), "/v1/prices:stream?heartbeat=0.5s"),
                (json!({"minInterval": "7200s"}), "/v1/prices:stream?minInterval=7200s"),
                (json!({"deviationBps": "-1"}), "/v1/prices:stream?deviation_bps=-1"),
            ],
        ),
        (
            "ExplainPrice",
            vec![
                (json!({"pair": "BTC-USD"}), "/v1/prices/BTC-USD:explain"),
                (json!({"pair": "ETH-EUR", "minSources": 7}), "/v1/prices/ETH-EUR:explain?minSources=7"),
                (json!({"pair": "NOPE-USD"}), "/v1/prices/NOPE-USD:explain"),
            ],
        ),
        (
            "GetPriceStats",
            vec![
                (json!({"pair": "BTC-USD"}), "/v1/prices/BTC-USD/stats"),
                (json!({"pair": "NOPE-USD"}), "/v1/prices/NOPE-USD/stats"),
            ],
        ),
        (
            "ListCandles",
            vec![
                (json!({"pair": "BTC-USD", "interval": "1s"}), "/v1/candles/BTC-USD?interval=1s"),
                (
                    json!({"pair": "BTC-USD", "startTime": "2001-01-01T00:00:00Z", "endTime": "2001-01-01T00:03:00Z",
                        "fill": "CANDLE_FILL_NULL", "orderBy": "open_time desc"}),
                    "/v1/candles/BTC-USD?start_time=2001-01-01T00:00:00Z&end_time=2001-01-01T00:03:00Z\
                     &fill=CANDLE_FILL_NULL&order_by=open_time%20desc",
                ),
                (json!({"pair": "NOPE-USD"}), "/v1/candles/NOPE-USD"),
                (
                    json!({"pair": "NOPE-USD", "startTime": "2001-01-01T00:00:00Z", "fill": "CANDLE_FILL_NULL"}),
                    "/v1/candles/NOPE-USD?startTime=2001-01-01T00:00:00Z&fill=CANDLE_FILL_NULL",
                ),
                (json!({"pair": "BTC-USD", "interval": "2m"}), "/v1/candles/BTC-USD?interval=2m"),
                (json!({"pair": "BTC-USD", "source": "krake"}), "/v1/candles/BTC-USD?source=krake"),
                (json!({"pair": "BTC-USD", "pageToken": "foreign"}), "/v1/candles/BTC-USD?pageToken=foreign"),
                (
                    json!({"pair": "BTC-USD", "fill": "CANDLE_FILL_NULL"}),
                    "/v1/candles/BTC-USD?fill=CANDLE_FILL_NULL",
                ),
                (
                    json!({"pair": "BTC-USD", "startTime": "2001-01-02T00:00:00Z", "endTime": "2001-01-01T00:00:00Z"}),
                    "/v1/candles/BTC-USD?startTime=2001-01-02T00:00:00Z&endTime=2001-01-01T00:00:00Z",
                ),
            ],
        ),
        (
            "StreamCandles",
            vec![
                (json!({"pair": "BTC-USD", "interval": "1d"}), "/v1/candles/BTC-USD:stream?interval=1d"),
                (
                    json!({"pair": "BTC-USD", "source": "kraken", "heartbeat": "1s"}),
                    "/v1/candles/BTC-USD:stream?source=kraken&heartbeat=1s",
                ),
                (json!({"pair": "NOPE-USD"}), "/v1/candles/NOPE-USD:stream"),
                (json!({"pair": "BTC-USD", "interval": "1y"}), "/v1/candles/BTC-USD:stream?interval=1y"),
            ],
        ),
        (
            "ConvertAmount",
            vec![
                (
                    json!({"amount": "1.5", "from": "BTC", "to": "EUR"}),
                    "/v1/amounts:convert?amount=1.5&from=BTC&to=EUR",
                ),
                (
                    json!({"amount": "1e5", "from": "BTC", "to": "EUR"}),
                    "/v1/amounts:convert?amount=1e5&from=BTC&to=EUR",
                ),
                (
                    json!({"amount": "1", "from": "BTC", "to": "BTC"}),
                    "/v1/amounts:convert?amount=1&from=BTC&to=BTC",
                ),
            ],
        ),
        ("ListSources", vec![(json!({}), "/v1/sources"), (json!({"pageSize": 1}), "/v1/sources?pageSize=1")]),
        (
            "GetSource",
            vec![
                (json!({"source": "kraken"}), "/v1/sources/kraken"),
                (json!({"source": "krake"}), "/v1/sources/krake"),
            ],
        ),
    ]
}

#[tokio::test]
async fn every_call_answers_alike_through_every_door() {
    let running = Running::replayed().await;
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let methods: Vec<_> = pool
        .services()
        .filter(|service| service.package_name() == "cryptoprice.v1")
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect();
    let cases = cases();
    let named: BTreeSet<_> = cases.iter().map(|(name, _)| *name).collect();
    let described: BTreeSet<_> = methods.iter().map(MethodDescriptor::name).collect();
    assert_eq!(described, named, "every call of the contract needs a case here");
    for method in &methods {
        let (_, requests) = cases.iter().find(|(name, _)| *name == method.name()).unwrap();
        for (request, path) in requests {
            let message = DynamicMessage::deserialize(method.input(), request).unwrap().encode_to_vec();
            let grpc = over_grpc(&running, method, &message).await;
            let web = over_grpc_web(&running, method, &message, false).await;
            let web_text = over_grpc_web(&running, method, &message, true).await;
            let rest = over_rest(&running, method, path).await;
            assert_eq!(web, grpc, "gRPC-Web: {path}");
            assert_eq!(web_text, grpc, "gRPC-Web as text: {path}");
            assert_eq!(rest, grpc, "REST: {path}");
            if let Err(error) = &grpc {
                let infos = error["details"].as_array().unwrap().iter();
                let infos =
                    infos.filter(|detail| detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo");
                assert_eq!(infos.count(), 1, "every error carries one reason: {path}: {error}");
            }
        }
    }
    running.stop().await;
}

/// An answer, or the error as REST writes it without the HTTP code.
type Answer = Result<Value, Value>;

async fn over_grpc(running: &Running, method: &MethodDescriptor, message: &[u8]) -> Answer {
    let mut client = Grpc::new(running.channel().await);
    client.ready().await.unwrap();
    let path = call_path(method).parse().unwrap();
    let request = Request::new(Bytes::copy_from_slice(message));
    if !method.is_server_streaming() {
        let answer = client.unary(request, path, Raw).await;
        return answer.map(|answer| reply(method, &answer.into_inner())).map_err(|status| error(&status));
    }
    match client.server_streaming(request, path, Raw).await {
        Ok(answer) => {
            let first = answer.into_inner().next().await.unwrap();
            first.map(|first| reply(method, &first)).map_err(|status| error(&status))
        }
        Err(status) => Err(error(&status)),
    }
}

async fn over_grpc_web(running: &Running, method: &MethodDescriptor, message: &[u8], text: bool) -> Answer {
    let mut body = vec![0];
    body.put_u32(u32::try_from(message.len()).unwrap());
    body.extend_from_slice(message);
    let content_type = if text { "application/grpc-web-text+proto" } else { "application/grpc-web+proto" };
    let body = if text { BASE64_STANDARD.encode(&body).into_bytes() } else { body };
    let mut answer = reqwest::Client::new()
        .post(running.url(&call_path(method)))
        .header("content-type", content_type)
        .header("accept", content_type)
        .header("x-grpc-web", "1")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    // An error before any message may come in the headers alone.
    if let Some(status) = Status::from_header_map(answer.headers()) {
        return Err(error(&status));
    }
    let mut received = Vec::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        received.extend_from_slice(&chunk);
        let decoded = if text {
            let whole = received.len() - received.len() % 4;
            BASE64_STANDARD.decode(&received[..whole]).unwrap_or_default()
        } else {
            received.clone()
        };
        let Some((flag, payload)) = frame(&decoded) else { continue };
        if flag & 0x80 == 0 {
            return Ok(reply(method, &payload));
        }
        let trailers = String::from_utf8(payload).unwrap();
        let headers = trailers.lines().map(|line| line.split_once(':').unwrap());
        let headers =
            headers.map(|(name, value)| (name.parse().unwrap(), value.trim().parse().unwrap())).collect();
        return Err(error(&Status::from_header_map(&headers).unwrap()));
    }
    panic!("no frame came: {received:?}");
}

async fn over_rest(running: &Running, method: &MethodDescriptor, path: &str) -> Answer {
    let mut answer = reqwest::get(running.url(path)).await.unwrap();
    let ok = answer.status().is_success();
    let http = answer.status().as_u16();
    let body = if ok && method.is_server_streaming() {
        let mut line = Vec::new();
        while !line.contains(&b'\n') {
            line.extend_from_slice(&answer.chunk().await.unwrap().unwrap());
        }
        line.split(|byte| *byte == b'\n').next().unwrap().to_vec()
    } else {
        answer.bytes().await.unwrap().to_vec()
    };
    let mut value: Value = serde_json::from_slice(&body)
        .unwrap_or_else(|error| panic!("{path}: {error}: {}", String::from_utf8_lossy(&body)));
    if ok {
        return Ok(value);
    }
    let mut error = value["error"].take();
    assert_eq!(error.as_object_mut().unwrap().remove("code"), Some(json!(http)), "{path}");
    Err(error)
}

fn call_path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Reads a reply with a library that knows nothing of ours.
fn reply(method: &MethodDescriptor, wire: &[u8]) -> Value {
    json_of(&DynamicMessage::decode(method.output(), wire).unwrap())
}

fn error(status: &Status) -> Value {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let descriptor = pool.get_message_by_name("google.rpc.Status").unwrap();
    let mut value = json_of(&DynamicMessage::decode(descriptor, status.details()).unwrap());
    let code = value["code"].take();
    assert_eq!(code, json!(i32::from(status.code())), "the status and its details agree");
    let name = format!("{:?}", status.code());
    let mut screaming = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !screaming.is_empty() {
            screaming.push('_');
        }
        screaming.push(letter.to_ascii_uppercase());
    }
    value.as_object_mut().unwrap().remove("code");
    value["status"] = json!(screaming);
    value["message"] = json!(status.message());
    value
}

fn json_of(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

fn frame(mut bytes: &[u8]) -> Option<(u8, Vec<u8>)> {
    if bytes.len() < 5 {
        return None;
    }
    let flag = bytes.get_u8();
    let length = bytes.get_u32() as usize;
    bytes.get(..length).map(|payload| (flag, payload.to_vec()))
}

/// Leaves messages as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
