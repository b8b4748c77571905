//! Candles of the past come from the venues: all that they have, nothing twice, and nothing that is known better.

mod command;
mod exchange;
mod service;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use cryptoprice::{
    clock::Clock,
    domain::{
        candle::{Candle, CandleMaker, CandleState, Interval, Ohlc},
        pair::Pair,
        venue::Venue,
    },
    feed::{
        rest::{RestClient, http_client},
        venues,
    },
    pipeline::backfill::{
        Backfill, BackfillError, BackfillMetrics, Filled, Job, Options, Outcome, VenueClient,
    },
    store::{
        Store,
        candles::{CandleQuery, Series},
    },
};
use rust_decimal::Decimal;

use self::exchange::{Asked, Exchange, Fault, is_traded, open, volume};
use crate::{
    harness::{eventually, provide_crypto},
    store::each,
};

const PAIR: Pair = Pair::literal("BTC", "USD");
const VENUES: [&str; 3] = ["binance", "coinbase", "kraken"];

/// A Monday, so that weeks, days and hours begin with it.
fn start() -> DateTime<Utc> {
    "2023-11-20T00:00:00Z".parse().unwrap()
}

fn at(minute: i64) -> DateTime<Utc> {
    start() + TimeDelta::minutes(minute)
}

/// The minute since 1970 that is so many minutes after the start.
fn absolute(minute: i64) -> i64 {
    at(minute).timestamp() / 60
}

fn venue(name: &str) -> Venue {
    venues::by_name(name).unwrap().venue()
}

/// Makes one that asks these venues within their own budgets, at a minute at which time stands still.
fn backfill(exchange: &Exchange, store: &Arc<Store>, names: &[&str], clock: &Clock) -> Backfill {
    provide_crypto();
    let options = Options {
        max_concurrent: 4,
        share: Decimal::ONE,
        least_coverage: Decimal::ONE,
        patience: Duration::from_secs(10),
        back_off: Duration::from_millis(5),
    };
    Backfill::new(
        Arc::clone(store),
        names.iter().map(|name| client(exchange, name)).collect(),
        listing(names),
        options,
        BackfillMetrics::new().unwrap(),
        clock.clone(),
    )
}

/// Makes what asks a venue.
fn client(exchange: &Exchange, name: &str) -> VenueClient {
    let protocol = venues::by_name(name).unwrap();
    let base = exchange.base(name);
    let client = RestClient::new(protocol.rest().unwrap(), Some(&base), http_client().unwrap());
    VenueClient { protocol, client: Arc::new(client) }
}

/// Says that these venues have the pair.
fn listing(names: &[&str]) -> BTreeMap<Pair, BTreeSet<Venue>> {
    BTreeMap::from([(PAIR, names.iter().map(|name| venue(name)).collect())])
}

fn job(names: &[&str], from: i64, to: i64) -> Job {
    let venues = names.iter().map(|name| (venue(name), at(from)..at(to))).collect();
    Job { pair: PAIR, venues, interval: Interval::Minute, doubted: false }
}

/// Gets what was filled in of each venue; none may have failed.
fn filled(outcomes: Vec<Outcome>) -> BTreeMap<&'static str, Filled> {
    outcomes.into_iter().map(|outcome| (outcome.venue.as_str(), outcome.filled.unwrap())).collect()
}

async fn stored(store: &Store, name: Option<&str>, interval: Interval) -> Vec<Candle> {
    let query = CandleQuery {
        series: Series { pair: PAIR, venue: name.map(venue), interval },
        from: start() - TimeDelta::days(365),
        to: start() + TimeDelta::days(365),
        descending: false,
        limit: 1_000_000,
        after: None,
        known_by: None,
    };
    store.list_candles(&query).await.unwrap().into_iter().map(|stored| stored.candle).collect()
}

/// What a venue's candle of a minute must be.
fn expected(name: &str, minute: i64) -> (DateTime<Utc>, Option<Ohlc>, Decimal) {
    let (time, absolute) = (at(minute), absolute(minute));
    if !is_traded(absolute) {
        return (time, None, Decimal::ZERO);
    }
    let first = open(name, absolute);
    let [open, high, low, close] = [first, first + 2, first - 1, first + 1].map(Decimal::from);
    (time, Some(Ohlc { open, high, low, close }), volume(name, absolute).into())
}

