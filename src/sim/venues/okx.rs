//! OKX: `{"arg", "data"}`, numbers and milliseconds as text, a textual `ping` answered by `pong`.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{decimal::text, pair::Pair, trade::Side},
    sim::{
        floor::Step,
        ticker::{Ticker, Trade},
        wire::{Dialect, Outbox},
    },
};

const CONNECTION: &str = "a4d3ae55";

/// OKX on one connection.
#[derive(Debug, Default)]
pub(super) struct Okx {
    subscribed: BTreeSet<(Channel, Pair)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Channel {
    Trades,
    Tickers,
}

#[derive(Deserialize)]
struct Request {
    op: String,
    args: Vec<Subscription>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    channel: String,
    #[serde(default)]
    inst_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    event: &'static str,
    arg: &'a Subscription,
    conn_id: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refusal<'a> {
    event: &'static str,
    code: &'static str,
    msg: &'a str,
    conn_id: &'static str,
}

#[derive(Serialize)]
struct Frame<D> {
    arg: Argument,
    data: [D; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    channel: Channel,
    inst_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MarketTrade {
    inst_id: String,
    trade_id: String,
    px: String,
    sz: String,
    side: &'static str,
    ts: String,
    count: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DayTicker {
    inst_type: &'static str,
    inst_id: String,
    last: String,
    last_sz: String,
    ask_px: String,
    ask_sz: String,
    bid_px: String,
    bid_sz: String,
    open24h: String,
    high24h: String,
    low24h: String,
    sod_utc0: String,
    sod_utc8: String,
    vol_ccy24h: String,
    vol24h: String,
    ts: String,
}

impl Dialect for Okx {
    fn answer(&mut self, request: &str, step: &Step, out: &mut Outbox) {
        if request == "ping" {
            return out.text("pong");
        }
        let request = match serde_json::from_str::<Request>(request) {
            Ok(request) if request.op == "subscribe" => request,
            _ => return refuse("60012", &format!("Invalid request: {request}"), out),
        };
        for arg in &request.args {
            self.subscribe(arg, step, out);
        }
    }

    fn quoted(&mut self, ticker: &Ticker, _step: &Step, out: &mut Outbox) {
        if self.subscribed.contains(&(Channel::Tickers, ticker.pair)) {
            out.json(&tickers(ticker));
        }
    }

    fn traded(&mut self, ticker: &Ticker, trade: &Trade, _step: &Step, out: &mut Outbox) {
        if self.subscribed.contains(&(Channel::Trades, ticker.pair)) {
            out.json(&trades(ticker.pair, trade));
        }
    }

    /// Does nothing: OKX leaves it to the client to ping.
    fn beat(&mut self, _step: &Step, _out: &mut Outbox) {}
}

impl Okx {
    fn subscribe(&mut self, arg: &Subscription, step: &Step, out: &mut Outbox) {
        let channel = match arg.channel.as_str() {
            "trades" => Some(Channel::Trades),
            "tickers" => Some(Channel::Tickers),
            _ => None,
        };
        let ticker = step.find(|pair| symbol(pair) == arg.inst_id);
        let (Some(channel), Some(ticker)) = (channel, ticker) else {
            let Subscription { channel, inst_id } = arg;
            let msg = format!("Wrong URL or channel:{channel},instId:{inst_id} doesn't exist");
            return refuse("60018", &msg, out);
        };
        self.subscribed.insert((channel, ticker.pair));
        out.json(&Answer { event: "subscribe", arg, conn_id: CONNECTION });
        match channel {
            Channel::Trades => out.json(&trades(ticker.pair, &ticker.last)),
            Channel::Tickers => out.json(&tickers(ticker)),
        }
    }
}

fn refuse(code: &'static str, msg: &str, out: &mut Outbox) {
    out.json(&Refusal { event: "error", code, msg, conn_id: CONNECTION });
}

fn symbol(pair: Pair) -> String {
    pair.to_string()
}

fn frame<D>(channel: Channel, pair: Pair, data: D) -> Frame<D> {
    let inst_id = symbol(pair);
    Frame { arg: Argument { channel, inst_id }, data: [data] }
}

fn trades(pair: Pair, trade: &Trade) -> Frame<MarketTrade> {
    let trade = MarketTrade {
        inst_id: symbol(pair),
        trade_id: trade.id.to_string(),
        px: text(trade.price),
        sz: text(trade.amount),
        side: match trade.side {
            Side::Buy => "buy",
            Side::Sell => "sell",
        },
        ts: trade.time.timestamp_millis().to_string(),
        count: "1",
    };
    frame(Channel::Trades, pair, trade)
}

fn tickers(ticker: &Ticker) -> Frame<DayTicker> {
    // The two starts of a day lie near its open; nothing here depends on them.
    let start = |factor: Decimal| text((ticker.day.open * factor).round_dp(ticker.decimals));
    let day = DayTicker {
        inst_type: "SPOT",
        inst_id: symbol(ticker.pair),
        last: text(ticker.last.price),
        last_sz: text(ticker.last.amount),
        ask_px: text(ticker.ask),
        ask_sz: text(ticker.ask_amount),
        bid_px: text(ticker.bid),
        bid_sz: text(ticker.bid_amount),
        open24h: text(ticker.day.open),
        high24h: text(ticker.day.high),
        low24h: text(ticker.day.low),
        sod_utc0: start(Decimal::new(999, 3)),
        sod_utc8: start(Decimal::new(1_001, 3)),
        vol_ccy24h: text(ticker.day.quote_volume),
        vol24h: text(ticker.day.base_volume),
        ts: ticker.time.timestamp_millis().to_string(),
    };
    frame(Channel::Tickers, ticker.pair, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::sample::Talk;

    #[test]
    fn each_argument_is_acknowledged_and_data_follows() {
        let (mut talk, greeting) = Talk::begin(Okx::default());
        assert!(greeting.is_empty());
        let request = r#"{"op":"subscribe","args":[{"channel":"trades","instId":"BTC-USDT"},{"instId":"BTC-USDT","channel":"tickers"}]}"#;
        assert_eq!(
            talk.ask(request),
            [
                r#"{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"},"connId":"a4d3ae55"}"#,
                r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"700000002","px":"97250.1","sz":"0.015","side":"buy","ts":"1760000000083","count":"1"}]}"#,
                r#"{"event":"subscribe","arg":{"channel":"tickers","instId":"BTC-USDT"},"connId":"a4d3ae55"}"#,
                r#"{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"97250.1","lastSz":"0.015","askPx":"97250.1","askSz":"0.25","bidPx":"97250","bidSz":"1.5","open24h":"96000","high24h":"98000.5","low24h":"95500","sodUtc0":"95904","sodUtc8":"96096","volCcy24h":"194000000.25","vol24h":"2000.5","ts":"1760000000103"}]}"#
            ]
        );
        assert_eq!(talk.trade().len(), 1);
        assert_eq!(talk.quote().len(), 1);
        assert!(talk.wait(60).is_empty());
    }

    #[test]
    fn a_textual_ping_is_answered() {
        let (mut talk, _) = Talk::begin(Okx::default());
        assert_eq!(talk.ask("ping"), ["pong"]);
    }

    #[test]
    fn other_requests_are_errors() {
        let (mut talk, _) = Talk::begin(Okx::default());
        for (request, answer) in [
            (
                "hello",
                r#"{"event":"error","code":"60012","msg":"Invalid request: hello","connId":"a4d3ae55"}"#,
            ),
            (
                r#"{"op":"sing","args":[]}"#,
                r#"{"event":"error","code":"60012","msg":"Invalid request: {\"op\":\"sing\",\"args\":[]}","connId":"a4d3ae55"}"#,
            ),
            (
                r#"{"op":"subscribe","args":[{"channel":"trades","instId":"ABC-USDT"}]}"#,
                r#"{"event":"error","code":"60018","msg":"Wrong URL or channel:trades,instId:ABC-USDT doesn't exist","connId":"a4d3ae55"}"#,
            ),
            (
                r#"{"op":"subscribe","args":[{"channel":"songs","instId":"BTC-USDT"}]}"#,
                r#"{"event":"error","code":"60018","msg":"Wrong URL or channel:songs,instId:BTC-USDT doesn't exist","connId":"a4d3ae55"}"#,
            ),
        ] {
            assert_eq!(talk.ask(request), [answer], "{request}");
        }
    }
}
