//! Kraken spot, WebSocket v2: `{"channel", "type", "data"}`, prices and amounts as JSON numbers, RFC 3339 times.
//!
//! A ticker follows trades, unless it is asked to follow the best bid and offer (`event_trigger` `bbo`).

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    domain::{decimal::text, pair::Pair, trade::Side},
    sim::{
        floor::Step,
        ticker::{Ticker, Trade},
        wire::{Dialect, Outbox, number, rfc3339},
    },
};

const HEARTBEAT_EVERY: TimeDelta = TimeDelta::seconds(1);

/// Kraken on one connection.
#[derive(Debug, Default)]
pub(super) struct Kraken {
    subscribed: BTreeMap<(Channel, Pair), Trigger>,
    beaten: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Channel {
    Trade,
    Ticker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Trigger {
    #[default]
    Trades,
    Bbo,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    params: Option<Params>,
    req_id: Option<u64>,
}

#[derive(Deserialize)]
struct Params {
    channel: String,
    #[serde(default)]
    symbol: Vec<String>,
    snapshot: Option<bool>,
    #[serde(default)]
    event_trigger: Trigger,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    req_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Outcome<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    time_in: String,
    time_out: String,
}

#[derive(Serialize)]
struct Outcome<'a> {
    channel: Channel,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_trigger: Option<Trigger>,
    snapshot: bool,
    symbol: &'a str,
}

#[derive(Serialize)]
struct Frame<C, D> {
    channel: C,
    #[serde(rename = "type")]
    kind: &'static str,
    data: D,
}

#[derive(Serialize)]
struct Heartbeat {
    channel: &'static str,
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    system: &'static str,
    api_version: &'static str,
    connection_id: u64,
}

#[derive(Serialize)]
struct DayTicker {
    symbol: String,
    bid: Number,
    bid_qty: Number,
    ask: Number,
    ask_qty: Number,
    last: Number,
    volume: Number,
    vwap: Number,
    low: Number,
    high: Number,
    change: Number,
    change_pct: Number,
    timestamp: String,
}

#[derive(Serialize)]
struct MarketTrade {
    symbol: String,
    side: &'static str,
    price: Number,
    qty: Number,
    ord_type: &'static str,
    trade_id: u64,
    timestamp: String,
}

/// A decimal as a JSON number, with all its digits and one after the point at least.
struct Number(Decimal);

impl Dialect for Kraken {
    fn greet(&mut self, _step: &Step, out: &mut Outbox) {
        let status = Status {
            version: "2.0.9",
            system: "online",
            api_version: "v2",
            connection_id: 13_834_774_380_200_032_777,
        };
        out.json(&Frame { channel: "status", kind: "update", data: [status] });
    }

    fn answer(&mut self, request: &str, step: &Step, out: &mut Outbox) {
        let Ok(request) = serde_json::from_str::<Request>(request) else {
            return out.json(&refusal("", None, "Malformed request", step));
        };
        let (method, id) = (request.method.as_str(), request.req_id);
        match (method, request.params) {
            ("ping", _) => out.json(&Answer { method: "pong", ..answer(id, step) }),
            ("subscribe", Some(params)) => self.subscribe(id, &params, step, out),
            ("subscribe", None) => out.json(&refusal(method, id, "Missing field: params", step)),
            _ => out.json(&refusal(method, id, "Unsupported method", step)),
        }
    }

    fn quoted(&mut self, ticker: &Ticker, _step: &Step, out: &mut Outbox) {
        if self.subscribed.get(&(Channel::Ticker, ticker.pair)) == Some(&Trigger::Bbo) {
            out.json(&tickers("update", ticker));
        }
    }

    fn traded(&mut self, ticker: &Ticker, trade: &Trade, _step: &Step, out: &mut Outbox) {
        if self.subscribed.contains_key(&(Channel::Trade, ticker.pair)) {
            out.json(&trades("update", ticker.pair, [trade]));
        }
        if self.subscribed.get(&(Channel::Ticker, ticker.pair)) == Some(&Trigger::Trades) {
            out.json(&tickers("update", ticker));
        }
    }

