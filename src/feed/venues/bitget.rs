//! Bitget: API v2, messages `{"action", "arg": {"instType", "channel", "instId"}, "data": [...]}`.
//!
//! `trade` carries trades (`side` is the taker's), past ones first in a message whose `action` is `snapshot`; `ticker`
//! best bid and ask, last price and volume of 24 hours in base and quote, always in full. Times are milliseconds as
//! text. Contracts are spelled as spot markets are and differ in `instType`, which is why that is looked at. After
//! 30 s without the text `ping` the server may cut; it answers with the text `pong`. Source: Bitget's public
//! documentation.

mod rest;

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
        json::{Few, Message},
        number::{Number, Text, Volume, milliseconds, optional, positive, side},
        rest::{Budget, Rest},
        venue::{ConnectionLimits, Endpoint, Market, ParseError, Ping, Protocol, Session},
    },
};

/// The fields around the data.
const FIELDS: [&str; 6] = ["arg.channel", "arg.instType", "arg.instId", "action", "event", "msg"];

/// The kind of instruments that are spot markets.
const SPOT: &str = "SPOT";

/// Channels that are known and say nothing we use, by what they begin with.
const IGNORED: &[&str] = &["books", "candle", "auction"];

/// Markets that a message may name, so that it stays below the venue's 4,096 bytes.
const MARKETS_PER_MESSAGE: usize = 20;

/// Fewer than 50 channels are advised, and a market has two. Ten messages a second are allowed, and an address may make 300
/// connections in five minutes.
const LIMITS: ConnectionLimits = ConnectionLimits {
    markets: 24,
    message_gap: Duration::from_millis(125),
    connections: Some(Budget::new(300, 300)),
    ..ConnectionLimits::DEFAULT
};

/// Speaks with Bitget.
#[derive(Debug)]
pub struct Bitget;

impl Protocol for Bitget {
    fn venue(&self) -> Venue {
        Venue::new("bitget")
    }

    fn evidence(&self) -> &'static str {
        "documentation only"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://ws.bitget.com/v2/ws/public")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}{}", self.native(pair.base), self.native(pair.quote))
    }

    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let pair = Pair::split_joined(symbol).map_err(|_| ParseError::unknown_symbol(symbol))?;
        Ok(Market { pair, kind: MarketKind::Spot })
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        symbols
            .chunks(MARKETS_PER_MESSAGE)
            .map(|symbols| {
                let channels: Vec<_> = symbols
                    .iter()
                    .flat_map(|symbol| {
                        ["trade", "ticker"]
                            .map(|channel| json!({ "instType": SPOT, "channel": channel, "instId": symbol }))
                    })
                    .collect();
                json!({ "op": "subscribe", "args": channels }).to_string()
            })
            .collect()
    }

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn ping(&self, _now: DateTime<Utc>) -> Option<Ping> {
        Some(Ping { every: Duration::from_secs(25), message: "ping".to_owned() })
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        if text == "pong" {
            return Ok(Parsed::ignored("pong"));
        }
        let message = Message::open(text, 4, FIELDS, "data")?;
        match message.head {
            [.., Some(event), words] => answer(event, words),
            [Some(channel), .., None, _] => data(channel, message),
            [None, .., None, _] => Err(ParseError::unknown_channel("without channel")),
        }
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::BitgetRest)
    }
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow, rename = "tradeId")]
    id: Text<'a>,
    price: Number,
    size: Number,
    side: &'a str,
    #[serde(borrow)]
    ts: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Day<'a> {
    #[serde(alias = "symbol")]
    inst_id: &'a str,
    #[serde(default, deserialize_with = "optional")]
    last_pr: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    bid_pr: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    ask_pr: Option<Number>,
    base_volume: Option<Volume>,
    quote_volume: Option<Volume>,
    #[serde(borrow)]
    ts: Text<'a>,
}

fn answer<'a>(event: &'a str, words: Option<&'a str>) -> Result<Parsed<'a>, ParseError> {
    match event {
        "subscribe" => Ok(Parsed::one(event, Event::Subscribed)),
        "error" => Ok(Parsed::one(event, Event::Refused(words.unwrap_or("without a reason")))),
        "unsubscribe" => Ok(Parsed::ignored(event)),
        _ => Err(ParseError::unknown_channel(event)),
    }
}

