//! Gate spot, version 4: messages `{"time", "channel", "event", "result"}`.
//!
//! `spot.trades` carries one trade (`side` is the taker's, `create_time_ms` milliseconds with a fraction),
//! `spot.book_ticker` best bid and ask as they change, `spot.tickers` the last 24 hours every second or two.
//! Dated contracts are spelled `BTC_USDT_20210625`; perpetual ones are spelled as spot markets are and trade at
//! another address only. Source: Gate's public WebSocket documentation, and recorded traffic.

mod rest;

use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, prelude::ToPrimitive};
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
        json::{self, Message},
        number::{Number, Text, Volume, Words, millis, optional, positive, side, whole},
        rest::Rest,
        venue::{Endpoint, Market, ParseError, Ping, Protocol, Session},
    },
};

/// Speaks with Gate.
#[derive(Debug)]
pub struct Gate;

impl Protocol for Gate {
    fn venue(&self) -> Venue {
        Venue::new("gate")
    }

    fn evidence(&self) -> &'static str {
        "recordings of April 2021"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://api.gateio.ws/ws/v4/")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}_{}", self.native(pair.base), self.native(pair.quote))
    }

    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let (name, kind) = match symbol.rsplit_once('_') {
            Some((name, day)) if day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit()) => {
                (name, MarketKind::Dated)
            }
            _ => (symbol, MarketKind::Spot),
        };
        let pair = Pair::split_at(name, '_').map_err(|_| ParseError::unknown_symbol(symbol))?;
        Ok(Market { pair, kind })
    }

    fn aliases(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("88MPH", "MPH"),
            ("MPH", "MORPHER"),
            ("BIFI", "BITCOINFILE"),
            ("GTC", "GAMECOM"),
            ("HIT", "HITCHAIN"),
            ("RAI", "RAIREFLEX"),
            ("SBTC", "SUPERBITCOIN"),
            ("VAI", "VAIOT"),
        ]
    }

    fn subscribe(&self, symbols: &[String], now: DateTime<Utc>) -> Vec<String> {
        ["spot.trades", "spot.book_ticker", "spot.tickers"]
            .map(|channel| {
                serde_json::json!({
                    "time": now.timestamp(),
                    "channel": channel,
                    "event": "subscribe",
                    "payload": symbols,
                })
                .to_string()
            })
            .to_vec()
    }

    fn ping(&self, now: DateTime<Utc>) -> Option<Ping> {
        Some(Ping {
            every: Duration::from_secs(15),
            message: format!(r#"{{"time":{},"channel":"spot.ping"}}"#, now.timestamp()),
        })
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::GateRest)
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        let mut message = Message::open(text, 2, ["channel", "event", "error", "time", "time_ms"], "result")?;
        let [_, event, error, ..] = message.head;
        let channel = message.given(0)?;
        if let Some(error) = error {
            let Refusal { message: Words(words) } = json::from_str(error)?;
            return Ok(Parsed::one(channel, Event::Refused(words)));
        }
        if event == Some("subscribe") && channel.starts_with("spot.") {
            message.end()?;
            return Ok(Parsed::one(channel, Event::Subscribed));
        }
        match channel {
            "spot.trades" => Ok(Parsed::one(channel, Event::Trade(trade(&message.body()?)?))),
            "spot.book_ticker" => Ok(Parsed::one(channel, Event::Ticker(best(&message.body()?)?))),
            "spot.tickers" => {
                let result = message.body()?;
                let [.., seconds, millis] = message.head;
                Ok(Parsed::one(channel, Event::Ticker(day(&result, seconds, millis))))
            }
            "spot.order_book" | "spot.order_book_update" | "spot.obu" | "spot.candlesticks" | "spot.pong" => {
                message.end()?;
                Ok(Parsed::ignored(channel))
            }
            _ => Err(ParseError::unknown_channel(channel)),
        }
    }
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    message: Words<'a>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    create_time_ms: Number,
    side: &'a str,
    currency_pair: &'a str,
    amount: Number,
    price: Number,
}

#[derive(Deserialize)]
struct Best<'a> {
    t: i64,
    s: &'a str,
    #[serde(default, deserialize_with = "optional")]
    b: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    a: Option<Number>,
}

#[derive(Deserialize)]
struct Day<'a> {
    currency_pair: &'a str,
    #[serde(default, deserialize_with = "optional")]
    last: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    highest_bid: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    lowest_ask: Option<Number>,
    base_volume: Option<Volume>,
    quote_volume: Option<Volume>,
}

fn trade<'a>(trade: &Trade<'a>) -> Result<TradeReport<'a>, ParseError> {
    let Number(time) = trade.create_time_ms;
    Ok(TradeReport {
        symbol: trade.currency_pair,
        id: Some(trade.id.0),
        count: 1,
        price: positive("price", trade.price)?,
        amount: positive("amount", trade.amount)?,
        side: match trade.side {
            "buy" => Side::Buy,
            "sell" => Side::Sell,
            other => return Err(ParseError::value("side", other)),
        },
        time: fractional_millis(time).ok_or_else(|| ParseError::value("create_time_ms", time))?,
        snapshot: false,
    })
}

fn best<'a>(best: &Best<'a>) -> Result<Ticker<'a>, ParseError> {
    Ok(Ticker {
        symbol: best.s,
        book: Some(TopOfBook { bid: side(best.b), ask: side(best.a) }),
        time: Some(millis(best.t).ok_or_else(|| ParseError::value("t", best.t))?),
        ..Ticker::default()
    })
}

