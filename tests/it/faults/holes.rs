//! Trades that were missed, more of them than one answer has.

use std::sync::{Arc, Mutex};

use cryptoprice::client::v1::{PriceStatus::Live, Source};

use super::{
    answers::{Answers, parameter},
    stage::{PAIR, Stage, TONGUES},
    tongue::{
        Deal,
        Tongue::{self, Bybit, Kraken},
        decimal,
    },
};

const MIDDLE: i64 = 6_000_000;

/// Has so many trades missed while the stream of a venue is down, and gives what was known of it before.
async fn miss(stage: &Stage, tongue: Tongue, count: usize, known: impl Fn(Deal)) -> Source {
    let venue = stage.venue(tongue);
    stage.course.stop();
    known(venue.deal(PAIR, MIDDLE));
    let told = venue.told().0;
    // Some tell the last ones to who subscribes.
    let whole = |source: &Source| source.trade_count + source.snapshot_trade_count == told;
    let before = stage.until(tongue, "has told all", whole).await;
    venue.refuse_sockets();
    stage.until(tongue, "is down", |source| source.connection_count == 0).await;
    for _ in 0..count {
        known(venue.deal(PAIR, MIDDLE));
    }
    venue.state().instead = None;
    before
}

/// Answers as Kraken does: the oldest thousand after a moment.
fn kraken(target: &str, deals: &[Deal]) -> String {
    if target.starts_with("/AssetPairs") {
        return r#"{"error":[],"result":{"XBTUSD":{"wsname":"XBT/USD","status":"online"}}}"#.to_owned();
    }
    let Some(since) = parameter(target, "since") else {
        return r#"{"error":["EGeneral:Internal error"]}"#.to_owned();
    };
    let since: i64 = since.parse().unwrap();
    let after = deals.iter().filter(|deal| deal.time.timestamp_nanos_opt().unwrap() > since);
    let row = |deal: &Deal| {
        let (seconds, nanos) = (deal.time.timestamp(), deal.time.timestamp_subsec_nanos());
        format!(r#"["{}","0.5",{seconds}.{nanos:09},"b","m","",{}]"#, decimal(deal.price), deal.id)
    };
    let rows: Vec<String> = after.take(1_000).map(row).collect();
    format!(r#"{{"error":[],"result":{{"XXBTZUSD":[{}],"last":"1"}}}}"#, rows.join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn more_trades_than_one_answer_has_are_asked_for_page_by_page() {
    let deals: Arc<Mutex<Vec<Deal>>> = Arc::default();
    let all = Arc::clone(&deals);
    let rest = Answers::open(move |target| kraken(target, &all.lock().unwrap())).await;
    let settings = [("VENUES__KRAKEN__REST_URL", rest.url.as_str()), ("FEED__POLL_AFTER", "1h")];
    let stage = Stage::starting(&TONGUES, &[PAIR], &settings, |_| ()).await;
    stage.begun().await;
    let before = miss(&stage, Kraken, 2_500, |deal| deals.lock().unwrap().push(deal)).await;
    let source = stage
        .until(Kraken, "has told all that were missed", |source| {
            source.snapshot_trade_count >= before.snapshot_trade_count + 2_500
        })
        .await;
    assert_eq!(source.trade_count, before.trade_count, "what was missed is of the past");
    assert_eq!((source.gap_count, rest.asked("/Trades").len()), (0, 3));
    stage.well(&[Kraken], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_further_back_than_a_venue_tells_is_said_and_counted() {
    let stage = Stage::set(&[]).await;
    let before = miss(&stage, Bybit, 200, drop).await;
    let source = stage.until(Bybit, "has a gap", |source| source.gap_count > 0).await;
    assert_eq!((source.gap_count, source.snapshot_trade_count), (1, before.snapshot_trade_count + 60));
    assert!(source.last_error.contains("trades of BTC-USD"), "{}", source.last_error);
    let counted = stage.metrics().await.0;
    assert!(counted.contains("cryptoprice_source_gaps_total{source=\"bybit\"} 1"), "{counted}");
    stage.whole().await;
    stage.stop(&[Live]).await;
}
