//! Crypto.com Exchange: messages `{"method": "subscribe", "result": {"channel", "instrument_name", "data"}}`.
//!
//! `trade` carries trades (`s` is the taker's side), the first message of an instrument the last hundred of them;
//! `ticker` best bid `b`, best ask `k`, last price `a` and the volume of 24 hours `v`. The venue beats and wants
//! an answer with the same id within five seconds. Spot is spelled `BTC_USDT`, contracts `BTCUSD-PERP` and
//! `BTCUSD-231229`. Numbers are JSON numbers at the old address (`/v2`) and text at the present one. Source:
//! Crypto.com's public exchange documentation, and recorded traffic.

mod rest;

use std::time::Duration;

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
        event::{Event, Events, Parsed, Ticker, TradeReport},
        json::{Few, Message},
        number::{Number, Text, Volume, millis, positive, side, whole},
        rest::Rest,
        venue::{ConnectionLimits, Endpoint, Market, ParseError, Protocol, Session},
    },
};

/// Speaks with Crypto.com.
#[derive(Debug)]
pub struct CryptoCom;

impl Protocol for CryptoCom {
    fn venue(&self) -> Venue {
        Venue::new("cryptocom")
    }

    fn evidence(&self) -> &'static str {
        "recordings of November 2021 (v2, of the same shape)"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://stream.crypto.com/exchange/v1/market")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}_{}", self.native(pair.base), self.native(pair.quote))
    }

    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let (pair, kind) = match symbol.split_once('-') {
            None => (Pair::split_at(symbol, '_'), MarketKind::Spot),
            Some((joined, "PERP")) => (Pair::split_joined(joined), MarketKind::Perpetual),
            Some((joined, day)) if day.len() == 6 && day.bytes().all(|b| b.is_ascii_digit()) => {
                (Pair::split_joined(joined), MarketKind::Dated)
            }
            Some(_) => return Err(ParseError::unknown_symbol(symbol)),
        };
        let pair = pair.map_err(|_| ParseError::unknown_symbol(symbol))?;
        Ok(Market { pair, kind })
    }

    fn subscribe(&self, symbols: &[String], now: DateTime<Utc>) -> Vec<String> {
        let channels: Vec<String> = symbols
            .iter()
            .flat_map(|symbol| ["trade", "ticker"].map(|channel| format!("{channel}.{symbol}")))
            .collect();
        let request = serde_json::json!({
            "id": 1,
            "method": "subscribe",
            "params": { "channels": channels },
            "nonce": now.timestamp_millis(),
        });
        vec![request.to_string()]
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::CryptoComRest)
    }

    fn limits(&self) -> ConnectionLimits {
        // Requests that come sooner may be counted against the limit of a second that has hardly begun.
        ConnectionLimits { settle: Duration::from_secs(1), ..ConnectionLimits::DEFAULT }
    }

    fn parse<'a>(&self, session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        let envelope = Message::open(text, 2, ["method", "code", "id", "message"], "result")?;
        let [_, code, id, words] = envelope.head;
        match envelope.given(0)? {
            method @ "public/heartbeat" => {
                Ok(Parsed { reply: Some(heartbeat_answer(id)?), ..Parsed::ignored(method) })
            }
            method @ "subscribe" if code.is_some_and(|code| code != "0") => {
                Ok(Parsed::one(method, Event::Refused(words.unwrap_or("without a reason"))))
            }
            method @ "subscribe" if !envelope.has_body() => Ok(Parsed::one(method, Event::Subscribed)),
            "subscribe" => data(session, envelope.nested(2, ["channel", "instrument_name"], "data")?),
            method => Err(ParseError::unknown_channel(method)),
        }
    }
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    d: Text<'a>,
    s: &'a str,
    p: Number,
    q: Number,
    t: i64,
}

#[derive(Deserialize)]
struct Day<'a> {
    #[serde(default)]
    i: &'a str,
    b: Option<Number>,
    k: Option<Number>,
    a: Option<Number>,
    v: Option<Volume>,
    t: i64,
}

/// Answers the venue's heartbeat, which proves the connection but not the data on it.
fn heartbeat_answer(id: Option<&str>) -> Result<String, ParseError> {
    let id = id.ok_or_else(|| ParseError::value("id", "absent"))?;
    let id = whole(id).ok_or_else(|| ParseError::value("id", id))?;
    Ok(serde_json::json!({ "id": id, "method": "public/respond-heartbeat" }).to_string())
}

/// Reads a message of a subscription.
fn data<'a>(session: &mut Session, mut result: Message<'a, 2>) -> Result<Parsed<'a>, ParseError> {
    let [channel, symbol] = result.head.map(Option::unwrap_or_default);
    let events: Result<Events<'a>, ParseError> = match channel {
        "trade" => {
            let trades: Few<Trade<'a>> = result.body()?;
            let snapshot = session.begins(symbol);
            trades.iter().map(|t| trade(symbol, t, snapshot).map(Event::Trade)).collect()
        }
        "ticker" => {
            let days: Few<Day<'_>> = result.body()?;
            days.iter().map(|d| day(symbol, d).map(Event::Ticker)).collect()
        }
        "book" | "book.update" | "candlestick" => {
            result.end()?;
            return Ok(Parsed::ignored(channel));
        }
        _ => return Err(ParseError::unknown_channel(channel)),
    };
    Ok(Parsed::many(channel, events?))
}

fn trade<'a>(symbol: &'a str, trade: &Trade<'a>, snapshot: bool) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol,
        id: Some(trade.d.0),
        count: 1,
        price: positive("p", trade.p)?,
        amount: positive("q", trade.q)?,
        side: match trade.s {
            "BUY" | "buy" => Side::Buy,
            "SELL" | "sell" => Side::Sell,
            other => return Err(ParseError::value("s", other)),
        },
        time: millis(trade.t).ok_or_else(|| ParseError::value("t", trade.t))?,
        snapshot,
    })
}

