//! Gemini: market data v2, whose book comes once and then in changes.

use cryptoprice::feed::venues::gemini::Gemini;
use serde_json::{Value, json};

use super::super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words};

impl Words for Gemini {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}{quote}")
    }

    /// The one channel there is has both, which are told apart here.
    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "l2" => Some(Channel::Quotes),
            "l2 trades" => Some(Channel::Deals),
            _ => None,
        }
    }

    fn hears(&self, _text: &str, said: &Value) -> Option<Heard> {
        if said["type"] != "subscribe" {
            return None;
        }
        let mut wanted = Vec::new();
        for subscription in said["subscriptions"].as_array()? {
            let name = subscription["name"].as_str()?;
            for symbol in subscription["symbols"].as_array()? {
                let symbol = symbol.as_str()?;
                wanted.extend([
                    (name.to_owned(), symbol.to_owned()),
                    (format!("{name} trades"), symbol.to_owned()),
                ]);
            }
        }
        Some(Heard::Wants(wanted))
    }

    fn takes(&self, _asked: &Value, _taken: &[Taken], _messages: u64) -> Vec<String> {
        vec![json!({"type": "heartbeat", "timestamp": 1}).to_string()]
    }

    fn refuses(&self, symbol: &str) -> String {
        json!({"result": "error", "reason": "InvalidSymbol", "message": format!("no {symbol}")}).to_string()
    }

    fn complains(&self) -> String {
        json!({"result": "error", "reason": "internal error"}).to_string()
    }

    fn keeps_books(&self) -> bool {
        true
    }

    fn unreadable(&self, symbol: &str) -> String {
        json!({"type": "l2_updates", "symbol": symbol, "changes": [["hold", "1", "1"]]}).to_string()
    }

    fn spell_in_questions(&self, base: &str, quote: &str) -> String {
        self.spell(base, quote).to_lowercase()
    }

    fn questions(&self) -> Questions {
        let state = Some("/v1/symbols/details/");
        Questions { state, ..Questions::of("/v1/symbols", "/v1/pubticker", "/v1/trades") }
    }

    /// Lists names alone: which are traded is a question of its own.
    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        Some(format!("\"{}\"", market.symbol.to_lowercase()))
    }

    fn tells_state(&self, trading: bool) -> String {
        json!({"status": if trading { "open" } else { "post_only" }}).to_string()
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { base, quote, bid, ask, time, .. } = market;
        let volume = json!({*base: "10", *quote: "600000", "timestamp": time.timestamp_millis()});
        json!({"bid": bid, "ask": ask, "last": bid, "volume": volume}).to_string()
    }

    fn dealt(&self, _symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let time = time.timestamp_millis();
        format!(r#"{{"tid":{id},"timestampms":{time},"price":"{price}","amount":"0.5","type":"buy"}}"#)
    }

    fn answers(&self, kind: Answers, rows: &str) -> String {
        match kind {
            Answers::Quote => rows.to_owned(),
            Answers::Markets | Answers::Quotes | Answers::Deals => format!("[{rows}]"),
        }
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"result":"error","reason":"System","message":"busy"}"#
    }
}
