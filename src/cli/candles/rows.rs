//! Candles in rows: for people, and for other programs.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};
use prost_types::Timestamp;

use crate::{
    cli::{
        table::{Align, Cell, Table, Tone},
        words,
    },
    client::v1 as api,
};

/// The columns of CSV.
const HEADER: &str = "pair,source,interval,open_time,open,high,low,close,base_volume,quote_volume,vwap,trade_count,source_count,coverage,state,revision,filled\n";

/// Lays candles out as a table.
pub(super) fn table(candles: &[api::Candle]) -> String {
    let mut table = Table::new([
        ("open time", Align::Left),
        ("open", Align::Right),
        ("high", Align::Right),
        ("low", Align::Right),
        ("close", Align::Right),
        ("base volume", Align::Right),
        ("vwap", Align::Right),
        ("trades", Align::Right),
        ("sources", Align::Right),
        ("coverage", Align::Right),
        ("state", Align::Left),
    ]);
    for candle in candles {
        let price = |price: &Option<String>| words::known(price.as_deref());
        let tone = match rises(candle) {
            Some(true) => Tone::Up,
            Some(false) => Tone::Down,
            None => Tone::Plain,
        };
        table.row([
            time(candle.open_time.as_ref()).into(),
            price(&candle.open).into(),
            price(&candle.high).into(),
            price(&candle.low).into(),
            Cell::from(price(&candle.close)).toned(tone),
            candle.base_volume.clone().into(),
            price(&candle.vwap).into(),
            candle.trade_count.to_string().into(),
            candle.source_count.to_string().into(),
            format!("{} %", words::percent(&candle.coverage)).into(),
            state(candle).into(),
        ]);
    }
    if table.is_empty() { "no candles\n".to_owned() } else { table.to_string() }
}

/// Writes candles as CSV, with the names of the columns before the first. No value has a comma or a quote in it.
pub(super) fn csv(candles: &[api::Candle], header: bool) -> String {
    let mut text = if header { HEADER.to_owned() } else { String::new() };
    for candle in candles {
        let price = |price: &'_ Option<String>| price.clone().unwrap_or_default();
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}",
            candle.pair,
            candle.source,
            candle.interval,
            time(candle.open_time.as_ref()),
            price(&candle.open),
            price(&candle.high),
            price(&candle.low),
            price(&candle.close),
            candle.base_volume,
            candle.quote_volume,
            price(&candle.vwap),
            candle.trade_count,
            candle.source_count,
            candle.coverage,
            words::short(candle.state().as_str_name(), "CANDLE_STATE_"),
            candle.revision,
            candle.filled,
        );
    }
    text
}

/// Tells whether the price rose; `None` where it stayed, or there is none.
pub(super) fn rises(candle: &api::Candle) -> Option<bool> {
    let number = |price: &Option<String>| price.as_deref()?.parse::<rust_decimal::Decimal>().ok();
    let (open, close) = (number(&candle.open)?, number(&candle.close)?);
    (open != close).then_some(close > open)
}

/// Shows a time to the second, in UTC.
pub(super) fn time(time: Option<&Timestamp>) -> String {
    let time = time.and_then(|time| DateTime::from_timestamp(time.seconds, 0));
    time.map_or_else(|| words::NOTHING.to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn state(candle: &api::Candle) -> String {
    let mut notes = Vec::new();
    if candle.revision > 0 {
        notes.push(format!("revision {}", candle.revision));
    }
    if candle.maker() == api::CandleMaker::Venue {
        notes.push("the venue's".to_owned());
    }
    if candle.filled {
        notes.push("filled in".to_owned());
    }
    notes.extend(words::origin(candle.origin()));
    let state = words::short(candle.state().as_str_name(), "CANDLE_STATE_");
    if notes.is_empty() { state.to_owned() } else { format!("{state} ({})", notes.join(", ")) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Makes a candle of open, high, low and close.
    pub(in super::super) fn candle(minute: i64, prices: Option<[&str; 4]>) -> api::Candle {
        let price = |at: usize| prices.map(|prices| prices[at].to_owned());
        api::Candle {
            pair: "BTC-USD".to_owned(),
            interval: "1m".to_owned(),
            open_time: Some(Timestamp { seconds: 1_700_000_040 + 60 * minute, nanos: 0 }),
            open: price(0),
            high: price(1),
            low: price(2),
            close: price(3),
            base_volume: "1.5".to_owned(),
            quote_volume: "150".to_owned(),
            vwap: price(3),
            trade_count: 7,
            source_count: 2,
            coverage: "0.995".to_owned(),
            state: api::CandleState::Final.into(),
            origin: api::Origin::Live.into(),
            ..api::Candle::default()
        }
    }

    #[test]
    fn candles_make_a_table() {
        let mut forming = candle(2, Some(["99", "101", "98", "100.5"]));
        forming.set_state(api::CandleState::Forming);
        let mut restated = candle(1, None);
        restated.revision = 2;
        restated.set_state(api::CandleState::Restated);
        restated.set_maker(api::CandleMaker::Venue);
        let candles = [candle(0, Some(["100", "101", "99", "99"])), restated, forming];
        insta::assert_snapshot!(table(&candles), @r"
        open time             open  high  low  close  base volume   vwap  trades  sources  coverage  state
        2023-11-14T22:14:00Z   100   101   99     99          1.5     99       7        2    99.5 %  FINAL
        2023-11-14T22:15:00Z     -     -    -      -          1.5      -       7        2    99.5 %  RESTATED (revision 2, the venue's)
        2023-11-14T22:16:00Z    99   101   98  100.5          1.5  100.5       7        2    99.5 %  FORMING
        ");
        assert_eq!(table(&[]), "no candles\n");
    }

    #[test]
    fn candles_make_csv() {
        let candles = [candle(0, Some(["100", "101", "99", "99"])), candle(1, None)];
        insta::assert_snapshot!(csv(&candles, true), @r"
        pair,source,interval,open_time,open,high,low,close,base_volume,quote_volume,vwap,trade_count,source_count,coverage,state,revision,filled
        BTC-USD,,1m,2023-11-14T22:14:00Z,100,101,99,99,1.5,150,99,7,2,0.995,FINAL,0,false
        BTC-USD,,1m,2023-11-14T22:15:00Z,,,,,1.5,150,,7,2,0.995,FINAL,0,false
        ");
        assert_eq!(csv(&candles[1..], false).lines().count(), 1);
    }
}
