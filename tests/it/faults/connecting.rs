//! Venues that cannot be connected to, or not for long.

use std::time::Duration;

use cryptoprice::client::v1::{PriceStatus::Live, SourceState};

use super::{
    line::Said,
    stage::{Stage, TONGUES, open},
    tongue::Tongue::{self, Bybit, Coinbase, Gate, Kraken, Okx},
    venue::Answer,
};

/// What a firewall shows in the place of a venue.
fn page(status: u16, headers: &'static str) -> Answer {
    (status, headers, "<html><body>Checking your browser</body></html>".to_owned())
}

/// Cuts a venue and has it answer this in the place of a WebSocket, until something holds of it.
async fn answered(stage: &Stage, tongue: Tongue, answer: Answer, words: &str) {
    let venue = stage.venue(tongue);
    venue.state().instead = Some(answer);
    venue.cut();
    let source = stage
        .until(tongue, &format!("says {words}"), |source| {
            source.state() == SourceState::Connecting && source.last_error.contains(words)
        })
        .await;
    assert!(source.state_reason.contains(words) && source.retry_time.is_some(), "{source:#?}");
    venue.state().instead = None;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_refuses_connections_is_tried_until_it_takes_one() {
    let stage = Stage::set(&[]).await;
    let venue = stage.venue(Gate);
    venue.refuse();
    let source = stage
        .until(Gate, "cannot be reached", |source| {
            source.state() == SourceState::Connecting && source.last_error.contains("refused")
        })
        .await;
    assert_eq!(source.connection_count, 0);
    assert!(source.state_reason.contains("refused") && source.retry_time.is_some(), "{source:#?}");
    venue.accept();
    stage.whole().await;
    assert_eq!(stage.source(Gate).await.retry_time, None);
    stage.well(&[Gate], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_in_the_place_of_a_websocket_are_no_connection() {
    let stage = Stage::set(&[]).await;
    answered(&stage, Kraken, page(200, "content-type: text/html\r\n"), "200 OK").await;
    answered(&stage, Okx, page(503, ""), "503").await;
    answered(&stage, Coinbase, page(301, "location: http://127.0.0.1:1/\r\n"), "301").await;
    stage.well(&[Kraken, Okx, Coinbase], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_has_no_tls_where_it_should_is_not_spoken_to() {
    let venues = open(&[Gate], &["BTC-USD"]).await;
    let wrong = venues[0].url().replace("ws://", "wss://");
    let settings = [
        ("VENUES__GATE__ENABLED", "true"),
        ("VENUES__GATE__PAIRS", "BTC-USD"),
        ("VENUES__GATE__URL", wrong.as_str()),
    ];
    let tongues: Vec<Tongue> = TONGUES.into_iter().filter(|tongue| *tongue != Gate).collect();
    let stage = Stage::starting(&tongues, &["BTC-USD"], &settings, |_| ()).await;
    let source = stage
        .until(Gate, "fails in its handshake", |source| {
            source.state() == SourceState::Connecting && !source.last_error.is_empty()
        })
        .await;
    assert_eq!((source.frame_count, source.connection_count), (0, 0));
    assert_eq!(venues[0].handshakes(), 0, "nothing is said in the clear");
    stage.well(&[], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_wants_to_be_left_alone_is_for_as_long_as_it_says() {
    let stage = Stage::set(&[]).await;
    let venue = stage.venue(Bybit);
    venue.state().instead = Some(page(429, "retry-after: 2\r\n"));
    venue.cut();
    let source = stage
        .until(Bybit, "is left alone", |source| {
            source.state() == SourceState::Connecting && source.state_reason.contains("429")
        })
        .await;
    assert!(source.retry_time.is_some(), "{source:#?}");
    venue.state().instead = None;
    stage.whole().await;
    // The first was the one of the start, the second was refused, the third came when it should.
    let asked = venue.state().handshakes.clone();
    assert_eq!(asked.len(), 3);
    assert!(asked[2] - asked[1] >= Duration::from_secs(2), "{:?}", asked[2] - asked[1]);
    stage.well(&[Bybit], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_says_goodbye_for_maintenance_is_back_as_soon_as_it_can_be() {
    let stage = Stage::set(&[]).await;
    for (tongue, code, reason) in [(Okx, 1012, "service upgrade"), (Kraken, 1001, "going away")] {
        let venue = stage.venue(tongue);
        let before = venue.handshakes();
        venue.say(&Said::Close(code, reason));
        let source =
            stage.until(tongue, "has said goodbye", |source| source.last_error.contains(reason)).await;
        assert!(source.last_error.contains(&code.to_string()), "{}", source.last_error);
        stage.whole().await;
        assert_eq!(venue.handshakes(), before + 1);
        assert_eq!(stage.source(tongue).await.reconnect_count, 1);
    }
    stage.well(&[Okx, Kraken], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_cuts_every_connection_is_put_aside_then_tried_by_one() {
    let stage = Stage::set(&[("FEED__PENALTY_AFTER", "4"), ("FEED__PENALTY", "2s")]).await;
    let venue = stage.venue(Coinbase);
    venue.state().cuts = true;
    venue.cut();
    let aside =
        stage.until(Coinbase, "is put aside", |source| source.state() == SourceState::Penalized).await;
    assert!(aside.penalty_end_time.is_some() && aside.retry_time == aside.penalty_end_time, "{aside:#?}");
    assert!(aside.state_reason.contains("again and again"), "{}", aside.state_reason);
    // The one of the start, and four that were cut before they said anything.
    assert_eq!(venue.handshakes(), 5);
    // One probes, and fails: once is enough to be put aside again.
    stage
        .until(Coinbase, "is put aside for longer", |source| {
            source.state() == SourceState::Penalized
                && source.penalty_end_time.is_some()
                && source.penalty_end_time != aside.penalty_end_time
        })
        .await;
    let asked = venue.state().handshakes.clone();
    assert_eq!(asked.len(), 6);
    assert!(asked[5] - asked[4] >= Duration::from_secs(2), "{:?}", asked[5] - asked[4]);
    venue.state().cuts = false;
    stage.whole().await;
    assert_eq!(stage.source(Coinbase).await.penalty_end_time, None);
    assert_eq!(venue.handshakes(), 7);
    stage.well(&[Coinbase], &[Live]).await;
}
