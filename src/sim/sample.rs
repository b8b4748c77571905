//! A venue with fixed numbers and two markets, for tests of what the dialects write.

use std::{collections::VecDeque, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use tokio_tungstenite::tungstenite::Message;

use super::{
    floor::Step,
    ticker::{Day, Ticker, Trade},
    wire::{Dialect, Outbox},
};
use crate::domain::{pair::Pair, trade::Side};

/// A conversation with a dialect, one side of which is written by the test.
pub(super) struct Talk {
    dialect: Box<dyn Dialect>,
    step: Step,
}

impl Talk {
    /// Connects, and gives what the server says first.
    pub(super) fn begin(dialect: impl Dialect + 'static) -> (Self, Vec<String>) {
        let time = DateTime::from_timestamp_micros(1_760_000_000_123_456).unwrap();
        let mut talk = Self {
            dialect: Box::new(dialect),
            step: Step {
                time,
                tickers: vec![Arc::new(bitcoin(time)), Arc::new(pepe(time))],
                news: Vec::new(),
                trouble: None,
            },
        };
        let mut out = Outbox::default();
        talk.dialect.greet(&talk.step, &mut out);
        (talk, frames(out))
    }

    pub(super) fn ask(&mut self, request: &str) -> Vec<String> {
        let mut out = Outbox::default();
        self.dialect.answer(request, &self.step, &mut out);
        frames(out)
    }

    /// Quotes both markets.
    pub(super) fn quote(&mut self) -> Vec<String> {
        let mut out = Outbox::default();
        for ticker in &self.step.tickers {
            self.dialect.quoted(ticker, &self.step, &mut out);
        }
        frames(out)
    }

    /// Trades in both markets.
    pub(super) fn trade(&mut self) -> Vec<String> {
        let mut out = Outbox::default();
        for ticker in &self.step.tickers {
            self.dialect.traded(ticker, &ticker.last, &self.step, &mut out);
        }
        frames(out)
    }

    /// Lets seconds pass without news.
    pub(super) fn wait(&mut self, seconds: i64) -> Vec<String> {
        let mut out = Outbox::default();
        self.step.time += TimeDelta::seconds(seconds);
        self.dialect.beat(&self.step, &mut out);
        frames(out)
    }
}

fn frames(out: Outbox) -> Vec<String> {
    let hang_up = out.hang_up.then(|| "<hang up>".to_owned());
    let frames = out.frames.into_iter().map(|frame| match frame {
        Message::Ping(payload) => format!("<ping {}>", String::from_utf8_lossy(&payload)),
        frame => frame.into_text().unwrap().to_string(),
    });
    frames.chain(hang_up).collect()
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn bitcoin(time: DateTime<Utc>) -> Ticker {
    let last = Trade {
        id: 700_000_002,
        price: decimal("97250.10"),
        amount: decimal("0.015"),
        side: Side::Buy,
        time: time - TimeDelta::milliseconds(40),
    };
    let before = Trade {
        id: 700_000_001,
        side: Side::Sell,
        price: decimal("97250"),
        time: time - TimeDelta::seconds(2),
        ..last
    };
    Ticker {
        pair: Pair::literal("BTC", "USDT"),
        decimals: 2,
        bid: decimal("97250.00"),
        bid_amount: decimal("1.5"),
        ask: decimal("97250.1"),
        ask_amount: decimal("0.25"),
        last,
        trades: VecDeque::from([last, before]),
        day: Day {
            open: decimal("96000"),
            high: decimal("98000.5"),
            low: decimal("95500"),
            base_volume: decimal("2000.5"),
            quote_volume: decimal("194000000.25"),
        },
        time: time - TimeDelta::milliseconds(20),
        update: 5_000_000_001,
    }
}

fn pepe(time: DateTime<Utc>) -> Ticker {
    let last =
        Trade { id: 1, price: decimal("0.00001832"), amount: decimal("54585"), side: Side::Sell, time };
    Ticker {
        pair: Pair::literal("PEPE", "USD"),
        decimals: 8,
        bid: decimal("0.00001831"),
        bid_amount: decimal("100000"),
        ask: decimal("0.00001833"),
        ask_amount: decimal("200000.5"),
        last,
        trades: VecDeque::from([last]),
        day: Day {
            open: decimal("0.00001842"),
            high: decimal("0.00001900"),
            low: decimal("0.00001800"),
            base_volume: decimal("1000000"),
            quote_volume: decimal("18.3"),
        },
        time,
        update: 1,
    }
}
