//! Messages that are lost, come twice, or come too late.

use cryptoprice::client::v1::PriceStatus::Live;

use super::{
    line::Said,
    stage::{PAIR, Stage, TONGUES},
    tongue::Tongue::{Bybit, Coinbase, Gate, Gemini, Kraken, Okx},
    tongue::{Quote, Tongue},
};
use crate::harness::eventually;

const MIDDLE: i64 = 6_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_message_is_a_gap_and_what_was_traded_is_asked_for() {
    let stage = Stage::with(&[PAIR, "ETH-USD"], &[]).await;
    for tongue in [Coinbase, Bybit] {
        let venue = stage.venue(tongue);
        venue.deal_unheard(PAIR, MIDDLE);
        stage.until(tongue, "has a gap", |source| source.gap_count == 1).await;
        eventually("the trades are asked for", async || {
            let known = venue.state();
            let asked =
                |(_, target): &(_, String)| target.contains("limit=1000") || target.contains("recent");
            known.questions.iter().any(asked).then_some(())
        })
        .await;
        assert_eq!(venue.handshakes(), 1, "the connection stays");
    }
    // Bybit counts the messages of each market: only what was missed of that one is asked for.
    let bybit = stage.venue(Bybit);
    let asked = |market: &str| {
        let known = bybit.state();
        let wanted = format!("recent-trade?category=spot&symbol={market}");
        known.questions.iter().filter(|(_, target)| target.contains(&wanted)).count()
    };
    assert_eq!((asked("BTCUSD"), asked("ETHUSD")), (1, 0));
    stage.well(&[Coinbase, Bybit], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_book_that_cannot_be_read_has_the_market_subscribed_anew() {
    let tongues: Vec<Tongue> = TONGUES.into_iter().chain([Gemini]).collect();
    let stage = Stage::starting(&tongues, &[PAIR, "ETH-USD"], &[], |_| ()).await;
    stage.begun().await;
    let venue = stage.venue(Gemini);
    venue.say(&Said::Text(Gemini.unreadable("BTCUSD")));
    let source = stage.until(Gemini, "has a gap", |source| source.gap_count > 0).await;
    assert_eq!(source.malformed_count, 1);
    stage.whole().await;
    assert_eq!(venue.handshakes(), 1, "on the same connection");
    assert_eq!(stage.source(Gemini).await.gap_count, 1);
    stage.well(&[Gemini], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trades_that_come_twice_or_late_are_counted_as_that_and_not_doubled() {
    let stage = Stage::set(&[]).await;
    let venue = stage.venue(Okx);
    let first = venue.deal(PAIR, MIDDLE);
    let mut late = first.clone();
    for _ in 0..3 {
        venue.deal_again(PAIR, &first);
    }
    stage.until(Okx, "has trades that came twice", |source| source.duplicate_count == 3).await;
    // A trade that nobody knew, of a moment ago.
    late.id = 7;
    late.time -= chrono::TimeDelta::milliseconds(500);
    venue.deal_again(PAIR, &late);
    let source = stage.until(Okx, "has one that came late", |source| source.out_of_order_count > 0).await;
    assert_eq!((source.out_of_order_count, source.duplicate_count, source.malformed_count), (1, 3, 0));
    // A quote that is older than the last one says nothing.
    let old = chrono::Utc::now() - chrono::TimeDelta::seconds(20);
    let far = Quote { bid: MIDDLE / 2, ask: MIDDLE / 2 + 1 };
    venue.say(&Said::Text(Okx.quote(&mut super::tongue::Spoken::default(), "BTC-USD", far, old)));
    stage.until(Okx, "has a quote that came late", |source| source.out_of_order_count == 2).await;
    stage.whole().await;
    let (told, copies) = venue.told();
    assert_eq!(copies, 3);
    stage
        .until(Okx, "has each trade once", |source| source.trade_count >= told && source.duplicate_count == 3)
        .await;
    // The one that came late is a trade of its own, though the venue does not list it.
    stage.course.stop();
    let (told, _) = venue.told();
    stage.until(Okx, "has each trade once", |source| source.trade_count == told).await;
    stage.untouched(&[Gate, Kraken, Coinbase, Bybit]).await;
    stage.stop(&[Live]).await;
}
