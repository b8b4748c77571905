//! Binance: combined streams `{"stream", "data"}` over `/stream`; spot, and futures of the same format.
//!
//! `aggTrade` and `trade` carry trades (`m` true: the buyer was the maker, so the taker sold), `bookTicker` best
//! bid and ask (spot: without a time), `ticker` the last 24 hours. Times are milliseconds. The server pings the
//! transport and cuts after 24 hours. Assets of very small worth are traded by the thousand or by the million, which
//! their names say. Source: Binance's public WebSocket documentation, and recordings.

pub(super) mod rest;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{
    domain::{
        pair::{Asset, Pair},
        quote::TopOfBook,
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        event::{Event, Parsed, Ticker, TradeReport},
        json::{self, Message},
        number::{Number, Text, Volume, Words, millis, positive, side},
        rest::{Budget, Rest},
        venue::{ConnectionLimits, Endpoint, Market, ParseError, Protocol, Session, split},
    },
};

/// Streams that are known and say nothing we use: by name, or by what they begin with.
const IGNORED: &[&str] = &[
    "depth",
    "kline_",
    "miniTicker",
    "avgPrice",
    "markPrice",
    "forceOrder",
    "!ticker",
    "!miniTicker",
    "!markPrice",
    "!forceOrder",
];

/// Five messages a second are allowed, and pongs are some of them.
/// An address may make 300 connections in five minutes.
const LIMITS: ConnectionLimits = ConnectionLimits {
    message_gap: Duration::from_millis(250),
    connections: Some(Budget::new(300, 300)),
    ..ConnectionLimits::DEFAULT
};

/// What announces that the server will end the connection.
const GOING_AWAY: &str = "serverShutdown";

/// Speaks with Binance.
#[derive(Debug)]
pub struct Binance;

/// Speaks with Binance's futures, which have a host and markets of their own. It reads recordings; it is not among
/// the venues that feed spot prices.
#[derive(Debug)]
pub struct BinanceFutures;

impl Protocol for Binance {
    fn venue(&self) -> Venue {
        Venue::new("binance")
    }

    fn evidence(&self) -> &'static str {
        "recordings of October 2021 (spot) and July 2021 (futures, parser only)"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://stream.binance.com:9443/stream")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}{}", self.native(pair.base), self.native(pair.quote))
    }

    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let pair = Pair::split_joined(symbol).map_err(|_| ParseError::unknown_symbol(symbol))?;
        Ok(Market { pair, kind: MarketKind::Spot })
    }

    fn multiples(&self) -> &'static [(&'static str, &'static str, u32)] {
        &[
            ("1000SATS", "SATS", 1_000),
            ("1000CAT", "CAT", 1_000),
            ("1000CHEEMS", "CHEEMS", 1_000),
            ("1MBABYDOGE", "BABYDOGE", 1_000_000),
        ]
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        subscription(symbols)
    }

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        message(text)
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::BinanceRest)
    }
}

impl Protocol for BinanceFutures {
    fn venue(&self) -> Venue {
        Venue::new("binancefutures")
    }

    fn evidence(&self) -> &'static str {
        Binance.evidence()
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://fstream.binance.com/stream")
    }

    fn symbol(&self, pair: Pair) -> String {
        Binance.symbol(pair)
    }

    /// Reads `BTCUSDT` and `BTCUSD_PERP` as perpetual, `BTCUSD_210625` as dated.
    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let (joined, kind) = match symbol.split_once('_') {
            None => (symbol, MarketKind::Perpetual),
            Some((joined, "PERP")) => (joined, MarketKind::Perpetual),
            Some((joined, _)) => (joined, MarketKind::Dated),
        };
        let pair = Pair::split_joined(joined).map_err(|_| ParseError::unknown_symbol(symbol))?;
        Ok(Market { pair, kind })
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        subscription(symbols)
    }

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        message(text)
    }
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    msg: Words<'a>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    s: &'a str,
    #[serde(borrow)]
    a: Option<Text<'a>>,
    #[serde(borrow)]
    t: Option<Text<'a>>,
    p: Number,
    q: Number,
    #[serde(rename = "T")]
    time: i64,
    m: bool,
    /// Where a trade of futures comes from; only those of the market are trades.
    #[serde(rename = "X")]
    origin: Option<&'a str>,
}

#[derive(Deserialize)]
struct BookTicker<'a> {
    s: &'a str,
    b: Number,
    a: Number,
    #[serde(rename = "E")]
    time: Option<i64>,
}

#[derive(Deserialize)]
struct DayTicker<'a> {
    s: &'a str,
    c: Number,
    b: Option<Number>,
    a: Option<Number>,
    v: Volume,
    q: Option<Volume>,
    #[serde(rename = "E")]
    time: i64,
}

