//! Kraken: API v2, and the older spelling of markets over REST.

use cryptoprice::feed::venues::kraken::Kraken;
use serde_json::{Value, json};

use super::{
    super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words},
    each,
};
use crate::venues::{language::Language as _, market::Said};

impl Words for Kraken {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}/{quote}")
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "ticker" => Some(Channel::Quotes),
            "trade" => Some(Channel::Deals),
            _ => None,
        }
    }

    fn hears(&self, _text: &str, said: &Value) -> Option<Heard> {
        match said["method"].as_str()? {
            "ping" => Some(Heard::Pings(r#"{"method":"pong"}"#)),
            "subscribe" => each(&said["params"]["channel"], &said["params"]["symbol"]).map(Heard::Wants),
            _ => None,
        }
    }

    fn takes(&self, _asked: &Value, taken: &[Taken], _messages: u64) -> Vec<String> {
        let each = taken.iter().map(|Taken { channel, symbol, .. }| {
            json!({"method": "subscribe", "success": true, "result": {"channel": channel, "symbol": symbol}}).to_string()
        });
        each.collect()
    }

    fn refuses(&self, symbol: &str) -> String {
        let words = format!("Currency pair not supported {symbol}");
        json!({"error": words, "method": "subscribe", "success": false}).to_string()
    }

    fn complains(&self) -> String {
        json!({"error": "internal error", "method": "subscribe", "success": false}).to_string()
    }

    fn past(&self, said: &Said<'_>) -> Option<String> {
        Some(self.write(said).replace(r#""type":"update""#, r#""type":"snapshot""#))
    }

    fn spell_in_questions(&self, base: &str, quote: &str) -> String {
        format!("{base}{quote}").replace("BTC", "XBT")
    }

    fn questions(&self) -> Questions {
        Questions::of("/AssetPairs", "/Ticker", "/Trades")
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let Listed { symbol, base, quote, trading } = market;
        let status = if *trading { "online" } else { "cancel_only" };
        let about = json!({"wsname": symbol, "status": status});
        Some(format!(r#""{base}{quote}":{about}"#))
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { base, quote, bid, ask, .. } = market;
        let name = self.spell_in_questions(base, quote);
        let about = json!({"a": [ask, "1", "1"], "b": [bid, "1", "1"], "c": [bid, "1"], "v": ["1", "1"], "p": ["1", "1"], "t": [1, 1], "l": ["1", "1"], "h": ["1", "1"], "o": "1"});
        format!(r#""{name}":{about}"#)
    }

    /// Tells seconds with a fraction.
    fn dealt(&self, _symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let micros = time.timestamp_micros();
        format!(r#"["{price}","0.5",{}.{:06},"b","m","",{id}]"#, micros / 1_000_000, micros % 1_000_000)
    }

    fn answers(&self, kind: Answers, rows: &str) -> String {
        match kind {
            Answers::Markets | Answers::Quote | Answers::Quotes => {
                format!(r#"{{"error":[],"result":{{{rows}}}}}"#)
            }
            Answers::Deals => format!(r#"{{"error":[],"result":{{"X":[{rows}],"last":"1"}}}}"#),
        }
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"error":["EService:Unavailable"]}"#
    }
}
