//! Coinbase: the Advanced Trade feed, `{"channel", "timestamp", "events"}`; and the older Exchange feed, `{"type"}`.
//!
//! Both name the **maker's** side of a trade, so the taker's is the other one. `market_trades` begins with past
//! trades (Exchange: `last_match` is one). `heartbeats` comes once a second. Times are RFC 3339. `sequence_num` counts all
//! messages of a connection, from zero: one that is left out was missed. Source: Coinbase's public documentation, and
//! recordings, where trades at the best ask carry `SELL`.

mod rest;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use crate::{
    domain::{
        pair::{Asset, Pair},
        quote::TopOfBook,
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        event::{Event, Parsed, Ticker, TradeReport},
        json::{self, Few, Message},
        number::{Date, Number, Text, Volume, optional, positive, side},
        rest::{Budget, Rest},
        venue::{ConnectionLimits, Endpoint, Market, ParseError, Protocol, Session},
    },
};

/// An address may make eight connections and send eight messages a second.
const LIMITS: ConnectionLimits = ConnectionLimits {
    message_gap: Duration::from_millis(250),
    connections: Some(Budget::new(8, 1)),
    ..ConnectionLimits::DEFAULT
};

/// Speaks with Coinbase.
#[derive(Debug)]
pub struct Coinbase;

impl Protocol for Coinbase {
    fn venue(&self) -> Venue {
        Venue::new("coinbase")
    }

    fn evidence(&self) -> &'static str {
        "recordings of August 2026"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://advanced-trade-ws.coinbase.com")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}-{}", self.native(pair.base), self.native(pair.quote))
    }

    /// Reads `BTC-USD`, `BTC-PERP-INTX` (perpetual in USDC) and `BIT-28NOV25-CDE` (dated in USD).
    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let unknown = |_| ParseError::unknown_symbol(symbol);
        let parts: Vec<&str> = symbol.split('-').collect();
        let (base, quote, kind) = match parts.as_slice() {
            [base, quote] => (base, quote, MarketKind::Spot),
            [base, "PERP", "INTX"] => (base, &"USDC", MarketKind::Perpetual),
            [base, _, "CDE"] => (base, &"USD", MarketKind::Dated),
            _ => return Err(ParseError::unknown_symbol(symbol)),
        };
        let pair = Pair::new(Asset::raw(base).map_err(unknown)?, Asset::raw(quote).map_err(unknown)?);
        Ok(Market { pair, kind })
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        ["market_trades", "ticker", "heartbeats"]
            .map(|channel| {
                json!({ "type": "subscribe", "product_ids": symbols, "channel": channel }).to_string()
            })
            .to_vec()
    }

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn parse<'a>(&self, session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        let fields = ["channel", "timestamp", "type", "reason", "message", "sequence_num"];
        let mut message = Message::open(text, 2, fields, "events")?;
        match message.head {
            [Some(channel), time, ..] => {
                let mut parsed = advanced(channel, time, &mut message)?;
                let [.., number] = message.head;
                let number: Option<u64> = number.map(json::from_str).transpose()?;
                // What was missed comes before what this one says.
                if number.is_some_and(|number| session.missed_before(number)) {
                    parsed.events.insert(0, Event::Gap(None));
                }
                Ok(parsed)
            }
            [None, _, Some("error"), reason, words, _] => {
                let words = reason.or(words).unwrap_or_default();
                Ok(Parsed::one("error", Event::Refused(words)))
            }
            [None, _, Some(kind), ..] => exchange(kind, text),
            [None, _, None, ..] => Err(ParseError::unknown_channel("without channel")),
        }
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::CoinbaseRest)
    }
}

#[derive(Deserialize)]
struct TradesEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    trades: Few<Trade<'a>>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    product_id: &'a str,
    #[serde(borrow, rename = "trade_id")]
    id: Text<'a>,
    price: Number,
    size: Number,
    side: &'a str,
    time: Date,
}

#[derive(Deserialize)]
struct TickersEvent<'a> {
    #[serde(borrow)]
    tickers: Few<DayTicker<'a>>,
}

#[derive(Deserialize)]
struct DayTicker<'a> {
    product_id: &'a str,
    #[serde(default, deserialize_with = "optional")]
    price: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    best_bid: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    best_ask: Option<Number>,
    #[serde(alias = "volume_24h")]
    volume_24_h: Option<Volume>,
    time: Option<Date>,
}

