//! Bitstamp: WebSocket API v2, messages `{"event", "channel", "data"}`.
//!
//! `live_trades_btcusd` carries trades (`type` is the taker's side: 0 bought, 1 sold; `price_str` and `amount_str`
//! have every digit), `order_book_btcusd` the hundred best bids and asks in full, best first, each time they change.
//! The symbol is the end of the channel's name. Times are microseconds as text. There is no volume of 24 hours.
//! `bts:request_reconnect` announces that the server will end the connection. Perpetual contracts are spelled
//! `btcusd-perp`. Source: Bitstamp's public WebSocket documentation, and recorded messages.

mod rest;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use crate::{
    domain::{
        pair::Pair,
        quote::TopOfBook,
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        event::{Event, Parsed, Ticker, TradeReport},
        json::{Best, Message},
        number::{Number, Text, Words, positive, side, whole},
        rest::Rest,
        venue::{Endpoint, Market, ParseError, Ping, Protocol, Session},
    },
};

/// What the channel of trades is called before its symbol.
const TRADES: &str = "live_trades_";

/// What the channel of the best bids and asks is called before its symbol.
const BOOK: &str = "order_book_";

/// Channels that are known and say nothing we use, by what they begin with.
const IGNORED: &[&str] = &["live_orders_", "detail_order_book_", "diff_order_book_", "funding_rate_"];

/// Speaks with Bitstamp.
#[derive(Debug)]
pub struct Bitstamp;

impl Protocol for Bitstamp {
    fn venue(&self) -> Venue {
        Venue::new("bitstamp")
    }

    fn evidence(&self) -> &'static str {
        "single messages of April 2019 (trades) and May 2022 (book)"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://ws.bitstamp.net")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}{}", self.native(pair.base), self.native(pair.quote)).to_ascii_lowercase()
    }

    /// Reads `btcusd`, and the perpetual `btcusd-perp`.
    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let (joined, kind) = match symbol.strip_suffix("-perp") {
            Some(joined) => (joined, MarketKind::Perpetual),
            None => (symbol, MarketKind::Spot),
        };
        let pair = Pair::split_joined(joined).map_err(|_| ParseError::unknown_symbol(symbol))?;
        Ok(Market { pair, kind })
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        symbols
            .iter()
            .flat_map(|symbol| {
                [TRADES, BOOK].map(|channel| {
                    let channel = format!("{channel}{symbol}");
                    json!({ "event": "bts:subscribe", "data": { "channel": channel } }).to_string()
                })
            })
            .collect()
    }

    fn ping(&self, _now: DateTime<Utc>) -> Option<Ping> {
        Some(Ping { every: Duration::from_secs(20), message: r#"{"event":"bts:heartbeat"}"#.to_owned() })
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::BitstampRest)
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        let mut message = Message::open(text, 2, ["channel", "event"], "data")?;
        let event = message.given(1)?;
        match event {
            "trade" | "data" => data(message),
            "bts:subscription_succeeded" => {
                message.end()?;
                Ok(Parsed::one(event, Event::Subscribed))
            }
            "bts:request_reconnect" => {
                Ok(Parsed::one(event, Event::GoingAway("the server asks to connect again")))
            }
            "bts:error" => {
                let refusal: Refusal<'a> = message.body()?;
                Ok(Parsed::one(event, Event::Refused(refusal.message.0)))
            }
            "bts:heartbeat"
            | "bts:unsubscription_succeeded"
            | "order_created"
            | "order_changed"
            | "order_deleted"
            | "funding_rate_saved" => {
                message.end()?;
                Ok(Parsed::ignored(event))
            }
            unknown => Err(ParseError::unknown_channel(unknown)),
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
    price_str: Number,
    amount_str: Number,
    #[serde(rename = "type")]
    side: u8,
    #[serde(borrow)]
    microtimestamp: Text<'a>,
}

/// Levels as price and amount.
#[derive(Deserialize)]
struct Book<'a> {
    bids: Best<(Number, IgnoredAny)>,
    asks: Best<(Number, IgnoredAny)>,
    #[serde(borrow)]
    microtimestamp: Text<'a>,
}

fn data(mut message: Message<'_, 2>) -> Result<Parsed<'_>, ParseError> {
    let [channel, _] = message.head.map(Option::unwrap_or_default);
    if let Some(symbol) = channel.strip_prefix(TRADES) {
        return Ok(Parsed::one("live_trades", Event::Trade(trade(symbol, &message.body()?)?)));
    }
    if let Some(symbol) = channel.strip_prefix(BOOK) {
        return Ok(Parsed::one("order_book", Event::Ticker(book(symbol, &message.body()?)?)));
    }
    match IGNORED.iter().find(|name| channel.starts_with(**name)) {
        Some(name) => {
            message.end()?;
            Ok(Parsed::ignored(name))
        }
        None => Err(ParseError::unknown_channel(channel)),
    }
}

fn trade<'a>(symbol: &'a str, trade: &Trade<'a>) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol,
        id: Some(trade.id.0),
        count: 1,
        price: positive("price_str", trade.price_str)?,
        amount: positive("amount_str", trade.amount_str)?,
        side: taker(trade.side)?,
        time: time(trade.microtimestamp)?,
        snapshot: false,
    })
}

fn taker(side: u8) -> Result<Side, ParseError> {
    match side {
        0 => Ok(Side::Buy),
        1 => Ok(Side::Sell),
        other => Err(ParseError::value("type", other)),
    }
}

