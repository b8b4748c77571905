//! What loopback venues say and hear over WebSocket, in the words of real ones, written down from their documentation.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// How a venue speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tongue {
    Gate,
    Kraken,
    Coinbase,
    Bybit,
    Okx,
    Gemini,
}

/// Best bid and ask in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quote {
    pub(super) bid: i64,
    pub(super) ask: i64,
}

/// A trade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deal {
    pub(super) id: u64,
    /// In hundredths.
    pub(super) price: i64,
    pub(super) time: DateTime<Utc>,
}

/// What is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Channel {
    Quotes,
    Deals,
    /// Something that is taken and not told.
    Other,
}

/// What was said on a connection that what follows refers to.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    messages: u64,
    books: HashMap<String, (u64, Quote)>,
}

pub(super) fn decimal(hundredths: i64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

impl Spoken {
    /// Begins the book of a market anew.
    pub(super) fn forget(&mut self, symbol: &str) {
        self.books.remove(symbol);
    }

    /// Counts a message that gets lost on its way.
    pub(super) fn lose(&mut self, symbol: &str) {
        self.messages += 1;
        if let Some((number, _)) = self.books.get_mut(symbol) {
            *number += 1;
        }
    }
}

impl Tongue {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Kraken => "kraken",
            Self::Coinbase => "coinbase",
            Self::Bybit => "bybit",
            Self::Okx => "okx",
            Self::Gemini => "gemini",
        }
    }

    pub(super) fn symbol(self, market: &str) -> String {
        match self {
            Self::Gate => market.replace('-', "_"),
            Self::Kraken => market.replace('-', "/"),
            Self::Coinbase | Self::Okx => market.to_owned(),
            Self::Bybit | Self::Gemini => market.replace('-', ""),
        }
    }

    /// Understands what is subscribed to.
    pub(super) fn subscriptions(self, said: &Value) -> Vec<(Channel, String)> {
        let each = |channel: Channel, symbols: &Value| -> Vec<(Channel, String)> {
            let symbols = symbols.as_array().into_iter().flatten();
            symbols.map(|symbol| (channel, symbol.as_str().unwrap().to_owned())).collect()
        };
        let channel = |name: &str| match name {
            "spot.trades" | "trade" | "market_trades" | "publicTrade" | "trades" => Channel::Deals,
            "spot.book_ticker" | "ticker" | "orderbook.1" => Channel::Quotes,
            "tickers" if self == Self::Okx => Channel::Quotes,
            _ => Channel::Other,
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match self {
            Self::Gate if said["event"] == "subscribe" => {
                each(channel(&text(&said["channel"])), &said["payload"])
            }
            Self::Kraken if said["method"] == "subscribe" => {
                each(channel(&text(&said["params"]["channel"])), &said["params"]["symbol"])
            }
            Self::Coinbase if said["type"] == "subscribe" => {
                each(channel(&text(&said["channel"])), &said["product_ids"])
            }
            Self::Bybit if said["op"] == "subscribe" => {
                let topics = said["args"].as_array().unwrap().iter().map(|topic| topic.as_str().unwrap());
                let split = topics.map(|topic| topic.rsplit_once('.').unwrap());
                split.map(|(name, symbol)| (channel(name), symbol.to_owned())).collect()
            }
            Self::Okx if said["op"] == "subscribe" => {
                let wanted = said["args"].as_array().unwrap().iter();
                wanted.map(|arg| (channel(&text(&arg["channel"])), text(&arg["instId"]))).collect()
            }
            Self::Gemini if said["type"] == "subscribe" => {
                let symbols = &said["subscriptions"][0]["symbols"];
                [each(Channel::Quotes, symbols), each(Channel::Deals, symbols)].concat()
            }
            _ => Vec::new(),
        }
    }

    /// Takes a subscription.
    pub(super) fn takes(self, spoken: &mut Spoken) -> String {
        spoken.messages += 1;
        match self {
            Self::Gate => {
                json!({"time": 1, "channel": "spot.trades", "event": "subscribe", "error": null, "result": {"status": "success"}})
            }
            Self::Kraken => json!({"method": "subscribe", "success": true, "result": {}}),
            Self::Coinbase => {
                json!({"channel": "subscriptions", "sequence_num": spoken.messages - 1, "events": []})
            }
            Self::Bybit => json!({"success": true, "ret_msg": "subscribe", "op": "subscribe"}),
            Self::Okx => json!({"event": "subscribe", "arg": {"channel": "trades"}}),
            Self::Gemini => json!({"type": "heartbeat", "timestamp": 1}),
        }
        .to_string()
    }

    /// Refuses a subscription, for the sake of one symbol.
    pub(super) fn refuses(self, symbol: &str) -> String {
        match self {
            Self::Gate => {
                let words = format!("unknown currency pair: {symbol}");
                json!({"time": 1, "channel": "spot.trades", "event": "subscribe", "error": {"code": 2, "message": words}, "result": null})
            }
            Self::Kraken => {
                json!({"error": format!("Currency pair not supported {symbol}"), "method": "subscribe", "success": false})
            }
            Self::Coinbase => json!({"type": "error", "message": format!("{symbol} is not a valid product")}),
            Self::Bybit => {
                json!({"success": false, "ret_msg": format!("error:handler not found,topic:publicTrade.{symbol}"), "op": "subscribe"})
            }
            Self::Okx => {
                json!({"event": "error", "code": "60018", "msg": format!("channel:trades,instId:{symbol} doesn't exist")})
            }
            Self::Gemini => json!({"result": "error", "reason": "InvalidSymbol", "message": format!("no {symbol}")}),
        }
        .to_string()
    }

    /// Says what is wrong, of no market.
    pub(super) fn complains(self) -> String {
        match self {
            Self::Gate => {
                json!({"time": 1, "channel": "", "event": "", "error": {"code": 1, "message": "internal error"}})
            }
            Self::Kraken => json!({"error": "internal error", "method": "subscribe", "success": false}),
            Self::Coinbase => json!({"type": "error", "message": "internal error"}),
            Self::Bybit => json!({"success": false, "ret_msg": "internal error", "op": "subscribe"}),
            Self::Okx => json!({"event": "error", "code": "1", "msg": "internal error"}),
            Self::Gemini => json!({"result": "error", "reason": "internal error"}),
        }
        .to_string()
    }

    /// Tells best bid and ask.
    pub(super) fn quote(self, spoken: &mut Spoken, symbol: &str, quote: Quote, now: DateTime<Utc>) -> String {
        let (bid, ask, millis) = (decimal(quote.bid), decimal(quote.ask), now.timestamp_millis());
        spoken.messages += 1;
        let known = spoken.books.insert(symbol.to_owned(), (0, quote));
        let number = known.map_or(1, |(number, _)| number + 1);
        spoken.books.insert(symbol.to_owned(), (number, quote));
        match self {
            Self::Gate => json!({
                "time": millis / 1_000, "channel": "spot.book_ticker", "event": "update",
                "result": {"t": millis, "u": number, "s": symbol, "b": bid, "B": "1", "a": ask, "A": "1"},
            }),
            Self::Kraken => {
                let data = format!(
                    r#"[{{"symbol":"{symbol}","bid":{bid},"ask":{ask},"timestamp":"{}"}}]"#,
                    rfc3339(now)
                );
                return format!(r#"{{"channel":"ticker","type":"update","data":{data}}}"#);
            }
            Self::Coinbase => json!({
                "channel": "ticker", "timestamp": rfc3339(now), "sequence_num": spoken.messages - 1,
                "events": [{"type": "update", "tickers": [{"product_id": symbol, "best_bid": bid, "best_ask": ask}]}],
            }),
            Self::Bybit => {
                let mut data = json!({"s": symbol, "b": [[bid, "1"]], "a": [[ask, "1"]], "u": number + 1});
                if let Some((_, old)) = known {
                    // What was there is taken away before the new is added.
                    data["b"] = json!([[decimal(old.bid), "0"], [bid, "1"]]);
                    data["a"] = json!([[decimal(old.ask), "0"], [ask, "1"]]);
                }
                let kind = if known.is_none() { "snapshot" } else { "delta" };
                json!({"topic": format!("orderbook.1.{symbol}"), "type": kind, "ts": millis, "data": data})
            }
            Self::Okx => json!({
                "arg": {"channel": "tickers", "instId": symbol},
                "data": [{"instType": "SPOT", "instId": symbol, "last": bid, "bidPx": bid, "askPx": ask, "vol24h": "10", "volCcy24h": "600000", "ts": millis.to_string()}],
            }),
            Self::Gemini => {
                let new = [json!(["buy", bid, "1"]), json!(["sell", ask, "1"])];
                let old = known.map(|(_, old)| {
                    [json!(["buy", decimal(old.bid), "0"]), json!(["sell", decimal(old.ask), "0"])]
                });
                let changes: Vec<Value> = old.into_iter().flatten().chain(new).collect();
                let mut message = json!({"type": "l2_updates", "symbol": symbol, "changes": changes});
                if known.is_none() {
                    message["trades"] = json!([]);
                }
                message
            }
        }
        .to_string()
    }

    /// Tells a trade.
    pub(super) fn deal(self, spoken: &mut Spoken, symbol: &str, deal: &Deal) -> String {
        let (price, id) = (decimal(deal.price), deal.id.to_string());
        let (time, millis) = (rfc3339(deal.time), deal.time.timestamp_millis());
        spoken.messages += 1;
        match self {
            Self::Gate => json!({
                "time": millis / 1_000, "channel": "spot.trades", "event": "update",
                "result": {"id": deal.id, "create_time_ms": fraction(deal.time), "side": "buy", "currency_pair": symbol, "amount": "0.5", "price": price},
            }),
            Self::Kraken => {
                return format!(
                    r#"{{"channel":"trade","type":"update","data":[{{"symbol":"{symbol}","side":"buy","price":{price},"qty":0.5,"trade_id":{id},"timestamp":"{time}"}}]}}"#
                );
            }
            Self::Coinbase => json!({
                "channel": "market_trades", "timestamp": time, "sequence_num": spoken.messages - 1,
                "events": [{"type": "update", "trades": [{"product_id": symbol, "trade_id": id, "price": price, "size": "0.5", "side": "SELL", "time": time}]}],
            }),
            Self::Bybit => json!({
                "topic": format!("publicTrade.{symbol}"), "type": "snapshot", "ts": millis,
                "data": [{"T": millis, "s": symbol, "S": "Buy", "v": "0.5", "p": price, "i": id, "BT": false}],
            }),
            Self::Okx => json!({
                "arg": {"channel": "trades", "instId": symbol},
                "data": [{"instId": symbol, "tradeId": id, "px": price, "sz": "0.5", "side": "buy", "ts": millis.to_string()}],
            }),
            Self::Gemini => json!({
                "type": "trade", "symbol": symbol, "event_id": deal.id, "tid": deal.id, "timestamp": millis, "price": price, "quantity": "0.5", "side": "buy",
            }),
        }
        .to_string()
    }

    /// Tells best bid and ask of which a change cannot be read.
    pub(super) fn unreadable(self, symbol: &str) -> String {
        match self {
            Self::Gemini => {
                json!({"type": "l2_updates", "symbol": symbol, "changes": [["hold", "1", "1"]]}).to_string()
            }
            _ => "{\"channel\":\"ticker\",\"data\":[{".to_owned(),
        }
    }

    /// Answers a ping in the venue's own words.
    pub(super) fn pongs(self, said: &str) -> Option<String> {
        let pong = match self {
            Self::Okx if said == "ping" => "pong",
            Self::Gate if said.contains("spot.ping") => r#"{"time":1,"channel":"spot.pong","event":""}"#,
            Self::Kraken if said.contains("\"ping\"") => r#"{"method":"pong"}"#,
            Self::Bybit if said.contains("\"ping\"") => r#"{"success":true,"ret_msg":"pong","op":"ping"}"#,
            _ => return None,
        };
        Some(pong.to_owned())
    }
}

/// Writes milliseconds with a fraction.
pub(super) fn fraction(time: DateTime<Utc>) -> String {
    let micros = time.timestamp_micros();
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}