/// Reads a message of the Advanced Trade feed.
fn advanced<'a, const N: usize>(
    channel: &'a str,
    time: Option<&'a str>,
    message: &mut Message<'a, N>,
) -> Result<Parsed<'a>, ParseError> {
    match channel {
        "market_trades" => {
            let events: Few<TradesEvent<'a>> = message.body()?;
            let trades = events.iter().flat_map(|event| {
                let snapshot = event.kind == "snapshot";
                event.trades.iter().map(move |t| trade(t, snapshot).map(Event::Trade))
            });
            Ok(Parsed::many(channel, trades.collect::<Result<_, _>>()?))
        }
        "ticker" | "ticker_batch" => {
            let events: Few<TickersEvent<'a>> = message.body()?;
            let time = time.map(Date::read).transpose()?;
            let tickers = events.iter().flat_map(|event| &event.tickers);
            let tickers = tickers.map(|t| ticker(t, time));
            Ok(Parsed::many(channel, tickers.collect()))
        }
        "heartbeats" | "subscriptions" | "l2_data" | "candles" | "status" => {
            message.end()?;
            Ok(match channel {
                "heartbeats" => Parsed::one(channel, Event::Confirm(None)),
                "subscriptions" => Parsed::one(channel, Event::Subscribed),
                _ => Parsed::ignored(channel),
            })
        }
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

/// Reads a message of the Exchange feed, where trade and ticker lie bare.
fn exchange<'a>(kind: &'a str, text: &'a str) -> Result<Parsed<'a>, ParseError> {
    match kind {
        "match" | "last_match" => {
            let report = trade(&json::from_str(text)?, kind == "last_match")?;
            Ok(Parsed::one(kind, Event::Trade(report)))
        }
        "ticker" => Ok(Parsed::one(kind, ticker(&json::from_str(text)?, None))),
        "subscriptions" => Ok(Parsed::one(kind, Event::Subscribed)),
        "heartbeat" | "status" | "snapshot" | "l2update" | "received" | "open" | "done" | "change"
        | "activate" => Ok(Parsed::ignored(kind)),
        _ => Err(ParseError::unknown_channel(kind)),
    }
}

fn trade<'a>(trade: &Trade<'a>, snapshot: bool) -> Result<TradeReport<'a>, ParseError> {
    let maker = match trade.side {
        "BUY" | "buy" => Side::Buy,
        "SELL" | "sell" => Side::Sell,
        other => return Err(ParseError::value("side", other)),
    };
    Ok(TradeReport {
        symbol: trade.product_id,
        id: Some(trade.id.0),
        count: 1,
        price: positive("price", trade.price)?,
        amount: positive("size", trade.size)?,
        side: maker.opposite(),
        time: trade.time.0,
        snapshot,
    })
}

