//! Health and readiness: per service, per pair, and as plain HTTP, on both listeners.

use futures::StreamExt as _;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};
use tonic_types::StatusExt as _;

use cryptoprice::{api::pb::DESCRIPTORS, app::Mode, pipeline::replay::ReplayOptions};
use prost_reflect::DescriptorPool;

use crate::harness::{Running, eventually, frame};

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn services_and_pairs_are_checked_and_watched() {
    let running = Running::replayed().await;
    let mut health = HealthClient::new(running.channel().await);
    let contract = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let services: Vec<_> = contract.services().map(|service| service.full_name().to_owned()).collect();
    assert!(services.len() >= 3, "{services:?}");
    for service in services.iter().map(String::as_str).chain(["", "cryptoprice.v1/BTC-USD"]) {
        eventually(&format!("{service} is serving"), async || {
            let answer = health.check(of(service)).await.ok()?.into_inner();
            (answer.status() == ServingStatus::Serving).then_some(())
        })
        .await;
    }
    let unknown = health.check(of("cryptoprice.v1/NOPE-USD")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert_eq!(unknown.get_details_error_info().unwrap().reason, "SERVICE_UNKNOWN");
    let mut watched = health.watch(of("cryptoprice.v1/BTC-USD")).await.unwrap().into_inner();
    assert_eq!(watched.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    // Nobody has to be cut: who watches is told, and the stream ends.
    let stopping = std::time::Instant::now();
    let stopped = tokio::spawn(running.stop());
    assert_eq!(watched.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watched.next().await.is_none());
    stopped.await.unwrap();
    assert!(stopping.elapsed() < std::time::Duration::from_secs(4), "{:?}", stopping.elapsed());
}

#[tokio::test]
async fn who_says_nothing_does_not_hold_up_the_end() {
    let running = Running::replayed().await;
    let mute = tokio::net::TcpStream::connect(running.address).await.unwrap();
    let half = tokio::net::TcpStream::connect(running.address).await.unwrap();
    half.try_write(b"GET /livez HT").unwrap();
    let stopping = std::time::Instant::now();
    running.stop().await;
    assert!(stopping.elapsed() < std::time::Duration::from_secs(8), "{:?}", stopping.elapsed());
    drop((mute, half));
}

#[tokio::test]
async fn a_derived_pair_can_be_required() {
    let options =
        ReplayOptions { files: vec![frame("COINBASE"), frame("KRAKEN")], speed: None, repeat: false };
    let settings = [("CRYPTOPRICE__HEALTH__REQUIRED_PAIRS", "ETH-EUR")];
    let running = Running::start(Mode::Replay(options), &settings).await;
    eventually("the derived pair is fresh", async || (running.get("/readyz").await.0 == 200).then_some(()))
        .await;
    running.stop().await;
}

#[tokio::test]
async fn readiness_says_what_it_waits_for() {
    let options = ReplayOptions { files: vec![frame("KRAKEN")], speed: None, repeat: false };
    let settings = [("CRYPTOPRICE__HEALTH__REQUIRED_PAIRS", "BTC-USD,NOPE-USD")];
    let running = Running::start(Mode::Replay(options), &settings).await;
    let ops = format!("http://{}/readyz", running.ops);
    let expected = serde_json::json!({
        "ready": false,
        "reasons": [{"reason": "REQUIRED_PAIR_NOT_FRESH", "pair": "NOPE-USD", "status": "PRICE_STATUS_UNAVAILABLE"}],
        "part": "single",
    });
    eventually("only the unknown pair is missing", async || {
        let (status, report) = running.get("/readyz").await;
        (status == 503 && report == expected).then_some(())
    })
    .await;
    let answer = reqwest::get(&ops).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.json::<serde_json::Value>().await.unwrap(), expected);
    for address in [running.address, running.ops] {
        assert_eq!(reqwest::get(format!("http://{address}/livez")).await.unwrap().status(), 200);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_fresh_price_makes_it_ready() {
    let running = Running::replayed().await;
    let (status, report) = running.get("/readyz").await;
    assert_eq!((status, report), (200, serde_json::json!({"ready": true, "reasons": [], "part": "single"})));
    running.stop().await;
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_when_the_grace_is_over() {
    let options = ReplayOptions { files: vec![frame("KRAKEN")], speed: None, repeat: false };
    let settings = [("CRYPTOPRICE__SERVER__SHUTDOWN_GRACE", "300ms")];
    let running = Running::start(Mode::Replay(options), &settings).await;
    let mut reflection = ServerReflectionClient::new(running.channel().await);
    let list = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    // One question, and another that never comes.
    let questions = futures::stream::iter([list]).chain(futures::stream::pending());
    let mut answers = reflection.server_reflection_info(questions).await.unwrap().into_inner();
    answers.next().await.unwrap().unwrap();
    let started = tokio::time::Instant::now();
    running.stop().await;
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(answers.next().await.is_some_and(|cut| cut.is_err()));
}
