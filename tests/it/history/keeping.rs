//! What happens to rows when there is no room, and to candles when the clock jumps.

use std::collections::BTreeMap;

use cryptoprice::{
    domain::{
        candle::market::Policy,
        trade::{Side, Trade},
        venue::MarketKind,
    },
    feed::delivery::{Delivery, DeliveryKind},
    pipeline::{
        aggregator::Markets,
        candles::hub::CandleHub,
        chronicle::Chronicle,
        historian::upkeep::{Upkeep, UpkeepOptions},
    },
};

use super::*;
use crate::store::faults::Holder;

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_room_on_the_disk_is_counted_and_the_newest_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(store_options(sqlite(folder.path()), Origin::Live)));
    store.check().await.unwrap();
    let historian = historian(&store, folder.path(), 65_536);
    let (inbox, status, shutdown) = (historian.inbox(), historian.status(), CancellationToken::new());
    let running = tokio::spawn(historian.run(shutdown.clone()));
    let holder = Holder::held(sqlite(folder.path()), None).await;
    let mut put = 0;
    while status.lost() == 0 {
        inbox.put_candles(seconds(put..put + 500));
        put += 500;
        assert!(put < 500_000, "it is never full");
        // Fast, but so that the disk has its turn.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    eventually("the store is seen to be away", async || (!status.is_available()).then_some(())).await;
    holder.release().await;
    eventually("all that waits is written", async || {
        (status.spool_rows() == 0 && inbox.is_empty() && status.is_available()).then_some(())
    })
    .await;
    shutdown.cancel();
    running.await.unwrap();
    drain(&store, folder.path()).await;
    let candles = stored(&store, SECONDS).await;
    assert_eq!(candles.len() as u64 + status.lost(), u64::try_from(put).unwrap());
    assert_eq!(candles.last().unwrap().open_time, start() + TimeDelta::seconds(put - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_stops_while_the_store_is_away_leaves_it_all_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(store_options(sqlite(folder.path()), Origin::Live)));
    store.check().await.unwrap();
    let holder = Holder::held(sqlite(folder.path()), None).await;
    let first = historian(&store, folder.path(), 1 << 20);
    first.inbox().put_candles(seconds(0..1_234));
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    first.run(shutdown).await;
    holder.release().await;

    let next = historian(&store, folder.path(), 1 << 20);
    assert_eq!(next.status().spool_rows(), 1_234);
    drop(next);
    drain(&store, folder.path()).await;
    assert_eq!(stored(&store, SECONDS).await, seconds(0..1_234));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_known_since_it_was_told_however_late_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(store_options(sqlite(folder.path()), Origin::Live)));
    store.check().await.unwrap();
    let clock = Clock::standing_at(start());
    let options = historian_options(folder.path(), 1 << 20);
    let historian = Historian::new(options, Arc::clone(&store), clock.clone()).unwrap();
    let (inbox, status, shutdown) = (historian.inbox(), historian.status(), CancellationToken::new());
    let holder = Holder::held(sqlite(folder.path()), None).await;
    let running = tokio::spawn(historian.run(shutdown.clone()));
    inbox.put_candles(seconds(0..5));
    eventually("they wait on the disk", async || (status.spool_rows() == 5).then_some(())).await;
    clock.advance_to(start() + TimeDelta::minutes(30));
    inbox.put_candles(seconds(5..6));
    holder.release().await;
    eventually("all are written", async || (stored(&store, SECONDS).await.len() == 6).then_some(())).await;
    for (minute, known) in [(-1, 0), (0, 5), (29, 5), (30, 6)] {
        let query = CandleQuery {
            series: SECONDS,
            from: start(),
            to: start() + TimeDelta::hours(1),
            descending: false,
            limit: 10,
            after: None,
            known_by: Some(start() + TimeDelta::minutes(minute)),
        };
        assert_eq!(store.list_candles(&query).await.unwrap().len(), known, "{minute}");
    }
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_makes_no_candle_twice_and_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(store_options(sqlite(folder.path()), Origin::Live)));
    store.check().await.unwrap();
    let historian = historian(&store, folder.path(), 1 << 24);
    let (inbox, shutdown) = (historian.inbox(), CancellationToken::new());
    let running = tokio::spawn(historian.run(shutdown.clone()));
    let hub = CandleHub::new(Some(inbox.clone()));
    let markets = Markets::Configured([BTC_USD].into());
    let mut chronicle =
        Chronicle::new(Policy::default(), markets, [(KRAKEN, vec![BTC_USD])], hub, None, start());
    let hear = |chronicle: &mut Chronicle, receive_time, kind| {
        chronicle.hear(&Delivery { venue: KRAKEN, connection: Some(1), receive_time, kind });
    };
    hear(&mut chronicle, start(), DeliveryKind::Connected([BTC_USD].into()));
    let mut trades = 0_u32;
    let mut run = async |chronicle: &mut Chronicle, minutes: Range<i64>| {
        for second in minutes.start * 60..minutes.end * 60 {
            let time = start() + TimeDelta::seconds(second);
            trades += 1;
            let trade = Trade {
                id: Some(trades.to_string()),
                count: 1,
                price: Decimal::from(60_000),
                amount: Decimal::ONE,
                side: Side::Buy,
                time,
            };
            chronicle.tick(time);
            hear(chronicle, time, DeliveryKind::Message);
            let kind = MarketKind::Spot;
            hear(chronicle, time, DeliveryKind::Trade { market: BTC_USD, kind, trade, snapshot: false });
            // An hour is a lot at once: it is not the room in memory that is tested here.
            while inbox.len() > 1_000 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    // An hour ahead, then back by half of one, then on.
    for minutes in [0..1, 60..61, 30..31, 62..70] {
        run(&mut chronicle, minutes).await;
    }
    let end = start() + TimeDelta::minutes(70);
    chronicle.end(end);
    shutdown.cancel();
    running.await.unwrap();
    // While anything waits, nothing is made of what is there.
    let status = drain(&store, folder.path()).await;

    let candles = stored(&store, SECONDS).await;
    // But for the one second that was not over when its clock went back.
    let expected: Vec<i64> =
        [0..60, 1_800..1_860, 3_600..3_659, 3_720..4_200].into_iter().flatten().collect();
    let opened: Vec<i64> = candles.iter().map(|candle| (candle.open_time - start()).num_seconds()).collect();
    assert_eq!(opened, expected);
    assert!(candles.iter().all(|candle| candle.trade_count == 1));

    // What closed while the clock was wrong is made of the seconds that are there.
    let options = UpkeepOptions {
        candles: BTreeMap::new(),
        prices: None,
        every: Duration::from_millis(100),
        batch: 100,
    };
    let clock = Clock::standing_at(end + TimeDelta::minutes(2));
    let upkeep = Upkeep::new(options, Arc::clone(&store), status, clock);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(upkeep.run(shutdown.clone()));
    let minutes = Series { interval: Interval::Minute, ..SECONDS };
    let sum = async || stored(&store, minutes).await.iter().map(|minute| minute.trade_count).sum::<u64>();
    eventually("every trade is in a minute", async || (sum().await == 659).then_some(())).await;
    shutdown.cancel();
    running.await.unwrap();
    for minute in stored(&store, minutes).await {
        let range = minute.open_time..minute.close_time();
        let of_seconds = candles.iter().filter(|candle| range.contains(&candle.open_time)).count() as u64;
        assert_eq!(minute.trade_count, of_seconds, "{}", minute.open_time);
    }
}