/// The ticker has no time of its own; older messages give theirs in seconds only.
fn day<'a>(day: &Day<'a>, time: Option<&str>, time_ms: Option<&str>) -> Ticker<'a> {
    let number = |text: Option<&str>| text.and_then(whole);
    let seconds = number(time).and_then(|time| DateTime::from_timestamp(time, 0));
    Ticker { time: number(time_ms).and_then(millis).or(seconds), ..ticker(day) }
}

fn ticker<'a>(day: &Day<'a>) -> Ticker<'a> {
    Ticker {
        symbol: day.currency_pair,
        book: Some(TopOfBook { bid: side(day.highest_bid), ask: side(day.lowest_ask) }),
        last: side(day.last),
        base_volume_24h: day.base_volume.map(|Volume(v)| v),
        quote_volume_24h: day.quote_volume.map(|Volume(v)| v),
        time: None,
    }
}

/// Reads milliseconds since 1970 with a fraction, to the nanosecond.
fn fractional_millis(millis: Decimal) -> Option<DateTime<Utc>> {
    let nanos = millis.checked_mul(Decimal::from(1_000_000))?.to_i64()?;
    Some(DateTime::from_timestamp_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const TRADE: &str = r#"{"time":1700000000,"time_ms":1700000000200,"channel":"spot.trades","event":"update","result":{"id":77,"create_time":1700000000,"create_time_ms":"1700000000123.4567","side":"sell","currency_pair":"ABC_USDT","amount":"0.0800000000","price":"1.50"}}"#;
    const BEST: &str = r#"{"time":1700000000,"time_ms":1700000000142,"channel":"spot.book_ticker","event":"update","result":{"t":1700000000131,"u":5,"s":"ABC_USDT","b":"1.49","B":"0.001","a":"","A":"0"}}"#;
    const DAY: &str = r#"{"time":1700000000,"channel":"spot.tickers","event":"update","result":{"currency_pair":"ABC_USDT","last":"1.5","lowest_ask":"1.51","highest_bid":"1.49","change_percentage":"2.9","base_volume":"10.5","quote_volume":"123456789.12345678901234567890123","high_24h":"2","low_24h":"1"}}"#;
    const TAKEN: &str = r#"{"time":1700000000,"channel":"spot.trades","event":"subscribe","error":null,"result":{"status":"success"}}"#;

    fn parse(text: &str) -> Result<String, ParseError> {
        let mut session = Session::default();
        Gate.parse(&mut session, text).map(|p| format!("{p:?}"))
    }

    fn event(text: &str) -> Event<'_> {
        let parsed = Gate.parse(Box::leak(Box::default()), text).unwrap();
        parsed.events.into_iter().next().unwrap()
    }

    #[test]
    fn a_trade_keeps_the_fraction_of_its_millisecond() {
        let Event::Trade(trade) = event(TRADE) else { panic!("no trade") };
        assert_eq!(
            (trade.symbol, trade.id, trade.side, trade.snapshot),
            ("ABC_USDT", Some("77"), Side::Sell, false)
        );
        assert_eq!(trade.amount.normalize().to_string(), "0.08");
        assert_eq!(trade.time.timestamp_nanos_opt(), Some(1_700_000_000_123_456_700));
    }

    #[test]
    fn tickers_come_with_and_without_volume() {
        assert_eq!(expect::line(&event(BEST)), "ABC_USDT 1.49/- last - base - quote - at 1700000000131");
        assert_eq!(
            expect::line(&event(DAY)),
            "ABC_USDT 1.49/1.51 last 1.5 base 10.5 quote 123456789.1234567890123456789 at 1700000000000"
        );
        let Event::Ticker(later) = event(DAY.replace("0000,", "0000,\"time_ms\":1700000000456,").leak())
        else {
            panic!("no ticker")
        };
        assert_eq!(later.time, millis(1_700_000_000_456));
    }

    #[test]
    fn the_venue_takes_or_refuses() {
        assert_eq!(event(TAKEN), Event::Subscribed);
        let refused = r#"{"time":1,"channel":"spot.trades","event":"subscribe","error":{"code":2,"message":"unknown currency pair: X"},"result":null}"#;
        assert_eq!(event(refused), Event::Refused("unknown currency pair: X"));
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, kind) in [
            ("{}", "json"),
            (r#"{"channel":"spot.nonsense","event":"update","result":{}}"#, "unknown_channel"),
            (r#"{"channel":"futures.trades","event":"update","result":[]}"#, "unknown_channel"),
            (r#"{"channel":"spot.trades","event":"update"}"#, "value"),
            (&TRADE.replace("1.50", "0"), "value"),
            (&TRADE.replace("\"1.50\"", "null"), "json"),
            (&TRADE.replace("1.50", "NaN"), "json"),
            (&TRADE.replace("sell", "SELL"), "value"),
            (&TRADE.replace("1700000000123.4567", "99999999999999999999"), "value"),
        ] {
            assert_eq!(parse(text).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &Gate,
            &[
                ("BTC_USDT", "BTC-USDT Spot"),
                ("GTC_USDT", "GTC-USDT Spot"),
                ("QTUM3S_USDT", "QTUM3S-USDT Spot"),
                ("BTC_USDT_20210625", "BTC-USDT Dated"),
            ],
            &["", "BTC", "BTC_", "_USDT", "BTC_USDT_2021", "BTC_USDT-20210625-50000-C"],
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        let pong = r#"{"time":1700000000,"channel":"spot.pong","event":"","error":null,"result":null}"#;
        expect::survives(&Gate, &[TRADE, BEST, DAY, TAKEN, pong]);
    }
}
