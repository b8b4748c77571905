//! Gate: version 4.

use cryptoprice::feed::venues::gate::Gate;
use serde_json::{Value, json};

use super::{
    super::words::{Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words},
    each,
};

impl Words for Gate {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}_{quote}")
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "spot.book_ticker" => Some(Channel::Quotes),
            "spot.trades" => Some(Channel::Deals),
            "spot.tickers" => Some(Channel::Day),
            _ => None,
        }
    }

    fn hears(&self, _text: &str, said: &Value) -> Option<Heard> {
        if said["channel"] == "spot.ping" {
            return Some(Heard::Pings(r#"{"time":1,"channel":"spot.pong","event":""}"#));
        }
        let known = said["event"] == "subscribe" && said["time"].is_i64();
        known.then(|| each(&said["channel"], &said["payload"]).map(Heard::Wants))?
    }

    fn takes(&self, asked: &Value, _taken: &[Taken], _messages: u64) -> Vec<String> {
        vec![
            json!({"time": 1, "channel": asked["channel"], "event": "subscribe", "error": null, "result": {"status": "success"}})
                .to_string(),
        ]
    }

    fn refuses(&self, symbol: &str) -> String {
        let words = format!("unknown currency pair: {symbol}");
        json!({"time": 1, "channel": "spot.trades", "event": "subscribe", "error": {"code": 2, "message": words}, "result": null})
            .to_string()
    }

    fn complains(&self) -> String {
        json!({"time": 1, "channel": "", "event": "", "error": {"code": 1, "message": "internal error"}})
            .to_string()
    }

    fn questions(&self) -> Questions {
        Questions::of("/spot/currency_pairs", "/spot/tickers", "/spot/trades")
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let Listed { symbol, base, quote, trading } = market;
        let status = if *trading { "tradable" } else { "untradable" };
        Some(json!({"id": symbol, "base": base, "quote": quote, "trade_status": status}).to_string())
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { symbol, bid, ask, .. } = market;
        json!({"currency_pair": symbol, "last": bid, "lowest_ask": ask, "highest_bid": bid, "base_volume": "1", "quote_volume": "1"})
            .to_string()
    }

    /// Tells milliseconds with a fraction.
    fn dealt(&self, symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let micros = time.timestamp_micros();
        let time = format!("{}.{:03}", micros / 1_000, micros % 1_000);
        json!({"id": id, "create_time_ms": time, "currency_pair": symbol, "side": "buy", "amount": "0.5", "price": price})
            .to_string()
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"label":"SERVER_ERROR","message":"busy"}"#
    }
}
