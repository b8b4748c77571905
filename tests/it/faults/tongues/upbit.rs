//! Upbit: binary frames, and subscriptions that replace those before.

use cryptoprice::feed::venues::upbit::Upbit;
use serde_json::{Value, json};

use super::super::words::{Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words};
use crate::venues::{language::Language as _, market::Said};

impl Words for Upbit {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{quote}-{base}")
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "orderbook" => Some(Channel::Quotes),
            "trade" => Some(Channel::Deals),
            "ticker" => Some(Channel::Day),
            _ => None,
        }
    }

    /// A list of a ticket, of kinds with their codes, and of the format, which must be the short one here.
    fn hears(&self, text: &str, said: &Value) -> Option<Heard> {
        if text == "PING" {
            return Some(Heard::Pings(r#"{"status":"UP"}"#));
        }
        let [ticket, kinds @ .., format] = said.as_array()?.as_slice() else { return None };
        if !ticket["ticket"].is_string() || format["format"] != "SIMPLE" {
            return None;
        }
        let wanted: Option<Vec<_>> =
            kinds.iter().map(|kind| super::each(&kind["type"], &kind["codes"])).collect();
        Some(Heard::Wants(wanted?.concat()))
    }

    fn replaces(&self) -> bool {
        true
    }

    /// It says nothing: data is the answer.
    fn takes(&self, _asked: &Value, _taken: &[Taken], _messages: u64) -> Vec<String> {
        Vec::new()
    }

    fn refuses(&self, symbol: &str) -> String {
        let words = format!("no such code: {symbol}");
        json!({"error": {"name": "INVALID_PARAM", "message": words}}).to_string()
    }

    fn complains(&self) -> String {
        json!({"error": {"name": "SERVER", "message": "internal error"}}).to_string()
    }

    fn past(&self, said: &Said<'_>) -> Option<String> {
        Some(self.write(said).replace(r#""st":"REALTIME""#, r#""st":"SNAPSHOT""#))
    }

    fn questions(&self) -> Questions {
        let books = Some("/orderbook?");
        Questions { books, ..Questions::of("/market/all", "/ticker?", "/trades/ticks") }
    }

    /// What is not traded is not listed.
    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let about = || json!({"market": market.symbol, "english_name": market.base}).to_string();
        market.trading.then(about)
    }

    fn tells_book(&self, market: &Standing<'_>) -> String {
        let Standing { symbol, bid, ask, time, .. } = market;
        let time = time.timestamp_millis();
        format!(
            r#"{{"market":"{symbol}","timestamp":{time},"orderbook_units":[{{"ask_price":{ask},"bid_price":{bid},"ask_size":1,"bid_size":1}}],"level":0}}"#
        )
    }

    /// There is no bid and ask in it.
    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { symbol, bid, time, .. } = market;
        let time = time.timestamp_millis();
        format!(
            r#"{{"market":"{symbol}","trade_timestamp":{time},"trade_price":{bid},"acc_trade_volume_24h":10,"acc_trade_price_24h":600000}}"#
        )
    }

    fn dealt(&self, symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let time = time.timestamp_millis();
        format!(
            r#"{{"market":"{symbol}","timestamp":{time},"trade_price":{price},"trade_volume":0.5,"ask_bid":"BID","sequential_id":{id}}}"#
        )
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"error":{"name":"SERVER","message":"busy"}}"#
    }
}
