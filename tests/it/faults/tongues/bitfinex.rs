//! Bitfinex: API v2, whose subscriptions are numbered.

use cryptoprice::feed::venues::bitfinex::Bitfinex;
use serde_json::{Value, json};

use super::super::words::{Answers, Channel, Dealt, Heard, Listed, Questions, Standing, Taken, Words};
use crate::venues::{language::Language as _, market::Said};

/// Gets the name of an asset.
fn asset(name: &str) -> &str {
    if name == "USDT" { "UST" } else { name }
}

impl Words for Bitfinex {
    fn spell(&self, base: &str, quote: &str) -> String {
        let (base, quote) = (asset(base), asset(quote));
        let short = base.len() == 3 && quote.len() == 3;
        if short { format!("t{base}{quote}") } else { format!("t{base}:{quote}") }
    }

    fn channel(&self, name: &str) -> Option<Channel> {
        match name {
            "ticker" => Some(Channel::Quotes),
            "trades" => Some(Channel::Deals),
            _ => None,
        }
    }

    fn hears(&self, _text: &str, said: &Value) -> Option<Heard> {
        let name = |field: &str| said[field].as_str().map(str::to_owned);
        let wanted = (said["event"] == "subscribe").then(|| name("channel").zip(name("symbol")))??;
        Some(Heard::Wants(vec![wanted]))
    }

    fn welcomes(&self) -> Option<String> {
        Some(json!({"event": "info", "version": 2, "serverId": "s", "platform": {"status": 1}}).to_string())
    }

    fn takes(&self, _asked: &Value, taken: &[Taken], _messages: u64) -> Vec<String> {
        let each = taken.iter().map(|Taken { channel, symbol, place }| {
            let number = 2 * place + usize::from(channel == "ticker");
            json!({"event": "subscribed", "channel": channel, "chanId": number, "symbol": symbol, "pair": symbol.trim_start_matches('t')})
                .to_string()
        });
        each.collect()
    }

    fn refuses(&self, symbol: &str) -> String {
        json!({"event": "error", "msg": format!("symbol: invalid {symbol}"), "code": 10_300, "symbol": symbol})
            .to_string()
    }

    fn complains(&self) -> String {
        json!({"event": "error", "msg": "internal error", "code": 10_000}).to_string()
    }

    /// Writes the trade as one of a list without a kind.
    fn past(&self, said: &Said<'_>) -> Option<String> {
        Some(self.write(said).replace(r#""te",["#, "[[").replace("]]", "]]]"))
    }

    fn questions(&self) -> Questions {
        Questions::of("/conf/pub:list:pair:exchange", "/ticker/", "/trades/")
    }

    /// What is not traded is not listed.
    fn lists(&self, market: &Listed<'_>) -> Option<String> {
        market.trading.then(|| format!("\"{}\"", market.symbol.trim_start_matches('t')))
    }

    fn stands(&self, market: &Standing<'_>) -> String {
        let Standing { bid, ask, .. } = market;
        format!("[{bid},1,{ask},1,12.5,0.0125,{bid},10,{ask},{bid}]")
    }

    fn dealt(&self, _symbol: &str, dealt: &Dealt) -> String {
        let Dealt { id, price, time } = dealt;
        format!("[{id},{},0.5,{price}]", time.timestamp_millis())
    }

    fn answers(&self, kind: Answers, rows: &str) -> String {
        match kind {
            Answers::Markets => format!("[[{rows}]]"),
            Answers::Quote => rows.to_owned(),
            Answers::Quotes | Answers::Deals => format!("[{rows}]"),
        }
    }

    fn answers_wrong(&self) -> &'static str {
        r#"["error",10000,"busy"]"#
    }
}
