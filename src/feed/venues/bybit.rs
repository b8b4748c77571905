//! Bybit: API v5, public spot, messages `{"topic", "type", "ts", "data"}`.
//!
//! `publicTrade` carries trades (`S` is the taker's side; `BT` marks a block trade, which is agreed on beside the
//! book and says nothing about it), `tickers` the last price and the last 24 hours, on spot always in full and
//! without a book. Best bid and ask come from `orderbook.1`, a book of one level: a beginning and numbered changes, the
//! beginning again after three seconds without a change. Perpetual contracts are spelled as spot markets are and trade
//! at another address only; those in USDC (`BTCPERP`) and dated ones (`BTCUSDU23`) can be told apart.
//! Source: Bybit's public documentation, and messages of the same format that were recorded on contracts.

mod rest;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use crate::{
    domain::{
        pair::{Asset, Pair},
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        book::Change,
        event::{Event, Events, Parsed, Ticker, TradeReport},
        json::{Few, Levels, Message},
        number::{Number, Text, Volume, millis, optional, positive, side, whole},
        rest::{Budget, Rest},
        venue::{ConnectionLimits, Endpoint, Market, ParseError, Ping, Protocol, Session, split_last},
    },
};

/// The channel of best bid and ask.
const BEST: &str = "orderbook.1";

/// Channels that are known and say nothing we use, by what they begin with.
const IGNORED: &[&str] =
    &["orderbook.", "kline", "liquidation", "allLiquidation", "tickers_lt", "lt", "insurance", "priceLimit"];

/// What the names of months are shortened to in `BTCUSDU23`.
const MONTHS: &str = "FGHJKMNQUVXZ";

/// The number of an update that stands for a book that begins anew, whatever its type.
const FIRST_UPDATE: u64 = 1;

/// An address may make 500 connections in five minutes.
const LIMITS: ConnectionLimits =
    ConnectionLimits { connections: Some(Budget::new(500, 300)), ..ConnectionLimits::DEFAULT };

/// Speaks with Bybit.
#[derive(Debug)]
pub struct Bybit;

impl Protocol for Bybit {
    fn venue(&self) -> Venue {
        Venue::new("bybit")
    }

    fn evidence(&self) -> &'static str {
        "single messages of April 2023 (contracts); spot by documentation"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://stream.bybit.com/v5/public/spot")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}{}", self.native(pair.base), self.native(pair.quote))
    }

    /// Reads `BTCUSDT`, the perpetual `BTCPERP` (in USDC) and the dated `BTCUSDU23`.
    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let (pair, kind) = match (symbol.strip_suffix("PERP"), without_month(symbol)) {
            (Some(base), _) => {
                let pair = Asset::raw(base).map(|base| Pair::new(base, Asset::literal("USDC")));
                (pair, MarketKind::Perpetual)
            }
            (None, Some(joined)) => (Pair::split_joined(joined), MarketKind::Dated),
            (None, None) => (Pair::split_joined(symbol), MarketKind::Spot),
        };
        Ok(Market { pair: pair.map_err(|_| ParseError::unknown_symbol(symbol))?, kind })
    }

    /// One message for each market: a message may name ten topics, and is refused as a whole if one is not known.
    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        symbols
            .iter()
            .map(|symbol| {
                let topics = ["publicTrade", BEST, "tickers"].map(|channel| format!("{channel}.{symbol}"));
                json!({ "op": "subscribe", "args": topics }).to_string()
            })
            .collect()
    }

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn ping(&self, _now: DateTime<Utc>) -> Option<Ping> {
        Some(Ping { every: Duration::from_secs(20), message: r#"{"op":"ping"}"#.to_owned() })
    }

    fn parse<'a>(&self, session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        let message = Message::open(text, 3, ["topic", "type", "ts", "op", "success", "ret_msg"], "data")?;
        match message.head {
            [Some(topic), ..] => data(session, topic, message),
            [None, _, _, Some(op), success, words] => answer(op, success, words),
            [None, _, _, None, ..] => Err(ParseError::unknown_channel("without topic")),
        }
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::BybitRest)
    }
}

#[derive(Deserialize)]
struct Trade<'a> {
    s: &'a str,
    #[serde(borrow)]
    i: Text<'a>,
    p: Number,
    v: Number,
    #[serde(rename = "S")]
    side: &'a str,
    #[serde(rename = "T")]
    time: i64,
    #[serde(rename = "BT", default)]
    block: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Day<'a> {
    symbol: &'a str,
    #[serde(default, deserialize_with = "optional")]
    last_price: Option<Number>,
    volume24h: Option<Volume>,
    turnover24h: Option<Volume>,
}

/// Prices and the amounts that are now there.
#[derive(Deserialize)]
struct Depth {
    b: Levels<(Number, Number)>,
    a: Levels<(Number, Number)>,
    u: u64,
}

