//! REST in the place of a stream, and REST that fails.

use std::time::{Duration, Instant};

use cryptoprice::client::v1::{PriceStatus::Live, QuoteVerdict, SourceState};

use super::{
    stage::{PAIR, Stage},
    tongue::Tongue::{Bybit, Coinbase, Gate, Kraken},
    venue::Venue,
};
use crate::harness::eventually;

/// Lists when it was asked how a market stands.
fn tickers(venue: &Venue) -> Vec<Instant> {
    let state = venue.state();
    let asked = state.questions.iter().filter(|(_, target)| target.contains("icker"));
    asked.map(|(when, _)| *when).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_stream_is_down_rest_keeps_the_price_fresh_and_then_the_stream_is_back() {
    let stage = Stage::set(&[("AGGREGATION__MAX_AGE", "3s")]).await;
    let venue = stage.venue(Gate);
    venue.refuse_sockets();
    let source = stage.until(Gate, "is polled", |source| source.polled_market_count == 1).await;
    assert_eq!(source.state(), SourceState::Connecting);
    // For longer than a quote may be old.
    let asked = tickers(venue).len();
    eventually("it is asked again and again", async || (tickers(venue).len() > asked + 15).then_some(()))
        .await;
    let said = stage.until_judged(Gate, QuoteVerdict::Used).await;
    assert!(said.age.is_some_and(|age| age.seconds < 3), "{said:?}");
    let source = stage.source(Gate).await;
    assert!(source.state_reason.contains("over REST meanwhile"), "{}", source.state_reason);
    venue.state().instead = None;
    stage.whole().await;
    stage.well(&[Gate], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_stay_within_the_budget() {
    // One a second, of which a quarter of a minute's may be asked at once.
    let settings = [("VENUES__BYBIT__REQUESTS_PER_MINUTE", "60"), ("FEED__POLL_EVERY", "50ms")];
    let stage = Stage::set(&settings).await;
    let venue = stage.venue(Bybit);
    venue.refuse_sockets();
    eventually("what may be asked at once is asked", async || (tickers(venue).len() >= 16).then_some(()))
        .await;
    let asked = tickers(venue);
    let (first, last) = (asked[0], asked[asked.len() - 1]);
    let allowed = 15 + usize::try_from((last - first).as_secs()).unwrap() + 2;
    assert!(asked.len() <= allowed, "{} in {:?}", asked.len(), last - first);
    venue.state().instead = None;
    stage.whole().await;
    stage.well(&[Bybit], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_wants_not_to_be_asked_for_a_while_is_not() {
    let stage = Stage::set(&[]).await;
    let venue = stage.venue(Kraken);
    venue.state().rest_instead = Some((429, "retry-after: 2\r\n", String::new()));
    venue.refuse_sockets();
    let source =
        stage.until(Kraken, "is told to wait", |source| source.last_error.contains("left alone")).await;
    assert_eq!(source.polled_market_count, 0, "REST says nothing");
    venue.state().rest_instead = None;
    stage.until(Kraken, "is polled", |source| source.polled_market_count == 1).await;
    let asked = tickers(venue);
    assert!(asked[1] - asked[0] >= Duration::from_secs(2), "{:?}", asked[1] - asked[0]);
    venue.state().instead = None;
    stage.whole().await;
    stage.well(&[Kraken], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none_are_told_and_asked_for_again() {
    let stage = Stage::set(&[]).await;
    let venue = stage.venue(Coinbase);
    venue.state().rest_instead = Some((200, "", Coinbase.answers_wrong().to_owned()));
    venue.refuse_sockets();
    let page = "<html><body>Checking your browser</body></html>".to_owned();
    let answers = [
        ((200, "", Coinbase.answers_wrong().to_owned()), "busy"),
        ((200, "content-type: text/html\r\n", page), "unexpected JSON"),
        ((200, "", "{\"trades\":[],\"best_b".to_owned()), "unexpected JSON"),
        ((500, "", String::new()), "500"),
    ];
    for (answer, words) in answers {
        venue.state().rest_instead = Some(answer);
        let source = stage.until(Coinbase, words, |source| source.last_error.contains(words)).await;
        assert_eq!((source.polled_market_count, source.malformed_count), (0, 0));
    }
    venue.state().rest_instead = None;
    stage.until(Coinbase, "is polled", |source| source.polled_market_count == 1).await;
    assert_eq!(stage.price(PAIR).await.status(), Live);
    venue.state().instead = None;
    stage.whole().await;
    stage.well(&[Coinbase], &[Live]).await;
}
