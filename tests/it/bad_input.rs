//! Bad input on each door gets a clear, typed error, and harms nobody.

use std::io::{Read as _, Write as _};

use cryptoprice::client::v1::{
    BatchGetPricesRequest, CandleFill, GetPriceRequest, ListCandlesRequest, ListCandlesResponse,
    ListPricesRequest, StreamPricesRequest, candle_service_client::CandleServiceClient, price_result,
};
use prost_types::Timestamp;
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

/// Ten o'clock on a day long before the first record.
const LONG_AGO: i64 = 1_000_000_800;

#[tokio::test]
async fn candles_of_nonsense_are_typed_errors_and_of_nothing_an_empty_page() {
    let running = Running::replayed().await;
    let mut candles = CandleServiceClient::new(running.channel().await);
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let bitcoin = || ListCandlesRequest { pair: "BTC-USD".into(), ..Default::default() };
    let null = || i32::from(CandleFill::Null);
    let nope = || ListCandlesRequest { pair: "NOPE-USD".into(), ..bitcoin() };
    // The first year, and the last.
    let (beyond_first, beyond_last) = (-62_135_596_801, 253_402_300_800);
    for (what, request, reason) in [
        ("from after to", ListCandlesRequest { start_time: at(2), end_time: at(1), ..bitcoin() }, "end_time"),
        ("to be filled without a start", ListCandlesRequest { fill: null(), ..bitcoin() }, "start_time"),
        ("an unknown interval", ListCandlesRequest { interval: "7m".into(), ..bitcoin() }, "interval"),
        ("an unknown way to fill", ListCandlesRequest { fill: 9, ..bitcoin() }, "fill"),
        ("an unknown order", ListCandlesRequest { order_by: "close".into(), ..bitcoin() }, "order_by"),
        ("fewer than none", ListCandlesRequest { page_size: -1, ..bitcoin() }, "page_size"),
        ("known in the future", ListCandlesRequest { known_by: at(4_000_000_000), ..bitcoin() }, "known_by"),
        (
            "known before it was",
            ListCandlesRequest { start_time: at(LONG_AGO), known_by: at(LONG_AGO - 1), ..bitcoin() },
            "known_by",
        ),
        (
            "before the first year",
            ListCandlesRequest { start_time: at(beyond_first), ..bitcoin() },
            "start_time",
        ),
        ("after the last year", ListCandlesRequest { end_time: at(beyond_last), ..bitcoin() }, "end_time"),
        (
            "a foreign page token",
            ListCandlesRequest { page_token: "foreign".into(), ..bitcoin() },
            "PAGE_TOKEN_INVALID",
        ),
        ("an unknown pair", nope(), "PAIR_UNKNOWN"),
        (
            "an unknown pair, filled in",
            ListCandlesRequest { start_time: at(LONG_AGO), fill: null(), ..nope() },
            "PAIR_UNKNOWN",
        ),
        ("an unknown source", ListCandlesRequest { source: "krake".into(), ..bitcoin() }, "SOURCE_UNKNOWN"),
    ] {
        let error = candles.list_candles(request).await.expect_err(what);
        let info = error.get_details_error_info().unwrap();
        if info.reason == "FIELD_INVALID" {
            let bad = error.get_details_bad_request().unwrap();
            assert_eq!(bad.field_violations[0].field, reason, "{what}: {error:?}");
        } else {
            assert_eq!(info.reason, reason, "{what}: {error:?}");
        }
    }
    for (what, request) in [
        ("before the first record", ListCandlesRequest { end_time: at(LONG_AGO), ..bitcoin() }),
        ("in the future", ListCandlesRequest { start_time: at(4_000_000_000), ..bitcoin() }),
        (
            "in the future, filled in",
            ListCandlesRequest { start_time: at(4_000_000_000), fill: null(), ..bitcoin() },
        ),
        (
            "in the first year and the last",
            ListCandlesRequest {
                start_time: at(beyond_last - 1),
                end_time: at(beyond_last - 1),
                ..bitcoin()
            },
        ),
    ] {
        let page = candles.list_candles(request).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(page.into_inner(), ListCandlesResponse::default(), "{what}");
    }
    // A million are asked for, and a page has so many at most.
    let million = ListCandlesRequest {
        start_time: at(LONG_AGO),
        interval: "1s".into(),
        fill: null(),
        page_size: 1_000_000,
        ..bitcoin()
    };
    let page = candles.list_candles(million.clone()).await.unwrap().into_inner();
    assert_eq!(page.candles.len(), 1_000);
    // A token of one list is none of another.
    let other = ListCandlesRequest { interval: "1m".into(), page_token: page.next_page_token, ..million };
    let error = candles.list_candles(other).await.unwrap_err();
    check(&error, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    running.stop().await;
}

#[tokio::test]
async fn times_that_no_calendar_has_are_refused_by_every_call() {
    let running = Running::replayed().await;
    let mut prices = running.prices().await;
    for seconds in [-62_135_596_801, 253_402_300_800, i64::MIN, i64::MAX] {
        let time = Timestamp { seconds, nanos: 0 };
        let get = GetPriceRequest { pair: "BTC-USD".into(), time: Some(time), ..Default::default() };
        check(&prices.get_price(get).await.unwrap_err(), Code::InvalidArgument, "FIELD_INVALID");
        let batch =
            BatchGetPricesRequest { pairs: vec!["BTC-USD".into()], times: vec![time], ..Default::default() };
        check(&prices.batch_get_prices(batch).await.unwrap_err(), Code::InvalidArgument, "FIELD_INVALID");
    }
    running.stop().await;
}

#[tokio::test]
async fn what_could_not_be_known_is_an_error_of_its_item() {
    let running = Running::replayed().await;
    let mut prices = running.prices().await;
    let at = |seconds| Timestamp { seconds, nanos: 0 };
    let batch = BatchGetPricesRequest {
        pairs: vec!["BTC-USD".into()],
        times: vec![at(LONG_AGO), at(LONG_AGO + 2)],
        known_by: Some(at(LONG_AGO + 1)),
        ..Default::default()
    };
    let results = prices.batch_get_prices(batch).await.unwrap().into_inner().results;
    let codes: Vec<_> = results
        .iter()
        .map(|result| match &result.result {
            Some(price_result::Result::Error(error)) => Code::from(error.code),
            other => panic!("{other:?}"),
        })
        .collect();
    // The first is not recorded; of the second nobody could know anything yet.
    assert_eq!(codes, [Code::NotFound, Code::InvalidArgument]);
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
