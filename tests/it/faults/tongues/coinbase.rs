//! Coinbase: the Advanced Trade feed, which numbers the messages of a connection.

use chrono::SecondsFormat;
use cryptoprice::feed::venues::coinbase::Coinbase;
use serde_json::{Value, json};

use super::{
    super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words},
    each,
};
use crate::venues::{language::Language as _, market::Said};

impl Words for Coinbase {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}-{quote}")
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "ticker" => Some(Channel::Quotes),
            "market_trades" => Some(Channel::Deals),
            "heartbeats" => Some(Channel::Other),
            _ => None,
        }
    }

    fn hears(&self, _text: &str, said: &Value) -> Option<Heard> {
        let known = said["type"] == "subscribe";
        known.then(|| each(&said["channel"], &said["product_ids"]).map(Heard::Wants))?
    }

    fn takes(&self, _asked: &Value, _taken: &[Taken], messages: u64) -> Vec<String> {
        vec![json!({"channel": "subscriptions", "sequence_num": messages, "events": []}).to_string()]
    }

    fn refuses(&self, symbol: &str) -> String {
        json!({"type": "error", "message": format!("{symbol} is not a valid product")}).to_string()
    }

    fn complains(&self) -> String {
        json!({"type": "error", "message": "internal error"}).to_string()
    }

    fn past(&self, said: &Said<'_>) -> Option<String> {
        Some(self.write(said).replace(r#""type":"update""#, r#""type":"snapshot""#))
    }

    fn numbers_messages(&self) -> bool {
        true
    }

    fn questions(&self) -> Questions {
        Questions::of("/products?", "/ticker?limit=1", "/ticker?limit=1000")
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let Listed { symbol, base, quote, trading } = market;
        let status = if *trading { "online" } else { "delisted" };
        Some(
            json!({"product_id": symbol, "base_currency_id": base, "quote_currency_id": quote, "status": status})
                .to_string(),
        )
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { bid, ask, .. } = market;
        json!({"trades": [], "best_bid": bid, "best_ask": ask}).to_string()
    }

    fn dealt(&self, symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
        json!({"product_id": symbol, "trade_id": id, "price": price, "size": "0.5", "side": "SELL", "time": time})
            .to_string()
    }

    fn answers(&self, kind: Answers, rows: &str) -> String {
        match kind {
            Answers::Markets => format!(r#"{{"products":[{rows}]}}"#),
            Answers::Quote | Answers::Quotes => rows.to_owned(),
            Answers::Deals => format!(r#"{{"trades":[{rows}],"best_bid":"","best_ask":""}}"#),
        }
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"error":"internal","message":"busy"}"#
    }
}
