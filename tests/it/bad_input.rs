//! Bad input on each door gets a clear, typed error, and harms nobody.

use std::io::{Read as _, Write as _};

use cryptoprice::client::v1::{
    BatchGetPricesRequest, GetPriceRequest, ListPricesRequest, StreamPricesRequest,
};
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::Running;

#[tokio::test]
async fn grpc_answers_with_a_reason() {
    let running = Running::replayed().await;
    let mut prices = running.prices().await;
    let get = |pair: &str| GetPriceRequest { pair: pair.to_owned(), ..Default::default() };
    let unknown = prices.get_price(get("BTX-USD")).await.unwrap_err();
    check(&unknown, Code::NotFound, "PAIR_UNKNOWN");
    let info = unknown.get_details_error_info().unwrap();
    assert!(info.metadata["nearest"].starts_with("BTC-USD"), "{info:?}");
    let malformed = prices.get_price(get("bitcoin in dollars")).await.unwrap_err();
    check(&malformed, Code::InvalidArgument, "FIELD_INVALID");
    assert_eq!(malformed.get_details_bad_request().unwrap().field_violations[0].field, "pair");
    for pair in ["", "BTC-BTC", "xbt/btc", "🪙-USD"] {
        check(&prices.get_price(get(pair)).await.unwrap_err(), Code::InvalidArgument, "FIELD_INVALID");
    }
    for pairs in [vec![], vec!["BTC-USD".to_owned(); 101]] {
        let batch = BatchGetPricesRequest { pairs, ..Default::default() };
        check(&prices.batch_get_prices(batch).await.unwrap_err(), Code::InvalidArgument, "FIELD_INVALID");
    }
    let stream = StreamPricesRequest { pairs: vec!["BTC-USD".to_owned(); 1_001], ..Default::default() };
    check(&prices.stream_prices(stream).await.unwrap_err(), Code::InvalidArgument, "FIELD_INVALID");
    let list = |page_size, page_token: &str, base: &str| ListPricesRequest {
        page_size,
        page_token: page_token.to_owned(),
        base: base.to_owned(),
        ..Default::default()
    };
    check(&prices.list_prices(list(-1, "", "")).await.unwrap_err(), Code::InvalidArgument, "FIELD_INVALID");
    let page = prices.list_prices(list(1, "", "")).await.unwrap().into_inner();
    let foreign = prices.list_prices(list(1, &page.next_page_token, "BTC")).await.unwrap_err();
    check(&foreign, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    let bar = |max_dispersion_bps: &str| GetPriceRequest {
        max_dispersion_bps: max_dispersion_bps.to_owned(),
        ..get("BTC-USD")
    };
    for wrong in ["-1", "1e2", "wide", "1,5"] {
        check(&prices.get_price(bar(wrong)).await.unwrap_err(), Code::InvalidArgument, "FIELD_INVALID");
    }
    running.stop().await;
}

#[tokio::test]
async fn what_a_list_leaves_out_is_counted_once() {
    let running = Running::replayed().await;
    let mut prices = running.prices().await;
    let all = prices.list_prices(ListPricesRequest::default()).await.unwrap().into_inner().prices.len();
    for (min_sources, page_size) in [(2, 1), (2, 2), (9, 1)] {
        let (mut shown, mut omitted, mut page_token) = (0, 0, String::new());
        loop {
            let request = ListPricesRequest { min_sources, page_size, page_token, ..Default::default() };
            let page = prices.list_prices(request).await.unwrap().into_inner();
            shown += page.prices.len();
            omitted += page.omitted_count as usize;
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert!(omitted > 0);
        assert_eq!(shown + omitted, all, "{min_sources} {page_size}");
    }
    running.stop().await;
}

#[tokio::test]
async fn waiting_is_suggested_where_it_helps() {
    let running = Running::replayed().await;
    let mut prices = running.prices().await;
    let request = GetPriceRequest { pair: "BTC-USD".into(), min_sources: 9, ..Default::default() };
    let status = prices.get_price(request).await.unwrap_err();
    check(&status, Code::Unavailable, "TOO_FEW_SOURCES");
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.metadata["min_sources"].as_str(), info.domain.as_str()), ("9", "cryptoprice"));
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    let answer = reqwest::get(running.url("/v1/prices/BTC-USD?min_sources=9")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    running.stop().await;
}

#[tokio::test]
async fn rest_answers_with_the_same_shape_for_everything() {
    let running = Running::replayed().await;
    let client = reqwest::Client::new();
    let url = |path: &str| running.url(path);
    for (request, http, reason) in [
        (client.get(url("/v1/prices/btc/usd")), 404, "ROUTE_UNKNOWN"),
        (client.get(url("/v1/prices/BTC-USD:nonsense")), 404, "ROUTE_UNKNOWN"),
        (client.get(url("/nowhere")), 404, "ROUTE_UNKNOWN"),
        (client.get(url("/")), 404, "ROUTE_UNKNOWN"),
        (client.post(url("/v1/prices/BTC-USD")), 405, "METHOD_NOT_ALLOWED"),
        (client.delete(url("/v1/prices")), 405, "METHOD_NOT_ALLOWED"),
        (client.get(url("/v1/prices/BTC-USD?nonsense=1")), 400, "PARAMETER_UNKNOWN"),
        (client.get(url("/v1/prices/BTC-USD?max_age=soon")), 400, "FIELD_INVALID"),
        (client.get(url("/v1/prices/BTC-USD?min_sources=-1")), 400, "FIELD_INVALID"),
        (client.get(url("/v1/prices/%ZZ")), 400, "REQUEST_MALFORMED"),
        (client.get(url("/v1/prices/NOPE-USD")), 404, "PAIR_UNKNOWN"),
        (client.get(url("/v1/prices?pageSize=99999999999")), 400, "FIELD_INVALID"),
        (client.get(url("/v1/sources/nowhere")), 404, "SOURCE_UNKNOWN"),
        (client.get(url("/v1/prices/BTC-USD")).body("not json"), 400, "REQUEST_MALFORMED"),
    ] {
        let request = request.build().unwrap();
        let shown = format!("{} {}", request.method(), request.url());
        let answer = client.execute(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), http, "{shown}");
        assert_eq!(answer.headers()["content-type"], "application/json", "{shown}");
        let allow = answer.headers().get("allow").is_some();
        assert_eq!(allow, http == 405, "{shown}");
        let body: Value = answer.json().await.unwrap();
        let error = &body["error"];
        assert_eq!(error["code"], http, "{shown}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{shown}: {body}");
        let infos: Vec<_> =
            error["details"].as_array().unwrap().iter().filter(|d| d["reason"] != Value::Null).collect();
        assert_eq!(infos.len(), 1, "{shown}: {body}");
        assert_eq!(
            (infos[0]["reason"].as_str(), infos[0]["domain"].as_str()),
            (Some(reason), Some("cryptoprice")),
            "{shown}: {body}"
        );
    }
    running.stop().await;
}

