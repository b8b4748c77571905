//! Candles of recorded trades are those that their venues made, or that an independent client made of the same trades.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, TimeDelta, Utc};
use cryptoprice::{
    domain::{
        candle::{
            Candle, CandleMaker, CandleState, Interval, Ohlc,
            builder::Series,
            fill::{Fill, fill},
            gaps::gaps,
            market::{Intake, Policy},
            roll_up::{Totals, roll_up},
        },
        decimal,
        pair::Pair,
        trade::{Side, Trade},
        venue::{MarketKind, Venue},
    },
    pipeline::{aggregator::Markets, candles::CandleBook},
};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::data;

const MARKET: Pair = Pair::literal("ETH", "BTC");
const VENUE: Venue = Venue::new("kraken");
const SERIES: Series = Series { pair: MARKET, venue: Some(VENUE) };

#[test]
fn krakens_trades_make_krakens_candles() {
    let Some(folder) = folder("krakens_trades_make_krakens_candles") else {
        return;
    };
    let answer = |name: &str| data::json(&folder.join(name))["result"]["XBTUSDT"].as_array().unwrap().clone();
    let rows = answer("kraken_xbtusdt_ohlc_1m.part1.json");
    let trades: Vec<_> = answer("kraken_xbtusdt_trades.part1.json").iter().map(kraken_trade).collect();
    let seconds = |row: &Value| DateTime::from_timestamp(row[0].as_i64().unwrap(), 0).unwrap();
    let range = seconds(&rows[0])..seconds(rows.last().unwrap()) + TimeDelta::minutes(1);

    let told = build(&trades, range.start, range.end);
    let minutes: Vec<_> = of(&told, Interval::Minute).collect();
    assert_eq!(minutes.len(), rows.len());
    let mut without_trades = 0;
    for (candle, row) in minutes.iter().zip(&rows) {
        assert_eq!(candle.open_time, seconds(row));
        assert_eq!((candle.state, candle.coverage), (CandleState::Final, Decimal::ONE));
        assert_eq!(candle.trade_count, row[7].as_u64().unwrap());
        assert_eq!(candle.base_volume, number(&row[6]));
        if candle.trade_count == 0 {
            assert_eq!(candle.prices, None);
            without_trades += 1;
        } else {
            assert_eq!(candle.prices, Some(prices(row)));
            // Kraken cuts off what is below its tick.
            assert_eq!(candle.vwap().unwrap().trunc_with_scale(1), number(&row[5]));
        }
    }
    assert!(without_trades > 50, "empty minutes are among them");

    let filled: Vec<_> = fill(minutes, (SERIES, Interval::Minute), range, Fill::Previous, None).collect();
    assert_eq!(filled.len(), rows.len());
    for (row, theirs) in filled.iter().zip(&rows) {
        assert_eq!(row.candle.prices, Some(prices(theirs)));
        assert_eq!(row.filled, theirs[7] == 0);
    }
}

#[test]
fn binances_trades_make_the_candles_that_another_made_of_them() {
    let Some(folder) = folder("binances_trades_make_the_candles_that_another_made_of_them") else {
        return;
    };
    let mut trades: Vec<_> = csv(&folder.join("binance_xrpeth_aggtrades.2019-10-11_12.csv"))
        .iter()
        .map(|row| Trade {
            id: Some(row[0].clone()),
            count: 1,
            price: parse(&row[1]),
            amount: parse(&row[2]),
            side: if row[6] == "true" { Side::Sell } else { Side::Buy },
            time: millis(&row[5]),
        })
        .collect();
    assert!(trades.len() > 10_000);
    // Some of them come before others that happened earlier, as on the way.
    trades
        .chunks_mut(7)
        .filter(|chunk| chunk[chunk.len() - 1].time - chunk[0].time < LATENESS)
        .for_each(<[_]>::reverse);
    let start = Interval::Hour.open_time(trades[0].time);
    let told = build(&trades, start, start + TimeDelta::days(2) + TimeDelta::minutes(5));
    for (interval, name) in [(Interval::Minute, "1m"), (Interval::FiveMinutes, "5m")] {
        let rows = csv(&folder.join(format!("binance_xrpeth_candles_{name}.2019-10-11_12.csv")));
        let ours: Vec<_> = of(&told, interval).filter(|candle| candle.prices.is_some()).collect();
        assert_eq!(ours.len(), rows.len(), "{name}");
        for (candle, row) in ours.into_iter().zip(&rows) {
            let theirs = venue_candle(row, interval);
            assert_eq!((candle.open_time, candle.prices), (theirs.open_time, theirs.prices), "{name}");
            assert_eq!(candle.base_volume, theirs.base_volume, "{name} {}", candle.open_time);
            assert_eq!((candle.state, candle.revision), (CandleState::Final, 0));
        }
    }
}