fn book<'a>(symbol: &'a str, book: &Book<'a>) -> Result<Ticker<'a>, ParseError> {
    Ok(Ticker {
        symbol,
        book: Some(TopOfBook {
            bid: side(book.bids.0.as_ref().map(|level| level.0)),
            ask: side(book.asks.0.as_ref().map(|level| level.0)),
        }),
        time: Some(time(book.microtimestamp)?),
        ..Ticker::default()
    })
}

fn time(Text(text): Text<'_>) -> Result<DateTime<Utc>, ParseError> {
    let time = whole(text).and_then(DateTime::from_timestamp_micros);
    time.ok_or_else(|| ParseError::value("microtimestamp", text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const TRADE: &str = r#"{"data":{"id":90,"id_str":"90","timestamp":"1700000000","amount":0.25,"amount_str":"0.25000000","price":1.5,"price_str":"1.50","type":1,"microtimestamp":"1700000000123456","buy_order_id":5,"sell_order_id":6},"channel":"live_trades_abcusd","event":"trade"}"#;
    const DEPTH: &str = r#"{"data":{"timestamp":"1700000000","microtimestamp":"1700000000223456","bids":[["1.49","3.00000000"],["1.48","1.00000000"]],"asks":[["1.51","2.00000000"]]},"channel":"order_book_abcusd","event":"data"}"#;
    const TAKEN: &str = r#"{"event":"bts:subscription_succeeded","channel":"live_trades_abcusd","data":{}}"#;
    const BEAT: &str = r#"{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}"#;

    fn events(text: &str) -> Vec<Event<'_>> {
        Bitstamp.parse(Box::leak(Box::default()), text).unwrap().events.into_vec()
    }

    #[test]
    fn a_trade_names_the_takers_side() {
        for (text, side) in [(TRADE, Side::Sell), (&TRADE.replace(r#""type":1"#, r#""type":0"#), Side::Buy)] {
            let events = events(text);
            let [Event::Trade(trade)] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!(
                (trade.symbol, trade.id, trade.side, trade.snapshot),
                ("abcusd", Some("90"), side, false)
            );
            assert_eq!(trade.price.normalize().to_string(), "1.5");
            assert_eq!(trade.time.timestamp_micros(), 1_700_000_000_123_456);
        }
    }

    #[test]
    fn the_book_shows_its_best_first() {
        for (text, expected) in [
            (DEPTH, "abcusd 1.49/1.51 last - base - quote - at 1700000000223"),
            (
                &DEPTH.replace(r#"[["1.51","2.00000000"]]"#, "[]"),
                "abcusd 1.49/- last - base - quote - at 1700000000223",
            ),
        ] {
            assert_eq!(expect::line(&events(text)[0]), expected);
        }
    }

    #[test]
    fn the_venue_takes_refuses_and_goes_away() {
        let refused = r#"{"event":"bts:error","channel":"","data":{"code":4009,"message":"no \"X\""}}"#;
        let away = vec![Event::GoingAway("the server asks to connect again")];
        for (text, expected) in [
            (TAKEN, vec![Event::Subscribed]),
            (BEAT, vec![]),
            (refused, vec![Event::Refused(r#"no \"X\""#)]),
            (r#"{"event":"bts:request_reconnect","channel":"","data":""}"#, away.clone()),
            (r#"{"event":"bts:request_reconnect","channel":"","data":null}"#, away),
        ] {
            assert_eq!(events(text), expected, "{text}");
        }
    }

    #[test]
    fn known_channels_that_are_not_used_are_ignored_by_name() {
        for channel in ["diff_order_book_", "detail_order_book_"] {
            let text = format!(r#"{{"event":"data","channel":"{channel}abcusd","data":{{}}}}"#);
            let mut session = Session::default();
            assert_eq!(Bitstamp.parse(&mut session, &text), Ok(Parsed::ignored(channel)));
        }
        assert_eq!(events(r#"{"event":"order_created","channel":"live_orders_abcusd","data":{}}"#), []);
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, kind) in [
            ("{}", "json"),
            (r#"{"event":"nonsense"}"#, "unknown_channel"),
            (r#"{"event":"data","channel":"nonsense_abcusd","data":{}}"#, "unknown_channel"),
            (r#"{"event":"trade","channel":"live_trades_abcusd"}"#, "value"),
            (r#"{"event":"bts:error","channel":""}"#, "value"),
            (&TRADE.replace("1.50", "0.00"), "value"),
            (&TRADE.replace("1.50", "-1"), "value"),
            (&TRADE.replace("1.50", "1,50"), "json"),
            (&TRADE.replace("\"1.50\"", "null"), "json"),
            (&TRADE.replace(r#""type":1"#, r#""type":2"#), "value"),
            (&TRADE.replace("1700000000123456", "soon"), "value"),
            (&DEPTH.replace("1700000000223456", "9223372036854775807"), "value"),
        ] {
            let mut session = Session::default();
            assert_eq!(Bitstamp.parse(&mut session, text).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &Bitstamp,
            &[
                ("btcusd", "BTC-USD Spot"),
                ("usdtusd", "USDT-USD Spot"),
                ("eurusd", "EUR-USD Spot"),
                ("btcusd-perp", "BTC-USD Perpetual"),
            ],
            &["", "btc", "usd", "-perp", "btc-usd", "btcusd-"],
        );
    }

    #[test]
    fn each_channel_is_subscribed_by_a_message_of_its_own() {
        let messages = Bitstamp.subscribe(&["abcusd".to_owned()], DateTime::default());
        assert_eq!(
            messages,
            [
                r#"{"data":{"channel":"live_trades_abcusd"},"event":"bts:subscribe"}"#,
                r#"{"data":{"channel":"order_book_abcusd"},"event":"bts:subscribe"}"#
            ]
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&Bitstamp, &[TRADE, DEPTH, TAKEN, BEAT]);
    }
}
