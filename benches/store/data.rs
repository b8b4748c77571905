//! The candles that are written: of a hundred markets, minute after minute.

use std::{fmt::Write as _, ops::Range, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use cryptoprice::{
    domain::{
        candle::{Candle, CandleMaker, CandleState, Interval, Ohlc},
        pair::{Asset, Pair},
        price::Origin,
        venue::Venue,
    },
    store::{
        Location, Options,
        candles::{CandleQuery, Series},
    },
};
use rust_decimal::Decimal;

/// Candles of a page.
pub(crate) const PAGE: usize = 1_000;

const MARKETS: u64 = 100;

/// The columns as the tools are given them.
pub(crate) const COLUMNS: &str = "origin, interval, pair, venue, open_time, revision, state, maker, open, high, low, \
     close, base_volume, quote_volume, trade_count, source_count, coverage, record_time";

/// Says that a part is left out.
pub(crate) fn skip(what: &str, why: &str) {
    eprintln!("skipped: {what}: {why}");
}

pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_040, 0).unwrap()
}

pub(crate) fn options(location: Location) -> Options {
    Options {
        location,
        origin: Origin::Live,
        max_connections: 4,
        connect_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(120),
        lock_timeout: Duration::from_secs(60),
        max_bytes: 1 << 40,
    }
}

fn series(market: u64) -> Series {
    let base = Asset::raw(&format!("A{market}")).unwrap();
    Series {
        pair: Pair::new(base, Asset::USD),
        venue: Some(Venue::new("kraken")),
        interval: Interval::Minute,
    }
}

fn open_time(row: u64) -> DateTime<Utc> {
    start() + TimeDelta::minutes(i64::try_from(row / MARKETS).unwrap())
}

/// Makes the candles of these rows.
pub(crate) fn candles(rows: Range<u64>) -> Vec<Candle> {
    rows.map(|row| {
        let Series { pair, venue, interval } = series(row % MARKETS);
        // Numbers of the length that venues tell, and no two alike.
        let number = |salt: u64, scale| {
            let mixed = (row + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 28;
            Decimal::from_i128_with_scale(i128::from(mixed % 10_000_000_000 + 1), scale)
        };
        Candle {
            pair,
            venue,
            interval,
            open_time: open_time(row),
            revision: 0,
            state: CandleState::Final,
            maker: CandleMaker::Service,
            prices: Some(Ohlc {
                open: number(1, 5),
                high: number(2, 5),
                low: number(3, 5),
                close: number(4, 5),
            }),
            base_volume: number(5, 8),
            quote_volume: number(6, 6),
            trade_count: row % 1_000,
            source_count: 1,
            coverage: Decimal::ONE,
        }
    })
    .collect()
}

/// Asks for a page somewhere in the first `rows` rows.
pub(crate) fn page(turn: usize, rows: u64) -> CandleQuery {
    let turn = u64::try_from(turn).unwrap();
    let room = (rows / MARKETS).saturating_sub(u64::try_from(PAGE).unwrap()).max(1);
    let from = start() + TimeDelta::minutes(i64::try_from(turn * 7_919 % room).unwrap());
    CandleQuery {
        series: series(turn * 37 % MARKETS),
        from,
        to: start() + TimeDelta::days(100_000),
        descending: false,
        limit: u32::try_from(PAGE).unwrap(),
        after: None,
        known_by: None,
    }
}

/// Writes candles as lines of comma-separated values, with times as `time` spells them.
pub(crate) fn csv(candles: &[Candle], time: impl Fn(DateTime<Utc>) -> String) -> String {
    let record_time = time(start());
    let mut text = String::new();
    for candle in candles {
        let Ohlc { open, high, low, close } = candle.prices.unwrap();
        writeln!(
            text,
            "LIVE,{},{},kraken,{},0,FINAL,TRADES,{open},{high},{low},{close},{},{},{},1,1,{record_time}",
            candle.interval,
            candle.pair,
            time(candle.open_time),
            candle.base_volume,
            candle.quote_volume,
            candle.trade_count,
        )
        .unwrap();
    }
    text
}
