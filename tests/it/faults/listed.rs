//! A venue that lists markets by name alone, and tells of each by itself whether it is traded.

use cryptoprice::client::v1::PriceStatus::Live;

use super::{
    stage::{PAIR, Stage, TONGUES},
    tongue::Tongue::{self, Gemini},
};
use crate::harness::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_market_that_is_listed_and_takes_no_orders_is_absent_until_it_opens() {
    let tongues: Vec<Tongue> = TONGUES.into_iter().chain([Gemini]).collect();
    let settings = [("FEED__REFRESH_MARKETS", "300ms")];
    let stage = Stage::starting(&tongues, &[PAIR, "ETH-USD"], &settings, |venue| {
        if venue.tongue == Gemini {
            venue.state().suspended.insert("ETH-USD");
        }
    })
    .await;
    let source = stage.until(Gemini, "has one market only", |source| source.markets == [PAIR]).await;
    let absent: Vec<_> =
        source.absent_markets.iter().map(|absent| (&*absent.market, &*absent.reason)).collect();
    assert_eq!(absent, [("ETH-USD", "not traded: post_only")]);
    assert!(source.last_error.is_empty(), "{source:#?}");
    stage.priced_by(PAIR, 6).await;
    stage.priced_by("ETH-USD", 5).await;
    // Each list begins anew, and does not bring it back.
    let lists = || {
        let known = stage.venue(Gemini).state();
        known.questions.iter().filter(|(_, asked)| asked == "/v1/symbols").count()
    };
    let before = lists();
    eventually("the list is read again", async || (lists() > before + 2).then_some(())).await;
    assert_eq!(stage.source(Gemini).await.markets, [PAIR]);
    stage.venue(Gemini).state().suspended.clear();
    stage.until(Gemini, "has both", |source| source.absent_markets.is_empty()).await;
    stage.priced_by("ETH-USD", 6).await;
    stage.whole().await;
    // What was traded before it opened was never listened to.
    stage.stop(&[Live]).await;
}