#[test]
fn five_minutes_make_the_half_hours_of_the_venue() {
    let Some(folder) = folder("five_minutes_make_the_half_hours_of_the_venue") else {
        return;
    };
    let parts = read_candles(&folder.join("ethbtc_5m_2018-01.csv"), Interval::FiveMinutes);
    let rows = csv(&folder.join("ethbtc_30m_2018-01.csv"));
    for row in &rows {
        let theirs = venue_candle(row, Interval::FiveMinutes);
        let range = theirs.open_time..theirs.open_time + TimeDelta::minutes(30);
        let totals = Totals::of(parts.iter().filter(|part| range.contains(&part.open_time)));
        assert_eq!(totals.prices, theirs.prices, "{}", theirs.open_time);
        // Both files were written of binary floating point.
        assert_eq!(totals.base_volume.round_dp(8), theirs.base_volume.round_dp(8), "{}", theirs.open_time);
    }
    assert_eq!((parts.len(), rows.len()), (444, 74));
}

#[test]
fn real_candles_roll_up_the_same_in_one_step_or_in_several() {
    let Some(folder) = folder("real_candles_roll_up_the_same_in_one_step_or_in_several") else {
        return;
    };
    let five = read_candles(&folder.join("ltc_btc_5m_2018-01_5760.csv"), Interval::FiveMinutes);
    let roll = |parts: &[Candle], into: Interval| -> Vec<Candle> {
        let whole = |part: &Candle| into.open_time(part.open_time);
        parts.chunk_by(|a, b| whole(a) == whole(b)).map(|parts| roll_up(parts, into).unwrap()).collect()
    };
    let mut parts = five.clone();
    for into in [Interval::QuarterHour, Interval::Hour, Interval::FourHours, Interval::Day, Interval::Week] {
        let stepwise = roll(&parts, into);
        let direct = roll(&five, into);
        assert_eq!(stepwise.len(), direct.len());
        for (one, other) in stepwise.iter().zip(&direct) {
            assert!((one.coverage - other.coverage).abs() <= Decimal::new(1, 5));
            assert_eq!(Candle { coverage: other.coverage, ..one.clone() }, *other);
        }
        parts = stepwise;
    }
    // 20 days, which end in the fourth week.
    assert_eq!(parts.len(), 4);
}

#[test]
fn all_gaps_of_a_recorded_row_are_found() {
    let Some(folder) = folder("all_gaps_of_a_recorded_row_are_found") else {
        return;
    };
    let rows = data::json(&folder.join("gappy_1m_2017-11.json"));
    let candles: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let row: Vec<_> = row.as_array().unwrap().iter().map(Value::to_string).collect();
            venue_candle(&row, Interval::Minute)
        })
        .collect();
    let range = candles[0].open_time..candles.last().unwrap().close_time();
    let found = gaps(&candles, Interval::Minute, range.clone(), Decimal::ZERO);
    let between = candles.windows(2).filter(|two| two[0].close_time() != two[1].open_time);
    let expected: Vec<_> = between.map(|two| two[0].close_time()..two[1].open_time).collect();
    assert_eq!(found.len(), 538);
    assert_eq!(found, expected);

    let shown: Vec<_> = fill(&candles, (SERIES, Interval::Minute), range, Fill::Null, None).collect();
    let missing: i64 = found.iter().map(|gap| (gap.end - gap.start).num_minutes()).sum();
    assert_eq!(shown.iter().filter(|row| row.filled).count(), usize::try_from(missing).unwrap());
    assert_eq!(shown.len(), candles.len() + usize::try_from(missing).unwrap());
}