#[tokio::test]
async fn broken_grpc_is_the_callers_fault_and_says_so() {
    let running = Running::replayed().await;
    let web = async |path: &str, body: Vec<u8>| {
        let answer = reqwest::Client::new()
            .post(running.url(path))
            .header("content-type", "application/grpc-web+proto")
            .body(body)
            .send()
            .await
            .unwrap();
        Status::from_header_map(answer.headers()).expect("an error before any message comes in the headers")
    };
    let get = "/cryptoprice.v1.PriceService/GetPrice";
    let status = web(get, vec![0, 0, 0, 0, 9, 10, 7, b'B']).await;
    check(&status, Code::InvalidArgument, "REQUEST_MALFORMED");
    let status = web(get, vec![0, 0, 0, 0, 2, 0x0a, 0xff]).await;
    check(&status, Code::InvalidArgument, "REQUEST_MALFORMED");
    let status = web("/cryptoprice.v1.PriceService/GetPrize", vec![0, 0, 0, 0, 0]).await;
    check(&status, Code::Unimplemented, "CALL_UNKNOWN");
    let status = web("/nowhere.Service/Call", vec![0, 0, 0, 0, 0]).await;
    check(&status, Code::Unimplemented, "CALL_UNKNOWN");
    let status = web(get, vec![0, 0xff, 0xff, 0xff, 0xff, 1]).await;
    check(&status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    running.stop().await;
}

#[tokio::test]
async fn a_connection_that_speaks_nonsense_harms_nobody() {
    let running = Running::replayed().await;
    let address = running.address;
    let answered = tokio::task::spawn_blocking(move || {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03nonsense\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        answer
    });
    let answered = answered.await.unwrap();
    assert!(answered.is_empty() || answered.starts_with(b"HTTP/1.1 400"), "{answered:?}");
    assert_eq!(running.get("/v1/prices/BTC-USD").await.0, 200);
    running.stop().await;
}

fn check(status: &Status, code: Code, reason: &str) {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("{status:?} has no reason"));
    assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{status:?}");
}
