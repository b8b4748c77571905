//! What loopback venues answer over REST, in the words of real ones.

use chrono::{DateTime, Utc};
use serde_json::{Map, json};

use super::tongue::{Deal, Quote, Tongue, decimal, fraction, rfc3339};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// All markets.
    Markets,
    /// Whether this one is traded.
    State(&'static str),
    /// How this one stands.
    Quote(&'static str),
    /// What was traded on this one.
    Deals(&'static str),
}

impl Tongue {
    /// Understands a question by its path and query.
    pub(super) fn asked(self, target: &str, markets: &[&'static str]) -> Option<Asked> {
        let spelled = |market: &str| match self {
            Self::Kraken => market.replace('-', "").replace("BTC", "XBT"),
            Self::Gemini => self.symbol(market).to_lowercase(),
            _ => self.symbol(market),
        };
        let words: Vec<&str> = target.split(['/', '?', '&', '=']).collect();
        let market = markets.iter().copied().find(|market| words.contains(&spelled(market).as_str()));
        let [listing, quote, deals] = match self {
            Self::Gate => ["/spot/currency_pairs", "/spot/tickers", "/spot/trades"],
            Self::Kraken => ["/AssetPairs", "/Ticker", "/Trades"],
            Self::Coinbase => ["/products?", "/ticker?limit=1", "/ticker?limit=1000"],
            Self::Bybit => ["/instruments-info", "/tickers", "/recent-trade"],
            Self::Okx => ["/public/instruments", "/market/ticker", "/market/trades"],
            Self::Gemini => ["/v1/symbols", "/v1/pubticker", "/v1/trades"],
        };
        match market {
            None => target.contains(listing).then_some(Asked::Markets),
            Some(market) if target.contains("/details/") => Some(Asked::State(market)),
            Some(market) if target.contains(deals) => Some(Asked::Deals(market)),
            Some(market) => target.contains(quote).then_some(Asked::Quote(market)),
        }
    }

    /// Lists markets, and whether they are traded.
    pub(super) fn listing(self, markets: &[(&str, bool)]) -> String {
        let each = markets.iter().map(|(market, trading)| {
            let (base, quote) = market.split_once('-').unwrap();
            (self.symbol(market), base, quote, *trading)
        });
        let state = |trading: bool, yes: &'static str, no: &'static str| if trading { yes } else { no };
        match self {
            Self::Gate => each
                .map(|(id, base, quote, trading)| {
                    json!({"id": id, "base": base, "quote": quote, "trade_status": state(trading, "tradable", "untradable")})
                })
                .collect(),
            Self::Kraken => {
                let markets: Map<_, _> = each
                    .map(|(symbol, base, quote, trading)| {
                        let status = state(trading, "online", "cancel_only");
                        (format!("{base}{quote}"), json!({"wsname": symbol, "status": status}))
                    })
                    .collect();
                json!({"error": [], "result": markets})
            }
            Self::Coinbase => {
                let products: Vec<_> = each
                    .map(|(id, base, quote, trading)| {
                        json!({"product_id": id, "base_currency_id": base, "quote_currency_id": quote, "status": state(trading, "online", "delisted")})
                    })
                    .collect();
                json!({"products": products})
            }
            Self::Bybit => {
                let list: Vec<_> = each
                    .map(|(symbol, base, quote, trading)| {
                        json!({"symbol": symbol, "baseCoin": base, "quoteCoin": quote, "status": state(trading, "Trading", "Closed")})
                    })
                    .collect();
                json!({"retCode": 0, "retMsg": "OK", "result": {"list": list}})
            }
            Self::Okx => {
                let data: Vec<_> = each
                    .map(|(id, base, quote, trading)| {
                        json!({"instType": "SPOT", "instId": id, "baseCcy": base, "quoteCcy": quote, "state": state(trading, "live", "suspend")})
                    })
                    .collect();
                json!({"code": "0", "msg": "", "data": data})
            }
            Self::Gemini => {
                // Names alone: which are traded is a question of its own.
                each.map(|(symbol, ..)| json!(symbol.to_lowercase())).collect()
            }
        }
        .to_string()
    }

    /// Tells whether a market is traded, where the list of markets does not.
    pub(super) fn state(self, trading: bool) -> String {
        match self {
            Self::Gemini => json!({"status": if trading { "open" } else { "post_only" }}).to_string(),
            _ => self.answers_wrong().to_owned(),
        }
    }

    /// Tells how a market stands.
    pub(super) fn stands(self, market: &str, quote: Quote, now: DateTime<Utc>) -> String {
        let (symbol, bid, ask) = (self.symbol(market), decimal(quote.bid), decimal(quote.ask));
        let millis = now.timestamp_millis().to_string();
        match self {
            Self::Gate => {
                json!([{"currency_pair": symbol, "last": bid, "lowest_ask": ask, "highest_bid": bid, "base_volume": "1", "quote_volume": "1"}])
            }
            Self::Kraken => {
                json!({"error": [], "result": {"X": {"a": [ask, "1", "1"], "b": [bid, "1", "1"], "c": [bid, "1"], "v": ["1", "1"], "p": ["1", "1"], "t": [1, 1], "l": ["1", "1"], "h": ["1", "1"], "o": "1"}}})
            }
            Self::Coinbase => json!({"trades": [], "best_bid": bid, "best_ask": ask}),
            Self::Bybit => {
                json!({"retCode": 0, "retMsg": "OK", "result": {"list": [{"symbol": symbol, "bid1Price": bid, "ask1Price": ask, "lastPrice": bid}]}})
            }
            Self::Okx => {
                json!({"code": "0", "msg": "", "data": [{"instType": "SPOT", "instId": symbol, "last": bid, "bidPx": bid, "askPx": ask, "vol24h": "10", "volCcy24h": "600000", "ts": millis}]})
            }
            Self::Gemini => json!({"bid": bid, "ask": ask, "last": bid}),
        }
        .to_string()
    }

    /// Tells what was traded, as far back as the venue goes.
    pub(super) fn dealt(self, market: &str, deals: &[Deal]) -> String {
        let (symbol, most) = (self.symbol(market), if self == Self::Bybit { 60 } else { 500 });
        let newest = deals.iter().rev().take(most);
        let told = |deal: &Deal| (deal.id.to_string(), decimal(deal.price), deal.time);
        match self {
            Self::Gate => newest
                .map(|deal| {
                    let (id, price, time) = told(deal);
                    json!({"id": id, "create_time_ms": fraction(time), "currency_pair": symbol, "side": "buy", "amount": "0.5", "price": price})
                })
                .collect(),
            Self::Kraken => {
                let rows: Vec<String> = deals
                    .iter()
                    .skip(deals.len().saturating_sub(most))
                    .map(|deal| {
                        let micros = deal.time.timestamp_micros();
                        let time = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
                        format!(r#"["{}","0.5",{time},"b","m","",{}]"#, decimal(deal.price), deal.id)
                    })
                    .collect();
                return format!(r#"{{"error":[],"result":{{"X":[{}],"last":"1"}}}}"#, rows.join(","));
            }
            Self::Coinbase => {
                let trades: Vec<_> = newest
                    .map(|deal| {
                        let (id, price, time) = told(deal);
                        json!({"product_id": symbol, "trade_id": id, "price": price, "size": "0.5", "side": "SELL", "time": rfc3339(time)})
                    })
                    .collect();
                json!({"trades": trades, "best_bid": "", "best_ask": ""})
            }
            Self::Bybit => {
                let list: Vec<_> = newest
                    .map(|deal| {
                        let (id, price, time) = told(deal);
                        json!({"execId": id, "symbol": symbol, "price": price, "size": "0.5", "side": "Buy", "time": time.timestamp_millis().to_string(), "isBlockTrade": false})
                    })
                    .collect();
                json!({"retCode": 0, "retMsg": "OK", "result": {"list": list}})
            }
            Self::Okx => {
                let data: Vec<_> = newest
                    .map(|deal| {
                        let (id, price, time) = told(deal);
                        json!({"instId": symbol, "tradeId": id, "px": price, "sz": "0.5", "side": "buy", "ts": time.timestamp_millis().to_string()})
                    })
                    .collect();
                json!({"code": "0", "msg": "", "data": data})
            }
            Self::Gemini => newest
                .map(|deal| {
                    let (id, price, time) = told(deal);
                    json!({"tid": id, "timestampms": time.timestamp_millis(), "price": price, "amount": "0.5", "type": "buy"})
                })
                .collect(),
        }
        .to_string()
    }

    /// Says over REST, with the status 200, that something is wrong.
    pub(super) fn answers_wrong(self) -> &'static str {
        match self {
            Self::Gate => r#"{"label":"SERVER_ERROR","message":"busy"}"#,
            Self::Kraken => r#"{"error":["EService:Unavailable"]}"#,
            Self::Coinbase => r#"{"error":"internal","message":"busy"}"#,
            Self::Bybit => r#"{"retCode":10016,"retMsg":"busy","result":{}}"#,
            Self::Okx => r#"{"code":"50001","msg":"busy","data":[]}"#,
            Self::Gemini => r#"{"result":"error","reason":"System","message":"busy"}"#,
        }
    }
}
