//! Kraken: API v2, `{"channel", "type", "data"}`; and v1, arrays `[number, data, "channel", "symbol"]`.
//!
//! v2 writes `BTC/USD`, JSON numbers and RFC 3339 times; v1 `XBT/USD`, text and seconds with a fraction. Both name
//! the taker's side. v2's `trade` begins with past trades. `ticker` comes with each trade unless it is asked to come
//! with each change of the best bid or ask. A heartbeat comes about once a second when all is quiet. Source:
//! Kraken's public WebSocket documentation, and recordings of v1.

mod rest;
mod v1;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
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
        json::{self, Few, Message},
        number::{Date, Number, Text, Volume, positive, side},
        rest::{Budget, Rest},
        venue::{ConnectionLimits, Endpoint, Market, ParseError, Ping, Protocol, Session},
    },
};

/// An address may make 150 connections in ten minutes.
const LIMITS: ConnectionLimits =
    ConnectionLimits { connections: Some(Budget::new(150, 600)), ..ConnectionLimits::DEFAULT };

/// Speaks with Kraken.
#[derive(Debug)]
pub struct Kraken;

impl Protocol for Kraken {
    fn venue(&self) -> Venue {
        Venue::new("kraken")
    }

    fn evidence(&self) -> &'static str {
        "recordings of April 2021 (v1); v2 by documentation"
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

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn ping(&self, _now: DateTime<Utc>) -> Option<Ping> {
        Some(Ping { every: Duration::from_secs(30), message: json!({ "method": "ping" }).to_string() })
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        if text.trim_start().starts_with('[') {
            return v1::data(&json::from_str::<Vec<_>>(text)?);
        }
        let message = Message::open(text, 2, FIELDS, "data")?;
        match message.head {
            [Some(channel), kind, ..] => data(channel, kind, message),
            [None, _, method, event, status @ ..] => match method.or(event) {
                Some(method) => answer(method, status),
                None => Err(ParseError::unknown_channel("without channel")),
            },
        }
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::KrakenRest)
    }
}

/// The fields of a message of v2, or of one of v1 that is no data.
const FIELDS: [&str; 8] =
    ["channel", "type", "method", "event", "success", "status", "error", "errorMessage"];

#[derive(Deserialize)]
struct Trade<'a> {
    symbol: &'a str,
    side: &'a str,
    price: Number,
    qty: Number,
    #[serde(borrow, rename = "trade_id")]
    id: Text<'a>,
    timestamp: Date,
}

#[derive(Deserialize)]
struct DayTicker<'a> {
    symbol: &'a str,
    bid: Number,
    ask: Number,
    last: Option<Number>,
    volume: Option<Volume>,
    timestamp: Option<Date>,
}

