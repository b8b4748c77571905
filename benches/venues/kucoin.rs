//! KuCoin.

use chrono::DateTime;
use cryptoprice::{
    domain::trade::Trade,
    feed::{delivery::DeliveryKind, venue::Protocol, venues::kucoin::KuCoin},
};
use serde_json::Value;

use super::{
    language::{Language, Reader, Told, millis, number, price, side, text, top, whole},
    market::{Said, What},
};

impl Language for KuCoin {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn gathers(&self) -> bool {
        false
    }

    fn trade_id(&self, number: u64) -> String {
        format!("110{number:014}")
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said {
            symbol, price, bid, ask, bid_amount, ask_amount, base_volume, quote_volume, update, ..
        } = said;
        let (time, micros) = (said.millis(), said.micros());
        match said.what {
            What::Trades => said.each_trade(|trade| {
                let (id, price, amount, side) =
                    (self.trade_id(trade.id), &trade.price, &trade.amount, trade.side("buy", "sell"));
                format!(
                    r#"{{"type":"message","topic":"/market/match:{symbol}","subject":"trade.l3match","data":{{"symbol":"{symbol}","sequence":"{id}","side":"{side}","type":"match","size":"{amount}","price":"{price}","takerOrderId":"65b1e4f2a2b3c4d5e6f70812","makerOrderId":"65b1e4f2a2b3c4d5e6f70813","time":"{micros}000","tradeId":"{id}"}}}}"#
                )
            }),
            What::Best => format!(
                r#"{{"type":"message","topic":"/market/ticker:{symbol}","subject":"trade.ticker","data":{{"sequence":"{update}","price":"{price}","size":"0.25","bestAsk":"{ask}","bestAskSize":"{ask_amount}","bestBid":"{bid}","bestBidSize":"{bid_amount}","time":{time}}}}}"#
            ),
            What::Day => format!(
                r#"{{"type":"message","topic":"/market/snapshot:{symbol}","subject":"trade.snapshot","data":{{"sequence":"{update}","data":{{"averagePrice":{price},"baseCurrency":"ABC","board":1,"buy":{bid},"changePrice":12.5,"changeRate":0.0125,"close":{price},"datetime":{time},"high":{ask},"lastTradedPrice":{price},"low":{bid},"makerCoefficient":1.0,"makerFeeRate":0.001,"marginTrade":true,"mark":0,"market":"USDS","markets":["USDS"],"open":{bid},"quoteCurrency":"USDT","sell":{ask},"sort":100,"symbol":"{symbol}","symbolCode":"{symbol}","takerCoefficient":1.0,"takerFeeRate":0.001,"trading":true,"vol":{base_volume},"volValue":{quote_volume}}}}}}}"#
            ),
            What::Beat => format!(r#"{{"id":"{time}","type":"pong"}}"#),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        let value: Value = serde_json::from_str(words).ok()?;
        if value["type"] != "message" {
            return (value["type"] == "pong").then_some(());
        }
        let (channel, symbol) = value["topic"].as_str()?.split_once(':')?;
        let data = &value["data"];
        heard.push(match channel {
            "/market/match" => {
                let trade = Trade {
                    id: text(&data["tradeId"]),
                    count: 1,
                    price: price(&data["price"])?,
                    amount: price(&data["size"])?,
                    side: side(&data["side"], "buy", "sell")?,
                    time: DateTime::from_timestamp_nanos(whole(&data["time"])?),
                };
                reader.trade(data["symbol"].as_str()?, trade, false)?
            }
            "/market/ticker" => {
                let told = Told {
                    book: top(&data["bestBid"], &data["bestAsk"]),
                    last: price(&data["price"]),
                    time: millis(&data["time"]),
                    ..Told::default()
                };
                reader.ticker(symbol, told)?
            }
            "/market/snapshot" => {
                let data = &data["data"];
                let told = Told {
                    book: top(&data["buy"], &data["sell"]),
                    last: price(&data["lastTradedPrice"]),
                    base_volume: number(&data["vol"]),
                    quote_volume: number(&data["volValue"]),
                    time: millis(&data["datetime"]),
                };
                reader.ticker(symbol, told)?
            }
            _ => return None,
        });
        Some(())
    }
}
