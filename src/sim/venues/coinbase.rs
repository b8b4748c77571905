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
            subscriptions
                .entry(channel.name())
                .or_default()
                .push(symbol(*pair));
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
    out.json(&Refusal {
        kind: "error",
        message,
    });
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
    Trades {
        kind,
        trades: trades.collect(),
    }
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
    Tickers {
        kind,
        tickers: [ticker],
    }
}