fn data<'a, const N: usize>(
    channel: &'a str,
    kind: Option<&str>,
    mut message: Message<'a, N>,
) -> Result<Parsed<'a>, ParseError> {
    match channel {
        "trade" => {
            let trades: Few<Trade<'a>> = message.body()?;
            let snapshot = kind == Some("snapshot");
            let trades = trades.into_iter().map(|t| trade(&t, snapshot));
            Ok(Parsed::many(channel, trades.collect::<Result<_, _>>()?))
        }
        "ticker" => {
            let tickers: Few<DayTicker<'a>> = message.body()?;
            Ok(Parsed::many(channel, tickers.iter().map(ticker).collect()))
        }
        "heartbeat" => Ok(Parsed::one(channel, Event::Confirm(None))),
        "book" | "ohlc" | "level3" | "instrument" | "status" => {
            message.end()?;
            Ok(Parsed::ignored(channel))
        }
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

/// Reads what is no data: answers, and v1's heartbeats.
fn answer<'a>(
    method: &'a str,
    [success, status, error, refusal]: [Option<&'a str>; 4],
) -> Result<Parsed<'a>, ParseError> {
    match (method, error.or(refusal)) {
        (_, Some(words)) => Ok(Parsed::one(method, Event::Refused(words))),
        ("subscribe", None) if success == Some("true") => Ok(Parsed::one(method, Event::Subscribed)),
        ("subscriptionStatus", None) if status == Some("subscribed") => {
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
        id: Some(trade.id.0),
        count: 1,
        price: positive("price", trade.price)?,
        amount: positive("qty", trade.qty)?,
        side: taker(trade.side)?,
        time: trade.timestamp.0,
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
        time: ticker.timestamp.map(|Date(time)| time),
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::pair::Asset, feed::venues::expect};

    const TRADES: &str = r#"{"channel":"trade","type":"update","data":[{"symbol":"ABC/USD","side":"sell","price":1.50,"qty":0.25,"ord_type":"limit","trade_id":12,"timestamp":"2026-01-02T03:04:05.123456Z"}]}"#;
    const TICKER: &str = r#"{"channel":"ticker","type":"snapshot","data":[{"symbol":"ABC/USD","bid":1.49,"bid_qty":2,"ask":1.51,"ask_qty":3,"last":1.50,"volume":1000.5,"vwap":1.5,"low":1,"high":2,"change":0.1,"change_pct":7.1}]}"#;
    const FIRST_TRADES: &str = r#"[12,[["1.50000","0.25","1767323045.123456","s","l",""],["1.51","0.5","1767323045.1234567","b","m",""]],"trade","ABC/XBT"]"#;
    const FIRST_TICKER: &str = r#"[13,{"a":["1.51",3,"3.0"],"b":["1.49",2,"2.0"],"c":["1.50","0.25"],"v":["400.0","1000.5"],"p":["1.4","1.5"],"t":[3,9],"l":["1","1"],"h":["2","2"],"o":["1.3","1.2"]},"ticker","ABC/XBT"]"#;
    const FIRST_SPREAD: &str = r#"[14,["1.49","1.51","1767323045.123456","2.0","3.0"],"spread","ABC/XBT"]"#;

    fn events(text: &str) -> Vec<Event<'_>> {
        Kraken.parse(Box::leak(Box::default()), text).unwrap().events.into_vec()
    }

    #[test]
    fn trades_of_both_versions_name_the_takers_side() {
        let past = TRADES.replace("update", "snapshot");
        for (text, symbol, id, snapshot) in [
            (TRADES, "ABC/USD", Some("12"), false),
            (&past, "ABC/USD", Some("12"), true),
            (FIRST_TRADES, "ABC/XBT", None, false),
        ] {
            let events = events(text);
            let Some(Event::Trade(trade)) = events.first() else { panic!("{events:?}") };
            assert_eq!(
                (trade.symbol, trade.id, trade.side, trade.snapshot),
                (symbol, id, Side::Sell, snapshot)
            );
            assert_eq!(trade.price.normalize().to_string(), "1.5");
            assert_eq!(trade.time.timestamp_micros(), 1_767_323_045_123_456);
        }
        let Event::Trade(second) = &events(FIRST_TRADES)[1] else { panic!("no trade") };
        assert_eq!(second.side, Side::Buy);
        assert_eq!(second.time.timestamp_nanos_opt(), Some(1_767_323_045_123_456_700));
    }

    #[test]
    fn tickers_of_both_versions_are_read() {
        for (text, expected) in [
            (TICKER, "ABC/USD 1.49/1.51 last 1.5 base 1000.5 quote - at 0"),
            (FIRST_TICKER, "ABC/XBT 1.49/1.51 last 1.5 base 1000.5 quote - at 0"),
            (FIRST_SPREAD, "ABC/XBT 1.49/1.51 last - base - quote - at 1767323045123"),
            (&FIRST_SPREAD.replace("1.49", "0.000"), "ABC/XBT -/1.51 last - base - quote - at 1767323045123"),
        ] {
            assert_eq!(expect::line(&events(text)[0]), expected);
        }
    }

    #[test]
    fn heartbeats_confirm_pongs_do_not_and_answers_are_told() {
        for (text, expected) in [
            (r#"{"channel":"heartbeat"}"#, vec![Event::Confirm(None)]),
            (r#"{"event":"heartbeat"}"#, vec![Event::Confirm(None)]),
            (r#"{"method":"pong","req_id":1}"#, vec![]),
            (
                r#"{"method":"subscribe","result":{"channel":"ticker","symbol":"ABC/USD"},"success":true}"#,
                vec![Event::Subscribed],
            ),
            (
                r#"{"error":"Currency pair not supported ABC/XYZ","method":"subscribe","success":false}"#,
                vec![Event::Refused("Currency pair not supported ABC/XYZ")],
            ),
            (
                r#"{"event":"subscriptionStatus","channelName":"trade","pair":"ABC/XBT","status":"subscribed"}"#,
                vec![Event::Subscribed],
            ),
            (
                r#"{"event":"subscriptionStatus","pair":"ABC/XYZ","status":"error","errorMessage":"Currency pair not supported ABC/XYZ"}"#,
                vec![Event::Refused("Currency pair not supported ABC/XYZ")],
            ),
            (r#"{"event":"systemStatus","status":"online"}"#, vec![]),
        ] {
            assert_eq!(events(text), expected, "{text}");
        }
    }

    #[test]
    fn known_channels_that_are_not_used_are_ignored_by_name() {
        for (text, channel) in [
            (r#"{"channel":"book","type":"update","data":[]}"#, "book"),
            (r#"{"channel":"status","type":"update","data":[]}"#, "status"),
            (r#"[1,{"b":[]},"book-10","ABC/XBT"]"#, "book-10"),
            (r#"[1,{"a":[]},{"b":[]},"book-1000","ABC/XBT"]"#, "book-1000"),
            (r#"[1,[],"ohlc-5","ABC/XBT"]"#, "ohlc-5"),
        ] {
            let mut session = Session::default();
            assert_eq!(Kraken.parse(&mut session, text), Ok(Parsed::ignored(channel)));
        }
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, expected) in [
            ("{}", "unknown_channel"),
            ("[]", "unknown_channel"),
            (r#"{"channel":"nonsense"}"#, "unknown_channel"),
            (r#"{"event":"nonsense"}"#, "unknown_channel"),
            (r#"{"channel":"trade"}"#, "value"),
            (r#"[1,[],"nonsense","ABC/XBT"]"#, "unknown_channel"),
            (r#"[1,[],7,"ABC/XBT"]"#, "json"),
            (&TRADES.replace("1.50", "0"), "value"),
            (&TRADES.replace("1.50", "-1.5"), "value"),
            (&TRADES.replace("1.50", "null"), "json"),
            (&TRADES.replace("sell", "both"), "value"),
            (&FIRST_TRADES.replace("1.50000", "0.0"), "value"),
            (&FIRST_TRADES.replace("1.50000", "1,5"), "json"),
            (&FIRST_TRADES.replace("1767323045.123456\"", "soon\""), "value"),
        ] {
            let mut session = Session::default();
            let error = Kraken.parse(&mut session, text).unwrap_err();
            assert_eq!(error.kind(), expected, "{text}");
        }
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &Kraken,
            &[("BTC/USD", "BTC-USD Spot"), ("LUNA2/USD", "LUNA2-USD Spot")],
            &["", "BTCUSD", "BTC/", "/USD", "XBT/USD.d"],
        );
        let market = Kraken.market("XBT/USD").unwrap();
        assert_eq!(Kraken.symbol(market.pair.canonical()), "BTC/USD");
        for (name, canonical) in [("XBT", "BTC"), ("LUNA", "LUNC"), ("LUNA2", "LUNA")] {
            assert_eq!(Kraken.canonical(Asset::literal(name)), Asset::literal(canonical));
        }
    }

    #[test]
    fn tickers_are_asked_to_follow_the_book() {
        let messages = Kraken.subscribe(&["ABC/USD".to_owned()], DateTime::default());
        assert_eq!(
            messages,
            [
                r#"{"method":"subscribe","params":{"channel":"trade","snapshot":true,"symbol":["ABC/USD"]}}"#,
                r#"{"method":"subscribe","params":{"channel":"ticker","event_trigger":"bbo","symbol":["ABC/USD"]}}"#,
            ]
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&Kraken, &[TRADES, TICKER, FIRST_TRADES, FIRST_TICKER, FIRST_SPREAD]);
    }
}