fn check(name: &str, candles: &[Candle], minutes: impl Iterator<Item = i64>) {
    let told: Vec<_> = candles.iter().map(|c| (c.open_time, c.prices, c.base_volume)).collect();
    assert_eq!(told, minutes.map(|minute| expected(name, minute)).collect::<Vec<_>>(), "{name}");
    for candle in candles {
        assert_eq!((candle.state, candle.revision), (CandleState::Final, 0));
        assert_eq!((candle.maker, candle.coverage), (CandleMaker::Venue, Decimal::ONE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_venues_have_is_asked_for_in_pages_and_nothing_twice() {
    each("backfill: pages", async |place| {
        let store = Arc::new(place.store().await);
        let clock = Clock::standing_at(at(1_100) + TimeDelta::seconds(30));
        let exchange = Exchange::start(clock.now()).await;
        let backfill = backfill(&exchange, &store, &VENUES, &clock);
        let done = filled(backfill.fill(&job(&VENUES, 0, 1_000)).await.unwrap());
        // Kraken has the newest 720 of 1,101.
        let (reach, last) = (381, 1_000);
        for (name, written, requests) in [("binance", 1_000, 2), ("coinbase", 1_000, 4), ("kraken", 619, 1)] {
            let Filled { missing, written: told, requests: asked, .. } = done[name];
            assert_eq!((missing, told, asked), (1_000, written, requests), "{name}");
            assert_eq!(exchange.count(name), usize::try_from(requests).unwrap(), "{name}");
            let from = if name == "kraken" { reach } else { 0 };
            check(name, &stored(&store, Some(name), Interval::Minute).await, from..last);
        }
        let progress = backfill.progress();
        assert_eq!((progress.missing(), progress.settled(), progress.requests()), (3_000, 3_000, 7));

        // The composite is Binance's at both ends, as the most is traded there.
        let composite = stored(&store, None, Interval::Minute).await;
        assert_eq!(composite.len(), 1_000);
        for (minute, candle) in (0..).zip(&composite) {
            let parts: Vec<_> = if minute < reach { &VENUES[..2] } else { &VENUES[..] }
                .iter()
                .map(|name| expected(name, minute))
                .collect();
            let price =
                |of: fn(&Ohlc) -> Decimal| parts.iter().filter_map(move |part| part.1.as_ref().map(of));
            let prices = parts[0].1.map(|binance| Ohlc {
                open: binance.open,
                high: price(|p| p.high).max().unwrap(),
                low: price(|p| p.low).min().unwrap(),
                close: binance.close,
            });
            assert_eq!((candle.open_time, candle.prices), (at(minute), prices));
            assert_eq!(candle.base_volume, parts.iter().map(|part| part.2).sum());
            let share = if minute < reach { Decimal::new(666_667, 6) } else { Decimal::ONE };
            assert_eq!(candle.coverage, share, "{minute}");
        }

        // Longer candles are made of them, as far as they are over: at 18:20 no day is.
        for (interval, count) in [
            (Interval::FiveMinutes, 200),
            (Interval::QuarterHour, 67),
            (Interval::Hour, 17),
            (Interval::FourHours, 4),
            (Interval::Day, 0),
        ] {
            let candles = stored(&store, Some("coinbase"), interval).await;
            assert_eq!(candles.len(), count, "{interval}");
            let Some(first) = candles.first() else { continue };
            let minutes = interval.seconds() / 60;
            let volume: Decimal = (0..minutes).map(|minute| expected("coinbase", minute).2).sum();
            assert_eq!((first.open_time, first.coverage), (at(0), Decimal::ONE));
            assert_eq!(first.base_volume, volume);
            assert_eq!(stored(&store, None, interval).await.len(), count, "{interval}");
        }

        // The same once more: only what Kraken does not have is asked for again, and nothing changes.
        let before = (composite, stored(&store, Some("kraken"), Interval::Hour).await);
        let again = filled(backfill.fill(&job(&VENUES, 0, 1_000)).await.unwrap());
        for (name, missing, requests) in [("binance", 0, 0), ("coinbase", 0, 0), ("kraken", 381, 1)] {
            assert_eq!(again[name], Filled { missing, requests, written: 0, longer: 0 }, "{name}");
        }
        let after = (
            stored(&store, None, Interval::Minute).await,
            stored(&store, Some("kraken"), Interval::Hour).await,
        );
        assert_eq!(before, after);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_in_the_middle_goes_on_from_there() {
    let (clock, exchange, store) = rig(1_100).await;
    let backfill = backfill(&exchange, &store, &["coinbase"], &clock);
    exchange.fail("coinbase", 2, Fault::Hang);
    let job = job(&["coinbase"], 0, 1_000);
    tokio::select! {
        _ = backfill.fill(&job) => panic!("the third page is never answered"),
        () = eventually("the third page is asked for", async || (exchange.count("coinbase") == 3).then_some(())) => {}
    }
    // Of the candles at the ends of pages there are those that were traded.
    let kept = i64::try_from(stored(&store, Some("coinbase"), Interval::Minute).await.len()).unwrap();
    assert!((2 * 298..=2 * 299).contains(&kept), "{kept}");
    assert_eq!(stored(&store, None, Interval::Minute).await, []);

    let done = filled(backfill.fill(&job).await.unwrap());
    let missing = u64::try_from(1_000 - kept).unwrap();
    assert_eq!((done["coinbase"].missing, done["coinbase"].requests), (missing, 2));
    check("coinbase", &stored(&store, Some("coinbase"), Interval::Minute).await, 0..1_000);
    assert_eq!(stored(&store, None, Interval::Hour).await.len(), 17);
    // What was answered was asked for once, but for the candle at either end.
    let mut answered: Vec<_> = exchange.asked("coinbase");
    answered.retain(|asked| asked.answered);
    assert_eq!(answered.len(), 4);
    for (one, next) in answered.iter().zip(&answered[1..]) {
        let last = one.to.unwrap();
        assert!((last - 1..=last).contains(&next.from), "{one:?}, {next:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn venues_that_fail_are_asked_again_or_left_and_the_others_go_on() {
    let (clock, exchange, store) = rig(400).await;
    let backfill = backfill(&exchange, &store, &VENUES, &clock);
    exchange.fail("coinbase", 1, Fault::TooOften);
    exchange.fail("binance", 0, Fault::Status(500));
    exchange.fail("binance", 1, Fault::Status(503));
    exchange.fail("kraken", 0, Fault::Page);
    let began = std::time::Instant::now();
    let outcomes = backfill.fill(&job(&VENUES, 0, 350)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1), "Coinbase is left alone for a second");
    let [binance, coinbase, kraken] = outcomes.try_into().unwrap();
    assert_eq!(binance.filled.unwrap().requests, 1);
    assert_eq!(coinbase.filled.unwrap().requests, 2);
    assert!(matches!(kraken.filled, Err(BackfillError::Rest(_))), "{kraken:?}");
    assert_eq!(VENUES.map(|name| exchange.count(name)), [3, 3, 1]);
    check("coinbase", &stored(&store, Some("coinbase"), Interval::Minute).await, 0..350);
    // Nobody knows what Kraken has.
    assert_eq!(stored(&store, None, Interval::Minute).await, []);

    let done = filled(backfill.fill(&job(&VENUES, 0, 350)).await.unwrap());
    assert_eq!(done["kraken"].written, 350);
    assert_eq!(VENUES.map(|name| exchange.count(name)), [3, 3, 2]);
    assert_eq!(stored(&store, None, Interval::Minute).await.len(), 350);

    // One that refuses us for good is not asked again.
    let blocked = self::backfill(&exchange, &store, &["kraken"], &clock);
    exchange.fail("kraken", 2, Fault::Status(451));
    for _ in 0..2 {
        let outcomes = blocked.fill(&job(&["kraken"], -60, 0)).await.unwrap();
        assert!(outcomes[0].filled.is_err());
    }
    assert_eq!(exchange.count("kraken"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_listened_to_is_restated_only_where_the_venue_knows_more() {
    each("backfill: restated", async |place| {
        let store = Arc::new(place.store().await);
        let clock = Clock::standing_at(at(100));
        let exchange = Exchange::start(clock.now()).await;
        let backfill = backfill(&exchange, &store, &["coinbase"], &clock);
        let own = |minute, coverage: i64, state| {
            let price = Decimal::from(7);
            Candle {
                pair: PAIR,
                venue: Some(venue("coinbase")),
                interval: Interval::Minute,
                open_time: at(minute),
                revision: 0,
                state,
                maker: CandleMaker::Service,
                prices: Some(Ohlc { open: price, high: price, low: price, close: price }),
                base_volume: Decimal::ONE,
                quote_volume: price,
                trade_count: 9,
                source_count: 1,
                coverage: Decimal::new(coverage, 1),
            }
        };
        let gap = Candle { prices: None, trade_count: 0, ..own(2, 0, CandleState::Gap) };
        let known = [
            own(0, 10, CandleState::Final),
            own(1, 5, CandleState::Final),
            gap,
            own(3, 10, CandleState::Final),
        ];
        store.write_candles(&known, at(10)).await.unwrap();
        let done = filled(backfill.fill(&job(&["coinbase"], 0, 4)).await.unwrap());
        assert_eq!((done["coinbase"].missing, done["coinbase"].written), (2, 2));
        let now = stored(&store, Some("coinbase"), Interval::Minute).await;
        assert_eq!((&now[0], &now[3]), (&known[0], &known[3]));
        for minute in [1, 2] {
            let candle = &now[usize::try_from(minute).unwrap()];
            assert_eq!((candle.state, candle.revision), (CandleState::Restated, 1));
            assert_eq!((candle.open_time, candle.prices, candle.base_volume), expected("coinbase", minute));
        }

        // Where messages were missed although somebody listened, all is asked for, and differences count.
        let doubted = Job { doubted: true, ..job(&["coinbase"], 0, 4) };
        let done = filled(backfill.fill(&doubted).await.unwrap());
        assert_eq!((done["coinbase"].missing, done["coinbase"].written), (4, 2));
        assert_eq!(filled(backfill.fill(&doubted).await.unwrap())["coinbase"].written, 0);
        let now = stored(&store, Some("coinbase"), Interval::Minute).await;
        assert!(now.iter().all(|candle| (candle.state, candle.revision) == (CandleState::Restated, 1)));
        assert_eq!(exchange.count("coinbase"), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candle_that_is_not_over_for_a_minute_is_left_alone() {
    let (clock, exchange, store) = rig(100).await;
    let backfill = backfill(&exchange, &store, &["binance"], &clock);
    backfill.fill(&job(&["binance"], 90, 101)).await.unwrap();
    check("binance", &stored(&store, Some("binance"), Interval::Minute).await, 90..99);
    let done = filled(backfill.fill(&job(&["binance"], 99, 101)).await.unwrap());
    assert_eq!(done["binance"], Filled::default());
    assert_eq!(exchange.count("binance"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_minute_at_the_end_of_a_page_is_told_from_one_that_is_not_known() {
    let (clock, exchange, store) = rig(1_000).await;
    let backfill = backfill(&exchange, &store, &["coinbase"], &clock);
    let empty = (0..7).find(|minute| !is_traded(absolute(*minute))).unwrap();
    let done = filled(backfill.fill(&job(&["coinbase"], empty, empty + 1)).await.unwrap());
    assert_eq!(done["coinbase"].written, 1);
    let (from, to) = (absolute(empty - 1), Some(absolute(empty + 1)));
    assert_eq!(exchange.asked("coinbase"), [Asked { from, to, answered: true }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_venue_has_no_candles_of_is_made_of_shorter_ones() {
    let (clock, exchange, store) = rig(14 * 24 * 60).await;
    let backfill = backfill(&exchange, &store, &["kraken"], &clock);
    // A day of the week is enough to name it.
    let job = Job { interval: Interval::Week, ..job(&["kraken"], 3 * 24 * 60, 3 * 24 * 60 + 1) };
    let done = filled(backfill.fill(&job).await.unwrap());
    assert_eq!((done["kraken"].written, done["kraken"].longer), (7, 1));
    let days = stored(&store, Some("kraken"), Interval::Day).await;
    let week = stored(&store, Some("kraken"), Interval::Week).await;
    assert_eq!((days.len(), week.len(), week[0].open_time), (7, 1, at(0)));
    assert_eq!(week[0].prices.unwrap().open, days[0].prices.unwrap().open);
    assert_eq!(week[0].base_volume, days.iter().map(|day| day.base_volume).sum());
    assert_eq!(week[0].coverage, Decimal::ONE);
    let seconds = Job { interval: Interval::Second, ..job };
    let outcomes = backfill.fill(&seconds).await.unwrap();
    assert!(matches!(outcomes[0].filled, Err(BackfillError::NotOffered { .. })), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_that_is_traded_in_multiples_is_told_as_itself() {
    let (clock, exchange, store) = rig(100).await;
    let pair = Pair::literal("SATS", "USDT");
    let backfill = backfill(&exchange, &store, &["binance"], &clock);
    backfill.fill(&Job { pair, ..job(&["binance"], 0, 1) }).await.unwrap();
    let query = CandleQuery {
        series: Series { pair, venue: Some(venue("binance")), interval: Interval::Minute },
        from: at(0),
        to: at(1),
        descending: false,
        limit: 10,
        after: None,
        known_by: None,
    };
    let candle = store.list_candles(&query).await.unwrap().remove(0).candle;
    let (_, prices, volume) = expected("binance", 0);
    assert_eq!(candle.prices.unwrap().open * Decimal::ONE_THOUSAND, prices.unwrap().open);
    assert_eq!(candle.base_volume, volume * Decimal::ONE_THOUSAND);
}

/// Makes a clock that stands at a minute, venues at that time, and a store.
async fn rig(minute: i64) -> (Clock, Exchange, Arc<Store>) {
    let clock = Clock::standing_at(at(minute));
    let exchange = Exchange::start(clock.now()).await;
    let store = crate::store::Place::memory().store().await;
    (clock, exchange, Arc::new(store))
}
