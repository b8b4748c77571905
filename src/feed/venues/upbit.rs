//! Upbit: flat JSON objects in binary frames, told apart by `ty`.
//!
//! `trade` carries a trade (`ab` is the taker's side: `ASK` sold), `orderbook` the book, best prices in its first
//! unit, `ticker` the last 24 hours. `st` marks past data as `SNAPSHOT`. Codes name the quote first: `KRW-BTC`
//! is the price of BTC in KRW. Short field names come with `"format": "SIMPLE"`, long ones without. Source:
//! Upbit's public WebSocket documentation, and recorded traffic.

mod rest;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    domain::{
        pair::Pair,
        quote::TopOfBook,
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        event::{Event, Parsed, Ticker, TradeReport},
        json::{Best, Tagged},
        number::{Number, Text, Volume, Words, millis, positive, side},
        rest::{Budget, Rest},
        venue::{ConnectionLimits, Endpoint, Market, ParseError, Ping, Protocol, Session},
    },
};

/// Milliseconds that no clock shows before the year 5138: what is larger is in microseconds.
const TOO_LARGE_FOR_MILLIS: i64 = 100_000_000_000_000;

/// An address may make five connections a second, and send five messages.
const LIMITS: ConnectionLimits = ConnectionLimits {
    message_gap: Duration::from_millis(250),
    connections: Some(Budget::new(5, 1)),
    ..ConnectionLimits::DEFAULT
};

/// Speaks with Upbit.
#[derive(Debug)]
pub struct Upbit;

impl Protocol for Upbit {
    fn venue(&self) -> Venue {
        Venue::new("upbit")
    }

    fn evidence(&self) -> &'static str {
        "recordings of April 2021"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://api.upbit.com/websocket/v1")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}-{}", self.native(pair.quote), self.native(pair.base))
    }

    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let pair = Pair::split_at(symbol, '-').map_err(|_| ParseError::unknown_symbol(symbol))?;
        Ok(Market { pair: pair.inverse(), kind: MarketKind::Spot })
    }

    fn aliases(&self) -> &'static [(&'static str, &'static str)] {
        // Elsewhere this ticker is Toncoin.
        &[("TON", "TOKAMAK")]
    }

    fn subscribe(&self, symbols: &[String], now: DateTime<Utc>) -> Vec<String> {
        let request = serde_json::json!([
            { "ticket": format!("cryptoprice-{}", now.timestamp_millis()) },
            { "type": "trade", "codes": symbols },
            { "type": "orderbook", "codes": symbols },
            { "type": "ticker", "codes": symbols },
            { "format": "SIMPLE" },
        ]);
        vec![request.to_string()]
    }

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn replaces_subscriptions(&self) -> bool {
        true
    }

    fn ping(&self, _now: DateTime<Utc>) -> Option<Ping> {
        Some(Ping { every: Duration::from_secs(60), message: "PING".to_owned() })
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::UpbitRest)
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        let message = Tagged::open(text, &["ty", "type"])?;
        let Some(channel) = message.tag else {
            return answer(&message.read()?);
        };
        match channel {
            "trade" => Ok(Parsed::one(channel, Event::Trade(trade(&message.read()?)?))),
            "orderbook" => Ok(Parsed::one(channel, Event::Ticker(book(&message.read()?)?))),
            "ticker" => Ok(Parsed::one(channel, Event::Ticker(day(&message.read()?)?))),
            _ if channel.starts_with("candle.") => {
                let _: IgnoredAny = message.read()?;
                Ok(Parsed::ignored(channel))
            }
            _ => Err(ParseError::unknown_channel(channel)),
        }
    }
}