/// How much earlier than one that came before it a trade may have happened.
const LATENESS: TimeDelta = TimeDelta::seconds(2);

/// Lets trades come one after the other in the order given, each when the latest before it has happened, and gives what was
/// told last of each candle of the venue by a time.
fn build(
    trades: &[Trade],
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> BTreeMap<(Interval, DateTime<Utc>), Candle> {
    let mut book = CandleBook::new(Policy::default(), Markets::Met, start);
    book.connected(VENUE, MARKET, start);
    let mut told = BTreeMap::new();
    let mut now = start;
    let mut until = |book: &mut CandleBook, then: DateTime<Utc>| {
        while now < then {
            now = (now + TimeDelta::minutes(1)).min(then);
            for candle in book.tick(now) {
                if candle.venue.is_some() {
                    told.insert((candle.interval, candle.open_time), candle);
                }
            }
        }
        now
    };
    for trade in trades {
        let received = until(&mut book, trade.time);
        let intake = book.trade(VENUE, (MARKET, MarketKind::Spot), trade, false, received);
        assert_eq!(intake, Intake::Taken);
    }
    until(&mut book, end + LATENESS);
    told.retain(|_, candle| candle.state != CandleState::Forming);
    told
}

/// Lists the candles of an interval.
fn of(
    told: &BTreeMap<(Interval, DateTime<Utc>), Candle>,
    interval: Interval,
) -> impl Iterator<Item = &Candle> {
    told.values().filter(move |candle| candle.interval == interval)
}

fn folder(test: &str) -> Option<PathBuf> {
    data::folder(test).map(|folder| folder.join("candles"))
}

/// Reads the rows of a file, without its header.
fn csv(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn read_candles(path: &Path, interval: Interval) -> Vec<Candle> {
    csv(path).iter().map(|row| venue_candle(row, interval)).collect()
}

/// Reads a row of time, open, high, low, close and volume.
fn venue_candle(row: &[String], interval: Interval) -> Candle {
    let [open, high, low, close, volume] = [1, 2, 3, 4, 5].map(|column| parse(&row[column]));
    Candle {
        pair: MARKET,
        venue: Some(VENUE),
        interval,
        open_time: millis(&row[0]),
        revision: 0,
        state: CandleState::Final,
        maker: CandleMaker::Venue,
        prices: Some(Ohlc { open, high, low, close }),
        base_volume: volume,
        quote_volume: Decimal::ZERO,
        trade_count: 1,
        source_count: 1,
        coverage: Decimal::ONE,
    }
}

/// Reads price, amount, time, side and, last of all, the id.
fn kraken_trade(row: &Value) -> Trade {
    let nanos = (parse(&row[2].to_string()) * Decimal::from(1_000_000_000)).trunc();
    Trade {
        id: Some(row[6].to_string()),
        count: 1,
        price: number(&row[0]),
        amount: number(&row[1]),
        side: if row[3] == "b" { Side::Buy } else { Side::Sell },
        time: DateTime::from_timestamp_nanos(nanos.try_into().unwrap()),
    }
}

fn prices(row: &Value) -> Ohlc {
    let [open, high, low, close] = [1, 2, 3, 4].map(|column| number(&row[column]));
    Ohlc { open, high, low, close }
}

fn number(text: &Value) -> Decimal {
    parse(text.as_str().unwrap())
}

fn parse(text: &str) -> Decimal {
    decimal::parse_venue(text).unwrap()
}

fn millis(text: &str) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(text.parse().unwrap()).unwrap()
}
