//! What the tests of all venues expect of their REST halves.

use chrono::DateTime;
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};
use rust_decimal::Decimal;

use super::line;
use crate::{
    domain::{candle::Interval, decimal},
    feed::{
        event::{Event, TradeReport},
        rest::{CandleReport, Instrument, InstrumentState, Query, Rest},
        venue::Protocol,
    },
};

/// The symbol that answers are read for.
const SYMBOL: &str = "A";

/// Asks for instruments, a ticker, and trades since 1700000000.123456789.
pub(in crate::feed::venues) fn asks(rest: &dyn Rest, symbol: &str, expected: &[&str; 3]) {
    let since = DateTime::from_timestamp(1_700_000_000, 123_456_789).unwrap();
    let [instruments, ticker, trades] =
        [rest.instruments(), rest.ticker(symbol), rest.trades(symbol, since)].map(|query| written(&query));
    assert_eq!([format!("{}{instruments}", rest.base()), ticker, trades], expected.map(str::to_owned));
}

/// Asks for the candles of one minute, 1700000040 to 1700000100, in all intervals; whatever is not expected is not had.
pub(in crate::feed::venues) fn asks_candles(rest: &dyn Rest, symbol: &str, expected: &[(Interval, String)]) {
    let [from, to] = [1_700_000_040, 1_700_000_100].map(|t| DateTime::from_timestamp(t, 0).unwrap());
    for interval in Interval::ALL {
        let asked = rest.candles(symbol, interval, from, to).map(|query| written(&query));
        let found = expected.iter().find(|(expected, _)| *expected == interval);
        assert_eq!(asked.as_ref(), found.map(|(_, query)| query), "{interval}");
    }
}

/// Reads instruments, whose symbols must name the markets that they say.
pub(in crate::feed::venues) fn lists(protocol: &dyn Protocol, body: &str, expected: &[&str]) {
    let instruments = protocol.rest().unwrap().read_instruments(body).unwrap();
    for Instrument { symbol, market, .. } in &instruments {
        assert_eq!(protocol.market(symbol).as_ref(), Ok(market), "{symbol}");
    }
    let read = instruments.iter().map(|Instrument { symbol, market, state }| {
        let state = match state {
            InstrumentState::Trading => "trading".to_owned(),
            InstrumentState::Untold(query) => format!("untold: {}", query.path),
            InstrumentState::Suspended(word) => format!("suspended: {word}"),
        };
        format!("{symbol} {} {state}", market.pair)
    });
    assert_eq!(read.collect::<Vec<_>>(), expected);
}

/// Reads tickers.
pub(in crate::feed::venues) fn tickers(rest: &dyn Rest, expected: &[(&str, &str)]) {
    for (body, expected) in expected {
        let ticker = rest.read_ticker(SYMBOL, body).unwrap();
        assert_eq!(line(&Event::Ticker(ticker)), *expected, "{body}");
    }
}

/// Asks for the tickers of several markets, and for their books.
pub(in crate::feed::venues) fn asks_many(rest: &dyn Rest, symbols: &[&str], expected: &[&str]) {
    let asked = [rest.tickers(symbols), rest.books(symbols)];
    assert_eq!(asked.iter().flatten().map(written).collect::<Vec<_>>(), expected);
    assert!(rest.max_tickers() >= symbols.len());
}

/// Reads an answer about several markets.
pub(in crate::feed::venues) fn many_tickers(
    rest: &dyn Rest,
    symbols: &[&str],
    body: &str,
    expected: &[&str],
) {
    let tickers = rest.read_tickers(symbols, body).unwrap();
    let read: Vec<_> = tickers.into_iter().map(|ticker| line(&Event::Ticker(ticker))).collect();
    assert_eq!(read, expected, "{body}");
}

