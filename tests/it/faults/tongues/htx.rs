//! HTX: gzip frames, and a ping that wants an answer.

use cryptoprice::feed::venues::htx::Htx;
use serde_json::{Value, json};

use super::super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words};
use crate::venues::{language::Language as _, market::Said};

impl Words for Htx {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}{quote}").to_lowercase()
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "bbo" => Some(Channel::Quotes),
            "trade.detail" => Some(Channel::Deals),
            "detail" => Some(Channel::Day),
            _ => None,
        }
    }

    fn hears(&self, _text: &str, said: &Value) -> Option<Heard> {
        if let Some(number) = said["pong"].as_i64() {
            return Some(Heard::Answers(number));
        }
        let (symbol, channel) = said["sub"].as_str()?.strip_prefix("market.")?.split_once('.')?;
        Some(Heard::Wants(vec![(channel.to_owned(), symbol.to_owned())]))
    }

    fn takes(&self, asked: &Value, _taken: &[Taken], _messages: u64) -> Vec<String> {
        vec![json!({"id": asked["id"], "status": "ok", "subbed": asked["sub"], "ts": 1}).to_string()]
    }

    fn refuses(&self, symbol: &str) -> String {
        let words = format!("invalid symbol {symbol}");
        json!({"status": "error", "ts": 1, "err-code": "bad-request", "err-msg": words}).to_string()
    }

    fn complains(&self) -> String {
        json!({"status": "error", "ts": 1, "err-code": "system", "err-msg": "internal error"}).to_string()
    }

    /// The first trades of a market are of the past.
    fn past(&self, said: &Said<'_>) -> Option<String> {
        Some(self.write(said))
    }

    fn wants_answers(&self) -> bool {
        true
    }

    fn questions(&self) -> Questions {
        Questions::of("/v1/common/symbols", "/market/detail/merged", "/market/history/trade")
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let (base, quote) = (market.base.to_lowercase(), market.quote.to_lowercase());
        let state = if market.trading { "online" } else { "offline" };
        Some(
            json!({"symbol": market.symbol, "base-currency": base, "quote-currency": quote, "state": state})
                .to_string(),
        )
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { bid, ask, .. } = market;
        format!(
            r#"{{"id":1,"close":{bid},"amount":10,"vol":600000,"count":9,"bid":[{bid},1],"ask":[{ask},1]}}"#
        )
    }

    /// Tells the trade in a group of its own.
    fn dealt(&self, _symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let time = time.timestamp_millis();
        format!(
            r#"{{"id":{id},"ts":{time},"data":[{{"id":{id}00000000,"ts":{time},"trade-id":{id},"amount":0.5,"price":{price},"direction":"buy"}}]}}"#
        )
    }

    fn answers(&self, kind: Answers, rows: &str) -> String {
        match kind {
            Answers::Quote => format!(r#"{{"ch":"market","status":"ok","ts":1700000000000,"tick":{rows}}}"#),
            Answers::Markets | Answers::Quotes | Answers::Deals => {
                format!(r#"{{"status":"ok","ts":1,"data":[{rows}]}}"#)
            }
        }
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"status":"error","err-code":"system","err-msg":"busy"}"#
    }
}
