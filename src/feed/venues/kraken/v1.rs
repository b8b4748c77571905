//! Data of Kraken's API v1: arrays `[number, data, "channel", "symbol"]`, all numbers as text.
//!
//! A `trade` is `[price, amount, seconds, side, kind of order, anything else]`; in a `ticker`, `a`, `b` and `c` begin
//! with the best ask, the best bid and the last price; `spread` is best bid and ask with a time.

use serde::{Deserialize, de::IgnoredAny};

use super::{taker, top};
use crate::feed::{
    event::{Event, Parsed, Ticker, TradeReport},
    json::{self, Few, Raw},
    number::{Number, Text, Volume, positive, seconds, side},
    venue::ParseError,
};

/// Reads an array of data. A book may come in two parts, so channel and symbol are counted from the end.
pub(super) fn data<'a>(parts: &[Raw<'a>]) -> Result<Parsed<'a>, ParseError> {
    let [_, data, .., channel, symbol] = parts else {
        return Err(ParseError::unknown_channel("short array"));
    };
    let channel: &str = json::from_str(channel.get())?;
    let symbol: &str = json::from_str(symbol.get())?;
    let data = data.get();
    match channel {
        "trade" => {
            let trades: Few<Trade<'_>> = json::from_str(data)?;
            let trades = trades.iter().map(|t| trade(symbol, t));
            Ok(Parsed::many(channel, trades.collect::<Result<_, _>>()?))
        }
        "ticker" => Ok(Parsed::one(channel, ticker(symbol, data)?)),
        "spread" => Ok(Parsed::one(channel, spread(symbol, data)?)),
        _ if channel.starts_with("book-") || channel.starts_with("ohlc-") => Ok(Parsed::ignored(channel)),
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

/// A trade: price, amount, time, side, kind of order, anything else.
#[derive(Deserialize)]
struct Trade<'a>(Number, Number, #[serde(borrow)] Text<'a>, &'a str, IgnoredAny, IgnoredAny);

/// A ticker: each list begins with the price; `v` is the volume of today and of 24 hours.
#[derive(Deserialize)]
struct DayTicker {
    b: (Number, Volume, Volume),
    a: (Number, Volume, Volume),
    c: (Number, Volume),
    v: (Volume, Volume),
}

/// Best bid and ask: bid, ask, time, and both amounts.
#[derive(Deserialize)]
struct Spread<'a>(Number, Number, #[serde(borrow)] Text<'a>, IgnoredAny, IgnoredAny);

fn trade<'a>(symbol: &'a str, trade: &Trade<'a>) -> Result<Event<'a>, ParseError> {
    let Trade(price, amount, Text(time), side, ..) = *trade;
    Ok(Event::Trade(TradeReport {
        symbol,
        id: None,
        price: positive("price", price)?,
        amount: positive("volume", amount)?,
        side: taker(side)?,
        time: seconds(time).ok_or_else(|| ParseError::value("time", time))?,
        snapshot: false,
    }))
}

fn ticker<'a>(symbol: &'a str, data: &'a str) -> Result<Event<'a>, ParseError> {
    let ticker: DayTicker = json::from_str(data)?;
    Ok(Event::Ticker(Ticker {
        symbol,
        book: Some(top(ticker.b.0, ticker.a.0)),
        last: side(Some(ticker.c.0)),
        base_volume_24h: Some(ticker.v.1.0),
        ..Ticker::default()
    }))
}

fn spread<'a>(symbol: &'a str, data: &'a str) -> Result<Event<'a>, ParseError> {
    let Spread(bid, ask, Text(time), ..) = json::from_str(data)?;
    Ok(Event::Ticker(Ticker {
        symbol,
        book: Some(top(bid, ask)),
        time: Some(seconds(time).ok_or_else(|| ParseError::value("time", time))?),
        ..Ticker::default()
    }))
}
