//! Crypto.com exchange, v1 of the market stream: `{"id", "method", "code", "result"}`, numbers as text,
//! milliseconds. The server asks for a sign of life and hangs up on a client that does not answer.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    domain::{decimal::text, pair::Pair, trade::Side},
    sim::{
        floor::Step,
        ticker::{Ticker, Trade},
        wire::{Dialect, Outbox},
    },
};

const FIRST_HEARTBEAT_AFTER: TimeDelta = TimeDelta::seconds(5);
const HEARTBEAT_EVERY: TimeDelta = TimeDelta::seconds(30);

/// How long the server waits for the answer to a heartbeat.
const PATIENCE: TimeDelta = TimeDelta::seconds(5);

const INVALID_REQUEST: u32 = 40_003;
const INVALID_ARGUMENT: u32 = 40_004;

/// Crypto.com on one connection.
#[derive(Debug, Default)]
pub(super) struct CryptoCom {
    subscribed: BTreeSet<(Channel, Pair)>,
    /// When the next heartbeat is due.
    due: DateTime<Utc>,
    /// The heartbeat that waits for its answer: its number is its time.
    awaited: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Channel {
    Trade,
    Ticker,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Value,
    method: String,
    params: Option<Params>,
}

#[derive(Deserialize)]
struct Params {
    channels: Vec<String>,
}

#[derive(Serialize)]
struct Heartbeat {
    id: i64,
    method: &'static str,
    code: u32,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a Value,
    #[serde(skip_serializing_if = "str::is_empty")]
    method: &'a str,
    code: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
}

#[derive(Serialize)]
struct Frame<D> {
    id: i64,
    method: &'static str,
    code: u32,
    result: News<D>,
}

#[derive(Serialize)]
struct News<D> {
    channel: Channel,
    subscription: String,
    instrument_name: String,
    data: Vec<D>,
}

#[derive(Serialize)]
struct MarketTrade {
    d: String,
    t: i64,
    p: String,
    q: String,
    s: &'static str,
    i: String,
}

#[derive(Serialize)]
struct DayTicker {
    h: String,
    l: String,
    a: String,
    c: String,
    b: String,
    bs: String,
    k: String,
    ks: String,
    i: String,
    v: String,
    vv: String,
    t: i64,
}

impl Dialect for CryptoCom {
    fn greet(&mut self, step: &Step, _out: &mut Outbox) {
        self.due = step.time + FIRST_HEARTBEAT_AFTER;
    }

    fn answer(&mut self, request: &str, step: &Step, out: &mut Outbox) {
        let Ok(request) = serde_json::from_str::<Request>(request) else {
            return refuse(&Value::from(-1), "", INVALID_REQUEST, None, out);
        };
        match (request.method.as_str(), &request.params) {
            ("public/respond-heartbeat", _) => {
                if self.awaited == request.id.as_i64() {
                    self.awaited = None;
                }
            }
            ("subscribe", Some(params)) => self.subscribe(&request, params, step, out),
            (method, _) => refuse(&request.id, method, INVALID_REQUEST, None, out),
        }
    }

    fn quoted(&mut self, ticker: &Ticker, _step: &Step, out: &mut Outbox) {
        if self.subscribed.contains(&(Channel::Ticker, ticker.pair)) {
            out.json(&tickers(ticker));
        }
    }

    fn traded(&mut self, ticker: &Ticker, trade: &Trade, _step: &Step, out: &mut Outbox) {
        if self.subscribed.contains(&(Channel::Trade, ticker.pair)) {
            out.json(&trades(ticker.pair, [trade]));
        }
    }

    fn beat(&mut self, step: &Step, out: &mut Outbox) {
        let now = step.time.timestamp_millis();
        if self.awaited.is_some_and(|asked| now - asked > PATIENCE.num_milliseconds()) {
            out.hang_up();
        } else if step.time >= self.due {
            self.due = step.time + HEARTBEAT_EVERY;
            self.awaited = Some(now);
            out.json(&Heartbeat { id: now, method: "public/heartbeat", code: 0 });
        }
    }
}

impl CryptoCom {
    fn subscribe(&mut self, request: &Request, params: &Params, step: &Step, out: &mut Outbox) {
        let mut found = Vec::new();
        for name in &params.channels {
            match find(name, step) {
                Some(subscription) => found.push(subscription),
                None => refuse(&request.id, "subscribe", INVALID_ARGUMENT, Some(name), out),
            }
        }
        if found.is_empty() {
            return;
        }
        out.json(&Answer { id: &request.id, method: "subscribe", code: 0, message: None, channel: None });
        for (channel, ticker) in found {
            self.subscribed.insert((channel, ticker.pair));
            match channel {
                Channel::Trade => out.json(&trades(ticker.pair, &ticker.trades)),
                Channel::Ticker => out.json(&tickers(ticker)),
            }
        }
    }
}

impl Channel {
    const fn name(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Ticker => "ticker",
        }
    }
}

fn refuse(id: &Value, method: &str, code: u32, channel: Option<&str>, out: &mut Outbox) {
    let message = if code == INVALID_ARGUMENT { "Missing or invalid argument" } else { "Invalid request" };
    out.json(&Answer { id, method, code, message: Some(message), channel });
}

fn symbol(pair: Pair) -> String {
    format!("{}_{}", pair.base, pair.quote)
}

/// Finds the kind and the market of a subscription (`trade.BTC_USD`).
fn find<'a>(name: &str, step: &'a Step) -> Option<(Channel, &'a Ticker)> {
    let (channel, market) = name.split_once('.')?;
    let channel = match channel {
        "trade" => Channel::Trade,
        "ticker" => Channel::Ticker,
        _ => return None,
    };
    Some((channel, step.find(|pair| symbol(pair) == market)?))
}