    fn beat(&mut self, step: &Step, out: &mut Outbox) {
        if !self.subscribed.is_empty() && step.time - self.beaten >= HEARTBEAT_EVERY {
            self.beaten = step.time;
            out.json(&Heartbeat { channel: "heartbeat" });
        }
    }
}

impl Kraken {
    fn subscribe(&mut self, id: Option<u64>, params: &Params, step: &Step, out: &mut Outbox) {
        let channel = match params.channel.as_str() {
            "trade" => Channel::Trade,
            "ticker" => Channel::Ticker,
            _ => return out.json(&refusal("subscribe", id, "Unsupported channel", step)),
        };
        for name in &params.symbol {
            let Some(ticker) = step.find(|pair| symbol(pair) == *name) else {
                let words = format!("Currency pair not supported {name}");
                out.json(&Answer { symbol: Some(name), ..refusal("subscribe", id, &words, step) });
                continue;
            };
            // Past trades come only if they are asked for; a ticker always starts with one.
            let snapshot = params.snapshot.unwrap_or(channel == Channel::Ticker);
            let trigger = params.event_trigger;
            self.subscribed.insert((channel, ticker.pair), trigger);
            out.json(&Answer {
                method: "subscribe",
                result: Some(Outcome {
                    channel,
                    event_trigger: (channel == Channel::Ticker).then_some(trigger),
                    snapshot,
                    symbol: name,
                }),
                success: Some(true),
                ..answer(id, step)
            });
            match channel {
                Channel::Trade if snapshot => {
                    out.json(&trades("snapshot", ticker.pair, ticker.trades.iter().rev()));
                }
                Channel::Ticker if snapshot => out.json(&tickers("snapshot", ticker)),
                Channel::Trade | Channel::Ticker => {}
            }
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = text(self.0);
        let digits = if digits.contains('.') { digits } else { digits + ".0" };
        number(digits, serializer)
    }
}

fn answer<'a>(req_id: Option<u64>, step: &Step) -> Answer<'a> {
    Answer {
        method: "",
        req_id,
        error: None,
        symbol: None,
        result: None,
        success: None,
        time_in: rfc3339(step.time),
        time_out: rfc3339(step.time + TimeDelta::microseconds(49)),
    }
}

fn refusal<'a>(method: &'a str, req_id: Option<u64>, error: &'a str, step: &Step) -> Answer<'a> {
    Answer { method, error: Some(error), success: Some(false), ..answer(req_id, step) }
}

fn symbol(pair: Pair) -> String {
    format!("{}/{}", pair.base, pair.quote)
}

fn trades<'a>(
    kind: &'static str,
    pair: Pair,
    trades: impl IntoIterator<Item = &'a Trade>,
) -> Frame<Channel, Vec<MarketTrade>> {
    let trades = trades.into_iter().map(|trade| MarketTrade {
        symbol: symbol(pair),
        side: match trade.side {
            Side::Buy => "buy",
            Side::Sell => "sell",
        },
        price: Number(trade.price),
        qty: Number(trade.amount),
        ord_type: "market",
        trade_id: trade.id,
        timestamp: rfc3339(trade.time),
    });
    Frame { channel: Channel::Trade, kind, data: trades.collect() }
}

fn tickers(kind: &'static str, ticker: &Ticker) -> Frame<Channel, [DayTicker; 1]> {
    let (change, ratio) = ticker.change();
    let ticker = DayTicker {
        symbol: symbol(ticker.pair),
        bid: Number(ticker.bid),
        bid_qty: Number(ticker.bid_amount),
        ask: Number(ticker.ask),
        ask_qty: Number(ticker.ask_amount),
        last: Number(ticker.last.price),
        volume: Number(ticker.day.base_volume),
        vwap: Number(ticker.average()),
        low: Number(ticker.day.low),
        high: Number(ticker.day.high),
        change: Number(change),
        change_pct: Number((ratio * Decimal::ONE_HUNDRED).round_dp(2)),
        timestamp: rfc3339(ticker.time),
    };
    Frame { channel: Channel::Ticker, kind, data: [ticker] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::sample::Talk;

    #[test]
    fn the_server_says_first_that_it_is_online() {
        let (_, greeting) = Talk::begin(Kraken::default());
        assert_eq!(
            greeting,
            [
                r#"{"channel":"status","type":"update","data":[{"version":"2.0.9","system":"online","api_version":"v2","connection_id":13834774380200032777}]}"#
            ]
        );
    }

    #[test]
    fn each_symbol_is_acknowledged_and_numbers_are_bare() {
        let (mut talk, _) = Talk::begin(Kraken::default());
        let trades =
            r#"{"method":"subscribe","params":{"channel":"trade","symbol":["PEPE/USD"],"snapshot":true}}"#;
        assert_eq!(
            talk.ask(trades),
            [
                r#"{"method":"subscribe","result":{"channel":"trade","snapshot":true,"symbol":"PEPE/USD"},"success":true,"time_in":"2025-10-09T08:53:20.123456Z","time_out":"2025-10-09T08:53:20.123505Z"}"#,
                r#"{"channel":"trade","type":"snapshot","data":[{"symbol":"PEPE/USD","side":"sell","price":0.00001832,"qty":54585.0,"ord_type":"market","trade_id":1,"timestamp":"2025-10-09T08:53:20.123456Z"}]}"#
            ]
        );
        let ticker = r#"{"method":"subscribe","params":{"symbol":["BTC/USDT"],"channel":"ticker","event_trigger":"bbo"},"req_id":9}"#;
        assert_eq!(
            talk.ask(ticker),
            [
                r#"{"method":"subscribe","req_id":9,"result":{"channel":"ticker","event_trigger":"bbo","snapshot":true,"symbol":"BTC/USDT"},"success":true,"time_in":"2025-10-09T08:53:20.123456Z","time_out":"2025-10-09T08:53:20.123505Z"}"#,
                r#"{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USDT","bid":97250.0,"bid_qty":1.5,"ask":97250.1,"ask_qty":0.25,"last":97250.1,"volume":2000.5,"vwap":96975.76,"low":95500.0,"high":98000.5,"change":1250.1,"change_pct":1.3,"timestamp":"2025-10-09T08:53:20.103456Z"}]}"#
            ]
        );
        assert_eq!(
            talk.trade(),
            [
                r#"{"channel":"trade","type":"update","data":[{"symbol":"PEPE/USD","side":"sell","price":0.00001832,"qty":54585.0,"ord_type":"market","trade_id":1,"timestamp":"2025-10-09T08:53:20.123456Z"}]}"#
            ]
        );
        assert_eq!(
            talk.quote(),
            [
                r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USDT","bid":97250.0,"bid_qty":1.5,"ask":97250.1,"ask_qty":0.25,"last":97250.1,"volume":2000.5,"vwap":96975.76,"low":95500.0,"high":98000.5,"change":1250.1,"change_pct":1.3,"timestamp":"2025-10-09T08:53:20.103456Z"}]}"#
            ]
        );
        assert_eq!(talk.wait(1), [r#"{"channel":"heartbeat"}"#]);
    }

    #[test]
    fn a_ticker_follows_trades_unless_told_otherwise() {
        let (mut talk, _) = Talk::begin(Kraken::default());
        talk.ask(r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USDT"]}}"#);
        assert!(talk.quote().is_empty());
        assert_eq!(talk.trade().len(), 1);
    }

    #[test]
    fn other_requests_are_errors() {
        let (mut talk, _) = Talk::begin(Kraken::default());
        for (request, answer) in [
            (
                r#"{"method":"ping","req_id":42}"#,
                r#"{"method":"pong","req_id":42,"time_in":"2025-10-09T08:53:20.123456Z","time_out":"2025-10-09T08:53:20.123505Z"}"#,
            ),
            (
                "hello",
                r#"{"error":"Malformed request","success":false,"time_in":"2025-10-09T08:53:20.123456Z","time_out":"2025-10-09T08:53:20.123505Z"}"#,
            ),
            (
                r#"{"method":"sing"}"#,
                r#"{"method":"sing","error":"Unsupported method","success":false,"time_in":"2025-10-09T08:53:20.123456Z","time_out":"2025-10-09T08:53:20.123505Z"}"#,
            ),
            (
                r#"{"method":"subscribe"}"#,
                r#"{"method":"subscribe","error":"Missing field: params","success":false,"time_in":"2025-10-09T08:53:20.123456Z","time_out":"2025-10-09T08:53:20.123505Z"}"#,
            ),
            (
                r#"{"method":"subscribe","params":{"channel":"songs"}}"#,
                r#"{"method":"subscribe","error":"Unsupported channel","success":false,"time_in":"2025-10-09T08:53:20.123456Z","time_out":"2025-10-09T08:53:20.123505Z"}"#,
            ),
            (
                r#"{"method":"subscribe","params":{"channel":"trade","symbol":["XBT/USD"]}}"#,
                r#"{"method":"subscribe","error":"Currency pair not supported XBT/USD","symbol":"XBT/USD","success":false,"time_in":"2025-10-09T08:53:20.123456Z","time_out":"2025-10-09T08:53:20.123505Z"}"#,
            ),
        ] {
            assert_eq!(talk.ask(request), [answer], "{request}");
        }
    }
}
