//! The REST gateway in front of services that answer as told.

mod streams;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use cryptoprice::{
    api::{
        gateway::{Gateway, GatewayBody},
        pb::DESCRIPTORS,
    },
    client::v1::{Cursor, GetPriceRequest, GetPriceResponse, Price, StreamPricesResponse},
    domain::price,
};
use futures::{FutureExt as _, StreamExt as _};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    protos,
    replies::{Answer, LIMITS, ToldGateway, many, many_in, one},
};

/// Makes a gateway to a contract whose every call is answered by `service`.
fn gateway<F>(pool: &DescriptorPool, service: F) -> ToldGateway
where
    F: Fn(&str, tonic::Request<Bytes>) -> Answer + Send + Sync + 'static,
{
    ToldGateway::new(pool, service)
}

/// The contract of the service.
fn contract() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTORS).unwrap()
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).unwrap()
}

async fn text(response: Response<GatewayBody>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn json_of(response: Response<GatewayBody>) -> Value {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    serde_json::from_str(&text(response).await).unwrap()
}

#[tokio::test]
async fn a_call_is_made_and_its_reply_is_json() {
    let gateway = gateway(&contract(), |path, request| {
        assert_eq!(path, "/cryptoprice.v1.PriceService/GetPrice");
        let asked = GetPriceRequest::decode(request.into_inner()).unwrap();
        assert_eq!(asked.pair, "btc/usd");
        assert_eq!(asked.max_age.unwrap().nanos, 500_000_000);
        assert_eq!(asked.allow_derived, Some(false));
        let price = Price {
            pair: "BTC-USD".into(),
            price: Some("50000.5".into()),
            sequence: u64::MAX,
            ..Price::default()
        };
        one(GetPriceResponse { price: Some(price) }.encode_to_vec())
    });
    let response = gateway.handle(get("/v1/prices/btc%2Fusd?maxAge=0.5s&allow_derived=false")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let body = json_of(response).await;
    assert_eq!(body["price"]["pair"], "BTC-USD");
    assert_eq!(body["price"]["price"], "50000.5");
    assert_eq!(body["price"]["sequence"], "18446744073709551615");
    assert_eq!(body["price"]["status"], "PRICE_STATUS_UNSPECIFIED");
}

#[tokio::test]
async fn a_message_of_no_bytes_is_the_default_message() {
    let gateway = gateway(&contract(), |_, _| one(Vec::new()));
    let body = json_of(gateway.handle(get("/v1/prices")).await).await;
    assert_eq!(body, json!({"prices": [], "nextPageToken": "", "omittedCount": 0}));
}

#[tokio::test]
async fn an_answer_that_is_no_message_is_an_internal_error() {
    for answer in [|| one(vec![0xff]), || many([(vec![0xff], None)], None)] {
        let gateway = gateway(&contract(), move |_, _| answer());
        let response = gateway.handle(get("/v1/prices")).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(json_of(response).await["error"]["message"], "internal error");
    }
}

#[tokio::test]
async fn every_code_has_its_http_status() {
    for (code, status, name) in [
        (Code::Cancelled, 499, "CANCELLED"),
        (Code::Unknown, 500, "UNKNOWN"),
        (Code::InvalidArgument, 400, "INVALID_ARGUMENT"),
        (Code::DeadlineExceeded, 504, "DEADLINE_EXCEEDED"),
        (Code::NotFound, 404, "NOT_FOUND"),
        (Code::AlreadyExists, 409, "ALREADY_EXISTS"),
        (Code::PermissionDenied, 403, "PERMISSION_DENIED"),
        (Code::ResourceExhausted, 429, "RESOURCE_EXHAUSTED"),
        (Code::FailedPrecondition, 400, "FAILED_PRECONDITION"),
        (Code::Aborted, 409, "ABORTED"),
        (Code::OutOfRange, 400, "OUT_OF_RANGE"),
        (Code::Unimplemented, 501, "UNIMPLEMENTED"),
        (Code::Internal, 500, "INTERNAL"),
        (Code::Unavailable, 503, "UNAVAILABLE"),
        (Code::DataLoss, 500, "DATA_LOSS"),
        (Code::Unauthenticated, 401, "UNAUTHENTICATED"),
    ] {
        let gateway = gateway(&contract(), move |_, _| Err(Status::new(code, "why — so")));
        let response = gateway.handle(get("/v1/prices")).await;
        assert_eq!(response.status(), status, "{code:?}");
        assert_eq!(
            json_of(response).await,
            json!({"error": {"code": status, "message": "why — so", "status": name, "details": []}})
        );
    }
}

#[tokio::test]
async fn details_of_an_error_come_through() {
    let gateway = gateway(&contract(), |_, _| {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("STALE", "cryptoprice", [("pair".to_owned(), "BTC-USD".to_owned())])
            .set_retry_info(Some(Duration::from_millis(1_200)));
        Err(Status::with_error_details(Code::Unavailable, "too old", details))
    });
    let response = gateway.handle(get("/v1/prices/BTC-USD")).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    let mut details = json_of(response).await["error"]["details"].take();
    details.as_array_mut().unwrap().sort_by_key(|detail| detail["@type"].to_string());
    assert_eq!(
        details,
        json!([
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "STALE",
                "domain": "cryptoprice",
                "metadata": {"pair": "BTC-USD"},
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.200s"},
        ])
    );
}

const LIBRARY: &str = r#"
    service Library {
      rpc GetBook(GetBookRequest) returns (Book) {
        option (google.api.http) = {
          get: "/v1/{name=shelves/*/books/*}"
          additional_bindings {get: "/v1/books/{number}"}
          additional_bindings {get: "/v1/books/{number}/title", response_body: "title"}
        };
      }
      rpc AddBook(AddBookRequest) returns (Book) {
        option (google.api.http) = {
          post: "/v1/shelves/{shelf}/books"
          body: "book"
          additional_bindings {post: "/v1/books", body: "*"}
        };
      }
      rpc Unbound(Book) returns (Book);
    }
    message GetBookRequest { string name = 1; int32 number = 2; }
    message AddBookRequest { int32 shelf = 1; Book book = 2; bool dry_run = 3; }
    message Book {
      string title = 1;
      oneof owner { string person = 2; string library = 3; }
      repeated Author authors = 4;
      Author editor = 5;
    }
    message Author { string name = 1; }
"#;

/// Answers with the message as it came, if it is sent to a call that takes what it gives.
fn library() -> ToldGateway {
    gateway(&protos::compile(LIBRARY), |path, request| match path {
        "/test.Library/AddBook" => one(request.into_inner().to_vec()),
        _ => one(b"\x0a\x07Ulysses".to_vec()),
    })
}

#[tokio::test]
async fn what_is_no_call_is_refused() {
    struct Case {
        request: http::request::Builder,
        body: Body,
        status: u16,
        code: &'static str,
        reason: &'static str,
        field: Option<&'static str>,
    }
    fn case(method: &str, uri: &str, status: u16, code: &'static str, reason: &'static str) -> Case {
        let request = Request::builder().method(method).uri(uri);
        Case { request, body: Body::empty(), status, code, reason, field: None }
    }
    impl Case {
        fn at(mut self, field: &'static str) -> Self {
            self.field = Some(field);
            self
        }
        fn post(mut self) -> Self {
            self.request = self.request.method("POST");
            self
        }
        fn with(mut self, body: impl Into<Body>) -> Self {
            self.body = body.into();
            self
        }
        fn header(mut self, name: header::HeaderName, value: &str) -> Self {
            self.request = self.request.header(name, value);
            self
        }
    }
    let malformed = |method, uri| case(method, uri, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED");
    let unknown = |uri| case("GET", uri, 400, "INVALID_ARGUMENT", "PARAMETER_UNKNOWN");
    let invalid = |uri| case("GET", uri, 400, "INVALID_ARGUMENT", "FIELD_INVALID");
    let posted = |uri, body: &'static str| malformed("POST", uri).with(body);

    for case in [
        case("GET", "/", 404, "NOT_FOUND", "ROUTE_UNKNOWN"),
        case("GET", "/v1/books/", 404, "NOT_FOUND", "ROUTE_UNKNOWN"),
        case("GET", "/v1/books/1:nonsense", 404, "NOT_FOUND", "ROUTE_UNKNOWN"),
        case("GET", "/test.Library/Unbound", 404, "NOT_FOUND", "ROUTE_UNKNOWN"),
        case("DELETE", "/v1/books/1", 405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED"),
        case("GET", "/v1/books", 405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED"),
        malformed("GET", "/v1/shelves/%zz/books/1"),
        malformed("GET", "/v1/books/1?name=%f"),
        malformed("GET", "/v1/books/1").with("{}"),
        posted("/v1/books", "{"),
        posted("/v1/books", "[]"),
        posted("/v1/books", "{} {}"),
        posted("/v1/shelves/1/books", r#"{},"dryRun":true"#),
        posted("/v1/books", "{}").header(header::CONTENT_TYPE, "text/plain"),
        posted("/v1/books", "{}").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
        unknown("/v1/books/1?colour=red").at("colour"),
        unknown("/v1/books/1?name.first=x").at("name.first"),
        unknown("/v1/books/1?=x").at(""),
        invalid("/v1/books/one").at("number"),
        invalid("/v1/books/1?number=1").at("number"),
        invalid("/v1/books/1?name=a&name=b").at("name"),
        invalid("/v1/shelves/1/books/1?number=99999999999").at("number"),
        Case { field: Some("shelf"), ..unknown("/v1/books?shelf=1") }.post().with("{}"),
        Case { field: Some("book.title"), ..invalid("/v1/shelves/1/books?book.title=x") }.post(),
        Case { field: Some("dry_run"), ..invalid("/v1/shelves/1/books?dry_run=1") }.post(),
        Case { field: Some("book.colour"), ..unknown("/v1/books") }
            .post()
            .with(r#"{"book": {"colour": "red"}}"#),
        case("POST", "/v1/books", 501, "UNIMPLEMENTED", "ENCODING_UNSUPPORTED")
            .with("{}")
            .header(header::CONTENT_ENCODING, "gzip"),
        case("POST", "/v1/books", 413, "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE").with(vec![
            b' ';
            4 * 1024 * 1024
                + 1
        ]),
    ] {
        let request = case.request.body(case.body).unwrap();
        let shown = format!("{} {}", request.method(), request.uri());
        let response = library().handle(request).await;
        assert_eq!(response.status(), case.status, "{shown}");
        assert_eq!(response.status() == 405, response.headers().contains_key(header::ALLOW), "{shown}");
        let error = json_of(response).await["error"].take();
        assert_eq!(error["code"], case.status, "{shown}");
        assert_eq!(error["status"], case.code, "{shown}");
        let details = error["details"].as_array().unwrap();
        let of_type = |name: &str| {
            let url = format!("type.googleapis.com/google.rpc.{name}");
            details.iter().filter(|detail| detail["@type"] == *url).cloned().collect::<Vec<_>>()
        };
        let [info] = &of_type("ErrorInfo")[..] else { panic!("{shown}: {details:?}") };
        assert_eq!(info["reason"], case.reason, "{shown}: {error}");
        assert_eq!(info["domain"], "cryptoprice");
        let fields: Vec<Value> =
            of_type("BadRequest").iter().map(|bad| bad["fieldViolations"][0]["field"].clone()).collect();
        assert_eq!(fields, case.field.into_iter().map(Value::from).collect::<Vec<_>>(), "{shown}: {error}");
    }
}

#[tokio::test]
async fn allow_names_the_methods_of_a_path() {
    for (method, uri, allow) in [
        ("POST", "/v1/books/1", "GET, HEAD"),
        ("OPTIONS", "/v1/books", "POST"),
        ("HEAD", "/v1/books", "POST"),
    ] {
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        let response = library().handle(request).await;
        assert_eq!(response.headers()[header::ALLOW], allow, "{method} {uri}");
    }
}

#[tokio::test]
async fn a_field_may_be_the_body() {
    async fn post(uri: &str, body: &str) -> Vec<u8> {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&calls);
        let gateway = gateway(&protos::compile(LIBRARY), move |_, request| {
            *kept.lock().unwrap() = request.into_inner().to_vec();
            one(Vec::new())
        });
        let request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = gateway.handle(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", text(response).await);
        calls.lock().unwrap().clone()
    }
    let whole = post("/v1/books", r#"{"shelf": 0, "book": {"title": "A"}, "dryRun": true}"#).await;
    let field = post("/v1/shelves/7/books?dryRun=true", r#"{"title": "A"}"#).await;
    assert_eq!(whole, b"\x12\x03\x0a\x01A\x18\x01");
    assert_eq!(field, b"\x12\x03\x0a\x01A\x18\x01\x08\x07");
    // What the path says holds, though zero is the default.
    assert_eq!(post("/v1/shelves/0/books", "").await, b"\x08\x00");
}

#[tokio::test]
async fn a_field_may_be_the_answer() {
    let response = library().handle(get("/v1/books/1/title")).await;
    assert_eq!(json_of(response).await, json!("Ulysses"));
    let response = library().handle(get("/v1/shelves/1/books/2")).await;
    assert_eq!(json_of(response).await["title"], "Ulysses");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let whole = text(library().handle(get("/v1/books/1")).await).await;
    let response = library().handle(Request::head("/v1/books/1").body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_LENGTH], whole.len().to_string());
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn headers_that_mean_something_to_the_call_are_passed_on() {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let kept = Arc::clone(&seen);
    let gateway = gateway(&contract(), move |_, request| {
        assert_eq!(request.extensions().get::<u8>(), Some(&7));
        *kept.lock().unwrap() = request.metadata().clone().into_headers();
        let mut answer = one(Vec::new())?;
        for (name, value) in [("x-request-id", "r1"), ("grpc-encoding", "identity"), ("a-bin", "AA")] {
            answer.headers.insert(name, value.parse().unwrap());
        }
        Ok(answer)
    });
    let request = Request::get("/v1/prices")
        .extension(7_u8)
        .header("authorization", "Bearer t")
        .header("traceparent", "00-1-2-01")
        .header("last-event-id", "7-8")
        .header("grpc-timeout", "1S")
        .header("x-request-id", "r1")
        .header("grpc-encoding", "gzip")
        .header("grpc-accept-encoding", "gzip")
        .header("accept-encoding", "gzip")
        .header("connection", "keep-alive")
        .header("te", "gzip");
    let response = gateway.handle(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut answered: Vec<&str> = response.headers().keys().map(header::HeaderName::as_str).collect();
    answered.sort_unstable();
    assert_eq!(answered, ["cache-control", "content-type", "x-request-id"]);

    let seen = seen.lock().unwrap();
    let mut names: Vec<&str> = seen.keys().map(header::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "grpc-timeout", "last-event-id", "traceparent", "x-request-id"]);
}

#[test]
fn bindings_that_cannot_be_are_named() {
    for (contract, problem) in [
        (r#"{get: "/a/"}"#, "path `/a/` of `test.Service.Call`"),
        (r#"{get: "/{b}"}"#, "path `/{b}` of `test.Service.Call`: `b` is not a field of the request"),
        (r#"{get: "/{list}"}"#, "path `/{list}` of `test.Service.Call`: `list` is not a single scalar field"),
        (
            r#"{post: "/", body: "b"}"#,
            "path `/` of `test.Service.Call`: the request has no field `b` to be the body",
        ),
        (
            r#"{get: "/", response_body: "b"}"#,
            "path `/` of `test.Service.Call`: the response has no field `b` to be the body",
        ),
        (
            r#"{get: "/{a}", additional_bindings {get: "/{a=*}"}}"#,
            "path `/{a=*}` leads to both `test.Service.Call` and `test.Service.Call`",
        ),
    ] {
        let pool = protos::compile(&format!(
            "service Service {{ rpc Call(Message) returns (Message) {{ option (google.api.http) = {contract}; }} }}
             message Message {{ string a = 1; repeated string list = 2; }}"
        ));
        let error = Gateway::new(&pool, LIMITS).unwrap_err();
        assert_eq!(error.to_string(), problem);
    }
}

#[tokio::test]
async fn every_call_of_the_contract_has_a_binding() {
    // The bindings live in an extension, which some ways of writing descriptors lose.
    let pool = contract();
    let http = pool.get_extension_by_name("google.api.http").unwrap();
    let calls: Vec<_> = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    assert!(!calls.is_empty());
    for call in calls {
        assert!(call.options().has_extension(&http), "{}", call.full_name());
    }
}
