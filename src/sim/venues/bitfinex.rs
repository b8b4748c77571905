//! Bitfinex, API v2: objects `{"event"}` about the connection, arrays `[number, …]` with data, where the number
//! stands for a subscription. A trade comes as `te`, and again as `tu`; numbers are written as JavaScript does.
//!
//! Assets have three letters where they can (`UST` is USDT, `UDC` is USDC); longer names get a colon.

use std::{collections::BTreeMap, fmt::Write};

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    domain::{
        pair::{Asset, Pair},
        trade::Side,
    },
    sim::{
        floor::Step,
        ticker::{Ticker, Trade},
        wire::{Dialect, Outbox},
    },
};

/// A subscription that has been quiet for so long says `hb`.
const HEARTBEAT_AFTER: TimeDelta = TimeDelta::seconds(15);

/// Subscriptions of one connection at most.
const MAX_CHANNELS: usize = 30;

/// Flags of `conf`: a time and a sequence number at the end of each array.
const TIMESTAMP: u64 = 32_768;
const SEQUENCE: u64 = 65_536;

/// Bitfinex on one connection.
#[derive(Debug, Default)]
pub(super) struct Bitfinex {
    subscribed: BTreeMap<(Channel, Pair), Open>,
    flags: u64,
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Channel {
    Trades,
    Ticker,
}

/// A subscription: its number and when it last said something.
#[derive(Debug, Clone, Copy)]
struct Open {
    number: usize,
    said: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Request {
    event: String,
    channel: Option<String>,
    symbol: Option<String>,
    flags: Option<u64>,
    cid: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    event: &'static str,
    version: u32,
    server_id: &'static str,
    platform: Platform,
}

#[derive(Serialize)]
struct Platform {
    status: u32,
}

#[derive(Serialize)]
struct Conf {
    event: &'static str,
    status: &'static str,
    flags: u64,
}

#[derive(Serialize)]
struct Pong {
    event: &'static str,
    ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cid: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subscribed<'a> {
    event: &'static str,
    channel: Channel,
    chan_id: usize,
    symbol: &'a str,
    pair: &'a str,
}

#[derive(Serialize)]
struct Refusal<'a> {
    event: &'static str,
    msg: &'static str,
    code: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a str>,
}

impl Dialect for Bitfinex {
    fn greet(&mut self, _step: &Step, out: &mut Outbox) {
        out.json(&Info {
            event: "info",
            version: 2,
            server_id: "00000000-1111-4222-8333-444444444444",
            platform: Platform { status: 1 },
        });
    }

    fn answer(&mut self, request: &str, step: &Step, out: &mut Outbox) {
        let Ok(request) = serde_json::from_str::<Request>(request) else {
            return refuse(10_000, "event: invalid", None, out);
        };
        match request.event.as_str() {
            "subscribe" => self.subscribe(&request, step, out),
            "conf" => {
                self.flags = request.flags.unwrap_or_default();
                out.json(&Conf { event: "conf", status: "OK", flags: self.flags });
            }
            "ping" => out.json(&Pong { event: "pong", ts: step.time.timestamp_millis(), cid: request.cid }),
            _ => refuse(10_000, "event: invalid", Some(&request), out),
        }
    }

    fn quoted(&mut self, ticker: &Ticker, step: &Step, out: &mut Outbox) {
        self.send(Channel::Ticker, ticker.pair, &day_ticker(ticker), step, out);
    }

    fn traded(&mut self, ticker: &Ticker, trade: &Trade, step: &Step, out: &mut Outbox) {
        for kind in ["te", "tu"] {
            let payload = format!("\"{kind}\",{}", market_trade(trade));
            self.send(Channel::Trades, ticker.pair, &payload, step, out);
        }
    }