/// A message that is about no market.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    error: Option<Refusal<'a>>,
    status: Option<&'a str>,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    message: Words<'a>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(alias = "code")]
    cd: &'a str,
    #[serde(alias = "trade_timestamp")]
    ttms: i64,
    #[serde(alias = "trade_price")]
    tp: Number,
    #[serde(alias = "trade_volume")]
    tv: Number,
    #[serde(alias = "ask_bid")]
    ab: &'a str,
    #[serde(borrow, alias = "sequential_id")]
    sid: Text<'a>,
    #[serde(alias = "stream_type")]
    st: Option<&'a str>,
}

#[derive(Deserialize)]
struct Book<'a> {
    #[serde(alias = "code")]
    cd: &'a str,
    #[serde(alias = "timestamp")]
    tms: i64,
    #[serde(alias = "orderbook_units")]
    obu: Best<Unit>,
}

#[derive(Clone, Copy, Deserialize)]
struct Unit {
    #[serde(alias = "ask_price")]
    ap: Number,
    #[serde(alias = "bid_price")]
    bp: Number,
}

#[derive(Deserialize)]
struct Day<'a> {
    #[serde(alias = "code")]
    cd: &'a str,
    #[serde(alias = "timestamp")]
    tms: i64,
    #[serde(alias = "trade_price")]
    tp: Number,
    #[serde(alias = "acc_trade_volume_24h")]
    atv24h: Option<Volume>,
    #[serde(alias = "acc_trade_price_24h")]
    atp24h: Option<Volume>,
}

fn answer<'a>(answer: &Answer<'a>) -> Result<Parsed<'a>, ParseError> {
    match answer {
        Answer { error: Some(Refusal { message: Words(words) }), .. } => {
            Ok(Parsed::one("error", Event::Refused(words)))
        }
        // The answer to a ping.
        Answer { status: Some(_), .. } => Ok(Parsed::ignored("status")),
        Answer { .. } => Err(ParseError::unknown_channel("without type")),
    }
}

fn trade<'a>(trade: &Trade<'a>) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol: trade.cd,
        id: Some(trade.sid.0),
        count: 1,
        price: positive("tp", trade.tp)?,
        amount: positive("tv", trade.tv)?,
        side: taker("ab", trade.ab)?,
        time: time("ttms", trade.ttms)?,
        snapshot: trade.st == Some("SNAPSHOT"),
    })
}

/// Reads which side of the book the taker's order belongs to.
fn taker(field: &'static str, side: &str) -> Result<Side, ParseError> {
    match side {
        "BID" => Ok(Side::Buy),
        "ASK" => Ok(Side::Sell),
        other => Err(ParseError::value(field, other)),
    }
}

fn book<'a>(book: &Book<'a>) -> Result<Ticker<'a>, ParseError> {
    let Best(best) = book.obu;
    Ok(Ticker {
        symbol: book.cd,
        book: Some(TopOfBook { bid: side(best.map(|unit| unit.bp)), ask: side(best.map(|unit| unit.ap)) }),
        time: Some(time("tms", book.tms)?),
        ..Ticker::default()
    })
}

fn day<'a>(day: &Day<'a>) -> Result<Ticker<'a>, ParseError> {
    Ok(Ticker {
        symbol: day.cd,
        last: side(Some(day.tp)),
        base_volume_24h: day.atv24h.map(|Volume(v)| v),
        quote_volume_24h: day.atp24h.map(|Volume(v)| v),
        time: Some(time("tms", day.tms)?),
        ..Ticker::default()
    })
}

