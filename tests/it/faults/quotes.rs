//! Quotes that are there and should not count.

use std::sync::atomic::Ordering::Relaxed;

use chrono::TimeDelta;
use cryptoprice::client::v1::{
    PriceStatus::{Degraded, Live},
    QuoteVerdict, Source,
};

use super::{
    stage::{PAIR, Stage},
    tongue::{
        Quote,
        Tongue::{self, Bybit, Coinbase, Gate, Kraken, Okx},
    },
};
use crate::harness::eventually;

const MIDDLE: i64 = 6_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_crossed_book_has_no_vote_until_it_is_mended() {
    let stage = Stage::set(&[]).await;
    for quote in [Quote { bid: MIDDLE + 100, ask: MIDDLE }, Quote { bid: MIDDLE, ask: MIDDLE }] {
        stage.venue(Gate).state().stuck = Some(quote);
        let said = stage.until_judged(Gate, QuoteVerdict::Crossed).await;
        assert_eq!(said.weight, "0");
        assert_eq!(stage.price(PAIR).await.source_count, 4);
        stage.venue(Gate).state().stuck = None;
        stage.until_judged(Gate, QuoteVerdict::Used).await;
    }
    stage.well(&[], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_quotes_lose_their_vote_and_get_it_back_when_they_move() {
    let settings = [("AGGREGATION__FROZEN_AFTER", "500ms"), ("AGGREGATION__OUTLIER_FLOOR_BPS", "500")];
    let stage = Stage::set(&settings).await;
    stage.venue(Kraken).state().stuck = Some(Quote { bid: MIDDLE, ask: MIDDLE + 100 });
    stage.until_judged(Kraken, QuoteVerdict::Used).await;
    // The others move on by half a hundredth, in steps.
    for step in 1..=6 {
        stage.course.middle.store(MIDDLE + step * 5_000, Relaxed);
        stage.until_quoted(Gate, MIDDLE + step * 5_000).await;
    }
    stage.until_judged(Kraken, QuoteVerdict::Frozen).await;
    let source = stage.until(Kraken, "has a frozen market", |source| source.frozen_market_count == 1).await;
    assert!(source.frozen_time.is_some());
    assert_eq!(stage.price(PAIR).await.source_count, 4);
    stage.venue(Kraken).state().stuck = None;
    stage.until_judged(Kraken, QuoteVerdict::Used).await;
    stage.until(Kraken, "is not frozen", |source| source.frozen_market_count == 0).await;
    stage.well(&[], &[Live]).await;
}

/// Tells how far a clock seems to be ahead, in seconds.
fn ahead(source: &Source) -> Option<i64> {
    source.clock_offset.as_ref().map(|offset| offset.seconds)
}

/// Sets a venue's clock before the service starts, looks at what it makes of it, and sets it right again: the vote is back, and
/// all trades were counted once meanwhile.
async fn with_clock(
    tongue: Tongue,
    skew: TimeDelta,
    verdict: QuoteVerdict,
    expected: std::ops::RangeInclusive<i64>,
) {
    let stage = Stage::starting(&super::stage::TONGUES, &[PAIR], &[], |venue| {
        if venue.tongue == tongue {
            venue.state().skew = skew;
        }
    })
    .await;
    let said = stage.until_judged(tongue, verdict).await;
    let sources = u32::from(verdict == QuoteVerdict::Used) + 4;
    eventually("the others price the pair", async || {
        let price = stage.price(PAIR).await;
        (price.status() == Live && price.source_count == sources).then_some(())
    })
    .await;
    assert_eq!(said.weight == "0", verdict != QuoteVerdict::Used, "{said:#?}");
    let source = stage
        .until(tongue, &format!("is {expected:?} s ahead"), |source| {
            ahead(source).is_some_and(|seconds| expected.contains(&seconds))
        })
        .await;
    assert_eq!((source.malformed_count, source.reconnect_count), (0, 0), "{source:#?}");
    for other in super::stage::TONGUES.into_iter().filter(|other| *other != tongue) {
        stage
            .until(other, "has the right time", |source| {
                ahead(source).is_some_and(|seconds| (-5..=0).contains(&seconds))
            })
            .await;
    }
    stage.venue(tongue).state().skew = TimeDelta::zero();
    stage.until_judged(tongue, QuoteVerdict::Used).await;
    stage.well(&[tongue], &[Live, Degraded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_a_little_ahead_costs_the_vote() {
    with_clock(Okx, TimeDelta::seconds(8), QuoteVerdict::FromTheFuture, 3..=8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_far_ahead_is_told_and_not_believed() {
    with_clock(Bybit, TimeDelta::minutes(10), QuoteVerdict::Used, 590..=600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_a_minute_behind_makes_its_quotes_old() {
    with_clock(Coinbase, TimeDelta::seconds(-60), QuoteVerdict::Stale, -70..=-60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_far_behind_makes_its_quotes_old() {
    with_clock(Gate, TimeDelta::minutes(-10), QuoteVerdict::Stale, -610..=-600).await;
}