    fn beat(&mut self, step: &Step, out: &mut Outbox) {
        let quiet = |(_, open): &(_, &Open)| step.time - open.said >= HEARTBEAT_AFTER;
        let keys: Vec<_> = self.subscribed.iter().filter(quiet).map(|(key, _)| *key).collect();
        for (channel, pair) in keys {
            self.send(channel, pair, "\"hb\"", step, out);
        }
    }
}

impl Bitfinex {
    fn subscribe(&mut self, request: &Request, step: &Step, out: &mut Outbox) {
        let channel = match request.channel.as_deref() {
            Some("trades") => Channel::Trades,
            Some("ticker") => Channel::Ticker,
            _ => return refuse(10_302, "channel: unknown", Some(request), out),
        };
        let name = request.symbol.as_deref().unwrap_or_default();
        let Some(ticker) = step.find(|pair| symbol(pair) == name) else {
            return refuse(10_300, "symbol: invalid", Some(request), out);
        };
        if self.subscribed.contains_key(&(channel, ticker.pair)) {
            return refuse(10_301, "subscribe: dup", Some(request), out);
        }
        if self.subscribed.len() >= MAX_CHANNELS {
            return refuse(10_305, "subscribe: limit", Some(request), out);
        }
        let number = 226_543 + self.subscribed.len() * 6;
        let open = Open { number, said: step.time };
        self.subscribed.insert((channel, ticker.pair), open);
        out.json(&Subscribed {
            event: "subscribed",
            channel,
            chan_id: number,
            symbol: name,
            pair: name.trim_start_matches('t'),
        });
        let snapshot = match channel {
            Channel::Ticker => day_ticker(ticker),
            Channel::Trades => {
                let rows: Vec<String> = ticker.trades.iter().map(market_trade).collect();
                format!("[{}]", rows.join(","))
            }
        };
        self.send(channel, ticker.pair, &snapshot, step, out);
    }