/// Reads a ticker; Advanced Trade stamps the message around it, Exchange the ticker itself.
fn ticker<'a>(ticker: &DayTicker<'a>, time: Option<Date>) -> Event<'a> {
    Event::Ticker(Ticker {
        symbol: ticker.product_id,
        book: Some(TopOfBook { bid: side(ticker.best_bid), ask: side(ticker.best_ask) }),
        last: side(ticker.price),
        base_volume_24h: ticker.volume_24_h.map(|Volume(volume)| volume),
        quote_volume_24h: None,
        time: ticker.time.or(time).map(|Date(time)| time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const TRADES: &str = r#"{"channel":"market_trades","client_id":"","timestamp":"2026-01-02T03:04:05.123456789Z","sequence_num":3,"events":[{"type":"update","trades":[{"product_id":"ABC-USD","trade_id":"12","price":"1.50","size":"0.25","time":"2026-01-02T03:04:05.123456Z","side":"SELL"}]}]}"#;
    const TICKER: &str = r#"{"channel":"ticker","client_id":"","timestamp":"2026-01-02T03:04:05.123456789Z","sequence_num":4,"events":[{"type":"update","tickers":[{"type":"ticker","product_id":"ABC-USD","price":"1.50","volume_24_h":"1000.5","best_bid":"1.49","best_ask":"","best_bid_quantity":"2","best_ask_quantity":"0"}]}]}"#;
    const HEARTBEAT: &str = r#"{"channel":"heartbeats","timestamp":"2026-01-02T03:04:05.1Z","sequence_num":5,"events":[{"current_time":"2026-01-02 03:04:05.1 +0000 UTC m=+41.2","heartbeat_counter":41}]}"#;
    const MATCH: &str = r#"{"type":"match","trade_id":12,"maker_order_id":"m","taker_order_id":"t","side":"buy","size":"0.25","price":"1.50","product_id":"ABC-USD","sequence":9,"time":"2026-01-02T03:04:05.123456Z"}"#;
    const EXCHANGE_TICKER: &str = r#"{"type":"ticker","sequence":9,"product_id":"ABC-USD","price":"1.50","volume_24h":"1000.5","best_bid":"1.49","best_ask":"1.51","side":"buy","time":"2026-01-02T03:04:05.123456Z"}"#;

    fn events(text: &str) -> Vec<Event<'_>> {
        Coinbase.parse(Box::leak(Box::default()), text).unwrap().events.into_vec()
    }

    fn kind(text: &str) -> &'static str {
        let mut session = Session::default();
        Coinbase.parse(&mut session, text).unwrap_err().kind()
    }

    #[test]
    fn a_trade_names_the_takers_side_not_the_makers() {
        for (text, side, snapshot) in [
            (TRADES, Side::Buy, false),
            (&TRADES.replace(r#""type":"update""#, r#""type":"snapshot""#), Side::Buy, true),
            (MATCH, Side::Sell, false),
            (&MATCH.replace("match", "last_match"), Side::Sell, true),
        ] {
            let events = events(text);
            let [Event::Trade(trade)] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!(
                (trade.symbol, trade.id, trade.side, trade.snapshot),
                ("ABC-USD", Some("12"), side, snapshot)
            );
            assert_eq!(trade.price.normalize().to_string(), "1.5");
            assert_eq!(trade.time.timestamp_micros(), 1_767_323_045_123_456);
        }
    }

    #[test]
    fn a_number_that_is_left_out_is_a_gap_of_the_connection() {
        let mut session = Session::default();
        let later = HEARTBEAT.replace(":5,", ":7,");
        for (text, gap) in [(TRADES, false), (TICKER, false), (&later, true), (TICKER, false)] {
            let events = Coinbase.parse(&mut session, text).unwrap().events;
            assert_eq!(events.first() == Some(&Event::Gap(None)), gap, "{text}");
            assert_eq!(events.len(), 1 + usize::from(gap));
        }
    }

    #[test]
    fn tickers_of_both_feeds_are_read() {
        for (text, expected) in [
            (TICKER, "ABC-USD 1.49/- last 1.5 base 1000.5 quote - at 1767323045123"),
            (EXCHANGE_TICKER, "ABC-USD 1.49/1.51 last 1.5 base 1000.5 quote - at 1767323045123"),
        ] {
            assert_eq!(expect::line(&events(text)[0]), expected);
        }
    }

    #[test]
    fn heartbeats_confirm_and_answers_are_told() {
        assert_eq!(events(HEARTBEAT), [Event::Confirm(None)]);
        let subscribed = r#"{"channel":"subscriptions","timestamp":"2026-01-02T03:04:05Z","sequence_num":0,"events":[{"subscriptions":{"ticker":["ABC-USD"]}}]}"#;
        assert_eq!(events(subscribed), [Event::Subscribed]);
        let refused =
            r#"{"type":"error","message":"Failed to subscribe","reason":"ABC-XYZ is not a valid product"}"#;
        assert_eq!(events(refused), [Event::Refused("ABC-XYZ is not a valid product")]);
    }

    #[test]
    fn known_channels_that_are_not_used_are_ignored_by_name() {
        for (text, channel) in [
            (r#"{"channel":"l2_data","events":[]}"#, "l2_data"),
            (r#"{"channel":"candles","events":[]}"#, "candles"),
            (r#"{"type":"l2update"}"#, "l2update"),
            (r#"{"type":"open"}"#, "open"),
        ] {
            let mut session = Session::default();
            assert_eq!(Coinbase.parse(&mut session, text), Ok(Parsed::ignored(channel)));
        }
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, expected) in [
            ("{}", "unknown_channel"),
            (r#"{"channel":"nonsense"}"#, "unknown_channel"),
            (r#"{"type":"nonsense"}"#, "unknown_channel"),
            (r#"{"channel":"ticker"}"#, "value"),
            (&TRADES.replace("1.50", "0"), "value"),
            (&TRADES.replace("1.50", "-1"), "value"),
            (&TRADES.replace("1.50", "1,5"), "json"),
            (&TRADES.replace("\"1.50\"", "\"null\""), "json"),
            (&TRADES.replace("SELL", "BOTH"), "value"),
            (&TRADES.replace("05.123456Z", "65.1Z"), "json"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &Coinbase,
            &[
                ("BTC-USD", "BTC-USD Spot"),
                ("BTC-PERP-INTX", "BTC-USDC Perpetual"),
                ("BIT-28NOV25-CDE", "BIT-USD Dated"),
            ],
            &["", "BTC", "BTC-", "BTC-USD-EUR", "A-B-C-D"],
        );
    }

    #[test]
    fn each_channel_is_subscribed_by_a_message_of_its_own() {
        let messages = Coinbase.subscribe(&["ABC-USD".to_owned()], DateTime::default());
        assert_eq!(messages.len(), 3);
        assert_eq!(
            messages[0],
            r#"{"channel":"market_trades","product_ids":["ABC-USD"],"type":"subscribe"}"#
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&Coinbase, &[TRADES, TICKER, HEARTBEAT, MATCH, EXCHANGE_TICKER]);
    }
}
