//! Venues that stand and say nothing, or nothing of some markets.

use cryptoprice::client::v1::{PriceStatus::Live, SourceState};

use super::{
    line::Said,
    stage::{PAIR, Stage},
    tongue::Tongue::{Gate, Kraken, Okx},
};
use crate::harness::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_only_pings_is_made_anew() {
    let stage = Stage::set(&[]).await;
    let venue = stage.venue(Gate);
    venue.go_silent();
    let source =
        stage.until(Gate, "is found silent", |source| source.last_error.contains("no event for")).await;
    assert!(source.state() != SourceState::Blocked, "{source:#?}");
    // It stands again and is silent still: REST speaks for it meanwhile.
    stage.until(Gate, "is polled", |source| source.polled_market_count == 1).await;
    venue.speak();
    stage.whole().await;
    assert!(venue.handshakes() >= 2);
    stage.well(&[Gate], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_drips_in_is_silence() {
    let stage = Stage::set(&[]).await;
    let venue = stage.venue(Okx);
    venue.say(&Said::Drip);
    stage.until(Okx, "is found silent", |source| source.last_error.contains("no event for")).await;
    stage.whole().await;
    assert_eq!(stage.source(Okx).await.malformed_count, 0);
    stage.well(&[Okx], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_whose_stream_is_dead_is_polled_and_then_subscribed_anew() {
    let settings = [("FEED__MARKET_SILENT_AFTER", "1s")];
    let stage = Stage::with(&[PAIR, "ETH-USD"], &settings).await;
    let venue = stage.venue(Kraken);
    venue.state().muted.insert("ETH-USD");
    // The other market of the connection goes on: the connection is not silent. REST tells that the market has moved.
    stage.until(Kraken, "is polled", |source| source.polled_market_count == 1).await;
    eventually("it is subscribed anew", async || (venue.handshakes() > 1).then_some(())).await;
    let source = stage.source(Kraken).await;
    assert_eq!(source.state(), SourceState::Live);
    venue.speak();
    stage.whole().await;
    assert_eq!(venue.standing(), 1, "the one before is left");
    // The others may have been late by this measure, never dead.
    for tongue in super::stage::TONGUES.into_iter().filter(|tongue| *tongue != Kraken) {
        assert_eq!(stage.venue(tongue).handshakes(), 1);
    }
    stage.well(&[Kraken], &[Live]).await;
}
