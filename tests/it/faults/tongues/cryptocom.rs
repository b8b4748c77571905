//! Crypto.com, whose heartbeat wants an answer.

use cryptoprice::feed::venues::cryptocom::CryptoCom;
use serde_json::{Value, json};

use super::{
    super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words},
    split_each,
};
use crate::venues::{language::Language as _, market::Said};

impl Words for CryptoCom {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}_{quote}")
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "ticker" => Some(Channel::Quotes),
            "trade" => Some(Channel::Deals),
            _ => None,
        }
    }

    fn hears(&self, _text: &str, said: &Value) -> Option<Heard> {
        let channel = |name: &str| {
            let (channel, symbol) = name.split_once('.')?;
            Some((channel.to_owned(), symbol.to_owned()))
        };
        match said["method"].as_str()? {
            "public/respond-heartbeat" => said["id"].as_i64().map(Heard::Answers),
            "subscribe" if said["nonce"].is_i64() => {
                split_each(&said["params"]["channels"], channel).map(Heard::Wants)
            }
            _ => None,
        }
    }

    fn takes(&self, asked: &Value, taken: &[Taken], _messages: u64) -> Vec<String> {
        let each = taken.iter().map(|Taken { channel, symbol, .. }| {
            let channel = format!("{channel}.{symbol}");
            json!({"id": asked["id"], "method": "subscribe", "code": 0, "channel": channel}).to_string()
        });
        each.collect()
    }

    fn refuses(&self, symbol: &str) -> String {
        let words = format!("Unknown symbol {symbol}");
        json!({"id": 1, "method": "subscribe", "code": 40_003, "message": words}).to_string()
    }

    fn complains(&self) -> String {
        json!({"id": 1, "method": "subscribe", "code": 50_001, "message": "internal error"}).to_string()
    }

    /// The first trades of a market are of the past.
    fn past(&self, said: &Said<'_>) -> Option<String> {
        Some(self.write(said))
    }

    fn wants_answers(&self) -> bool {
        true
    }

    fn questions(&self) -> Questions {
        Questions::of("/public/get-instruments", "/public/get-tickers", "/public/get-trades")
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let Listed { symbol, base, quote, trading } = market;
        Some(
            json!({"symbol": symbol, "inst_type": "CCY_PAIR", "base_ccy": base, "quote_ccy": quote, "tradable": trading})
                .to_string(),
        )
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { symbol, bid, ask, time, .. } = market;
        let time = time.timestamp_millis();
        json!({"i": symbol, "b": bid, "k": ask, "a": bid, "v": "10", "vv": "600000", "t": time}).to_string()
    }

    fn dealt(&self, symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let time = time.timestamp_millis();
        json!({"d": id, "t": time, "q": "0.5", "p": price, "s": "BUY", "i": symbol}).to_string()
    }

    fn answers(&self, _kind: Answers, rows: &str) -> String {
        format!(r#"{{"id":-1,"method":"public","code":0,"result":{{"data":[{rows}]}}}}"#)
    }

    fn deals_at_most(&self) -> usize {
        150
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"id":-1,"method":"public","code":50001,"message":"busy"}"#
    }
}
