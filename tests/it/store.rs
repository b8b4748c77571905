//! The history does the same in PostgreSQL and in SQLite.

pub(crate) mod faults;
mod histories;
pub(crate) mod postgres;
mod revisions;
pub(crate) mod server;
mod upkeep;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cryptoprice::{
    domain::{
        candle::{Candle, CandleMaker, CandleState, Interval, Ohlc},
        pair::Pair,
        price::{Cursor, Origin, Price, Stamp, Status, Value},
        venue::Venue,
    },
    store::{
        Location, Options, Store,
        candles::{CandleQuery, Series},
        prices::PricePoint,
        stats::PriceStats,
    },
};
use rust_decimal::Decimal;

const BTC_USD: Pair = Pair::literal("BTC", "USD");
const KRAKEN: Venue = Venue::new("kraken");

/// Where a test has its database, and it alone.
#[derive(Debug)]
pub(crate) struct Place {
    options: Options,
    /// The address of the server's database; `None` in SQLite.
    url: Option<String>,
    /// Goes with the test.
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::File(folder.path().join("deeper/history.db"));
        Self { options: options(location), url: None, _folder: Some(folder) }
    }

    /// In the memory of this process.
    pub(crate) fn memory() -> Self {
        Self::at("sqlite::memory:")
    }

    /// Where something else has made it.
    pub(crate) fn at(url: &str) -> Self {
        Self { options: options(Location::parse(url).unwrap()), url: None, _folder: None }
    }

    fn postgres(url: String) -> Self {
        Self { options: options(Location::parse(&url).unwrap()), url: Some(url), _folder: None }
    }

    /// Opens a store that is migrated.
    pub(crate) async fn store(&self) -> Store {
        let store = Store::open(self.options.clone());
        store.migrate().await.unwrap();
        store.check().await.unwrap();
        store
    }

    fn is_sqlite(&self) -> bool {
        self.url.is_none()
    }
}

/// Runs a test in either database.
pub(crate) async fn each(test: &str, body: impl AsyncFn(Place)) {
    body(Place::sqlite()).await;
    if let Some(url) = server::database(test).await {
        body(Place::postgres(url)).await;
    }
}

