//! Crypto.com. The first trades of a market are of the past.

use cryptoprice::{
    domain::trade::Trade,
    feed::{delivery::DeliveryKind, venue::Protocol, venues::cryptocom::CryptoCom},
};
use serde_json::{Value, json};

use super::{
    language::{Language, Reader, Told, millis, number, price, side, text, top},
    market::{Said, What},
};

impl Language for CryptoCom {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn quote(&self) -> &'static str {
        "USD"
    }

    fn greet(&self, said: &Said<'_>) -> Vec<String> {
        vec![self.write(said)]
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said { symbol, price, bid, ask, bid_amount, ask_amount, base_volume, quote_volume, .. } = said;
        let time = said.millis();
        let update = |channel: &str, data: &str| {
            format!(
                r#"{{"id":-1,"code":0,"method":"subscribe","result":{{"instrument_name":"{symbol}","subscription":"{channel}.{symbol}","channel":"{channel}","data":[{data}]}}}}"#
            )
        };
        match said.what {
            What::Trades => {
                let trades = said.each_trade(|trade| {
                    let (id, price, amount, side) =
                        (trade.id, &trade.price, &trade.amount, trade.side("BUY", "SELL"));
                    format!(
                        r#"{{"d":"{id}","t":{time},"tn":"{time}000000","q":"{amount}","p":"{price}","s":"{side}","i":"{symbol}","m":"755498562"}}"#
                    )
                });
                update("trade", &trades)
            }
            What::Best | What::Day => update(
                "ticker",
                &format!(
                    r#"{{"h":"{ask}","l":"{bid}","a":"{price}","c":"0.0125","b":"{bid}","bs":"{bid_amount}","k":"{ask}","ks":"{ask_amount}","i":"{symbol}","v":"{base_volume}","vv":"{quote_volume}","oi":"0","t":{time}}}"#
                ),
            ),
            What::Beat => format!(r#"{{"id":{time},"method":"public/heartbeat","code":0}}"#),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        let value: Value = serde_json::from_str(words).ok()?;
        if value["method"] == "public/heartbeat" {
            let answer = json!({ "id": value["id"], "method": "public/respond-heartbeat" });
            reader.reply = Some(answer.to_string());
            return Some(());
        }
        let result = &value["result"];
        let symbol = result["instrument_name"].as_str()?;
        match result["channel"].as_str()? {
            "trade" => {
                let past = reader.begins(symbol);
                for data in result["data"].as_array()? {
                    let trade = Trade {
                        id: text(&data["d"]),
                        count: 1,
                        price: price(&data["p"])?,
                        amount: price(&data["q"])?,
                        side: side(&data["s"], "BUY", "SELL")?,
                        time: millis(&data["t"])?,
                    };
                    heard.push(reader.trade(symbol, trade, past)?);
                }
            }
            "ticker" => {
                for data in result["data"].as_array()? {
                    let told = Told {
                        book: top(&data["b"], &data["k"]),
                        last: price(&data["a"]),
                        base_volume: number(&data["v"]),
                        time: millis(&data["t"]),
                        ..Told::default()
                    };
                    heard.push(reader.ticker(symbol, told)?);
                }
            }
            _ => return None,
        }
        Some(())
    }
}
