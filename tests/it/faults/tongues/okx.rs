//! OKX: API v5.

use cryptoprice::feed::venues::okx::Okx;
use serde_json::{Value, json};

use super::{
    super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words},
    named_each,
};

impl Words for Okx {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}-{quote}")
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "tickers" => Some(Channel::Quotes),
            "trades" => Some(Channel::Deals),
            _ => None,
        }
    }

    fn hears(&self, text: &str, said: &Value) -> Option<Heard> {
        if text == "ping" {
            return Some(Heard::Pings("pong"));
        }
        let known = said["op"] == "subscribe";
        known.then(|| named_each(&said["args"], "channel", "instId").map(Heard::Wants))?
    }

    fn takes(&self, _asked: &Value, taken: &[Taken], _messages: u64) -> Vec<String> {
        let each = taken.iter().map(|Taken { channel, symbol, .. }| {
            json!({"event": "subscribe", "arg": {"channel": channel, "instId": symbol}, "connId": "c"})
                .to_string()
        });
        each.collect()
    }

    fn refuses(&self, symbol: &str) -> String {
        let words = format!("channel:trades,instId:{symbol} doesn't exist");
        json!({"event": "error", "code": "60018", "msg": words}).to_string()
    }

    fn complains(&self) -> String {
        json!({"event": "error", "code": "1", "msg": "internal error"}).to_string()
    }

    fn questions(&self) -> Questions {
        Questions::of("/public/instruments", "/market/ticker", "/market/trades")
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let Listed { symbol, base, quote, trading } = market;
        let state = if *trading { "live" } else { "suspend" };
        Some(
            json!({"instType": "SPOT", "instId": symbol, "baseCcy": base, "quoteCcy": quote, "state": state})
                .to_string(),
        )
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { symbol, bid, ask, time, .. } = market;
        let time = time.timestamp_millis().to_string();
        json!({"instType": "SPOT", "instId": symbol, "last": bid, "bidPx": bid, "askPx": ask, "vol24h": "10", "volCcy24h": "600000", "ts": time})
            .to_string()
    }

    fn dealt(&self, symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let time = time.timestamp_millis().to_string();
        json!({"instId": symbol, "tradeId": id, "px": price, "sz": "0.5", "side": "buy", "ts": time})
            .to_string()
    }

    fn answers(&self, _kind: Answers, rows: &str) -> String {
        format!(r#"{{"code":"0","msg":"","data":[{rows}]}}"#)
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"code":"50001","msg":"busy","data":[]}"#
    }
}
