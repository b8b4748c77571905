//! KuCoin, which is asked for an address and a token first.

use cryptoprice::feed::venues::kucoin::KuCoin;
use serde_json::{Value, json};

use super::super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words};

impl Words for KuCoin {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}-{quote}")
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "ticker" => Some(Channel::Quotes),
            "match" => Some(Channel::Deals),
            "snapshot" => Some(Channel::Day),
            _ => None,
        }
    }

    fn hears(&self, _text: &str, said: &Value) -> Option<Heard> {
        match said["type"].as_str()? {
            "ping" => Some(Heard::Pings(r#"{"id":"1","type":"pong"}"#)),
            "subscribe" => {
                let (channel, symbols) = said["topic"].as_str()?.strip_prefix("/market/")?.split_once(':')?;
                let each = symbols.split(',').map(|symbol| (channel.to_owned(), symbol.to_owned()));
                Some(Heard::Wants(each.collect()))
            }
            _ => None,
        }
    }

    fn welcomes(&self) -> Option<String> {
        Some(json!({"id": "1", "type": "welcome"}).to_string())
    }

    fn takes(&self, asked: &Value, _taken: &[Taken], _messages: u64) -> Vec<String> {
        let wanted = asked["response"] == true;
        wanted.then(|| json!({"id": asked["id"], "type": "ack"}).to_string()).into_iter().collect()
    }

    fn refuses(&self, symbol: &str) -> String {
        let words = format!("topic /market/match:{symbol} is not found");
        json!({"id": "1", "type": "error", "code": 404, "data": words}).to_string()
    }

    fn complains(&self) -> String {
        json!({"id": "1", "type": "error", "code": 500, "data": "internal error"}).to_string()
    }

    fn questions(&self) -> Questions {
        Questions::of("/api/v2/symbols", "/api/v1/market/stats", "/api/v1/market/histories")
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let Listed { symbol, base, quote, trading } = market;
        Some(
            json!({"symbol": symbol, "name": symbol, "baseCurrency": base, "quoteCurrency": quote, "enableTrading": trading})
                .to_string(),
        )
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { symbol, bid, ask, time, .. } = market;
        let time = time.timestamp_millis();
        json!({"time": time, "symbol": symbol, "buy": bid, "sell": ask, "last": bid, "vol": "10", "volValue": "600000"})
            .to_string()
    }

    /// Tells nanoseconds.
    fn dealt(&self, _symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let nanos = time.timestamp_micros() * 1_000;
        json!({"sequence": id, "price": price, "size": "0.5", "side": "buy", "time": nanos}).to_string()
    }

    fn answers(&self, kind: Answers, rows: &str) -> String {
        match kind {
            Answers::Quote => format!(r#"{{"code":"200000","data":{rows}}}"#),
            Answers::Markets | Answers::Quotes | Answers::Deals => {
                format!(r#"{{"code":"200000","data":[{rows}]}}"#)
            }
        }
    }

    fn deals_at_most(&self) -> usize {
        100
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"code":"500000","msg":"busy"}"#
    }
}
