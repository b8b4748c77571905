//! What happens to rows when there is no room, and to candles when the clock jumps.

use cryptoprice::{
    domain::{
        candle::market::Policy,
        trade::{Side, Trade},
        venue::MarketKind,
    },
    pipeline::{
        aggregator::Markets,
        candles::{CandleBook, hub::CandleHub},
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
async fn a_clock_that_jumps_makes_no_candle_twice_and_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(store_options(sqlite(folder.path()), Origin::Live)));
    store.check().await.unwrap();
    let historian = historian(&store, folder.path(), 1 << 24);
    let (inbox, shutdown) = (historian.inbox(), CancellationToken::new());
    let running = tokio::spawn(historian.run(shutdown.clone()));
    let hub = CandleHub::new(Some(inbox.clone()));
    let mut book = CandleBook::new(Policy::default(), Markets::Configured([BTC_USD].into()), start());
    book.connected(KRAKEN, BTC_USD, start());
    let mut trades = 0_u32;
    let mut minute_of = async |from: DateTime<Utc>| {
        for second in 0..60 {
            let time = from + TimeDelta::seconds(second);
            trades += 1;
            let trade = Trade {
                id: Some(trades.to_string()),
                count: 1,
                price: Decimal::from(60_000),
                amount: Decimal::ONE,
                side: Side::Buy,
                time,
            };
            book.trade(KRAKEN, (BTC_USD, MarketKind::Spot), &trade, false, time);
            hub.publish(book.tick(time));
            // An hour is a lot at once: it is not the room in memory that is tested here.
            while inbox.len() > 1_000 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    minute_of(start()).await;
    // An hour ahead, then back by half of one, which is not followed, then on.
    minute_of(start() + TimeDelta::hours(1)).await;
    minute_of(start() + TimeDelta::minutes(30)).await;
    for minute in 2..10 {
        minute_of(start() + TimeDelta::minutes(60 + minute)).await;
    }
    shutdown.cancel();
    running.await.unwrap();
    drain(&store, folder.path()).await;
    let candles = stored(&store, SECONDS).await;
    assert_eq!(holes(&candles), []);
    assert_eq!(candles[0].open_time, start());
    let trade_sum: u64 = candles.iter().map(|candle| candle.trade_count).sum();
    // What is too late is refused; all others are there once, but for the last that are not final.
    assert!((595..=660).contains(&trade_sum), "{trade_sum}");
    let minutes = stored(&store, Series { interval: Interval::Minute, ..SECONDS }).await;
    assert_eq!(holes(&minutes), []);
    for minute in minutes {
        let range = minute.open_time..minute.close_time();
        let of_seconds: u64 =
            candles.iter().filter(|c| range.contains(&c.open_time)).map(|c| c.trade_count).sum();
        assert_eq!(minute.trade_count, of_seconds, "{}", minute.open_time);
    }
}
