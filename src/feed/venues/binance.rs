//! Binance: combined streams `{"stream", "data"}` over `/stream`; spot, and futures of the same format.
//!
//! `aggTrade` and `trade` carry trades (`m` true: the buyer was the maker, so the taker sold), `bookTicker` best
//! bid and ask (spot: without a time), `ticker` the last 24 hours. Times are milliseconds. The server pings the
//! transport and cuts after 24 hours. Source: Binance's public WebSocket documentation, and recordings.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{
    domain::{
        pair::Pair,
        quote::TopOfBook,
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        event::{Event, Parsed, Ticker, TradeReport},
        number::{Number, Text, Volume, Words, millis, positive, side},
        venue::{Endpoint, Market, ParseError, Protocol, Session},
    },
};

/// Streams that are known and say nothing we use: by name, or by what they begin with.
const IGNORED: &[&str] = &["depth", "kline_", "miniTicker", "avgPrice", "markPrice", "forceOrder"];

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

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        subscription(symbols)
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        message(text)
    }
}

impl Protocol for BinanceFutures {
    fn venue(&self) -> Venue {
        Venue::new("binancefutures")
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

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        message(text)
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    stream: Option<&'a str>,
    #[serde(borrow)]
    data: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    result: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    error: Option<Refusal<'a>>,
    id: Option<i64>,
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
    let message: Message<'_> = serde_json::from_str(text)?;
    let Some(stream) = message.stream else {
        return answer(&message);
    };
    let data = message.data.ok_or_else(|| ParseError::value("data", "absent"))?.get();
    let (_, channel) = stream.split_once('@').ok_or_else(|| ParseError::unknown_channel(stream))?;
    match channel {
        "aggTrade" | "trade" => Ok(Parsed::one(channel, Event::Trade(trade(data)?))),
        "bookTicker" => Ok(Parsed::one(channel, Event::Ticker(book_ticker(data)?))),
        "ticker" => Ok(Parsed::one(channel, Event::Ticker(ticker(data)?))),
        _ if IGNORED.iter().any(|name| channel.starts_with(name)) => Ok(Parsed::ignored(channel)),
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

/// Reads the answer to a subscription.
fn answer<'a>(message: &Message<'a>) -> Result<Parsed<'a>, ParseError> {
    match (&message.error, message.id) {
        (Some(refusal), _) => Ok(Parsed::one("error", Event::Refused(refusal.msg.0))),
        (None, Some(_)) if message.result.is_none_or(|r| r.get() == "null") => {
            Ok(Parsed::one("result", Event::Subscribed))
        }
        _ => Err(ParseError::unknown_channel("without stream")),
    }
}

fn trade(data: &str) -> Result<TradeReport<'_>, ParseError> {
    let trade: Trade<'_> = serde_json::from_str(data)?;
    Ok(TradeReport {
        symbol: trade.s,
        // In a `trade`, `a` is an order of the seller.
        id: trade.t.or(trade.a).map(|Text(id)| id),
        price: positive("p", trade.p)?,
        amount: positive("q", trade.q)?,
        side: if trade.m { Side::Sell } else { Side::Buy },
        time: millis(trade.time).ok_or_else(|| ParseError::value("T", trade.time))?,
        snapshot: false,
    })
}

fn book_ticker(data: &str) -> Result<Ticker<'_>, ParseError> {
    let ticker: BookTicker<'_> = serde_json::from_str(data)?;
    Ok(Ticker {
        symbol: ticker.s,
        book: Some(TopOfBook { bid: side(Some(ticker.b)), ask: side(Some(ticker.a)) }),
        time: ticker.time.and_then(millis),
        ..Ticker::default()
    })
}

fn ticker(data: &str) -> Result<Ticker<'_>, ParseError> {
    let ticker: DayTicker<'_> = serde_json::from_str(data)?;
    // Futures send no book here.
    let book = (ticker.b.is_some() || ticker.a.is_some())
        .then(|| TopOfBook { bid: side(ticker.b), ask: side(ticker.a) });
    Ok(Ticker {
        symbol: ticker.s,
        book,
        last: side(Some(ticker.c)),
        base_volume_24h: Some(ticker.v.0),
        quote_volume_24h: ticker.q.map(|Volume(volume)| volume),
        time: millis(ticker.time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, ParseError> {
        Binance.parse(&mut Session::default(), text).map(|parsed| format!("{parsed:?}"))
    }

    #[test]
    fn a_trade_names_the_takers_side() {
        let text = r#"{"stream":"abcusdt@aggTrade","data":{"e":"aggTrade","E":1700000000100,"s":"ABCUSDT","a":7,"p":"1.5000","q":"2","f":1,"l":1,"T":1700000000099,"m":true,"M":true}}"#;
        let mut session = Session::default();
        let parsed = Binance.parse(&mut session, text).unwrap();
        let [Event::Trade(trade)] = parsed.events.as_slice() else { panic!("{parsed:?}") };
        assert_eq!((trade.symbol, trade.id, trade.side), ("ABCUSDT", Some("7"), Side::Sell));
        assert_eq!(trade.price.normalize().to_string(), "1.5");
        assert_eq!(trade.time.timestamp_millis(), 1_700_000_000_099);
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for text in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"stream":"abc"}"#,
            r#"{"stream":"abc@aggTrade"}"#,
            r#"{"stream":"abc@nonsense","data":{}}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
