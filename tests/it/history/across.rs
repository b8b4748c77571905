//! Across a restart.

use std::collections::BTreeMap;

use cryptoprice::{
    app::Mode,
    domain::{
        candle::{market::Policy, news::Teller, roll_up::roll_up},
        price::{Cursor, Status},
    },
    pipeline::{
        aggregator::Markets,
        candles::CandleBook,
        historian::{
            restore::restore,
            upkeep::{Upkeep, UpkeepOptions},
        },
    },
};

use super::*;
use crate::{harness::Running, store::server};

/// The simulated market, without its trouble, with its history in a file.
async fn demo(url: &str) -> Running {
    let mode = Mode::Demo { seed: 7, trouble: false };
    let settings = [("CRYPTOPRICE__STORE__URL", url), ("CRYPTOPRICE__HISTORY__FLUSH", "200ms")];
    Running::start(mode, &settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_second_and_the_prices_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let location = sqlite(folder.path());
    let url = location.to_string();
    let options = store_options(location, Origin::Simulated);
    let mut ends = Vec::new();
    for round in 1..=2 {
        let running = demo(&url).await;
        let store = Store::open(options.clone());
        let already = if round == 1 { 0 } else { stored(&store, SECONDS).await.len() };
        eventually("some seconds are stored", async || {
            (stored(&store, SECONDS).await.len() >= already + 4).then_some(())
        })
        .await;
        // What is known now must be there afterwards.
        let answer = eventually("BTC-USD is LIVE", async || {
            let price = running.get("/v1/prices/BTC-USD").await.1["price"].take();
            (price["status"] == "PRICE_STATUS_LIVE").then_some(price)
        })
        .await;
        running.stop().await;
        ends.push((answer, stored(&store, SECONDS).await.last().unwrap().close_time()));
    }
    let store = Store::open(options);
    let candles = stored(&store, SECONDS).await;
    let holes = holes(&candles);
    // Where it was down for less than a second, that one is there, and covered in part.
    let down = ends[0].1;
    assert!(holes.iter().all(|hole| hole.start == down), "{holes:?} but it was down from {down}");
    let partly = candles.iter().any(|candle| candle.open_time == down && candle.coverage < Decimal::ONE);
    assert!(holes.len() == 1 || partly, "it was down from {down}");
    assert!(candles.iter().any(|candle| candle.trade_count > 0));
    assert!(candles.iter().all(|candle| candle.state == CandleState::Final), "{candles:?}");
    for (answer, _) in ends {
        let time: DateTime<Utc> = answer["aggregateTime"].as_str().unwrap().parse().unwrap();
        let point = store.price_at(BTC_USD, time, None).await.unwrap().unwrap().point;
        let (then, stamp) = (point.price, point.stamp);
        assert_eq!(then.status, Status::Live, "{then:?} {answer}");
        // It is the last that was recorded by then: no answer stands between it and the next one but what came in a second.
        let number = |key: &str| answer[key].as_str().unwrap().parse().unwrap();
        let answered = Cursor { epoch: number("epoch"), sequence: number("sequence") };
        let mut next = None;
        for tenth in 1..600 {
            let later = time + TimeDelta::milliseconds(100 * tenth);
            let found = store.price_at(BTC_USD, later, None).await.unwrap().unwrap().point;
            next = Some(found.stamp).filter(|found| *found != stamp);
            if next.is_some() {
                break;
            }
        }
        assert!(then.source_count >= 1);
        // Where nothing follows, it is the last word of the program.
        let between =
            next.map_or(answered == stamp.cursor, |next| (stamp.cursor..next.cursor).contains(&answered));
        assert!(between, "{answered:?} is not between {stamp:?} and {next:?}");
    }
}

#[tokio::test]
async fn longer_candles_go_on_with_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(store_options(sqlite(folder.path()), Origin::Live)));
    // Wednesday. Of the third hour there is no candle, as the program was killed: there are its minutes.
    let time = |text: &str| format!("2026-11-25T{text}Z").parse::<DateTime<Utc>>().unwrap();
    let of = |interval| Series { interval, ..SECONDS };
    let mut known = Vec::new();
    for day in [23, 24] {
        known.push(candle(of(Interval::Day), format!("2026-11-{day}T00:00:00Z").parse().unwrap(), 1));
    }
    for text in ["00:00:00", "01:00:00", "03:00:00"] {
        known.push(candle(of(Interval::Hour), time(text), 2));
    }
    for text in ["02:58:00", "02:59:00", "04:00:00", "04:01:00"] {
        known.push(candle(of(Interval::Minute), time(text), 3));
    }
    for text in ["02:59:30", "04:02:00", "04:02:01"] {
        known.push(candle(SECONDS, time(text), 4));
    }
    // What is said twice must not count twice.
    known.push(candle(of(Interval::Hour), "2026-11-24T05:00:00Z".parse().unwrap(), 5));
    store.write_candles(&known, start()).await.unwrap();

    let now = time("04:02:05");
    let mut book = CandleBook::new(Policy::default(), Markets::Configured([BTC_USD].into()), now);
    book.want(KRAKEN, [BTC_USD], now);
    let status = historian(&store, folder.path(), 1 << 20).status();
    restore(&store, &status, &mut book, now, Duration::from_secs(10)).await;
    for (interval, trades) in [
        (Interval::Minute, 2),
        (Interval::Hour, 4),
        (Interval::FourHours, 4),
        (Interval::Day, 3 + 2 + 4),
        (Interval::Week, 2 + 9),
    ] {
        let forming = book.forming(BTC_USD, Some(KRAKEN), interval).unwrap();
        assert_eq!(forming.trade_count, trades, "{interval}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_goes_and_what_a_killed_program_did_not_close_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut places = vec![sqlite(folder.path())];
    if let Some(url) = server::database("history: upkeep").await {
        places.push(Location::parse(&url).unwrap());
    }
    for location in places {
        let store = Arc::new(Store::open(store_options(location, Origin::Live)));
        store.migrate().await.unwrap();
        let now = start() + TimeDelta::hours(30);
        // Of the last two minutes before the start there are seconds alone; the hour before that is old.
        let last = Interval::Minute.open_time(now) - TimeDelta::minutes(2);
        let of =
            |from: DateTime<Utc>| (0..90).map(move |at| candle(SECONDS, from + TimeDelta::seconds(at), at));
        let fresh: Vec<_> = of(last).collect();
        let old: Vec<_> = of(now - TimeDelta::hours(26)).collect();
        store.write_candles(&[fresh.clone(), old].concat(), now).await.unwrap();

        let options = UpkeepOptions {
            candles: [(Interval::Second, TimeDelta::hours(24))].into(),
            prices: Some(TimeDelta::hours(24)),
            every: Duration::from_millis(200),
            batch: 7,
        };
        let status = historian(&store, folder.path(), 1 << 20).status();
        let shutdown = CancellationToken::new();
        // Two instances do not hinder each other.
        let both: Vec<_> = (0..2)
            .map(|_| {
                let clock = Clock::standing_at(now);
                let upkeep = Upkeep::new(options.clone(), Arc::clone(&store), status.clone(), clock);
                tokio::spawn(upkeep.run(shutdown.clone()))
            })
            .collect();
        let minutes = Series { interval: Interval::Minute, ..SECONDS };
        eventually("minutes are made and old seconds are gone", async || {
            let made = stored(&store, minutes).await.len();
            let days = stored(&store, Series { interval: Interval::Day, ..SECONDS }).await;
            (made == 4 && days.len() == 1 && stored(&store, SECONDS).await.len() == 90).then_some(())
        })
        .await;
        shutdown.cancel();
        for task in both {
            task.await.unwrap();
        }
        // Those of the old seconds were made before these went.
        let made = stored(&store, minutes).await.split_off(2);
        assert_eq!(made[0], roll_up(&fresh[..60], Interval::Minute).unwrap());
        assert_eq!(made[1], roll_up(&fresh[60..], Interval::Minute).unwrap());
        assert_eq!(made[1].coverage, Decimal::new(5, 1));
        // The day of the old seconds is over, and has them; the one of the fresh ones is left to those who hear the rest.
        let days = stored(&store, Series { interval: Interval::Day, ..SECONDS }).await;
        assert_eq!(days.iter().map(|day| day.trade_count).collect::<Vec<_>>(), [90]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_filled_in_reaches_candles_that_close_later() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(store_options(sqlite(folder.path()), Origin::Live)));
    store.migrate().await.unwrap();
    let of = |interval| Series { interval, ..SECONDS };
    let minute = |minute| start() + TimeDelta::minutes(minute);
    // Of every other of the first five minutes there are three hundred spans of which nothing can be made.
    let from = minute(-5 * 600);
    let holes: Vec<_> = (0..300)
        .map(|at| candle(of(Interval::FiveMinutes), from + TimeDelta::minutes(10 * at), at))
        .collect();
    // The third minute was listened to in half, and the longer candles closed without the rest.
    let part = |candle: Candle| Candle { coverage: Decimal::new(9, 1), ..candle };
    let live: Vec<_> = (0..15)
        .map(|at| candle(of(Interval::Minute), minute(at), at))
        .map(|candle| if candle.open_time == minute(2) { part(candle) } else { candle })
        .collect();
    let closed = [Interval::FiveMinutes, Interval::QuarterHour].map(|it| part(candle(of(it), minute(0), 1)));
    store.write_candles(&[holes, live.clone(), closed.to_vec()].concat(), start()).await.unwrap();
    let told = Candle { maker: CandleMaker::Venue, coverage: Decimal::ONE, ..live[2].clone() };
    store.revise_candles(&[told], Teller::Maker, start()).await.unwrap();

    let options = UpkeepOptions {
        candles: BTreeMap::new(),
        prices: None,
        every: Duration::from_millis(100),
        batch: 100,
    };
    let clock = Clock::standing_at(minute(7));
    let status = historian(&store, folder.path(), 1 << 20).status();
    let shutdown = CancellationToken::new();
    let upkeep = Upkeep::new(options, Arc::clone(&store), status, clock.clone());
    let running = tokio::spawn(upkeep.run(shutdown.clone()));
    let newest = async |interval| stored(&store, of(interval)).await.pop().unwrap();
    eventually("five minutes are whole", async || {
        (newest(Interval::FiveMinutes).await.coverage == Decimal::ONE).then_some(())
    })
    .await;
    let five = newest(Interval::FiveMinutes).await;
    assert_eq!((five.state, five.revision, five.trade_count), (CandleState::Restated, 1, 5));
    // A quarter of an hour is not over yet; once it is, it gets the same.
    assert_eq!(newest(Interval::QuarterHour).await, closed[1]);
    clock.advance_to(minute(17));
    eventually("a quarter of an hour is whole", async || {
        (newest(Interval::QuarterHour).await.coverage == Decimal::ONE).then_some(())
    })
    .await;
    assert_eq!(newest(Interval::QuarterHour).await.trade_count, 15);
    shutdown.cancel();
    running.await.unwrap();
}
