//! Binance and Binance.US: combined streams.

use cryptoprice::feed::venues::{binance::Binance, binanceus::BinanceUs};
use serde_json::{Value, json};

use super::{
    super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words},
    split_each,
};

impl Words for Binance {
    fn spell(&self, base: &str, quote: &str) -> String {
        format!("{base}{quote}")
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "bookTicker" => Some(Channel::Quotes),
            "aggTrade" => Some(Channel::Deals),
            "ticker" => Some(Channel::Day),
            _ => None,
        }
    }

    fn hears(&self, _text: &str, said: &Value) -> Option<Heard> {
        // Small letters alone are known in the names of streams.
        let stream = |name: &str| {
            let (symbol, channel) = name.split_once('@')?;
            (symbol == symbol.to_lowercase()).then(|| (channel.to_owned(), symbol.to_uppercase()))
        };
        let known = said["method"] == "SUBSCRIBE" && said["id"].is_u64();
        known.then(|| split_each(&said["params"], stream).map(Heard::Wants))?
    }

    fn takes(&self, asked: &Value, _taken: &[Taken], _messages: u64) -> Vec<String> {
        vec![json!({"result": null, "id": asked["id"]}).to_string()]
    }

    fn refuses(&self, symbol: &str) -> String {
        let words = format!("Invalid request: no stream of {symbol}");
        json!({"error": {"code": 2, "msg": words}, "id": 1}).to_string()
    }

    fn complains(&self) -> String {
        json!({"error": {"code": 0, "msg": "internal error"}, "id": null}).to_string()
    }

    fn questions(&self) -> Questions {
        Questions::of("/exchangeInfo", "/ticker/24hr", "/aggTrades")
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        let Listed { symbol, base, quote, trading } = market;
        let status = if *trading { "TRADING" } else { "BREAK" };
        Some(
            json!({"symbol": symbol, "status": status, "baseAsset": base, "quoteAsset": quote, "isSpotTradingAllowed": true})
                .to_string(),
        )
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { symbol, bid, ask, time, .. } = market;
        let close = time.timestamp_millis();
        json!({"symbol": symbol, "lastPrice": bid, "bidPrice": bid, "askPrice": ask, "volume": "10", "quoteVolume": "600000", "closeTime": close})
            .to_string()
    }

    fn dealt(&self, _symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        let time = time.timestamp_millis();
        format!(r#"{{"a":{id},"p":"{price}","q":"0.5","f":{id},"l":{id},"T":{time},"m":false,"M":true}}"#)
    }

    fn answers(&self, kind: Answers, rows: &str) -> String {
        match kind {
            Answers::Markets => format!(r#"{{"timezone":"UTC","symbols":[{rows}]}}"#),
            Answers::Quote => rows.to_owned(),
            Answers::Quotes | Answers::Deals => format!("[{rows}]"),
        }
    }

    fn answers_wrong(&self) -> &'static str {
        r#"{"code":-1000,"msg":"busy"}"#
    }
}

impl Words for BinanceUs {
    fn spell(&self, base: &str, quote: &str) -> String {
        Binance.spell(base, quote)
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        Binance.channel(name)
    }

    fn hears(&self, text: &str, said: &Value) -> Option<Heard> {
        Binance.hears(text, said)
    }

    fn takes(&self, asked: &Value, taken: &[Taken], messages: u64) -> Vec<String> {
        Binance.takes(asked, taken, messages)
    }

    fn refuses(&self, symbol: &str) -> String {
        Binance.refuses(symbol)
    }

    fn complains(&self) -> String {
        Binance.complains()
    }

    fn questions(&self) -> Questions {
        Binance.questions()
    }

    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        Binance.lists(market)
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        Binance.stands(market)
    }

    fn dealt(&self, symbol: &str, dealt: &Dealt) -> String {
        Binance.dealt(symbol, dealt)
    }

    fn answers(&self, kind: Answers, rows: &str) -> String {
        Binance.answers(kind, rows)
    }

    fn answers_wrong(&self) -> &'static str {
        Binance.answers_wrong()
    }
}
