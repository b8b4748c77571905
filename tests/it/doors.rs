//! The doors themselves: browsers across origins, reflection, the documentation, compression.

use cryptoprice::client::v1::GetPriceRequest;
use futures::StreamExt as _;
use tonic::codec::CompressionEncoding;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use serde_json::{Value, json};

use crate::harness::Running;

#[tokio::test]
async fn browsers_may_call_from_elsewhere_and_read_the_status() {
    let running = Running::replayed().await;
    let client = reqwest::Client::new();
    let preflight = client
        .request(reqwest::Method::OPTIONS, running.url("/cryptoprice.v1.PriceService/GetPrice"))
        .header("origin", "https://example.org")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-grpc-web")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 200);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    assert!(preflight.headers().contains_key("access-control-max-age"));
    for path in ["/v1/prices/BTC-USD", "/v1/prices/NOPE-USD", "/nowhere"] {
        let answer =
            client.get(running.url(path)).header("origin", "https://example.org").send().await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "*", "{path}");
        let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
        for header in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
            assert!(exposed.contains(header), "{path}: {exposed}");
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn every_path_refuses_a_wrong_method_in_the_same_words() {
    let running = Running::replayed().await;
    for path in ["/v1/prices/BTC-USD", "/v1/openapi.json", "/docs", "/livez", "/readyz"] {
        let answer = reqwest::Client::new().delete(running.url(path)).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()),
            (405, "GET, HEAD")
        );
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["details"][0]["reason"], "METHOD_NOT_ALLOWED", "{path}");
    }
    running.stop().await;
}

#[tokio::test]
async fn reflection_tells_the_contract_with_its_comments() {
    let running = Running::replayed().await;
    let mut reflection = ServerReflectionClient::new(running.channel().await);
    let ask = |message_request| ServerReflectionRequest {
        message_request: Some(message_request),
        ..Default::default()
    };
    let requests = futures::stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("cryptoprice.v1.PriceService".into())),
    ]);
    let mut answers = reflection.server_reflection_info(requests).await.unwrap().into_inner();
    let first = answers.next().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(services)) = first else { panic!("{first:?}") };
    let mut named: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
    named.sort();
    assert_eq!(
        named,
        [
            "cryptoprice.v1.CandleService",
            "cryptoprice.v1.PriceService",
            "cryptoprice.v1.SourceService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        ]
        .into_iter()
        .filter(|name| named.iter().any(|known| known == name) || !name.contains("reflection"))
        .collect::<Vec<_>>()
    );
    let second = answers.next().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::FileDescriptorResponse(files)) = second else { panic!("{second:?}") };
    let comment = b"Gets the price of one pair, now";
    let kept = files
        .file_descriptor_proto
        .iter()
        .any(|file| file.windows(comment.len()).any(|part| part == comment));
    assert!(kept, "comments reach whoever asks");
    running.stop().await;
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_ask() {
    let running = Running::replayed().await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut prices = running.prices().await.accept_compressed(encoding).send_compressed(encoding);
        let request = GetPriceRequest { pair: "BTC-USD".into(), ..Default::default() };
        let answer = prices.get_price(request).await.unwrap();
        assert!(answer.metadata().contains_key("grpc-encoding"), "{encoding:?}");
        assert_eq!(answer.into_inner().price.unwrap().pair, "BTC-USD");
    }
    running.stop().await;
}

#[tokio::test]
async fn the_documentation_needs_no_other_site() {
    let running = Running::replayed().await;
    let page = reqwest::get(running.url("/docs")).await.unwrap();
    assert_eq!(page.status(), 200);
    let html = page.text().await.unwrap();
    for elsewhere in ["https://", "http://", "src=\"//"] {
        assert!(!html.contains(elsewhere), "the page names another site: {elsewhere}");
    }
    let (status, document) = running.get("/v1/openapi.json").await;
    assert_eq!((status, document["openapi"].as_str()), (200, Some("3.1.0")));
    for path in ["/v1/prices/{pair}", "/v1/prices:batchGet", "/v1/prices:stream", "/v1/sources/{source}"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }
    running.stop().await;
}

#[tokio::test]
async fn what_is_too_long_for_an_address_is_asked_for_in_a_body() {
    let running = Running::replayed().await;
    let times: Vec<_> =
        (0..1_000).map(|at| format!("2001-01-01T00:{:02}:{:02}Z", at / 60, at % 60)).collect();
    let query = times.join("&times=");
    assert_eq!(running.get(&format!("/v1/prices:batchGet?pairs=BTC-USD&times={query}")).await.0, 431);
    let client = reqwest::Client::new();
    let ask = async |body: Value| {
        let answer = client.post(running.url("/v1/prices:batchGet")).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, body) = ask(json!({"pairs": ["BTC-USD"], "times": times})).await;
    assert_eq!(status, 200, "{body}");
    let results = body["results"].as_array().unwrap();
    let answered: Vec<_> = results.iter().map(|result| result["time"].as_str().unwrap()).collect();
    assert_eq!(answered, times);
    // It is the same call.
    let (_, body) = ask(json!({"pairs": ["BTC-USD", "NOPE-USD"], "minSources": 2})).await;
    assert_eq!(running.get("/v1/prices:batchGet?pairs=BTC-USD&pairs=NOPE-USD&min_sources=2").await.1, body);
    let (status, body) = ask(json!({"pair": "BTC-USD"})).await;
    assert_eq!((status, &body["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
    running.stop().await;
}
