//! Coinbase: the Advanced Trade feed, `{"channel", "timestamp", "events"}`; and the older Exchange feed, `{"type"}`.
//!
//! Both name the **maker's** side of a trade, so the taker's is the other one. `market_trades` begins with past
//! trades (Exchange: `last_match` is one). `heartbeats` comes once a second. Times are RFC 3339. Source: Coinbase's
//! public documentation, and recordings, where trades at the best ask carry `SELL`.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    domain::{
        pair::{Asset, Pair},
        quote::TopOfBook,
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        event::{Event, Parsed, Ticker, TradeReport},
        number::{Number, Text, Volume, Words, optional, positive, side},
        venue::{Endpoint, Market, ParseError, Protocol, Session},
    },
};

/// Speaks with Coinbase.
#[derive(Debug)]
pub struct Coinbase;

impl Protocol for Coinbase {
    fn venue(&self) -> Venue {
        Venue::new("coinbase")
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

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        let message: Message<'a> = serde_json::from_str(text)?;
        match (message.channel, message.kind) {
            (Some(channel), _) => advanced(channel, &message),
            (None, Some("error")) => {
                let words = message.reason.or(message.message).unwrap_or(Words(""));
                Ok(Parsed::one("error", Event::Refused(words.0)))
            }
            (None, Some(kind)) => exchange(kind, text),
            (None, None) => Err(ParseError::unknown_channel("without channel")),
        }
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    channel: Option<&'a str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    timestamp: Option<DateTime<Utc>>,
    #[serde(borrow)]
    events: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<Words<'a>>,
    #[serde(borrow)]
    reason: Option<Words<'a>>,
}

#[derive(Deserialize)]
struct TradesEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    trades: Vec<Trade<'a>>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    product_id: &'a str,
    #[serde(borrow)]
    trade_id: Text<'a>,
    price: Number,
    size: Number,
    side: &'a str,
    time: DateTime<Utc>,
}

#[derive(Deserialize)]
struct TickersEvent<'a> {
    #[serde(borrow)]
    tickers: Vec<DayTicker<'a>>,
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
    time: Option<DateTime<Utc>>,
}

/// Reads a message of the Advanced Trade feed.
fn advanced<'a>(channel: &'a str, message: &Message<'a>) -> Result<Parsed<'a>, ParseError> {
    let events = || message.events.map(RawValue::get).ok_or_else(|| ParseError::value("events", "absent"));
    match channel {
        "market_trades" => {
            let events: Vec<TradesEvent<'a>> = serde_json::from_str(events()?)?;
            let trades = events.into_iter().flat_map(|event| {
                let snapshot = event.kind == "snapshot";
                event.trades.into_iter().map(move |t| trade(t, snapshot))
            });
            Ok(Parsed::many(channel, trades.collect::<Result<_, _>>()?))
        }
        "ticker" | "ticker_batch" => {
            let events: Vec<TickersEvent<'a>> = serde_json::from_str(events()?)?;
            let tickers = events.into_iter().flat_map(|event| event.tickers);
            let tickers = tickers.map(|t| ticker(t, message.timestamp));
            Ok(Parsed::many(channel, tickers.collect()))
        }
        "heartbeats" => Ok(Parsed::one(channel, Event::Confirm(None))),
        "subscriptions" => Ok(Parsed::one(channel, Event::Subscribed)),
        "l2_data" | "candles" | "status" => Ok(Parsed::ignored(channel)),
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

/// Reads a message of the Exchange feed, where trade and ticker lie bare.
fn exchange<'a>(kind: &'a str, text: &'a str) -> Result<Parsed<'a>, ParseError> {
    match kind {
        "match" | "last_match" => {
            let report = trade(serde_json::from_str(text)?, kind == "last_match")?;
            Ok(Parsed::one(kind, report))
        }
        "ticker" => Ok(Parsed::one(kind, ticker(serde_json::from_str(text)?, None))),
        "subscriptions" => Ok(Parsed::one(kind, Event::Subscribed)),
        "heartbeat" | "status" | "snapshot" | "l2update" | "received" | "open" | "done" | "change"
        | "activate" => Ok(Parsed::ignored(kind)),
        _ => Err(ParseError::unknown_channel(kind)),
    }
}

fn trade(trade: Trade<'_>, snapshot: bool) -> Result<Event<'_>, ParseError> {
    let maker = match trade.side {
        "BUY" | "buy" => Side::Buy,
        "SELL" | "sell" => Side::Sell,
        other => return Err(ParseError::value("side", other)),
    };
    Ok(Event::Trade(TradeReport {
        symbol: trade.product_id,
        id: Some(trade.trade_id.0),
        price: positive("price", trade.price)?,
        amount: positive("size", trade.size)?,
        side: maker.opposite(),
        time: trade.time,
        snapshot,
    }))
}

/// Reads a ticker; Advanced Trade stamps the message around it, Exchange the ticker itself.
fn ticker(ticker: DayTicker<'_>, time: Option<DateTime<Utc>>) -> Event<'_> {
    Event::Ticker(Ticker {
        symbol: ticker.product_id,
        book: Some(TopOfBook { bid: side(ticker.best_bid), ask: side(ticker.best_ask) }),
        last: side(ticker.price),
        base_volume_24h: ticker.volume_24_h.map(|Volume(volume)| volume),
        quote_volume_24h: None,
        time: ticker.time.or(time),
    })
}
