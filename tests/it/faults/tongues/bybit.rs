//! Bybit: API v5, whose book of one level comes in changes.

use cryptoprice::feed::venues::bybit::Bybit;
use serde_json::{Value, json};

use super::{
    super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words},
    split_each,
};

impl Words for Bybit {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}{quote}")
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "orderbook.1" => Some(Channel::Quotes),
            "publicTrade" => Some(Channel::Deals),
            "tickers" => Some(Channel::Day),
            _ => None,
        }
    }

    fn hears(&self, _text: &str, said: &Value) -> Option<Heard> {
        let topic = |name: &str| {
            let (channel, symbol) = name.rsplit_once('.')?;
            Some((channel.to_owned(), symbol.to_owned()))
        };
        match said["op"].as_str()? {
            "ping" => Some(Heard::Pings(r#"{"success":true,"ret_msg":"pong","op":"ping"}"#)),
            "subscribe" if said["args"].as_array()?.len() <= 10 => {
                split_each(&said["args"], topic).map(Heard::Wants)
            }
            _ => None,
        }
    }

    fn takes(&self, _asked: &Value, _taken: &[Taken], _messages: u64) -> Vec<String> {
        vec![json!({"success": true, "ret_msg": "subscribe", "op": "subscribe"}).to_string()]
    }

    fn refuses(&self, symbol: &str) -> String {
        let words = format!("error:handler not found,topic:publicTrade.{symbol}");
        json!({"success": false, "ret_msg": words, "op": "subscribe"}).to_string()
    }

    fn complains(&self) -> String {
        json!({"success": false, "ret_msg": "internal error", "op": "subscribe"}).to_string()
    }

    fn keeps_books(&self) -> bool {
        true
    }

    fn questions(&self) -> Questions {
        Questions::of("/instruments-info", "/tickers", "/recent-trade")
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let Listed { symbol, base, quote, trading } = market;
        let status = if *trading { "Trading" } else { "Closed" };
        Some(json!({"symbol": symbol, "baseCoin": base, "quoteCoin": quote, "status": status}).to_string())
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { symbol, bid, ask, .. } = market;
        json!({"symbol": symbol, "bid1Price": bid, "ask1Price": ask, "lastPrice": bid}).to_string()
    }

    fn dealt(&self, symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let time = time.timestamp_millis().to_string();
        json!({"execId": id, "symbol": symbol, "price": price, "size": "0.5", "side": "Buy", "time": time, "isBlockTrade": false})
            .to_string()
    }

    fn answers(&self, _kind: Answers, rows: &str) -> String {
        format!(r#"{{"retCode":0,"retMsg":"OK","result":{{"list":[{rows}]}}}}"#)
    }

    fn deals_at_most(&self) -> usize {
        60
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"retCode":10016,"retMsg":"busy","result":{}}"#
    }
}