    /// Sends data of a subscription, if there is one.
    fn send(&mut self, channel: Channel, pair: Pair, payload: &str, step: &Step, out: &mut Outbox) {
        let Some(open) = self.subscribed.get_mut(&(channel, pair)) else {
            return;
        };
        open.said = step.time;
        let mut frame = format!("[{},{payload}", open.number);
        if self.flags & SEQUENCE != 0 {
            self.sequence += 1;
            // Writing to a string cannot fail.
            let _ = write!(frame, ",{}", self.sequence);
        }
        if self.flags & TIMESTAMP != 0 {
            let _ = write!(frame, ",{}", step.time.timestamp_millis());
        }
        frame.push(']');
        out.text(frame);
    }
}

fn refuse(code: u32, msg: &'static str, request: Option<&Request>, out: &mut Outbox) {
    out.json(&Refusal {
        event: "error",
        msg,
        code,
        channel: request.and_then(|request| request.channel.as_deref()),
        symbol: request.and_then(|request| request.symbol.as_deref()),
    });
}

fn symbol(pair: Pair) -> String {
    let native = |asset: Asset| match asset.as_str() {
        "USDT" => "UST".to_owned(),
        "USDC" => "UDC".to_owned(),
        name => name.to_owned(),
    };
    let (base, quote) = (native(pair.base), native(pair.quote));
    let colon = if base.len() > 3 || quote.len() > 3 { ":" } else { "" };
    format!("t{base}{colon}{quote}")
}

/// Writes a trade: id, milliseconds, amount (negative if the taker sold), price.
fn market_trade(trade: &Trade) -> String {
    let amount = match trade.side {
        Side::Buy => trade.amount,
        Side::Sell => -trade.amount,
    };
    let time = trade.time.timestamp_millis();
    format!("[{},{time},{},{}]", trade.id, number(amount), number(trade.price))
}

/// Writes a ticker: bid, its amount, ask, its amount, change, relative change, last, volume, high, low.
fn day_ticker(ticker: &Ticker) -> String {
    let (change, ratio) = ticker.change();
    let cells = [
        ticker.bid,
        ticker.bid_amount,
        ticker.ask,
        ticker.ask_amount,
        change,
        ratio.round_dp(8),
        ticker.last.price,
        ticker.day.base_volume,
        ticker.day.high,
        ticker.day.low,
    ];
    format!("[{}]", cells.map(number).join(","))
}

/// Writes a number as JavaScript does: below a millionth with an exponent (`2e-8`).
fn number(value: Decimal) -> String {
    let value = value.normalize();
    let digits = value.mantissa().unsigned_abs().to_string();
    let length = u32::try_from(digits.len()).unwrap_or(u32::MAX);
    // 0.0000001 has a scale of 7 and one digit: its exponent is -7.
    let exponent = value.scale().saturating_sub(length - 1);
    if value.is_zero() || exponent < 7 {
        return value.to_string();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}e-{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::sample::Talk;

    #[test]
    fn arrays_are_numbered_by_their_subscription() {
        let (mut talk, greeting) = Talk::begin(Bitfinex::default());
        assert_eq!(
            greeting,
            [
                r#"{"event":"info","version":2,"serverId":"00000000-1111-4222-8333-444444444444","platform":{"status":1}}"#
            ]
        );
        assert_eq!(
            talk.ask(r#"{"event":"subscribe","channel":"trades","symbol":"tBTCUST"}"#),
            [
                r#"{"event":"subscribed","channel":"trades","chanId":226543,"symbol":"tBTCUST","pair":"BTCUST"}"#,
                "[226543,[[700000002,1760000000083,0.015,97250.1],[700000001,1759999998123,-0.015,97250]]]"
            ]
        );
        assert_eq!(
            talk.ask(r#"{"symbol":"tPEPE:USD","event":"subscribe","channel":"ticker"}"#),
            [
                r#"{"event":"subscribed","channel":"ticker","chanId":226549,"symbol":"tPEPE:USD","pair":"PEPE:USD"}"#,
                "[226549,[0.00001831,100000,0.00001833,200000.5,-1e-7,-0.00542888,0.00001832,1000000,0.000019,0.000018]]"
            ]
        );
        assert_eq!(
            talk.trade(),
            [
                r#"[226543,"te",[700000002,1760000000083,0.015,97250.1]]"#,
                r#"[226543,"tu",[700000002,1760000000083,0.015,97250.1]]"#
            ]
        );
        assert_eq!(
            talk.quote(),
            [
                "[226549,[0.00001831,100000,0.00001833,200000.5,-1e-7,-0.00542888,0.00001832,1000000,0.000019,0.000018]]"
            ]
        );
        assert!(talk.wait(14).is_empty());
        assert_eq!(talk.wait(1), [r#"[226543,"hb"]"#, r#"[226549,"hb"]"#]);
        assert!(talk.wait(14).is_empty());
    }

    #[test]
    fn arrays_end_with_what_was_asked_for() {
        let (mut talk, _) = Talk::begin(Bitfinex::default());
        assert_eq!(
            talk.ask(r#"{"event":"conf","flags":98304}"#),
            [r#"{"event":"conf","status":"OK","flags":98304}"#]
        );
        talk.ask(r#"{"event":"subscribe","channel":"trades","symbol":"tBTCUST"}"#);
        assert_eq!(talk.wait(15), [r#"[226543,"hb",2,1760000015123]"#]);
    }

    #[test]
    fn other_requests_are_errors() {
        let (mut talk, _) = Talk::begin(Bitfinex::default());
        talk.ask(r#"{"event":"subscribe","channel":"ticker","symbol":"tBTCUST"}"#);
        for (request, answer) in [
            (r#"{"event":"ping","cid":1234}"#, r#"{"event":"pong","ts":1760000000123,"cid":1234}"#),
            ("hello", r#"{"event":"error","msg":"event: invalid","code":10000}"#),
            (r#"{"event":"sing"}"#, r#"{"event":"error","msg":"event: invalid","code":10000}"#),
            (
                r#"{"event":"subscribe","channel":"songs","symbol":"tBTCUST"}"#,
                r#"{"event":"error","msg":"channel: unknown","code":10302,"channel":"songs","symbol":"tBTCUST"}"#,
            ),
            (
                r#"{"event":"subscribe","channel":"ticker","symbol":"tBTCUSDT"}"#,
                r#"{"event":"error","msg":"symbol: invalid","code":10300,"channel":"ticker","symbol":"tBTCUSDT"}"#,
            ),
            (
                r#"{"event":"subscribe","channel":"ticker","symbol":"tBTCUST"}"#,
                r#"{"event":"error","msg":"subscribe: dup","code":10301,"channel":"ticker","symbol":"tBTCUST"}"#,
            ),
        ] {
            assert_eq!(talk.ask(request), [answer], "{request}");
        }
    }

    #[test]
    fn small_numbers_have_exponents() {
        for (given, expected) in [
            ("0", "0"),
            ("97250.00", "97250"),
            ("-0.5", "-0.5"),
            ("0.0000097", "0.0000097"),
            ("0.000001", "0.000001"),
            ("0.00000097", "9.7e-7"),
            ("-0.00000002", "-2e-8"),
            ("0.00000010010", "1.001e-7"),
        ] {
            assert_eq!(number(given.parse().unwrap()), expected, "{given}");
        }
    }
}
