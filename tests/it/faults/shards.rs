//! A venue whose markets are spread over several connections.

use cryptoprice::client::v1::{PriceStatus::Live, SourceState};

use super::{
    line::Said,
    stage::{PAIR, Stage, TONGUES},
    tongue::Tongue::{Bybit, Coinbase, Gate, Kraken, Okx},
};
use crate::harness::eventually;

const MARKETS: [&str; 5] = ["ADA-USD", PAIR, "ETH-USD", "SOL-USD", "XRP-USD"];

#[tokio::test(flavor = "multi_thread")]
async fn of_several_connections_that_are_cut_only_the_markets_of_one_are_concerned() {
    let stage = Stage::with(&MARKETS, &[("VENUES__OKX__MAX_MARKETS", "2")]).await;
    let venue = stage.venue(Okx);
    let source = stage.source(Okx).await;
    assert_eq!((source.connection_count, source.wanted_connection_count), (3, 3));
    assert_eq!((venue.standing(), venue.handshakes()), (3, 3));
    for tongue in TONGUES.into_iter().filter(|tongue| *tongue != Okx) {
        assert_eq!(stage.venue(tongue).handshakes(), 1);
    }
    // The one with the pair that all look at is cut, and the venue takes no other.
    venue.state().instead = Some((503, "", String::new()));
    let cut = venue.say_to("BTC-USD", &Said::Cut);
    assert_eq!(cut, 1);
    let source = stage
        .until(Okx, "polls the two markets of one connection", |source| source.polled_market_count == 2)
        .await;
    assert_eq!((source.state(), source.connection_count), (SourceState::Live, 2), "{source:#?}");
    assert!(source.state_reason.contains("2 of 3 connections stand"), "{}", source.state_reason);
    for market in MARKETS {
        stage.priced_by(market, 5).await;
    }
    venue.state().instead = None;
    let source = stage.until(Okx, "has three again", |source| source.connection_count == 3).await;
    assert_eq!(source.reconnect_count, 1);
    stage.well(&[Okx], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_refuses_one_connection_for_good_is_left_on_all_and_stays_blocked() {
    let stage = Stage::with(&MARKETS, &[("VENUES__OKX__MAX_MARKETS", "2")]).await;
    let venue = stage.venue(Okx);
    venue.state().instead = Some((503, "", String::new()));
    assert_eq!(venue.say_to("BTC-USD", &Said::Cut), 1);
    stage.until(Okx, "polls two markets", |source| source.polled_market_count == 2).await;
    venue.state().instead = Some((403, "", String::new()));
    let source = stage
        .until(Okx, "has left all connections", |source| {
            source.state() == SourceState::Blocked && source.connection_count == 0
        })
        .await;
    assert!(source.state_reason.contains("403"), "{}", source.state_reason);
    eventually("all have ended", async || (venue.standing() == 0).then_some(())).await;
    // The others go on meanwhile, and nothing changes here.
    let seen = stage.source(Bybit).await.frame_count;
    stage.until(Bybit, "goes on", |source| source.frame_count > seen + 60).await;
    let source = stage.source(Okx).await;
    let told = (source.state(), source.connection_count, source.polled_market_count, source.retry_time);
    assert_eq!(told, (SourceState::Blocked, 0, 0, None), "{source:#?}");
    stage.untouched(&[Gate, Kraken, Coinbase, Bybit]).await;
    stage.stop(&[Live]).await;
}
