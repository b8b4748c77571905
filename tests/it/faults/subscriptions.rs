//! Venues that refuse to be subscribed to, wholly or in part, or that do not list what is wanted.

use cryptoprice::client::v1::{
    PriceStatus::{Degraded, Live},
    Source, SourceState,
};

use super::{
    stage::{PAIR, Stage, TONGUES},
    tongue::Tongue::{Bybit, Coinbase, Gate, Kraken, Okx},
};
use crate::harness::eventually;

fn absent(source: &Source) -> Vec<(&str, &str)> {
    source.absent_markets.iter().map(|absent| (absent.market.as_str(), absent.reason.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_that_is_refused_is_named_and_polled_and_the_others_live() {
    let markets = [PAIR, "ETH-USD", "SOL-USD"];
    let settings = [("FEED__MARKET_SILENT_AFTER", "1s")];
    let stage = Stage::starting(&TONGUES, &markets, &settings, |venue| {
        if venue.tongue == Kraken {
            venue.state().refused.insert("ETH-USD");
        }
    })
    .await;
    let source = stage
        .until(Kraken, "polls what it refuses", |source| {
            source.polled_market_count == 1 && !source.absent_markets.is_empty()
        })
        .await;
    assert_eq!(absent(&source), [("ETH-USD", "refused: Currency pair not supported ETH/USD")]);
    assert_eq!(source.state(), SourceState::Live);
    let venue = stage.venue(Kraken);
    eventually("REST is asked for it", async || {
        let known = venue.state();
        (known.questions.iter().filter(|(_, asked)| asked.contains("/Ticker?pair=ETHUSD")).count() > 2)
            .then_some(())
    })
    .await;
    assert_eq!(venue.handshakes(), 1, "a market that is refused is not dead: the connection stays");
    let price = stage.price("ETH-USD").await;
    assert_eq!((price.status(), price.source_count), (Live, 5), "over REST it has its vote");
    // The venue changes its mind, and is asked again on the same connection.
    venue.state().refused.clear();
    stage
        .until(Kraken, "has all of them", |source| {
            source.absent_markets.is_empty() && source.polled_market_count == 0
        })
        .await;
    assert_eq!(venue.handshakes(), 1);
    // What it traded on the refused market before was never listened to.
    stage.well(&[Kraken], &[Live, Degraded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_refused_for_the_sake_of_one_market_is_subscribed_singly() {
    let markets = [PAIR, "ETH-USD", "SOL-USD"];
    let settings = [("FEED__SILENT_AFTER", "20s"), ("FEED__MARKET_SILENT_AFTER", "20s")];
    let stage = Stage::starting(&TONGUES, &markets, &settings, |venue| {
        if venue.tongue == Gate {
            let mut known = venue.state();
            (known.refuses_whole, known.refused) = (true, ["ETH-USD"].into());
        }
    })
    .await;
    let source = stage
        .until(Gate, "has the markets that are not refused", |source| {
            source.trade_count > 20 && source.polled_market_count <= 1
        })
        .await;
    assert_eq!(absent(&source), [("ETH-USD", "refused: unknown currency pair: ETH_USD")]);
    assert_eq!(stage.venue(Gate).handshakes(), 1, "on the same connection");
    for market in [PAIR, "SOL-USD"] {
        eventually("it votes", async || (stage.price(market).await.source_count == 5).then_some(())).await;
    }
    stage.venue(Gate).state().refused.clear();
    stage.until(Gate, "has all of them", |source| source.absent_markets.is_empty()).await;
    assert_eq!(stage.venue(Gate).handshakes(), 1, "still on the same");
    stage.well(&[Gate], &[Live, Degraded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_that_is_delisted_loses_its_vote_at_once() {
    let settings = [("FEED__REFRESH_MARKETS", "300ms")];
    let stage = Stage::with(&[PAIR, "ETH-USD"], &settings).await;
    // One takes the market off the list, one stops its trading; both go on quoting it.
    stage.venue(Okx).state().unlisted.insert(PAIR);
    stage.venue(Bybit).state().suspended.insert(PAIR);
    for (tongue, why) in [(Okx, "not listed"), (Bybit, "not traded: Closed")] {
        let source = stage.until(tongue, "has lost a market", |source| source.markets == ["ETH-USD"]).await;
        assert_eq!(absent(&source), [(PAIR, why)]);
        assert!(stage.contribution(tongue, PAIR).await.is_none(), "{tongue:?} has no quote of it any more");
    }
    eventually("three are left", async || (stage.price(PAIR).await.source_count == 3).then_some(())).await;
    assert_eq!(stage.price("ETH-USD").await.source_count, 5);
    for tongue in [Okx, Bybit] {
        let mut known = stage.venue(tongue).state();
        (known.unlisted, known.suspended) = Default::default();
    }
    for tongue in [Okx, Bybit] {
        stage.until(tongue, "has it again", |source| source.absent_markets.is_empty()).await;
    }
    stage.whole().await;
    // What the two traded while they were not listened to is not asked for.
    stage.untouched(&[Gate, Kraken, Coinbase]).await;
    stage.stop(&[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_empty_or_an_error_takes_no_market_away() {
    let stage = Stage::set(&[("FEED__REFRESH_MARKETS", "200ms")]).await;
    for body in [Coinbase.listing(&[]), Coinbase.answers_wrong().to_owned(), "<html>".to_owned()] {
        let venue = stage.venue(Coinbase);
        let asked = venue.state().questions.len();
        venue.state().rest_instead = Some((200, "", body));
        eventually("it is asked again and again", async || {
            (venue.state().questions.len() > asked + 1).then_some(())
        })
        .await;
        let source = stage.until(Coinbase, "tells the error", |source| !source.last_error.is_empty()).await;
        assert_eq!(source.markets, [PAIR]);
        assert!(source.absent_markets.is_empty(), "{source:#?}");
    }
    stage.venue(Coinbase).state().rest_instead = None;
    stage.well(&[], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_no_venue_lists_is_a_warning_of_readiness() {
    let stage = Stage::starting(&TONGUES, &[PAIR, "NOPE-USD"], &[], |venue| {
        venue.state().unlisted.insert("NOPE-USD");
    })
    .await;
    for tongue in TONGUES {
        let source = stage.until(tongue, "lacks it", |source| !source.absent_markets.is_empty()).await;
        assert_eq!(absent(&source), [("NOPE-USD", "not listed")]);
    }
    stage.whole().await;
    let ready = stage.get("/readyz").await;
    assert_eq!(ready["ready"], true);
    let warned = serde_json::json!([{"reason": "PAIR_NOT_LISTED", "pair": "NOPE-USD"}]);
    assert_eq!(ready["warnings"], warned, "{ready}");
    stage.well(&[], &[Live]).await;
}