fn frame<D>(channel: Channel, pair: Pair, data: Vec<D>) -> Frame<D> {
    Frame {
        id: -1,
        method: "subscribe",
        code: 0,
        result: News {
            channel,
            subscription: format!("{}.{}", channel.name(), symbol(pair)),
            instrument_name: symbol(pair),
            data,
        },
    }
}

fn trades<'a>(pair: Pair, trades: impl IntoIterator<Item = &'a Trade>) -> Frame<MarketTrade> {
    let trades = trades.into_iter().map(|trade| MarketTrade {
        d: trade.id.to_string(),
        t: trade.time.timestamp_millis(),
        p: text(trade.price),
        q: text(trade.amount),
        s: match trade.side {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        },
        i: symbol(pair),
    });
    frame(Channel::Trade, pair, trades.collect())
}

fn tickers(ticker: &Ticker) -> Frame<DayTicker> {
    let (_, ratio) = ticker.change();
    let day = DayTicker {
        h: text(ticker.day.high),
        l: text(ticker.day.low),
        a: text(ticker.last.price),
        c: text(ratio.round_dp(4)),
        b: text(ticker.bid),
        bs: text(ticker.bid_amount),
        k: text(ticker.ask),
        ks: text(ticker.ask_amount),
        i: symbol(ticker.pair),
        v: text(ticker.day.base_volume),
        vv: text(ticker.day.quote_volume.round_dp(2)),
        t: ticker.time.timestamp_millis(),
    };
    frame(Channel::Ticker, ticker.pair, vec![day])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::sample::Talk;

    #[test]
    fn a_subscription_is_acknowledged_and_starts_with_the_past() {
        let (mut talk, greeting) = Talk::begin(CryptoCom::default());
        assert!(greeting.is_empty());
        let request = r#"{"id":1,"method":"subscribe","params":{"channels":["trade.BTC_USDT","ticker.PEPE_USD"]},"nonce":1760000000000}"#;
        assert_eq!(
            talk.ask(request),
            [
                r#"{"id":1,"method":"subscribe","code":0}"#,
                r#"{"id":-1,"method":"subscribe","code":0,"result":{"channel":"trade","subscription":"trade.BTC_USDT","instrument_name":"BTC_USDT","data":[{"d":"700000002","t":1760000000083,"p":"97250.1","q":"0.015","s":"BUY","i":"BTC_USDT"},{"d":"700000001","t":1759999998123,"p":"97250","q":"0.015","s":"SELL","i":"BTC_USDT"}]}}"#,
                r#"{"id":-1,"method":"subscribe","code":0,"result":{"channel":"ticker","subscription":"ticker.PEPE_USD","instrument_name":"PEPE_USD","data":[{"h":"0.000019","l":"0.000018","a":"0.00001832","c":"-0.0054","b":"0.00001831","bs":"100000","k":"0.00001833","ks":"200000.5","i":"PEPE_USD","v":"1000000","vv":"18.3","t":1760000000123}]}}"#
            ]
        );
        assert_eq!(
            talk.trade(),
            [
                r#"{"id":-1,"method":"subscribe","code":0,"result":{"channel":"trade","subscription":"trade.BTC_USDT","instrument_name":"BTC_USDT","data":[{"d":"700000002","t":1760000000083,"p":"97250.1","q":"0.015","s":"BUY","i":"BTC_USDT"}]}}"#
            ]
        );
        assert_eq!(talk.quote().len(), 1);
    }

    #[test]
    fn a_client_that_answers_heartbeats_stays() {
        let (mut talk, _) = Talk::begin(CryptoCom::default());
        assert_eq!(talk.wait(5), [r#"{"id":1760000005123,"method":"public/heartbeat","code":0}"#]);
        assert!(talk.ask(r#"{"id":1760000005123,"method":"public/respond-heartbeat"}"#).is_empty());
        assert!(talk.wait(29).is_empty());
        assert_eq!(talk.wait(1).len(), 1);
    }

    #[test]
    fn a_client_that_does_not_is_cut() {
        let (mut talk, _) = Talk::begin(CryptoCom::default());
        talk.wait(5);
        talk.ask(r#"{"id":7,"method":"public/respond-heartbeat"}"#);
        assert!(talk.wait(5).is_empty());
        assert_eq!(talk.wait(1), ["<hang up>"]);
    }

    #[test]
    fn other_requests_are_errors() {
        let (mut talk, _) = Talk::begin(CryptoCom::default());
        for (request, answer) in [
            ("hello", r#"{"id":-1,"code":40003,"message":"Invalid request"}"#),
            (
                r#"{"id":3,"method":"sing"}"#,
                r#"{"id":3,"method":"sing","code":40003,"message":"Invalid request"}"#,
            ),
            (
                r#"{"id":4,"method":"subscribe","params":{"channels":["trade.ABC_USD"]}}"#,
                r#"{"id":4,"method":"subscribe","code":40004,"message":"Missing or invalid argument","channel":"trade.ABC_USD"}"#,
            ),
            (
                r#"{"id":5,"method":"subscribe","params":{"channels":["songs.BTC_USDT"]}}"#,
                r#"{"id":5,"method":"subscribe","code":40004,"message":"Missing or invalid argument","channel":"songs.BTC_USDT"}"#,
            ),
        ] {
            assert_eq!(talk.ask(request), [answer], "{request}");
        }
    }
}
