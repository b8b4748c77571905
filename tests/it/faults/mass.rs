//! All venues at once.

use std::{sync::Arc, time::Duration};

use cryptoprice::client::v1::PriceStatus::{Degraded, Live, Stale};

use super::{
    stage::{PAIR, Stage, TONGUES},
    venue::Venue,
};
use crate::harness::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_goes_and_comes_back_makes_prices_stale_and_then_live() {
    let settings = [("AGGREGATION__MAX_AGE", "2s"), ("FEED__MAX_CONNECTING", "2")];
    let stage = Stage::set(&settings).await;
    stage.venues.iter().for_each(|venue| venue.refuse());
    eventually("the price is stale", async || (stage.price(PAIR).await.status() == Stale).then_some(()))
        .await;
    let price = stage.price(PAIR).await;
    assert!(price.price.is_some() && price.observe_time.is_some(), "the last good price, with its age");
    assert_eq!(stage.get("/readyz").await["ready"], false);
    for tongue in TONGUES {
        let source = stage.source(tongue).await;
        assert_eq!((source.connection_count, source.polled_market_count), (0, 0), "{source:#?}");
    }
    // Handshakes take a while, so that it can be seen how many are under way.
    stage.venues.iter().for_each(|venue| venue.state().handshake = Duration::from_millis(300));
    stage.venues.iter().for_each(|venue| venue.accept());
    let most = watch_pending(stage.venues.clone());
    stage.whole().await;
    most.abort();
    assert!(most.await.is_err(), "no more than two are connected to at the same time");
    assert_eq!(stage.get("/readyz").await["ready"], true);
    stage.well(&TONGUES, &[Live, Degraded, Stale]).await;
}

/// Fails when handshakes with more than two venues are under way at the same time.
fn watch_pending(venues: Vec<Arc<Venue>>) -> tokio::task::JoinHandle<usize> {
    tokio::spawn(async move {
        loop {
            let pending = venues.iter().map(|venue| venue.state().pending).sum();
            if pending > 2 {
                return pending;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_all_venues_that_is_short_costs_nothing_but_the_connections() {
    let stage = Stage::set(&[]).await;
    stage.venues.iter().for_each(|venue| venue.cut());
    for tongue in TONGUES {
        stage.until(tongue, "is connected anew", |source| source.reconnect_count == 1).await;
    }
    stage.whole().await;
    stage.well(&TONGUES, &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_venue_left_the_price_is_degraded() {
    let stage = Stage::set(&[("AGGREGATION__MAX_AGE", "2s")]).await;
    stage.venues.iter().skip(1).for_each(|venue| venue.refuse());
    eventually("one is left", async || {
        let price = stage.price(PAIR).await;
        (price.status() == Degraded && price.source_count == 1).then_some(())
    })
    .await;
    stage.venues.iter().for_each(|venue| venue.accept());
    stage.whole().await;
    stage.well(&TONGUES[1..], &[Live, Degraded]).await;
}