/// Reads trades.
pub(in crate::feed::venues) fn trades(rest: &dyn Rest, expected: &[(&str, &str)]) {
    let write = |trade: &TradeReport<'_>| {
        assert_eq!((trade.symbol, trade.snapshot), (SYMBOL, true));
        let (id, side, time) = (trade.id.unwrap_or("-"), trade.side, trade.time.format("%s%.f"));
        let [amount, price] = [trade.amount, trade.price].map(decimal::text);
        format!("{id} {side:?} {amount} at {price} {time}")
    };
    for (body, expected) in expected {
        let trades = rest.read_trades(SYMBOL, body).unwrap();
        assert_eq!(trades.iter().map(write).collect::<Vec<_>>().join("|"), *expected, "{body}");
    }
}

/// Reads candles.
pub(in crate::feed::venues) fn candles(rest: &dyn Rest, expected: &[(&str, &str)]) {
    let text = |value: Option<Decimal>| value.map_or("-".to_owned(), decimal::text);
    let write = |candle: &CandleReport| {
        let prices = [candle.open, candle.high, candle.low, candle.close].map(decimal::text).join(" ");
        let (base, quote) = (text(candle.base_volume), text(candle.quote_volume));
        let trades = candle.trade_count.map_or("-".to_owned(), |count| count.to_string());
        format!("{} {prices} base {base} quote {quote} trades {trades}", candle.open_time.format("%s%.f"))
    };
    for (body, expected) in expected {
        let candles = rest.read_candles(body).unwrap();
        assert!(candles.len() <= rest.max_candles());
        assert_eq!(candles.iter().map(write).collect::<Vec<_>>().join("|"), *expected, "{body}");
    }
}

/// Reads a refusal where an answer should be, of each kind.
pub(in crate::feed::venues) fn refuses(rest: &dyn Rest, body: &str, expected: &str) {
    for error in errors(rest, body) {
        assert_eq!(error.as_deref(), Some(expected), "{body}");
    }
}

/// Reads good answers (instruments, a ticker, trades, candles), the same cut short and damaged, then what is none.
pub(in crate::feed::venues) fn survives_answers(rest: &dyn Rest, bodies: [&str; 4]) {
    for (at, body) in bodies.iter().enumerate() {
        assert_eq!(errors(rest, body)[at], None, "{body}");
        for (end, _) in body.char_indices() {
            let part = body.get(..end).unwrap();
            assert!(errors(rest, part)[at].is_some(), "{part}");
        }
    }
    for body in ["", "null", "7", "\"\"", "<!DOCTYPE html><html><head><title>Just a moment...</title>"] {
        for error in errors(rest, body) {
            let error = error.unwrap();
            assert!(error.starts_with("unexpected JSON") && error.len() < 200, "{body}: {error}");
        }
    }
    let damaged = (
        prop::sample::select(bodies.map(str::to_owned).to_vec()),
        any::<Index>(),
        any::<Index>(),
        "[ -~]{0,4}|\\PC{0,4}|null|-1|0|\"\"|1e999|[0-9]{1,40}",
    );
    TestRunner::default()
        .run(&damaged, |(body, from, to, with)| {
            let mut chars: Vec<char> = body.chars().collect();
            let (from, to) = (from.index(chars.len()), to.index(chars.len()));
            chars.splice(from.min(to)..from.max(to).min(from.min(to) + 12), with.chars());
            errors(rest, &chars.into_iter().collect::<String>());
            Ok(())
        })
        .unwrap();
}

/// Reads a body as each kind of answer, and tells what is wrong with it.
fn errors(rest: &dyn Rest, body: &str) -> [Option<String>; 4] {
    [
        rest.read_instruments(body).err(),
        rest.read_ticker(SYMBOL, body).err(),
        rest.read_trades(SYMBOL, body).err(),
        rest.read_candles(body).err(),
    ]
    .map(|error| error.map(|error| error.to_string()))
}

fn written(query: &Query) -> String {
    format!("{} costs {}", query.path, query.weight)
}
