//! Data of Kraken's API v1: arrays `[number, data, "channel", "symbol"]`, all numbers as text.
//!
//! A `trade` is `[price, amount, seconds, side, kind of order, anything else]`, over REST with its id at the end; in a `ticker`, `a`, `b` and `c` begin
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
            let trades = trades.iter().map(|t| trade(symbol, t).map(Event::Trade));
            Ok(Parsed::many(channel, trades.collect::<Result<_, _>>()?))
        }
        "ticker" => Ok(Parsed::one(channel, Event::Ticker(ticker(symbol, &serde_json::from_str(data)?)))),
        "spread" => Ok(Parsed::one(channel, spread(symbol, data)?)),
        _ if channel.starts_with("book-") || channel.starts_with("ohlc-") => Ok(Parsed::ignored(channel)),
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

/// A trade: price, amount, time, side, kind of order, anything else, and over REST its id.
#[derive(Deserialize)]
pub(super) struct Trade<'a>(
    Number,
    Number,
    #[serde(borrow)] Text<'a>,
    &'a str,
    IgnoredAny,
    IgnoredAny,
    #[serde(borrow, default)] Option<Text<'a>>,
);

/// A ticker: each list begins with the price; `v` is the volume of today and of 24 hours.
#[derive(Deserialize)]
pub(super) struct DayTicker {
    b: (Number, Volume, Volume),
    a: (Number, Volume, Volume),
    c: (Number, Volume),
    v: (Volume, Volume),
}

/// Best bid and ask: bid, ask, time, and both amounts.
#[derive(Deserialize)]
struct Spread<'a>(Number, Number, #[serde(borrow)] Text<'a>, IgnoredAny, IgnoredAny);

pub(super) fn trade<'a>(symbol: &'a str, trade: &Trade<'a>) -> Result<TradeReport<'a>, ParseError> {
    let Trade(price, amount, Text(time), side, _, _, id) = *trade;
    Ok(TradeReport {
        symbol,
        id: id.map(|Text(id)| id),
        count: 1,
        price: positive("price", price)?,
        amount: positive("volume", amount)?,
        side: taker(side)?,
        time: seconds(time).ok_or_else(|| ParseError::value("time", time))?,
        snapshot: false,
    })
}

pub(super) fn ticker<'a>(symbol: &'a str, ticker: &DayTicker) -> Ticker<'a> {
    Ticker {
        symbol,
        book: Some(top(ticker.b.0, ticker.a.0)),
        last: side(Some(ticker.c.0)),
        base_volume_24h: Some(ticker.v.1.0),
        ..Ticker::default()
    }
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
