//! Bitget: API v2.

use cryptoprice::feed::venues::bitget::Bitget;
use serde_json::{Value, json};

use super::{
    super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words},
    named_each,
};
use crate::venues::{language::Language as _, market::Said};

impl Words for Bitget {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}{quote}")
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "ticker" => Some(Channel::Quotes),
            "trade" => Some(Channel::Deals),
            _ => None,
        }
    }

    fn hears(&self, text: &str, said: &Value) -> Option<Heard> {
        if text == "ping" {
            return Some(Heard::Pings("pong"));
        }
        let spot = said["args"].as_array()?.iter().all(|arg| arg["instType"] == "SPOT");
        let known = spot && said["op"] == "subscribe" && text.len() <= 4_096;
        known.then(|| named_each(&said["args"], "channel", "instId").map(Heard::Wants))?
    }

    fn takes(&self, _asked: &Value, taken: &[Taken], _messages: u64) -> Vec<String> {
        let each = taken.iter().map(|Taken { channel, symbol, .. }| {
            let arg = json!({"instType": "SPOT", "channel": channel, "instId": symbol});
            json!({"event": "subscribe", "arg": arg}).to_string()
        });
        each.collect()
    }

    fn refuses(&self, symbol: &str) -> String {
        let words = format!("instType:SPOT,channel:trade,instId:{symbol} doesn't exist");
        json!({"event": "error", "code": 30_001, "msg": words}).to_string()
    }

    fn complains(&self) -> String {
        json!({"event": "error", "code": 30_000, "msg": "internal error"}).to_string()
    }

    fn past(&self, said: &Said<'_>) -> Option<String> {
        Some(self.write(said).replace(r#""action":"update""#, r#""action":"snapshot""#))
    }

    fn questions(&self) -> Questions {
        Questions::of("/public/symbols", "/market/tickers", "/market/fills-history")
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let Listed { symbol, base, quote, trading } = market;
        let status = if *trading { "online" } else { "halt" };
        Some(json!({"symbol": symbol, "baseCoin": base, "quoteCoin": quote, "status": status}).to_string())
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { symbol, bid, ask, time, .. } = market;
        let time = time.timestamp_millis().to_string();
        json!({"symbol": symbol, "lastPr": bid, "bidPr": bid, "askPr": ask, "bidSz": "1", "askSz": "1", "baseVolume": "10", "quoteVolume": "600000", "ts": time})
            .to_string()
    }

    fn dealt(&self, symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let time = time.timestamp_millis().to_string();
        json!({"symbol": symbol, "tradeId": id, "side": "Buy", "price": price, "size": "0.5", "ts": time})
            .to_string()
    }

    fn answers(&self, _kind: Answers, rows: &str) -> String {
        format!(r#"{{"code":"00000","msg":"success","requestTime":1,"data":[{rows}]}}"#)
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"code":"45001","msg":"busy","data":null}"#
    }
}
