//! Bybit: API v5, whose book of one level comes in numbered changes.

use cryptoprice::{
    domain::trade::{Side, Trade},
    feed::{delivery::DeliveryKind, venue::Protocol, venues::bybit::Bybit},
};
use serde_json::Value;

use super::{
    language::{Language, Reader, Told, millis, number, price, side, text},
    market::{Said, What},
};

impl Language for Bybit {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn trade_id(&self, number: u64) -> String {
        format!("2290000000{number:09}")
    }

    fn greet(&self, said: &Said<'_>) -> Vec<String> {
        let (bids, asks) = (level(&said.bid, &said.bid_amount), level(&said.ask, &said.ask_amount));
        vec![book(said, "snapshot", &bids, &asks)]
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said { symbol, price, bid, ask, base_volume, quote_volume, update, .. } = said;
        let time = said.millis();
        match said.what {
            What::Trades => {
                let trades = said.each_trade(|trade| {
                    let (id, seq) = (self.trade_id(trade.id), trade.id);
                    let (price, amount, side) = (&trade.price, &trade.amount, trade.side("Buy", "Sell"));
                    format!(
                        r#"{{"i":"{id}","T":{time},"p":"{price}","v":"{amount}","S":"{side}","seq":{seq},"s":"{symbol}","BT":false,"RPI":false}}"#
                    )
                });
                format!(
                    r#"{{"topic":"publicTrade.{symbol}","type":"snapshot","ts":{time},"data":[{trades}]}}"#
                )
            }
            What::Best => {
                let bids = change(&said.old_bid, bid, &said.bid_amount);
                let asks = change(&said.old_ask, ask, &said.ask_amount);
                book(said, "delta", &bids, &asks)
            }
            What::Day => format!(
                r#"{{"topic":"tickers.{symbol}","ts":{time},"type":"snapshot","cs":{update},"data":{{"symbol":"{symbol}","lastPrice":"{price}","highPrice24h":"{ask}","lowPrice24h":"{bid}","prevPrice24h":"{bid}","volume24h":"{base_volume}","turnover24h":"{quote_volume}","price24hPcnt":"0.0125","usdIndexPrice":"{price}"}}}}"#
            ),
            What::Beat => {
                r#"{"success":true,"ret_msg":"pong","conn_id":"c-1","req_id":"","op":"ping"}"#.to_owned()
            }
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        let value: Value = serde_json::from_str(words).ok()?;
        let Some(topic) = value["topic"].as_str() else {
            return (value["op"] == "ping").then_some(());
        };
        let (channel, symbol) = topic.rsplit_once('.')?;
        let data = &value["data"];
        match channel {
            "publicTrade" => {
                for data in data.as_array()?.iter().filter(|data| data["BT"] != true) {
                    let trade = Trade {
                        id: text(&data["i"]),
                        count: 1,
                        price: price(&data["p"])?,
                        amount: price(&data["v"])?,
                        side: side(&data["S"], "Buy", "Sell")?,
                        time: millis(&data["T"])?,
                    };
                    heard.push(reader.trade(data["s"].as_str()?, trade, false)?);
                }
            }
            "tickers" => {
                let told = Told {
                    last: price(&data["lastPrice"]),
                    base_volume: number(&data["volume24h"]),
                    quote_volume: number(&data["turnover24h"]),
                    time: millis(&value["ts"]),
                    ..Told::default()
                };
                heard.push(reader.ticker(data["symbol"].as_str()?, told)?);
            }
            "orderbook.1" => {
                let mut changes = Vec::new();
                for (side, levels) in [(Side::Buy, &data["b"]), (Side::Sell, &data["a"])] {
                    for level in levels.as_array()? {
                        changes.push((side, price(&level[0])?, number(&level[1])?));
                    }
                }
                let book = Some(reader.book(symbol, value["type"] == "snapshot", changes));
                let told = Told { book, time: millis(&value["ts"]), ..Told::default() };
                heard.push(reader.ticker(symbol, told)?);
            }
            _ => return None,
        }
        Some(())
    }
}

fn book(said: &Said<'_>, kind: &str, bids: &str, asks: &str) -> String {
    let Said { symbol, update, .. } = said;
    let time = said.millis();
    format!(
        r#"{{"topic":"orderbook.1.{symbol}","type":"{kind}","ts":{time},"data":{{"s":"{symbol}","b":[{bids}],"a":[{asks}],"u":{},"seq":{update}}},"cts":{time}}}"#,
        update + 1
    )
}

fn level(price: &str, amount: &str) -> String {
    format!(r#"["{price}","{amount}"]"#)
}

/// Takes the old best price away and puts the new one there.
fn change(old: &str, new: &str, amount: &str) -> String {
    if old == new { level(new, amount) } else { format!("{},{}", level(old, "0"), level(new, amount)) }
}
