//! Coinbase Advanced Trade: envelopes `{"channel", "timestamp", "sequence_num", "events"}`, one sequence over
//! all channels of a connection, numbers as text, the maker's side on trades.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{decimal::text, pair::Pair, trade::Side},
    sim::{
        floor::Step,
        ticker::{Ticker, Trade},
        wire::{Dialect, Outbox, rfc3339},
    },
};

const HEARTBEAT_EVERY: TimeDelta = TimeDelta::seconds(1);

/// Coinbase on one connection.
#[derive(Debug, Default)]
pub(super) struct Coinbase {
    subscribed: BTreeSet<(Channel, Pair)>,
    heartbeats: bool,
    beaten: DateTime<Utc>,
    beats: u64,
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Channel {
    MarketTrades,
    Ticker,
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    product_ids: Vec<String>,
    channel: String,
}

#[derive(Serialize)]
struct Refusal<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct Envelope<E> {
    channel: &'static str,
    timestamp: String,
    sequence_num: u64,
    events: [E; 1],
}

#[derive(Serialize)]
struct Subscriptions {
    subscriptions: BTreeMap<&'static str, Vec<String>>,
}

#[derive(Serialize)]
struct Heartbeat {
    current_time: String,
    heartbeat_counter: u64,
}

#[derive(Serialize)]
struct Trades {
    #[serde(rename = "type")]
    kind: &'static str,
    trades: Vec<MarketTrade>,
}

#[derive(Serialize)]
struct MarketTrade {
    product_id: String,
    trade_id: String,
    price: String,
    size: String,
    time: String,
    side: &'static str,
}

#[derive(Serialize)]
struct Tickers {
    #[serde(rename = "type")]
    kind: &'static str,
    tickers: [DayTicker; 1],
}

#[derive(Serialize)]
struct DayTicker {
    #[serde(rename = "type")]
    kind: &'static str,
    product_id: String,
    price: String,
    volume_24_h: String,
    low_24_h: String,
    high_24_h: String,
    low_52_w: String,
    high_52_w: String,
    price_percent_chg_24_h: String,
    best_bid: String,
    best_ask: String,
    best_bid_quantity: String,
    best_ask_quantity: String,
}

impl Dialect for Coinbase {
    fn answer(&mut self, request: &str, step: &Step, out: &mut Outbox) {
        let request = match serde_json::from_str::<Request>(request) {
            Ok(request) if request.kind == "subscribe" => request,
            Ok(request) => return refuse(&format!("unsupported type: {}", request.kind), out),
            Err(_) => return refuse("failed to unmarshal message", out),
        };
        let channel = match request.channel.as_str() {
            "market_trades" => Channel::MarketTrades,
            "ticker" => Channel::Ticker,
            "heartbeats" => {
                self.heartbeats = true;
                return self.acknowledge(step, out);
            }
            other => return refuse(&format!("unknown channel: {other}"), out),
        };
        for product in &request.product_ids {
            match step.find(|pair| symbol(pair) == *product) {
                Some(ticker) => self.snapshot(channel, ticker, step, out),
                None => refuse(&format!("{product} is not a valid product"), out),
            }
        }
        self.acknowledge(step, out);
    }

    fn quoted(&mut self, ticker: &Ticker, step: &Step, out: &mut Outbox) {
        if self.subscribed.contains(&(Channel::Ticker, ticker.pair)) {
            self.send(Channel::Ticker.name(), tickers("update", ticker), step, out);
        }
    }

    fn traded(&mut self, ticker: &Ticker, trade: &Trade, step: &Step, out: &mut Outbox) {
        if self.subscribed.contains(&(Channel::MarketTrades, ticker.pair)) {
            let trades = trades("update", ticker.pair, [trade]);
            self.send(Channel::MarketTrades.name(), trades, step, out);
        }
    }

