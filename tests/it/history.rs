//! What the service knows is kept: over restarts, kills, and databases that go away.

mod across;
mod away;
mod full;
mod keeping;
mod killed;

use std::{ops::Range, path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use cryptoprice::{
    clock::Clock,
    domain::{
        candle::{Candle, CandleMaker, CandleState, Interval, Ohlc},
        pair::Pair,
        price::Origin,
        venue::Venue,
    },
    pipeline::historian::{Historian, HistorianOptions, spool::SpoolOptions, status::HistoryStatus},
    store::{
        Location, Options, Store,
        candles::{CandleQuery, Series},
    },
};
use rust_decimal::Decimal;
use tokio_util::sync::CancellationToken;

use crate::harness::eventually;

const BTC_USD: Pair = Pair::literal("BTC", "USD");
const KRAKEN: Venue = Venue::new("kraken");
const SECONDS: Series = Series { pair: BTC_USD, venue: Some(KRAKEN), interval: Interval::Second };

fn start() -> DateTime<Utc> {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

/// Makes candles of one second, by their number from the start.
fn seconds(numbers: Range<i64>) -> Vec<Candle> {
    numbers.map(|number| candle(SECONDS, start() + TimeDelta::seconds(number), number)).collect()
}

fn candle(series: Series, open_time: DateTime<Utc>, number: i64) -> Candle {
    let price = Decimal::from(60_000 + number % 1_000);
    Candle {
        pair: series.pair,
        venue: series.venue,
        interval: series.interval,
        open_time,
        revision: 0,
        state: CandleState::Final,
        maker: CandleMaker::Service,
        prices: Some(Ohlc { open: price, high: price, low: price, close: price }),
        base_volume: Decimal::ONE,
        quote_volume: price,
        trade_count: 1,
        source_count: 1,
        coverage: Decimal::ONE,
    }
}

fn store_options(location: Location, origin: Origin) -> Options {
    Options {
        location,
        origin,
        max_connections: 4,
        connect_timeout: Duration::from_millis(500),
        statement_timeout: Duration::from_secs(5),
        lock_timeout: Duration::from_millis(100),
        max_bytes: 1 << 30,
    }
}

fn sqlite(folder: &Path) -> Location {
    Location::File(folder.join("history.db"))
}

/// Makes a historian whose spool lies in a folder.
fn historian(store: &Arc<Store>, folder: &Path, max_bytes: u64) -> Historian {
    Historian::new(historian_options(folder, max_bytes), Arc::clone(store), Clock::system()).unwrap()
}

fn historian_options(folder: &Path, max_bytes: u64) -> HistorianOptions {
    HistorianOptions {
        flush: Duration::from_millis(50),
        batch: 500,
        queue: 5_000,
        spool: Some(SpoolOptions { folder: folder.join("spool"), max_bytes }),
        grace: Duration::from_secs(5),
    }
}

/// Has what an earlier historian has left on the disk written by another.
async fn drain(store: &Arc<Store>, folder: &Path) -> HistoryStatus {
    let next = historian(store, folder, 1 << 24);
    let (status, shutdown) = (next.status(), CancellationToken::new());
    let running = tokio::spawn(next.run(shutdown.clone()));
    eventually("the spool is empty", async || (status.spool_rows() == 0).then_some(())).await;
    shutdown.cancel();
    running.await.unwrap();
    status
}

/// Lists all that is stored of a series.
async fn stored(store: &Store, series: Series) -> Vec<Candle> {
    let query = CandleQuery {
        series,
        from: DateTime::UNIX_EPOCH,
        to: "2100-01-01T00:00:00Z".parse().unwrap(),
        descending: false,
        limit: 1_000_000,
        after: None,
        known_by: None,
    };
    store.list_candles(&query).await.unwrap().into_iter().map(|stored| stored.candle).collect()
}

/// Lists the spans between candles that do not touch.
fn holes(candles: &[Candle]) -> Vec<Range<DateTime<Utc>>> {
    let apart = candles.windows(2).filter(|two| two[0].close_time() != two[1].open_time);
    apart.map(|two| two[0].close_time()..two[1].open_time).collect()
}