fn data<'a>(channel: &'a str, mut message: Message<'a, 6>) -> Result<Parsed<'a>, ParseError> {
    let [_, kind, symbol, action, ..] = message.head;
    if kind != Some(SPOT) {
        return Err(ParseError::value("instType", kind.unwrap_or("absent")));
    }
    let events = match channel {
        "trade" => {
            let past = match action {
                Some("snapshot") => true,
                Some("update") => false,
                other => return Err(ParseError::value("action", other.unwrap_or("absent"))),
            };
            let symbol = symbol.ok_or_else(|| ParseError::value("instId", "absent"))?;
            let trades: Few<Trade<'a>> = message.body()?;
            trades.iter().map(|t| trade(symbol, t, past).map(Event::Trade)).collect::<Result<_, _>>()?
        }
        "ticker" => {
            let days: Few<Day<'a>> = message.body()?;
            days.iter().map(|day| ticker(day).map(Event::Ticker)).collect::<Result<_, _>>()?
        }
        _ if IGNORED.iter().any(|name| channel.starts_with(name)) => {
            message.end()?;
            return Ok(Parsed::ignored(channel));
        }
        _ => return Err(ParseError::unknown_channel(channel)),
    };
    Ok(Parsed::many(channel, events))
}

fn trade<'a>(symbol: &'a str, trade: &Trade<'a>, snapshot: bool) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol,
        id: Some(trade.id.0),
        count: 1,
        price: positive("price", trade.price)?,
        amount: positive("size", trade.size)?,
        side: match trade.side {
            // Small over the WebSocket, with a capital in some answers over REST.
            "buy" | "Buy" => Side::Buy,
            "sell" | "Sell" => Side::Sell,
            other => return Err(ParseError::value("side", other)),
        },
        time: milliseconds("ts", trade.ts)?,
        snapshot,
    })
}