fn options(location: Location) -> Options {
    Options {
        location,
        origin: Origin::Live,
        max_connections: 4,
        connect_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(30),
        lock_timeout: Duration::from_secs(10),
        max_bytes: 1 << 30,
    }
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn start() -> DateTime<Utc> {
    time("2026-11-22T00:00:00Z")
}

const MINUTES: Series = Series { pair: BTC_USD, venue: Some(KRAKEN), interval: Interval::Minute };

fn candle(series: Series, open_time: DateTime<Utc>, close: i64) -> Candle {
    let price = Decimal::from(close);
    Candle {
        pair: series.pair,
        venue: series.venue,
        interval: series.interval,
        open_time,
        revision: 0,
        state: CandleState::Final,
        maker: CandleMaker::Service,
        prices: Some(Ohlc {
            open: price,
            high: price + Decimal::ONE,
            low: price - Decimal::ONE,
            close: price,
        }),
        base_volume: Decimal::TWO,
        quote_volume: Decimal::TWO * price,
        trade_count: 3,
        source_count: 1,
        coverage: Decimal::ONE,
    }
}

fn minutes(count: i32) -> Vec<Candle> {
    (0..count)
        .map(|minute| candle(MINUTES, start() + TimeDelta::minutes(minute.into()), minute.into()))
        .collect()
}

fn all(series: Series) -> CandleQuery {
    CandleQuery {
        series,
        from: start() - TimeDelta::days(1_000),
        to: start() + TimeDelta::days(1_000),
        descending: false,
        limit: 100_000,
        after: None,
        known_by: None,
    }
}

async fn list(store: &Store, query: &CandleQuery) -> Vec<Candle> {
    store.list_candles(query).await.unwrap().into_iter().map(|stored| stored.candle).collect()
}

fn point(pair: Pair, time: DateTime<Utc>, price: Decimal, sequence: u64) -> PricePoint {
    PricePoint {
        price: Price {
            pair,
            status: Status::Live,
            status_reason: None,
            value: Some(Value {
                price,
                bid: Some(price - Decimal::ONE),
                ask: None,
                dispersion_bps: Decimal::new(123, 2),
                observe_time: time - TimeDelta::milliseconds(20),
                receive_time: time - TimeDelta::milliseconds(10),
            }),
            source_count: 3,
            aggregate_time: time,
            route: Vec::new(),
            origin: Origin::Live,
        },
        stamp: Stamp { cursor: Cursor { epoch: 1_794_000_000_000, sequence }, publish_time: time },
    }
}

#[tokio::test]
async fn what_is_written_twice_changes_nothing() {
    each("store: twice", async |place| {
        let store = place.store().await;
        let candles = minutes(1_234);
        assert_eq!(store.write_candles(&candles, start()).await.unwrap(), 1_234);
        let mut changed = candles.clone();
        for candle in &mut changed {
            candle.base_volume = Decimal::TEN;
        }
        assert_eq!(store.write_candles(&changed, start() + TimeDelta::days(1)).await.unwrap(), 0);
        assert_eq!(list(&store, &all(MINUTES)).await, candles);

        let points = [point(BTC_USD, start(), Decimal::ONE, 1), point(BTC_USD, start(), Decimal::TWO, 2)];
        assert_eq!(store.write_prices(&points, start()).await.unwrap(), 2);
        assert_eq!(store.write_prices(&points, start()).await.unwrap(), 0);
        // Of two of the same moment, the later update counts.
        let found = store.price_at(BTC_USD, start(), None).await.unwrap().unwrap();
        assert_eq!(found.point, points[1]);
    })
    .await;
}

#[tokio::test]
async fn a_candle_that_is_forming_is_refused() {
    each("store: forming", async |place| {
        let store = place.store().await;
        let mut candles = minutes(3);
        candles[1].state = CandleState::Forming;
        let error = store.write_candles(&candles, start()).await.unwrap_err().to_string();
        assert!(error.contains("forming"), "{error}");
        assert_eq!(list(&store, &all(MINUTES)).await, []);
    })
    .await;
}

#[tokio::test]
async fn times_are_cut_off_at_microseconds_alike() {
    each("store: nanoseconds", async |place| {
        let store = place.store().await;
        let late = time("2026-11-22T10:00:00.123456789Z");
        let early = time("1969-12-31T23:59:59.999999999Z");
        for (given, expected) in
            [(late, "2026-11-22T10:00:00.123456Z"), (early, "1969-12-31T23:59:59.999999Z")]
        {
            let pair = Pair::literal("ETH", if given == late { "USD" } else { "EUR" });
            store.write_prices(&[point(pair, given, Decimal::ONE, 1)], given).await.unwrap();
            let found = store.price_at(pair, given, Some(given)).await.unwrap().unwrap();
            assert_eq!(found.point.price.aggregate_time, time(expected));
            assert_eq!(found.record_time, time(expected));
        }
    })
    .await;
}

#[tokio::test]
async fn the_last_price_before_a_time_is_found_for_many_at_once() {
    each("store: prices", async |place| {
        let store = place.store().await;
        let (eth, none) = (Pair::literal("ETH", "USD"), Pair::literal("DOGE", "USD"));
        let second = |seconds| start() + TimeDelta::seconds(seconds);
        // Two days, so that partitions are crossed.
        let points: Vec<_> = (0..48)
            .flat_map(|hour| [(BTC_USD, hour), (eth, hour + 100)])
            .map(|(pair, hour)| point(pair, second(hour % 100 * 3_600), Decimal::from(hour), 1))
            .collect();
        store.write_prices(&points, second(200_000)).await.unwrap();
        let asked =
            [(BTC_USD, 0), (eth, 3_599), (eth, 3_600), (BTC_USD, -1), (none, 5), (BTC_USD, 999_999_999)];
        let asked = asked.map(|(pair, seconds)| (pair, second(seconds)));
        let found = store.prices_at(&asked, None).await.unwrap();
        let found: Vec<_> =
            found.into_iter().map(|stored| Some(stored?.point.price.value?.price.to_string())).collect();
        let expected = [Some("0"), Some("100"), Some("101"), None, None, Some("47")];
        assert_eq!(found, expected.map(|price| price.map(str::to_owned)));
        let early = store.prices_at(&asked, Some(second(199_999))).await.unwrap();
        assert_eq!(early, vec![None; 6]);
        assert_eq!(store.prices_at(&[], None).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn everything_about_a_price_comes_back() {
    use cryptoprice::domain::price::StatusReason::*;
    each("store: whole prices", async |place| {
        let store = place.store().await;
        let reasons = [
            NoFreshQuotes,
            TooFewSources,
            Divergent,
            JumpUnconfirmed,
            Depegged,
            LegSkew,
            BelowPrecision,
            NoRoute,
            NotKept,
        ];
        let mut points = vec![point(BTC_USD, start(), Decimal::new(1, 12), 0)];
        for (at, reason) in (1..).zip(reasons) {
            let time = start() + TimeDelta::seconds(at);
            let mut point = point(BTC_USD, time, Decimal::MAX / Decimal::TEN, at.unsigned_abs());
            point.price.status = [Status::Degraded, Status::Stale][usize::from(at % 2 == 0)];
            point.price.status_reason = Some(reason);
            point.price.route = vec![Pair::literal("BTC", "EUR"), Pair::literal("EUR", "USD")];
            if reason == NoRoute {
                point.price = Price::unavailable(BTC_USD, reason, Origin::Live, time);
            }
            points.push(point);
        }
        store.write_prices(&points, start()).await.unwrap();
        for point in points {
            let found = store.price_at(BTC_USD, point.price.aggregate_time, None).await.unwrap().unwrap();
            assert_eq!(found.point, point);
        }
        let mut foreign = point(BTC_USD, start(), Decimal::ONE, 9);
        foreign.price.origin = Origin::Simulated;
        store.write_prices(&[foreign], start()).await.unwrap_err();
    })
    .await;
}

#[tokio::test]
async fn changes_and_the_day_are_told_from_prices_and_candles() {
    each("store: statistics", async |place| {
        let store = place.store().await;
        let now = start() + TimeDelta::days(8);
        let composite = Series { venue: None, ..MINUTES };
        assert_eq!(store.price_stats(BTC_USD, now).await.unwrap(), PriceStats::default());

        // The week is told by a candle, the day and the hour by prices.
        let mut week = candle(composite, now - TimeDelta::days(7) - TimeDelta::minutes(1), 50);
        week.base_volume = Decimal::from(1_000);
        let hours =
            |hours, price: i64| point(BTC_USD, now - TimeDelta::hours(hours), Decimal::from(price), 1);
        store.write_prices(&[hours(24, 80), hours(1, 125), hours(0, 100)], now).await.unwrap();
        let day: Vec<_> = (1..=1_440)
            .map(|minute| candle(composite, now - TimeDelta::minutes(minute), 100 + minute))
            .collect();
        // Before the day, and not over yet.
        let outside =
            [candle(composite, now - TimeDelta::minutes(1_441), 9_999), candle(composite, now, 9_999)];
        let all: Vec<_> = day.into_iter().chain(outside).chain([week]).collect();
        store.write_candles(&all, now).await.unwrap();

        let stats = store.price_stats(BTC_USD, now + TimeDelta::seconds(59)).await.unwrap();
        let text = |decimal: Option<Decimal>| decimal.map(|decimal| decimal.normalize().to_string());
        let told = [
            stats.last,
            stats.change_1h,
            stats.change_24h,
            stats.change_7d,
            stats.high_24h,
            stats.low_24h,
            stats.base_volume_24h,
        ];
        let expected = ["100", "-0.2", "0.25", "1", "1541", "100", "2880"];
        assert_eq!(told.map(text), expected.map(|text| Some(text.to_owned())));
    })
    .await;
}

#[tokio::test]
async fn what_is_missing_or_not_whole_is_told_in_spans() {
    use cryptoprice::store::gaps::Range;
    each("store: gaps", async |place| {
        let store = place.store().await;
        let minute = |minutes| start() + TimeDelta::minutes(minutes);
        let range = |from, to| Range { from: minute(from), to: minute(to) };
        let within = range(0, 60);
        assert_eq!(store.incomplete(MINUTES, within, 10).await.unwrap(), [within]);

        let mut candles: Vec<_> = minutes(60)
            .into_iter()
            .enumerate()
            .filter(|(at, _)| !matches!(at, 0 | 7..=9 | 30 | 59))
            .map(|(_, c)| c)
            .collect();
        // Minute 20 says that nothing is known, minute 21 said so once.
        let gap = |minutes| {
            let mut gap = candle(MINUTES, minute(minutes), 0);
            (gap.state, gap.prices, gap.coverage) = (CandleState::Gap, None, Decimal::ZERO);
            gap
        };
        candles.retain(|candle| candle.open_time != minute(20) && candle.open_time != minute(21));
        candles.extend([gap(20), gap(21)]);
        let mut told = candle(MINUTES, minute(21), 5);
        (told.revision, told.state, told.maker) = (1, CandleState::Restated, CandleMaker::Venue);
        candles.push(told);
        store.write_candles(&candles, start()).await.unwrap();

        // Minute 40 was listened to in part.
        let part =
            Candle { revision: 1, coverage: Decimal::new(999_999, 6), ..candle(MINUTES, minute(40), 5) };
        store.write_candles(&[part], start()).await.unwrap();

        let expected =
            [range(0, 1), range(7, 10), range(20, 21), range(30, 31), range(40, 41), range(59, 60)];
        assert_eq!(store.incomplete(MINUTES, within, 10).await.unwrap(), expected);
        assert_eq!(store.incomplete(MINUTES, within, 2).await.unwrap(), expected[..2]);
        // Ends within a candle count the whole of it.
        let inner = Range { from: minute(8) + TimeDelta::seconds(1), to: minute(9) + TimeDelta::seconds(1) };
        assert_eq!(store.incomplete(MINUTES, inner, 10).await.unwrap(), [range(8, 10)]);
        assert_eq!(store.incomplete(MINUTES, range(10, 20), 10).await.unwrap(), []);
        assert_eq!(store.incomplete(MINUTES, range(5, 5), 10).await.unwrap(), []);
    })
    .await;
}