fn subscription(symbols: &[String]) -> Vec<String> {
    let streams: Vec<String> = symbols
        .iter()
        .map(|symbol| symbol.to_lowercase())
        .flat_map(|symbol| ["aggTrade", "bookTicker", "ticker"].map(|channel| format!("{symbol}@{channel}")))
        .collect();
    vec![serde_json::json!({ "method": "SUBSCRIBE", "params": streams, "id": 1 }).to_string()]
}

fn message(text: &str) -> Result<Parsed<'_>, ParseError> {
    let mut message = Message::open(text, 1, ["stream", "result", "error", "id"], "data")?;
    let [stream, result, error, id] = message.head;
    let Some(stream) = stream else {
        return match Message::open(text, 1, ["e"], "E") {
            Ok(Message { head: [Some(GOING_AWAY)], .. }) => Ok(going_away()),
            _ => answer(result, error, id),
        };
    };
    if !message.has_body() {
        return Err(ParseError::value("data", "absent"));
    }
    // A stream of all markets has no symbol before its name.
    let channel = match split(stream, b'@') {
        Some((symbol, channel)) if !symbol.starts_with('!') => channel,
        _ => stream,
    };
    match channel {
        "aggTrade" | "trade" => {
            let trade = trade(&message.body()?)?.map(Event::Trade);
            Ok(Parsed::many(channel, trade.into_iter().collect()))
        }
        "bookTicker" | "!bookTicker" => {
            Ok(Parsed::one(channel, Event::Ticker(book_ticker(&message.body()?))))
        }
        "ticker" => Ok(Parsed::one(channel, Event::Ticker(ticker(&message.body()?)))),
        GOING_AWAY => {
            message.end()?;
            Ok(going_away())
        }
        _ if IGNORED.iter().any(|name| channel.starts_with(name)) => {
            message.end()?;
            Ok(Parsed::ignored(channel))
        }
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

fn going_away<'a>() -> Parsed<'a> {
    Parsed::one(GOING_AWAY, Event::GoingAway("the server is about to shut down"))
}

/// Reads the answer to a subscription.
fn answer<'a>(
    result: Option<&str>,
    error: Option<&'a str>,
    id: Option<&str>,
) -> Result<Parsed<'a>, ParseError> {
    match (error, id) {
        (Some(error), _) => {
            let refusal: Refusal<'_> = json::from_str(error)?;
            Ok(Parsed::one("error", Event::Refused(refusal.msg.0)))
        }
        (None, Some(_)) if result.is_none() => Ok(Parsed::one("result", Event::Subscribed)),
        _ => Err(ParseError::unknown_channel("without stream")),
    }
}

fn trade<'a>(trade: &Trade<'a>) -> Result<Option<TradeReport<'a>>, ParseError> {
    if trade.origin.is_some_and(|origin| origin != "MARKET") {
        return Ok(None);
    }
    Ok(Some(TradeReport {
        symbol: trade.s,
        // In a `trade`, `a` is an order of the seller.
        id: trade.t.or(trade.a).map(|Text(id)| id),
        count: 1,
        price: positive("p", trade.p)?,
        amount: positive("q", trade.q)?,
        side: if trade.m { Side::Sell } else { Side::Buy },
        time: millis(trade.time).ok_or_else(|| ParseError::value("T", trade.time))?,
        snapshot: false,
    }))
}

/// Tells whether volume is in contracts and base, as it is where contracts are worth a sum of dollars.
fn coin_margined(symbol: &str) -> bool {
    symbol.contains('_') && BinanceFutures.market(symbol).is_ok_and(|market| market.pair.quote == Asset::USD)
}

fn book_ticker<'a>(ticker: &BookTicker<'a>) -> Ticker<'a> {
    Ticker {
        symbol: ticker.s,
        book: Some(TopOfBook { bid: side(Some(ticker.b)), ask: side(Some(ticker.a)) }),
        time: ticker.time.and_then(millis),
        ..Ticker::default()
    }
}

fn ticker<'a>(ticker: &DayTicker<'a>) -> Ticker<'a> {
    // Futures send no book here.
    let book = (ticker.b.is_some() || ticker.a.is_some())
        .then(|| TopOfBook { bid: side(ticker.b), ask: side(ticker.a) });
    let (first, second) = (Some(ticker.v.0), ticker.q.map(|Volume(volume)| volume));
    let (base_volume, quote_volume) = if coin_margined(ticker.s) { (second, None) } else { (first, second) };
    Ticker {
        symbol: ticker.s,
        book,
        last: side(Some(ticker.c)),
        base_volume_24h: base_volume,
        quote_volume_24h: quote_volume,
        time: millis(ticker.time),
    }
}

#[cfg(test)]
mod tests;