fn ticker<'a>(day: &Day<'a>) -> Result<Ticker<'a>, ParseError> {
    Ok(Ticker {
        symbol: day.inst_id,
        book: Some(TopOfBook { bid: side(day.bid_pr), ask: side(day.ask_pr) }),
        last: side(day.last_pr),
        base_volume_24h: day.base_volume.map(|Volume(volume)| volume),
        quote_volume_24h: day.quote_volume.map(|Volume(volume)| volume),
        time: Some(milliseconds("ts", day.ts)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const TRADES: &str = r#"{"action":"update","arg":{"instType":"SPOT","channel":"trade","instId":"ABCUSDT"},"data":[{"ts":"1700000000099","price":"1.50","size":"0.25","side":"sell","tradeId":"1100000000000000012"}],"ts":1700000000101}"#;
    const DAY: &str = r#"{"action":"snapshot","arg":{"instType":"SPOT","channel":"ticker","instId":"ABCUSDT"},"data":[{"instId":"ABCUSDT","lastPr":"1.50","open24h":"1.4","high24h":"2","low24h":"1","change24h":"0.07","bidPr":"1.49","askPr":"","bidSz":"3","askSz":"","baseVolume":"1000.5","quoteVolume":"1500.75","openUtc":"1.4","changeUtc24h":"0.07","ts":"1700000000200"}],"ts":1700000000202}"#;
    const TAKEN: &str =
        r#"{"event":"subscribe","arg":{"instType":"SPOT","channel":"trade","instId":"ABCUSDT"}}"#;

    fn events(text: &str) -> Vec<Event<'_>> {
        Bitget.parse(Box::leak(Box::default()), text).unwrap().events.into_vec()
    }

    #[test]
    fn a_trade_names_the_takers_side_and_may_be_past() {
        for (text, side, past) in [
            (TRADES, Side::Sell, false),
            (&TRADES.replace("sell", "buy"), Side::Buy, false),
            (&TRADES.replace("update", "snapshot"), Side::Sell, true),
        ] {
            let events = events(text);
            let [Event::Trade(trade)] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!(
                (trade.symbol, trade.id, trade.side, trade.snapshot),
                ("ABCUSDT", Some("1100000000000000012"), side, past)
            );
            assert_eq!(trade.price.normalize().to_string(), "1.5");
            assert_eq!(trade.time.timestamp_millis(), 1_700_000_000_099);
        }
    }

    #[test]
    fn the_day_comes_with_best_bid_and_ask() {
        let expected = "ABCUSDT 1.49/- last 1.5 base 1000.5 quote 1500.75 at 1700000000200";
        assert_eq!(expect::line(&events(DAY)[0]), expected);
    }

    #[test]
    fn answers_are_told_and_pongs_confirm_nothing() {
        let refused = r#"{"event":"error","arg":{"instType":"SPOT","channel":"trade","instId":"X"},"code":30001,"msg":"no such \"X\""}"#;
        for (text, expected) in [
            ("pong", vec![]),
            (TAKEN, vec![Event::Subscribed]),
            (refused, vec![Event::Refused(r#"no such \"X\""#)]),
            (r#"{"event":"error","code":30003}"#, vec![Event::Refused("without a reason")]),
        ] {
            assert_eq!(events(text), expected, "{text}");
        }
    }

    #[test]
    fn known_channels_that_are_not_used_are_ignored_by_name() {
        for channel in ["books", "books1", "books15", "candle1m"] {
            let text = TRADES.replace(r#""trade""#, &format!("\"{channel}\""));
            let mut session = Session::default();
            assert_eq!(Bitget.parse(&mut session, &text), Ok(Parsed::ignored(channel)));
        }
    }

    #[test]
    fn a_contract_is_not_taken_for_spot() {
        for kind in ["USDT-FUTURES", "COIN-FUTURES", "USDC-FUTURES", "mc", "sp"] {
            for text in [TRADES, DAY] {
                let mut session = Session::default();
                let text = text.replace("SPOT", kind);
                assert_eq!(Bitget.parse(&mut session, &text), Err(ParseError::value("instType", kind)));
            }
        }
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, kind) in [
            ("{}", "unknown_channel"),
            ("ping", "json"),
            (r#"{"event":"nonsense"}"#, "unknown_channel"),
            (&TRADES.replace("\"trade\"", "\"nonsense\""), "unknown_channel"),
            (&TRADES.replace("data", "other"), "value"),
            (&TRADES.replace("update", "nonsense"), "value"),
            (&TRADES.replace("1.50", "0"), "value"),
            (&TRADES.replace("1.50", "-1"), "value"),
            (&TRADES.replace("1.50", "1,5"), "json"),
            (&TRADES.replace("\"1.50\"", "null"), "json"),
            (&TRADES.replace("sell", "SELL"), "value"),
            (&TRADES.replace("1700000000099", "soon"), "value"),
            (&DAY.replace("1700000000200", "9223372036854775807"), "value"),
        ] {
            let mut session = Session::default();
            assert_eq!(Bitget.parse(&mut session, text).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &Bitget,
            &[("BTCUSDT", "BTC-USDT Spot"), ("ETHBTC", "ETH-BTC Spot")],
            &["", "BTC", "USDT", "BTCPERP", "BTC_USDT", "BTCUSDT_SPBL"],
        );
    }

    #[test]
    fn a_message_subscribes_to_no_more_than_the_venue_reads() {
        let symbols: Vec<String> = (0..45).map(|n| format!("ABCDEFGHIJKLM{n:02}FDUSD")).collect();
        let messages = Bitget.subscribe(&symbols, DateTime::default());
        assert_eq!(messages.len(), 3);
        assert!(messages.iter().all(|message| message.len() <= 4096));
        let one = Bitget.subscribe(&["ABCUSDT".to_owned()], DateTime::default());
        assert_eq!(
            one,
            [
                r#"{"args":[{"channel":"trade","instId":"ABCUSDT","instType":"SPOT"},{"channel":"ticker","instId":"ABCUSDT","instType":"SPOT"}],"op":"subscribe"}"#
            ]
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&Bitget, &[TRADES, DAY, TAKEN, "pong"]);
    }
}
