//! Binance spot: combined streams `{"stream", "data"}`, numbers as text with eight decimals, milliseconds.
//!
//! Subscribing to a stream that does not exist is acknowledged like any other, and then nothing comes.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    domain::{pair::Pair, trade::Side},
    sim::{
        floor::Step,
        ticker::{Ticker, Trade},
        wire::{Dialect, Outbox},
    },
};

const PING_EVERY: TimeDelta = TimeDelta::seconds(20);
const TICKER_EVERY: TimeDelta = TimeDelta::seconds(1);

/// Binance on one connection.
#[derive(Debug, Default)]
pub(super) struct Binance {
    streams: BTreeSet<(Channel, Pair)>,
    pinged: DateTime<Utc>,
    ticked: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Channel {
    AggTrade,
    BookTicker,
    Ticker,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    #[serde(default)]
    params: Vec<String>,
    id: Value,
}

#[derive(Serialize)]
struct Answer<'a> {
    result: (),
    id: &'a Value,
}

#[derive(Serialize)]
struct Refusal<'a> {
    error: Reason<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
}

#[derive(Serialize)]
struct Reason<'a> {
    code: i32,
    msg: &'a str,
}

#[derive(Serialize)]
struct Frame<T> {
    stream: String,
    data: T,
}

#[derive(Serialize)]
struct AggTrade {
    e: &'static str,
    #[serde(rename = "E")]
    event_time: i64,
    s: String,
    a: u64,
    p: String,
    q: String,
    f: u64,
    l: u64,
    #[serde(rename = "T")]
    trade_time: i64,
    m: bool,
    #[serde(rename = "M")]
    ignored: bool,
}

#[derive(Serialize)]
struct BookTicker {
    u: u64,
    s: String,
    b: String,
    #[serde(rename = "B")]
    bid_amount: String,
    a: String,
    #[serde(rename = "A")]
    ask_amount: String,
}

#[derive(Serialize)]
struct DayTicker {
    e: &'static str,
    #[serde(rename = "E")]
    event_time: i64,
    s: String,
    p: String,
    #[serde(rename = "P")]
    change_percent: String,
    w: String,
    c: String,
    #[serde(rename = "Q")]
    last_amount: String,
    b: String,
    #[serde(rename = "B")]
    bid_amount: String,
    a: String,
    #[serde(rename = "A")]
    ask_amount: String,
    o: String,
    h: String,
    l: String,
    v: String,
    q: String,
    #[serde(rename = "O")]
    open_time: i64,
    #[serde(rename = "C")]
    close_time: i64,
    #[serde(rename = "F")]
    first_id: u64,
    #[serde(rename = "L")]
    last_id: u64,
    n: u64,
}

impl Dialect for Binance {
    fn answer(&mut self, request: &str, step: &Step, out: &mut Outbox) {
        let Ok(value) = serde_json::from_str::<Value>(request) else {
            return refuse(3, "Invalid JSON: expected value at line 1 column 1", None, out);
        };
        let Ok(request) = Request::deserialize(&value) else {
            let msg = "Invalid request: request ID and method are required";
            return refuse(2, msg, value.get("id"), out);
        };
        if request.method != "SUBSCRIBE" {
            let msg = format!("Invalid request: unknown variant `{}`", request.method);
            return refuse(2, &msg, Some(&request.id), out);
        }
        let streams = request.params.iter().filter_map(|stream| find(stream, step));
        self.streams.extend(streams);
        out.json(&Answer { result: (), id: &request.id });
    }

    fn quoted(&mut self, ticker: &Ticker, _step: &Step, out: &mut Outbox) {
        if self.streams.contains(&(Channel::BookTicker, ticker.pair)) {
            out.json(&frame(Channel::BookTicker, ticker.pair, book_ticker(ticker)));
        }
    }

    fn traded(&mut self, ticker: &Ticker, trade: &Trade, _step: &Step, out: &mut Outbox) {
        if self.streams.contains(&(Channel::AggTrade, ticker.pair)) {
            out.json(&frame(Channel::AggTrade, ticker.pair, agg_trade(ticker.pair, trade)));
        }
    }

    fn beat(&mut self, step: &Step, out: &mut Outbox) {
        if step.time - self.pinged >= PING_EVERY {
            self.pinged = step.time;
            out.ping(&step.time.timestamp_millis().to_string());
        }
        if step.time - self.ticked >= TICKER_EVERY {
            self.ticked = step.time;
            for ticker in &step.tickers {
                if self.streams.contains(&(Channel::Ticker, ticker.pair)) {
                    out.json(&frame(Channel::Ticker, ticker.pair, day_ticker(ticker)));
                }
            }
        }
    }
}

impl Channel {
    const fn name(self) -> &'static str {
        match self {
            Self::AggTrade => "aggTrade",
            Self::BookTicker => "bookTicker",
            Self::Ticker => "ticker",
        }
    }
}

fn refuse(code: i32, msg: &str, id: Option<&Value>, out: &mut Outbox) {
    out.json(&Refusal { error: Reason { code, msg }, id });
}

fn symbol(pair: Pair) -> String {
    format!("{}{}", pair.base, pair.quote)
}

