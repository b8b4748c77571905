//! A venue whose quotes tell no time, and come late.

use chrono::TimeDelta;
use cryptoprice::client::v1::{PriceStatus::Live, QuoteVerdict};

use super::{
    stage::{PAIR, Stage, TONGUES},
    tongue::Tongue::{self, Gemini},
};
use crate::harness::eventually;

const LATE: TimeDelta = TimeDelta::seconds(90);

/// Has the usual five venues, and one whose quotes tell no time.
async fn with_gemini(prepare: impl Fn(&super::venue::Venue)) -> Stage {
    let tongues: Vec<Tongue> = TONGUES.into_iter().chain([Gemini]).collect();
    Stage::starting(&tongues, &[PAIR], &[], |venue| {
        if venue.tongue == Gemini {
            prepare(venue);
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_comes_late_has_no_vote_until_it_has_caught_up() {
    let stage = with_gemini(|_| ()).await;
    stage.begun().await;
    let venue = stage.venue(Gemini);
    venue.state().late = LATE;
    let said = stage.until_judged(Gemini, QuoteVerdict::Stale).await;
    assert_eq!(said.weight, "0");
    eventually("the others price the pair", async || {
        let price = stage.price(PAIR).await;
        (price.status() == Live && price.source_count == 5).then_some(())
    })
    .await;
    venue.state().late = TimeDelta::zero();
    stage.until_judged(Gemini, QuoteVerdict::Used).await;
    stage.priced_by(PAIR, 6).await;
    assert_eq!(venue.handshakes(), 1, "on the same connection");
    stage.stop(&[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_a_little_late_is_as_old_as_it_is() {
    let stage = with_gemini(|_| ()).await;
    stage.begun().await;
    stage.venue(Gemini).state().late = TimeDelta::seconds(2);
    eventually("it is two seconds old", async || {
        let said = stage.contribution(Gemini, PAIR).await?;
        assert_eq!(said.verdict(), QuoteVerdict::Used);
        (said.age?.seconds >= 2).then_some(())
    })
    .await;
    stage.stop(&[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_late_from_the_start_has_no_vote() {
    let stage = with_gemini(|venue| venue.state().late = LATE).await;
    stage.until_judged(Gemini, QuoteVerdict::Stale).await;
    stage.priced_by(PAIR, 5).await;
    stage.stop(&[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_slow_is_no_lag_where_the_venue_tells_what_it_shows() {
    let stage = with_gemini(|venue| venue.state().skew = -LATE).await;
    // As many trades as there are in eight seconds: by then its quotes would be stale, were they as late as trades look.
    let source = stage.until(Gemini, "has told of 80 trades", |source| source.trade_count >= 80).await;
    let offset = source.clock_offset.unwrap().seconds;
    assert!((-100..=-90).contains(&offset), "{offset}");
    let said = stage.contribution(Gemini, PAIR).await.unwrap();
    assert_eq!(said.verdict(), QuoteVerdict::Used, "{said:#?}");
    stage.priced_by(PAIR, 6).await;
    stage.stop(&[Live]).await;
}