fn answer<'a>(op: &'a str, success: Option<&str>, words: Option<&'a str>) -> Result<Parsed<'a>, ParseError> {
    if success == Some("false") {
        return Ok(Parsed::one(op, Event::Refused(words.unwrap_or("without a reason"))));
    }
    match op {
        "subscribe" => Ok(Parsed::one(op, Event::Subscribed)),
        "unsubscribe" | "ping" | "pong" => Ok(Parsed::ignored(op)),
        _ => Err(ParseError::unknown_channel(op)),
    }
}

fn data<'a>(
    session: &mut Session,
    topic: &'a str,
    mut message: Message<'a, 6>,
) -> Result<Parsed<'a>, ParseError> {
    let (channel, symbol) = split_last(topic, b'.').ok_or_else(|| ParseError::unknown_channel(topic))?;
    match channel {
        "publicTrade" => {
            let trades: Few<Trade<'a>> = message.body()?;
            let trades = trades.iter().filter(|trade| !trade.block).map(trade);
            Ok(Parsed::many(channel, trades.collect::<Result<_, _>>()?))
        }
        "tickers" => {
            let day: Day<'a> = message.body()?;
            Ok(Parsed::one(channel, Event::Ticker(ticker(&day, time(message.head)?))))
        }
        BEST => {
            let depth: Depth = message.body()?;
            Ok(Parsed::many(channel, best(session, symbol, message.head, &depth)?))
        }
        _ if IGNORED.iter().any(|name| channel.starts_with(name)) => {
            message.end()?;
            Ok(Parsed::ignored(channel))
        }
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

fn trade<'a>(trade: &Trade<'a>) -> Result<Event<'a>, ParseError> {
    Ok(Event::Trade(TradeReport {
        symbol: trade.s,
        id: Some(trade.i.0),
        count: 1,
        price: positive("p", trade.p)?,
        amount: positive("v", trade.v)?,
        side: taker(trade.side)?,
        time: millis(trade.time).ok_or_else(|| ParseError::value("T", trade.time))?,
        snapshot: false,
    }))
}

fn taker(side: &str) -> Result<Side, ParseError> {
    match side {
        "Buy" => Ok(Side::Buy),
        "Sell" => Ok(Side::Sell),
        other => Err(ParseError::value("side", other)),
    }
}

fn ticker<'a>(day: &Day<'a>, time: DateTime<Utc>) -> Ticker<'a> {
    Ticker {
        symbol: day.symbol,
        last: side(day.last_price),
        base_volume_24h: day.volume24h.map(|Volume(volume)| volume),
        quote_volume_24h: day.turnover24h.map(|Volume(volume)| volume),
        time: Some(time),
        ..Ticker::default()
    }
}

/// Keeps the book and gets its best bid and ask.
///
/// If an update was missed, that is told first, and only what this one says is known: its level is the only one of its
/// side. The other side is unknown until a message tells it.
fn best<'a>(
    session: &mut Session,
    symbol: &'a str,
    head: [Option<&str>; 6],
    depth: &Depth,
) -> Result<Events<'a>, ParseError> {
    let time = time(head)?;
    let [_, kind, ..] = head;
    let bids = depth.b.iter().map(|(price, amount)| Change::read(Side::Buy, *price, *amount));
    let asks = depth.a.iter().map(|(price, amount)| Change::read(Side::Sell, *price, *amount));
    let changes: Levels<Change> = bids.chain(asks).collect::<Result<_, _>>()?;
    let follows = match kind {
        Some("delta") => depth.u != FIRST_UPDATE,
        Some("snapshot") => false,
        other => return Err(ParseError::value("type", other.unwrap_or("absent"))),
    };
    let book = session.book(symbol)?;
    let (begun, next) = (book.has_begun(), book.is_next(depth.u));
    if next && follows {
        book.follow(&changes);
    } else {
        book.begin(&changes);
    }
    let gap = (begun && follows && !next).then_some(Event::Gap(Some(symbol)));
    let ticker = Ticker { symbol, book: Some(book.top()), time: Some(time), ..Ticker::default() };
    Ok(gap.into_iter().chain([Event::Ticker(ticker)]).collect())
}

fn time([_, _, ts, ..]: [Option<&str>; 6]) -> Result<DateTime<Utc>, ParseError> {
    let ts = ts.ok_or_else(|| ParseError::value("ts", "absent"))?;
    whole(ts).and_then(millis).ok_or_else(|| ParseError::value("ts", ts))
}

/// Takes the month and the year off `BTCUSDU23`.
fn without_month(symbol: &str) -> Option<&str> {
    let (joined, month) = symbol.split_at_checked(symbol.len().checked_sub(3)?)?;
    let year = month.strip_prefix(|letter| MONTHS.contains(letter))?;
    year.bytes().all(|digit| digit.is_ascii_digit()).then_some(joined)
}

#[cfg(test)]
mod tests;
