//! OKX: API v5.

use cryptoprice::{
    domain::trade::Trade,
    feed::{delivery::DeliveryKind, venue::Protocol, venues::okx::Okx},
};
use serde_json::Value;

use super::{
    language::{Language, Reader, Told, millis, number, price, side, text, top},
    market::{Said, What},
};

impl Language for Okx {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said { symbol, price, bid, ask, bid_amount, ask_amount, base_volume, quote_volume, .. } = said;
        let time = said.millis();
        match said.what {
            What::Trades => {
                let trades = said.each_trade(|trade| {
                    let (id, price, amount, side) =
                        (trade.id, &trade.price, &trade.amount, trade.side("buy", "sell"));
                    format!(
                        r#"{{"instId":"{symbol}","tradeId":"{id}","px":"{price}","sz":"{amount}","side":"{side}","ts":"{time}","count":"1"}}"#
                    )
                });
                format!(r#"{{"arg":{{"channel":"trades","instId":"{symbol}"}},"data":[{trades}]}}"#)
            }
            What::Best | What::Day => format!(
                r#"{{"arg":{{"channel":"tickers","instId":"{symbol}"}},"data":[{{"instType":"SPOT","instId":"{symbol}","last":"{price}","lastSz":"0.25","askPx":"{ask}","askSz":"{ask_amount}","bidPx":"{bid}","bidSz":"{bid_amount}","open24h":"{bid}","high24h":"{ask}","low24h":"{bid}","volCcy24h":"{quote_volume}","vol24h":"{base_volume}","sodUtc0":"{bid}","sodUtc8":"{bid}","ts":"{time}"}}]}}"#
            ),
            What::Beat => "pong".to_owned(),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        if words == "pong" {
            return Some(());
        }
        let value: Value = serde_json::from_str(words).ok()?;
        match value["arg"]["channel"].as_str()? {
            "trades" => {
                for data in value["data"].as_array()? {
                    let trade = Trade {
                        id: text(&data["tradeId"]),
                        count: 1,
                        price: price(&data["px"])?,
                        amount: price(&data["sz"])?,
                        side: side(&data["side"], "buy", "sell")?,
                        time: millis(&data["ts"])?,
                    };
                    heard.push(reader.trade(data["instId"].as_str()?, trade, false)?);
                }
            }
            "tickers" => {
                for data in value["data"].as_array()? {
                    let told = Told {
                        book: top(&data["bidPx"], &data["askPx"]),
                        last: price(&data["last"]),
                        base_volume: number(&data["vol24h"]),
                        quote_volume: number(&data["volCcy24h"]),
                        time: millis(&data["ts"]),
                    };
                    heard.push(reader.ticker(data["instId"].as_str()?, told)?);
                }
            }
            _ => return None,
        }
        Some(())
    }
}
