//! Kraken: API v2, `{"channel", "type", "data"}`; and v1, arrays `[number, data, "channel", "symbol"]`.
//!
//! v2 writes `BTC/USD`, JSON numbers and RFC 3339 times; v1 `XBT/USD`, text and seconds with a fraction. Both name
//! the taker's side. v2's `trade` begins with past trades. `ticker` comes with each trade unless it is asked to come
//! with each change of the best bid or ask. A heartbeat comes about once a second when all is quiet. Source:
//! Kraken's public WebSocket documentation, and recordings of v1.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{json, value::RawValue};

use crate::{
    domain::{
        pair::Pair,
        quote::TopOfBook,
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        event::{Event, Parsed, Ticker, TradeReport},
        number::{Number, Text, Volume, Words, positive, seconds, side},
        venue::{Endpoint, Market, ParseError, Ping, Protocol, Session},
    },
};

/// Speaks with Kraken.
#[derive(Debug)]
pub struct Kraken;

impl Protocol for Kraken {
    fn venue(&self) -> Venue {
        Venue::new("kraken")
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://ws.kraken.com/v2")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}/{}", self.native(pair.base), self.native(pair.quote))
    }

    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let pair = Pair::split_at(symbol, '/').map_err(|_| ParseError::unknown_symbol(symbol))?;
        Ok(Market { pair, kind: MarketKind::Spot })
    }

    /// Kraken kept the names of what was there before a split or a fork.
    fn aliases(&self) -> &'static [(&'static str, &'static str)] {
        &[("LUNA", "LUNC"), ("LUNA2", "LUNA"), ("UST", "USTC"), ("REP", "REPV1"), ("REPV2", "REP")]
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        let trades = json!({ "channel": "trade", "symbol": symbols, "snapshot": true });
        let tickers = json!({ "channel": "ticker", "symbol": symbols, "event_trigger": "bbo" });
        [trades, tickers]
            .map(|params| json!({ "method": "subscribe", "params": params }).to_string())
            .to_vec()
    }

    fn ping(&self, _now: DateTime<Utc>) -> Option<Ping> {
        Some(Ping { every: Duration::from_secs(30), message: json!({ "method": "ping" }).to_string() })
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        if text.trim_start().starts_with('[') {
            return first_version(serde_json::from_str(text)?);
        }
        let message: Message<'a> = serde_json::from_str(text)?;
        match (message.channel, message.method.or(message.event)) {
            (Some(channel), _) => data(channel, &message),
            (None, Some(method)) => answer(method, &message),
            (None, None) => Err(ParseError::unknown_channel("without channel")),
        }
    }
}

/// A message of v2, or one of v1 that is no data.
#[derive(Deserialize)]
struct Message<'a> {
    channel: Option<&'a str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    method: Option<&'a str>,
    success: Option<bool>,
    #[serde(borrow)]
    error: Option<Words<'a>>,
    event: Option<&'a str>,
    status: Option<&'a str>,
    #[serde(borrow, rename = "errorMessage")]
    error_message: Option<Words<'a>>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    symbol: &'a str,
    side: &'a str,
    price: Number,
    qty: Number,
    #[serde(borrow)]
    trade_id: Text<'a>,
    timestamp: DateTime<Utc>,
}

#[derive(Deserialize)]
struct DayTicker<'a> {
    symbol: &'a str,
    bid: Number,
    ask: Number,
    last: Option<Number>,
    volume: Option<Volume>,
    timestamp: Option<DateTime<Utc>>,
}

/// A trade of v1: price, amount, time, side, kind of order, anything else.
#[derive(Deserialize)]
struct FirstTrade<'a>(Number, Number, #[serde(borrow)] Text<'a>, &'a str, IgnoredAny, IgnoredAny);

/// A ticker of v1: each list begins with the price; `v` is the volume of today and of 24 hours.
#[derive(Deserialize)]
struct FirstTicker {
    b: (Number, Volume, Volume),
    a: (Number, Volume, Volume),
    c: (Number, Volume),
    v: (Volume, Volume),
}

/// Best bid and ask of v1: bid, ask, time, and both amounts.
#[derive(Deserialize)]
struct FirstSpread<'a>(Number, Number, #[serde(borrow)] Text<'a>, IgnoredAny, IgnoredAny);