/// Reads milliseconds since 1970; the book of some markets has been seen with microseconds.
fn time(field: &'static str, value: i64) -> Result<DateTime<Utc>, ParseError> {
    let time =
        if value < TOO_LARGE_FOR_MILLIS { millis(value) } else { DateTime::from_timestamp_micros(value) };
    time.ok_or_else(|| ParseError::value(field, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const TRADE: &str = r#"{"ty":"trade","cd":"KRW-ABC","tms":1700000000456,"ttms":1700000000123,"tp":127.0,"tv":46.48838371,"ab":"ASK","pcp":123.0,"c":"RISE","cp":4.0,"sid":1700000000000003,"st":"REALTIME"}"#;
    const BOOK: &str = r#"{"ty":"orderbook","cd":"KRW-ABC","tms":1700000000123,"tas":2.5,"tbs":1.5,"obu":[{"ap":0,"bp":126.0,"as":0,"bs":6.5},{"ap":0,"bp":125.0,"as":0,"bs":5}],"st":"SNAPSHOT"}"#;
    const DAY: &str = r#"{"ty":"ticker","cd":"KRW-ABC","op":120.0,"hp":130.0,"lp":119.0,"tp":127.0,"atv":10.5,"atv24h":20.25,"atp24h":2571.75,"ttms":1700000000100,"tms":1700000000123,"st":"REALTIME"}"#;

    fn parse(text: &str) -> Result<String, ParseError> {
        let mut session = Session::default();
        Upbit.parse(&mut session, text).map(|p| format!("{p:?}"))
    }

    fn event(text: &str) -> Event<'_> {
        let parsed = Upbit.parse(Box::leak(Box::default()), text).unwrap();
        parsed.events.into_iter().next().unwrap()
    }

    #[test]
    fn a_trade_names_the_takers_side() {
        for (text, side, snapshot) in [
            (TRADE.to_owned(), Side::Sell, false),
            (TRADE.replace("ASK", "BID"), Side::Buy, false),
            (TRADE.replace("REALTIME", "SNAPSHOT"), Side::Sell, true),
        ] {
            let Event::Trade(trade) = event(text.leak()) else { panic!("no trade") };
            assert_eq!((trade.symbol, trade.id), ("KRW-ABC", Some("1700000000000003")));
            assert_eq!((trade.side, trade.snapshot), (side, snapshot));
            assert_eq!(trade.time.timestamp_millis(), 1_700_000_000_123);
        }
    }

    #[test]
    fn tickers_come_from_the_book_and_the_day() {
        assert_eq!(expect::line(&event(BOOK)), "KRW-ABC 126/- last - base - quote - at 1700000000123");
        assert_eq!(expect::line(&event(DAY)), "KRW-ABC - last 127 base 20.25 quote 2571.75 at 1700000000123");
    }

    #[test]
    fn long_names_and_microseconds_mean_the_same() {
        let long = r#"{"type":"orderbook","code":"KRW-ABC","timestamp":1700000000123000,"orderbook_units":[{"ask_price":0,"bid_price":126.0,"ask_size":0,"bid_size":6.5}]}"#;
        assert_eq!(event(long), event(BOOK));
    }

    #[test]
    fn the_venue_may_refuse() {
        let refused = r#"{"error":{"name":"WRONG_FORMAT","message":"Format mismatch."}}"#;
        assert_eq!(event(refused), Event::Refused("Format mismatch."));
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, kind) in [
            ("{}", "unknown_channel"),
            (r#"{"ty":"nonsense"}"#, "unknown_channel"),
            (r#"{"ty":"trade"}"#, "json"),
            (&TRADE.replace("127.0", "0.0"), "value"),
            (&TRADE.replace("127.0", "null"), "json"),
            (&TRADE.replace("ASK", "ask"), "value"),
            (&TRADE.replace("1700000000123", "9223372036854775807"), "value"),
        ] {
            assert_eq!(parse(text).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn codes_name_the_quote_first() {
        expect::spells(
            &Upbit,
            &[
                ("KRW-BTC", "BTC-KRW Spot"),
                ("BTC-ETH", "ETH-BTC Spot"),
                ("USDT-ETC", "ETC-USDT Spot"),
                ("KRW-TON", "TON-KRW Spot"),
            ],
            &["", "KRW", "KRW-", "-BTC", "KRW-BTC-X"],
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&Upbit, &[TRADE, BOOK, DAY, r#"{"status":"UP"}"#]);
    }
}