/// Finds the market and the kind of a stream (`btcusdt@aggTrade`).
fn find(stream: &str, step: &Step) -> Option<(Channel, Pair)> {
    let (market, channel) = stream.split_once('@')?;
    let channel = match channel {
        "aggTrade" => Channel::AggTrade,
        "bookTicker" => Channel::BookTicker,
        "ticker" => Channel::Ticker,
        _ => return None,
    };
    let ticker = step.find(|pair| symbol(pair).to_lowercase() == market)?;
    Some((channel, ticker.pair))
}

fn frame<T>(channel: Channel, pair: Pair, data: T) -> Frame<T> {
    let stream = format!("{}@{}", symbol(pair).to_lowercase(), channel.name());
    Frame { stream, data }
}

fn eight(value: Decimal) -> String {
    format!("{value:.8}")
}

fn agg_trade(pair: Pair, trade: &Trade) -> AggTrade {
    let time = trade.time.timestamp_millis();
    AggTrade {
        e: "aggTrade",
        event_time: time,
        s: symbol(pair),
        a: trade.id,
        p: eight(trade.price),
        q: eight(trade.amount),
        f: trade.id,
        l: trade.id,
        trade_time: time,
        m: trade.side == Side::Sell,
        ignored: true,
    }
}

fn book_ticker(ticker: &Ticker) -> BookTicker {
    BookTicker {
        u: ticker.update,
        s: symbol(ticker.pair),
        b: eight(ticker.bid),
        bid_amount: eight(ticker.bid_amount),
        a: eight(ticker.ask),
        ask_amount: eight(ticker.ask_amount),
    }
}

fn day_ticker(ticker: &Ticker) -> DayTicker {
    let (change, ratio) = ticker.change();
    let time = ticker.time.timestamp_millis();
    // Binance counts a day's trades; ids have no gaps here, so the newest of them serve as well.
    let count = u64::try_from(ticker.trades.len()).unwrap_or(u64::MAX);
    DayTicker {
        e: "24hrTicker",
        event_time: time,
        s: symbol(ticker.pair),
        p: eight(change),
        change_percent: format!("{:.3}", ratio * Decimal::ONE_HUNDRED),
        w: eight(ticker.average()),
        c: eight(ticker.last.price),
        last_amount: eight(ticker.last.amount),
        b: eight(ticker.bid),
        bid_amount: eight(ticker.bid_amount),
        a: eight(ticker.ask),
        ask_amount: eight(ticker.ask_amount),
        o: eight(ticker.day.open),
        h: eight(ticker.day.high),
        l: eight(ticker.day.low),
        v: eight(ticker.day.base_volume),
        q: eight(ticker.day.quote_volume),
        open_time: time - TimeDelta::days(1).num_milliseconds(),
        close_time: time,
        first_id: ticker.last.id + 1 - count.min(ticker.last.id),
        last_id: ticker.last.id,
        n: count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::sample::Talk;

    #[test]
    fn streams_are_combined_frames_with_eight_decimals() {
        let (mut talk, greeting) = Talk::begin(Binance::default());
        assert!(greeting.is_empty());
        let request = r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@bookTicker","btcusdt@ticker","nonsense@ticker"],"id":1}"#;
        assert_eq!(talk.ask(request), [r#"{"result":null,"id":1}"#]);
        assert_eq!(
            talk.trade(),
            [
                r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1760000000083,"s":"BTCUSDT","a":700000002,"p":"97250.10000000","q":"0.01500000","f":700000002,"l":700000002,"T":1760000000083,"m":false,"M":true}}"#
            ]
        );
        assert_eq!(
            talk.quote(),
            [
                r#"{"stream":"btcusdt@bookTicker","data":{"u":5000000001,"s":"BTCUSDT","b":"97250.00000000","B":"1.50000000","a":"97250.10000000","A":"0.25000000"}}"#
            ]
        );
        assert_eq!(
            talk.wait(1),
            [
                "<ping 1760000001123>",
                r#"{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1760000000103,"s":"BTCUSDT","p":"1250.10000000","P":"1.302","w":"96975.76000000","c":"97250.10000000","Q":"0.01500000","b":"97250.00000000","B":"1.50000000","a":"97250.10000000","A":"0.25000000","o":"96000.00000000","h":"98000.50000000","l":"95500.00000000","v":"2000.50000000","q":"194000000.25000000","O":1759913600103,"C":1760000000103,"F":700000001,"L":700000002,"n":2}}"#
            ]
        );
    }

    #[test]
    fn other_requests_are_errors() {
        let (mut talk, _) = Talk::begin(Binance::default());
        for (request, answer) in [
            ("hello", r#"{"error":{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}}"#),
            ("{}", r#"{"error":{"code":2,"msg":"Invalid request: request ID and method are required"}}"#),
            (
                r#"{"method":"SING","id":"7"}"#,
                r#"{"error":{"code":2,"msg":"Invalid request: unknown variant `SING`"},"id":"7"}"#,
            ),
        ] {
            assert_eq!(talk.ask(request), [answer], "{request}");
        }
    }

    #[test]
    fn pings_are_frames() {
        let (mut talk, _) = Talk::begin(Binance::default());
        assert_eq!(talk.wait(0), ["<ping 1760000000123>"]);
        assert!(talk.wait(19).is_empty());
        assert_eq!(talk.wait(1), ["<ping 1760000020123>"]);
    }
}