    fn beat(&mut self, step: &Step, out: &mut Outbox) {
        if !self.heartbeats || step.time - self.beaten < HEARTBEAT_EVERY {
            return;
        }
        self.beaten = step.time;
        self.beats += 1;
        // The only time on this socket that is written as Go prints one, its monotonic clock included.
        let clock = step.time.format("%Y-%m-%d %H:%M:%S%.9f +0000 UTC");
        let heartbeat = Heartbeat {
            current_time: format!("{clock} m=+{}.000000001", self.beats),
            heartbeat_counter: self.beats,
        };
        self.send("heartbeats", heartbeat, step, out);
    }
}

impl Coinbase {
    fn send(&mut self, channel: &'static str, event: impl Serialize, step: &Step, out: &mut Outbox) {
        out.json(&Envelope {
            channel,
            timestamp: step.time.to_rfc3339_opts(SecondsFormat::Nanos, true),
            sequence_num: self.sequence,
            events: [event],
        });
        self.sequence += 1;
    }

    fn snapshot(&mut self, channel: Channel, ticker: &Ticker, step: &Step, out: &mut Outbox) {
        self.subscribed.insert((channel, ticker.pair));
        match channel {
            Channel::MarketTrades => {
                let trades = trades("snapshot", ticker.pair, &ticker.trades);
                self.send(channel.name(), trades, step, out);
            }
            Channel::Ticker => self.send(channel.name(), tickers("snapshot", ticker), step, out),
        }
    }

    /// Lists everything that is subscribed to on the connection.
    fn acknowledge(&mut self, step: &Step, out: &mut Outbox) {
        let mut subscriptions = BTreeMap::<_, Vec<_>>::new();
        for (channel, pair) in &self.subscribed {
            subscriptions.entry(channel.name()).or_default().push(symbol(*pair));
        }
        if self.heartbeats {
            subscriptions.insert("heartbeats", vec!["heartbeats".to_owned()]);
        }
        self.send("subscriptions", Subscriptions { subscriptions }, step, out);
    }
}

impl Channel {
    const fn name(self) -> &'static str {
        match self {
            Self::MarketTrades => "market_trades",
            Self::Ticker => "ticker",
        }
    }
}

fn refuse(message: &str, out: &mut Outbox) {
    out.json(&Refusal { kind: "error", message });
}

fn symbol(pair: Pair) -> String {
    pair.to_string()
}

fn trades<'a>(kind: &'static str, pair: Pair, trades: impl IntoIterator<Item = &'a Trade>) -> Trades {
    let trades = trades.into_iter().map(|trade| MarketTrade {
        product_id: symbol(pair),
        trade_id: trade.id.to_string(),
        price: text(trade.price),
        size: text(trade.amount),
        time: rfc3339(trade.time),
        side: match trade.side.opposite() {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        },
    });
    Trades { kind, trades: trades.collect() }
}

