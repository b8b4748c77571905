//! Bitstamp: API v2.

use cryptoprice::feed::venues::bitstamp::Bitstamp;
use serde_json::{Value, json};

use super::super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words};

impl Words for Bitstamp {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}{quote}").to_lowercase()
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "order_book" => Some(Channel::Quotes),
            "live_trades" => Some(Channel::Deals),
            _ => None,
        }
    }

    fn hears(&self, _text: &str, said: &Value) -> Option<Heard> {
        match said["event"].as_str()? {
            "bts:heartbeat" => {
                Some(Heard::Pings(r#"{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}"#))
            }
            "bts:subscribe" => {
                let (channel, symbol) = said["data"]["channel"].as_str()?.rsplit_once('_')?;
                Some(Heard::Wants(vec![(channel.to_owned(), symbol.to_owned())]))
            }
            _ => None,
        }
    }

    fn takes(&self, asked: &Value, _taken: &[Taken], _messages: u64) -> Vec<String> {
        let channel = &asked["data"]["channel"];
        vec![json!({"event": "bts:subscription_succeeded", "channel": channel, "data": {}}).to_string()]
    }

    fn refuses(&self, symbol: &str) -> String {
        let words = format!("Bad subscription string: {symbol}.");
        json!({"event": "bts:error", "channel": "", "data": {"code": null, "message": words}}).to_string()
    }

    fn complains(&self) -> String {
        json!({"event": "bts:error", "channel": "", "data": {"code": null, "message": "internal error"}})
            .to_string()
    }

    fn questions(&self) -> Questions {
        Questions::of("/markets/", "/ticker/", "/transactions/")
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let Listed { symbol, base, quote, trading } = market;
        let state = if *trading { "Enabled" } else { "Disabled" };
        Some(
            json!({"name": format!("{base}/{quote}"), "market_symbol": symbol, "trading": state, "market_type": "SPOT"})
                .to_string(),
        )
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { bid, ask, time, .. } = market;
        let time = time.timestamp().to_string();
        json!({"timestamp": time, "last": bid, "bid": bid, "ask": ask, "volume": "10"}).to_string()
    }

    /// Tells times by the second.
    fn dealt(&self, _symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let time = time.timestamp().to_string();
        json!({"date": time, "tid": id, "amount": "0.5", "type": "0", "price": price}).to_string()
    }

    fn answers(&self, kind: Answers, rows: &str) -> String {
        match kind {
            Answers::Quote => rows.to_owned(),
            _ => format!("[{rows}]"),
        }
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"status":"error","reason":"busy"}"#
    }
}
