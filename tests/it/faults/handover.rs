//! Connections that others take over from, while the venue makes that hard.

use cryptoprice::client::v1::{PriceStatus::Live, Source};

use super::{
    line::Said,
    stage::{PAIR, Stage},
    tongue::Tongue::{self, Kraken, Okx},
};
use crate::harness::eventually;

const MARKETS: [&str; 3] = [PAIR, "ETH-USD", "SOL-USD"];

/// Stops trading, and sees that each trade that the venue told was counted once, and none was asked for.
async fn counted(stage: &Stage, tongue: Tongue) {
    stage.course.stop();
    let (told, copies) = stage.venue(tongue).told();
    let what = format!("has told of {told} trades, {copies} of them twice");
    let counted =
        |source: &Source| (source.trade_count + source.snapshot_trade_count, source.duplicate_count);
    let source = stage.until(tongue, &what, |source| counted(source) == (told, copies)).await;
    assert_eq!((source.gap_count, source.malformed_count), (0, 0), "{source:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_that_is_subscribed_late_on_the_next_connection_is_heard_on_the_old_one() {
    let stage = Stage::with(&MARKETS, &[("FEED__ROTATE_AFTER", "6s")]).await;
    let venue = stage.venue(Kraken);
    venue.state().refused.insert("ETH-USD");
    eventually("another connection is made", async || (venue.standing() == 2).then_some(())).await;
    // The two others speak on it at once, and all three go on being told by the old one.
    let (told, copies) = venue.told_of(PAIR);
    eventually("both are heard", async || (venue.told_of(PAIR).1 > copies + 10).then_some(())).await;
    assert_eq!(venue.standing(), 2, "the old one is needed yet");
    assert!(venue.told_of(PAIR).0 > told);
    assert_eq!(venue.told_of("ETH-USD").1, 0, "one of them does not bring it");
    let asked = |(_, asked): &(_, String)| asked.contains("/Ticker?pair=ETHUSD");
    assert!(!venue.state().questions.iter().any(asked), "nor has REST to speak for it");
    // It is subscribed again by itself.
    venue.state().refused.clear();
    eventually("the old one is left", async || (venue.standing() == 1).then_some(())).await;
    assert_eq!(venue.handshakes(), 2);
    counted(&stage, Kraken).await;
    stage.stop(&[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_end_is_announced_is_taken_over_from_before_it_comes() {
    let stage = Stage::with(&MARKETS, &[]).await;
    let venue = stage.venue(Okx);
    let notice = r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"a4d3ae55"}"#;
    venue.say(&Said::Text(notice.to_owned()));
    eventually("another is made", async || (venue.handshakes() == 2).then_some(())).await;
    eventually("the old one is left", async || (venue.standing() == 1).then_some(())).await;
    // The notice was for the old one alone: six frames come in a tenth of a second, and another would be made within two seconds.
    let seen = stage.source(Okx).await.frame_count;
    stage.until(Okx, "goes on", |source| source.frame_count > seen + 180).await;
    assert_eq!((venue.handshakes(), venue.standing()), (2, 1));
    counted(&stage, Okx).await;
    stage.stop(&[Live]).await;
}