fn tickers(kind: &'static str, ticker: &Ticker) -> Tickers {
    let (_, ratio) = ticker.change();
    let year = |factor: Decimal, day: Decimal| text((day * factor).round_dp(ticker.decimals));
    let ticker = DayTicker {
        kind: "ticker",
        product_id: symbol(ticker.pair),
        price: text(ticker.last.price),
        volume_24_h: text(ticker.day.base_volume),
        low_24_h: text(ticker.day.low),
        high_24_h: text(ticker.day.high),
        low_52_w: year(Decimal::new(6, 1), ticker.day.low),
        high_52_w: year(Decimal::new(14, 1), ticker.day.high),
        price_percent_chg_24_h: text((ratio * Decimal::ONE_HUNDRED).round_dp(14)),
        best_bid: text(ticker.bid),
        best_ask: text(ticker.ask),
        best_bid_quantity: text(ticker.bid_amount),
        best_ask_quantity: text(ticker.ask_amount),
    };
    Tickers { kind, tickers: [ticker] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::sample::Talk;

    #[test]
    fn a_subscription_starts_with_a_snapshot_and_counts_on() {
        let (mut talk, greeting) = Talk::begin(Coinbase::default());
        assert!(greeting.is_empty());
        let trades = r#"{"type":"subscribe","product_ids":["BTC-USDT"],"channel":"market_trades"}"#;
        assert_eq!(
            talk.ask(trades),
            [
                r#"{"channel":"market_trades","timestamp":"2025-10-09T08:53:20.123456000Z","sequence_num":0,"events":[{"type":"snapshot","trades":[{"product_id":"BTC-USDT","trade_id":"700000002","price":"97250.1","size":"0.015","time":"2025-10-09T08:53:20.083456Z","side":"SELL"},{"product_id":"BTC-USDT","trade_id":"700000001","price":"97250","size":"0.015","time":"2025-10-09T08:53:18.123456Z","side":"BUY"}]}]}"#,
                r#"{"channel":"subscriptions","timestamp":"2025-10-09T08:53:20.123456000Z","sequence_num":1,"events":[{"subscriptions":{"market_trades":["BTC-USDT"]}}]}"#
            ]
        );
        let ticker = r#"{"type":"subscribe","channel":"ticker","product_ids":["BTC-USDT"]}"#;
        assert_eq!(
            talk.ask(ticker),
            [
                r#"{"channel":"ticker","timestamp":"2025-10-09T08:53:20.123456000Z","sequence_num":2,"events":[{"type":"snapshot","tickers":[{"type":"ticker","product_id":"BTC-USDT","price":"97250.1","volume_24_h":"2000.5","low_24_h":"95500","high_24_h":"98000.5","low_52_w":"57300","high_52_w":"137200.7","price_percent_chg_24_h":"1.3021875","best_bid":"97250","best_ask":"97250.1","best_bid_quantity":"1.5","best_ask_quantity":"0.25"}]}]}"#,
                r#"{"channel":"subscriptions","timestamp":"2025-10-09T08:53:20.123456000Z","sequence_num":3,"events":[{"subscriptions":{"market_trades":["BTC-USDT"],"ticker":["BTC-USDT"]}}]}"#
            ]
        );
        assert_eq!(
            talk.trade(),
            [
                r#"{"channel":"market_trades","timestamp":"2025-10-09T08:53:20.123456000Z","sequence_num":4,"events":[{"type":"update","trades":[{"product_id":"BTC-USDT","trade_id":"700000002","price":"97250.1","size":"0.015","time":"2025-10-09T08:53:20.083456Z","side":"SELL"}]}]}"#
            ]
        );
        assert_eq!(
            talk.quote(),
            [
                r#"{"channel":"ticker","timestamp":"2025-10-09T08:53:20.123456000Z","sequence_num":5,"events":[{"type":"update","tickers":[{"type":"ticker","product_id":"BTC-USDT","price":"97250.1","volume_24_h":"2000.5","low_24_h":"95500","high_24_h":"98000.5","low_52_w":"57300","high_52_w":"137200.7","price_percent_chg_24_h":"1.3021875","best_bid":"97250","best_ask":"97250.1","best_bid_quantity":"1.5","best_ask_quantity":"0.25"}]}]}"#
            ]
        );
    }

    #[test]
    fn heartbeats_come_every_second_once_asked_for() {
        let (mut talk, _) = Talk::begin(Coinbase::default());
        assert!(talk.wait(5).is_empty());
        assert_eq!(
            talk.ask(r#"{"type":"subscribe","channel":"heartbeats"}"#),
            [
                r#"{"channel":"subscriptions","timestamp":"2025-10-09T08:53:25.123456000Z","sequence_num":0,"events":[{"subscriptions":{"heartbeats":["heartbeats"]}}]}"#
            ]
        );
        assert_eq!(
            talk.wait(0),
            [
                r#"{"channel":"heartbeats","timestamp":"2025-10-09T08:53:25.123456000Z","sequence_num":1,"events":[{"current_time":"2025-10-09 08:53:25.123456000 +0000 UTC m=+1.000000001","heartbeat_counter":1}]}"#
            ]
        );
        assert!(talk.wait(0).is_empty());
    }

    #[test]
    fn other_requests_are_errors() {
        let (mut talk, _) = Talk::begin(Coinbase::default());
        for (request, answer) in [
            ("hello", r#"{"type":"error","message":"failed to unmarshal message"}"#),
            (
                r#"{"type":"sing","channel":"ticker"}"#,
                r#"{"type":"error","message":"unsupported type: sing"}"#,
            ),
            (
                r#"{"type":"subscribe","channel":"songs"}"#,
                r#"{"type":"error","message":"unknown channel: songs"}"#,
            ),
        ] {
            assert_eq!(talk.ask(request), [answer], "{request}");
        }
        let unknown = talk.ask(r#"{"type":"subscribe","product_ids":["ABC-USD"],"channel":"ticker"}"#);
        assert_eq!(unknown[0], r#"{"type":"error","message":"ABC-USD is not a valid product"}"#);
    }
}