fn day<'a>(symbol: &'a str, day: &Day<'_>) -> Result<Ticker<'a>, ParseError> {
    Ok(Ticker {
        symbol,
        book: Some(TopOfBook { bid: side(day.b), ask: side(day.k) }),
        last: side(day.a),
        base_volume_24h: day.v.map(|Volume(v)| v),
        // The venue's other volume, `vv`, is in dollars whatever the quote asset is.
        quote_volume_24h: None,
        time: Some(millis(day.t).ok_or_else(|| ParseError::value("t", day.t))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const TRADES: &str = r#"{"id":-1,"code":0,"method":"subscribe","result":{"instrument_name":"ABC_USDT","subscription":"trade.ABC_USDT","channel":"trade","data":[{"d":"9007199254740993","t":1700000000123,"p":"1.50","q":"0.25","s":"SELL","i":"ABC_USDT"},{"d":9007199254740995,"t":1700000000120,"p":1.49,"q":2,"s":"BUY","i":"ABC_USDT"}]}}"#;
    const TICKER: &str = r#"{"id":-1,"code":0,"method":"subscribe","result":{"instrument_name":"ABC_USDT","subscription":"ticker.ABC_USDT","channel":"ticker","data":[{"h":"2","l":"1","a":"1.5","c":"0.1","b":"1.49","bs":"5","k":null,"ks":null,"i":"ABC_USDT","v":"100.5","vv":"150","oi":"0","t":1700000000123}]}}"#;
    const HEARTBEAT: &str = r#"{"id":1700000000123,"method":"public/heartbeat","code":0}"#;

    fn parse(text: &str) -> Result<String, ParseError> {
        let mut session = Session::default();
        CryptoCom.parse(&mut session, text).map(|p| format!("{p:?}"))
    }

    fn event(text: &str) -> Event<'_> {
        let parsed = CryptoCom.parse(Box::leak(Box::default()), text).unwrap();
        parsed.events.into_iter().next().unwrap()
    }

    #[test]
    fn the_first_trades_of_an_instrument_are_past_ones() {
        let mut session = Session::default();
        let mut marks = |text: &str| -> Vec<bool> {
            let parsed = CryptoCom.parse(&mut session, text).unwrap();
            let trades = parsed.events.iter().map(|event| match event {
                Event::Trade(trade) => trade.snapshot,
                other => panic!("{other:?}"),
            });
            trades.collect()
        };
        assert_eq!(marks(TRADES), [true, true]);
        assert_eq!(marks(TRADES), [false, false]);
        assert_eq!(marks(&TRADES.replace("ABC", "XYZ")), [true, true]);
        assert_eq!(marks(TRADES), [false, false]);
    }

    #[test]
    fn a_trade_names_the_takers_side_and_its_whole_id() {
        let Event::Trade(trade) = event(TRADES) else { panic!("no trade") };
        assert_eq!((trade.symbol, trade.id, trade.side), ("ABC_USDT", Some("9007199254740993"), Side::Sell));
        assert_eq!(trade.price.normalize().to_string(), "1.5");
        assert_eq!(trade.time.timestamp_millis(), 1_700_000_000_123);
    }

    #[test]
    fn a_ticker_may_lack_a_side() {
        assert_eq!(
            expect::line(&event(TICKER)),
            "ABC_USDT 1.49/- last 1.5 base 100.5 quote - at 1700000000123"
        );
    }

    #[test]
    fn a_heartbeat_is_answered_with_its_number() {
        let mut session = Session::default();
        let parsed = CryptoCom.parse(&mut session, HEARTBEAT).unwrap();
        let reply = parsed.reply.unwrap();
        let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
        let expected =
            serde_json::json!({ "id": 1_700_000_000_123_i64, "method": "public/respond-heartbeat" });
        assert_eq!((reply, parsed.events.len()), (expected, 0));
    }

    #[test]
    fn the_venue_takes_or_refuses() {
        assert_eq!(event(r#"{"id":1,"code":0,"method":"subscribe"}"#), Event::Subscribed);
        let refused = r#"{"id":1,"code":40003,"method":"subscribe","message":"Unknown symbol"}"#;
        assert_eq!(event(refused), Event::Refused("Unknown symbol"));
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, kind) in [
            ("{}", "json"),
            (r#"{"method":"nonsense"}"#, "unknown_channel"),
            (r#"{"method":"public/heartbeat"}"#, "value"),
            (&TRADES.replace(r#""channel":"trade""#, r#""channel":"nonsense""#), "unknown_channel"),
            (&TRADES.replace("1.50", "-1.50"), "value"),
            (&TRADES.replace("\"1.50\"", "\"null\""), "json"),
            (&TRADES.replace("SELL", "both"), "value"),
            (&TRADES.replace("1700000000123", "9223372036854775807"), "value"),
        ] {
            assert_eq!(parse(text).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &CryptoCom,
            &[
                ("BTC_USDT", "BTC-USDT Spot"),
                ("GRT_CRO", "GRT-CRO Spot"),
                ("BTC_USD", "BTC-USD Spot"),
                ("BTCUSD-PERP", "BTC-USD Perpetual"),
                ("BTCUSD-231229", "BTC-USD Dated"),
            ],
            &["", "BTC", "BTC_", "BTCUSD-INDEX", "BTCUSD-2312", "-PERP"],
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&CryptoCom, &[TRADES, TICKER, HEARTBEAT]);
    }
}