fn data<'a>(channel: &'a str, message: &Message<'a>) -> Result<Parsed<'a>, ParseError> {
    let data = || message.data.map(RawValue::get).ok_or_else(|| ParseError::value("data", "absent"));
    match channel {
        "trade" => {
            let trades: Vec<Trade<'a>> = serde_json::from_str(data()?)?;
            let snapshot = message.kind == Some("snapshot");
            let trades = trades.into_iter().map(|t| trade(&t, snapshot));
            Ok(Parsed::many(channel, trades.collect::<Result<_, _>>()?))
        }
        "ticker" => {
            let tickers: Vec<DayTicker<'a>> = serde_json::from_str(data()?)?;
            Ok(Parsed::many(channel, tickers.iter().map(ticker).collect()))
        }
        "heartbeat" => Ok(Parsed::one(channel, Event::Confirm(None))),
        "book" | "ohlc" | "level3" | "instrument" | "status" => Ok(Parsed::ignored(channel)),
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

/// Reads what is no data: answers, and v1's heartbeats.
fn answer<'a>(method: &'a str, message: &Message<'a>) -> Result<Parsed<'a>, ParseError> {
    let words = message.error.or(message.error_message);
    match (method, words) {
        (_, Some(Words(words))) => Ok(Parsed::one(method, Event::Refused(words))),
        ("subscribe", None) if message.success == Some(true) => Ok(Parsed::one(method, Event::Subscribed)),
        ("subscriptionStatus", None) if message.status == Some("subscribed") => {
            Ok(Parsed::one(method, Event::Subscribed))
        }
        ("heartbeat", None) => Ok(Parsed::one(method, Event::Confirm(None))),
        ("systemStatus" | "pong" | "unsubscribe" | "subscriptionStatus", None) => Ok(Parsed::ignored(method)),
        _ => Err(ParseError::unknown_channel(method)),
    }
}

fn trade<'a>(trade: &Trade<'a>, snapshot: bool) -> Result<Event<'a>, ParseError> {
    Ok(Event::Trade(TradeReport {
        symbol: trade.symbol,
        id: Some(trade.trade_id.0),
        price: positive("price", trade.price)?,
        amount: positive("qty", trade.qty)?,
        side: taker(trade.side)?,
        time: trade.timestamp,
        snapshot,
    }))
}

fn ticker<'a>(ticker: &DayTicker<'a>) -> Event<'a> {
    Event::Ticker(Ticker {
        symbol: ticker.symbol,
        book: Some(top(ticker.bid, ticker.ask)),
        last: side(ticker.last),
        base_volume_24h: ticker.volume.map(|Volume(volume)| volume),
        quote_volume_24h: None,
        time: ticker.timestamp,
    })
}

/// Reads data of v1. A book may come in two parts, so channel and symbol are counted from the end.
fn first_version(parts: Vec<&RawValue>) -> Result<Parsed<'_>, ParseError> {
    let [_, data, .., channel, symbol] = parts.as_slice() else {
        return Err(ParseError::unknown_channel("short array"));
    };
    let channel: &str = serde_json::from_str(channel.get())?;
    let symbol: &str = serde_json::from_str(symbol.get())?;
    let data = data.get();
    match channel {
        "trade" => {
            let trades: Vec<FirstTrade<'_>> = serde_json::from_str(data)?;
            let trades = trades.iter().map(|t| first_trade(symbol, t));
            Ok(Parsed::many(channel, trades.collect::<Result<_, _>>()?))
        }
        "ticker" => Ok(Parsed::one(channel, first_ticker(symbol, data)?)),
        "spread" => Ok(Parsed::one(channel, first_spread(symbol, data)?)),
        _ if channel.starts_with("book-") || channel.starts_with("ohlc-") => Ok(Parsed::ignored(channel)),
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

fn first_trade<'a>(symbol: &'a str, trade: &FirstTrade<'a>) -> Result<Event<'a>, ParseError> {
    let FirstTrade(price, amount, Text(time), side, ..) = *trade;
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

fn first_ticker<'a>(symbol: &'a str, data: &'a str) -> Result<Event<'a>, ParseError> {
    let ticker: FirstTicker = serde_json::from_str(data)?;
    Ok(Event::Ticker(Ticker {
        symbol,
        book: Some(top(ticker.b.0, ticker.a.0)),
        last: side(Some(ticker.c.0)),
        base_volume_24h: Some(ticker.v.1.0),
        ..Ticker::default()
    }))
}

fn first_spread<'a>(symbol: &'a str, data: &'a str) -> Result<Event<'a>, ParseError> {
    let FirstSpread(bid, ask, Text(time), ..) = serde_json::from_str(data)?;
    Ok(Event::Ticker(Ticker {
        symbol,
        book: Some(top(bid, ask)),
        time: Some(seconds(time).ok_or_else(|| ParseError::value("time", time))?),
        ..Ticker::default()
    }))
}

fn top(bid: Number, ask: Number) -> TopOfBook {
    TopOfBook { bid: side(Some(bid)), ask: side(Some(ask)) }
}

fn taker(side: &str) -> Result<Side, ParseError> {
    match side {
        "buy" | "b" => Ok(Side::Buy),
        "sell" | "s" => Ok(Side::Sell),
        other => Err(ParseError::value("side", other)),
    }
}
