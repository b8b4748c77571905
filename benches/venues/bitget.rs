//! Bitget: API v2.

use cryptoprice::{
    domain::trade::Trade,
    feed::{delivery::DeliveryKind, venue::Protocol, venues::bitget::Bitget},
};
use serde_json::Value;

use super::{
    language::{Language, Reader, Told, millis, number, price, side, text, top},
    market::{Said, What},
};

impl Language for Bitget {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn trade_id(&self, number: u64) -> String {
        format!("1116{number:015}")
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said { symbol, price, bid, ask, bid_amount, ask_amount, base_volume, quote_volume, .. } = said;
        let time = said.millis();
        let update = |channel: &str, action: &str, data: &str| {
            format!(
                r#"{{"action":"{action}","arg":{{"instType":"SPOT","channel":"{channel}","instId":"{symbol}"}},"data":[{data}],"ts":{time}}}"#
            )
        };
        match said.what {
            What::Trades => {
                let trades = said.each_trade(|trade| {
                    let (id, price, amount, side) =
                        (self.trade_id(trade.id), &trade.price, &trade.amount, trade.side("buy", "sell"));
                    format!(
                        r#"{{"ts":"{time}","price":"{price}","size":"{amount}","side":"{side}","tradeId":"{id}"}}"#
                    )
                });
                update("trade", "update", &trades)
            }
            What::Best | What::Day => update(
                "ticker",
                "snapshot",
                &format!(
                    r#"{{"instId":"{symbol}","lastPr":"{price}","open24h":"{bid}","high24h":"{ask}","low24h":"{bid}","change24h":"0.0125","bidPr":"{bid}","askPr":"{ask}","bidSz":"{bid_amount}","askSz":"{ask_amount}","baseVolume":"{base_volume}","quoteVolume":"{quote_volume}","openUtc":"{bid}","changeUtc24h":"0.0125","ts":"{time}"}}"#
                ),
            ),
            What::Beat => "pong".to_owned(),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        if words == "pong" {
            return Some(());
        }
        let value: Value = serde_json::from_str(words).ok()?;
        let arg = &value["arg"];
        let symbol = arg["instId"].as_str().filter(|_| arg["instType"] == "SPOT")?;
        match arg["channel"].as_str()? {
            "trade" => {
                let past = value["action"] == "snapshot";
                for data in value["data"].as_array()? {
                    let trade = Trade {
                        id: text(&data["tradeId"]),
                        count: 1,
                        price: price(&data["price"])?,
                        amount: price(&data["size"])?,
                        side: side(&data["side"], "buy", "sell")?,
                        time: millis(&data["ts"])?,
                    };
                    heard.push(reader.trade(symbol, trade, past)?);
                }
            }
            "ticker" => {
                for data in value["data"].as_array()? {
                    let told = Told {
                        book: top(&data["bidPr"], &data["askPr"]),
                        last: price(&data["lastPr"]),
                        base_volume: number(&data["baseVolume"]),
                        quote_volume: number(&data["quoteVolume"]),
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
