//! HTX: gzip frames. The first trades of a market are of the past.

use cryptoprice::{
    domain::trade::Trade,
    feed::{delivery::DeliveryKind, venue::Protocol, venues::htx::Htx},
};
use serde_json::Value;

use super::{
    language::{Language, Packing, Reader, Told, millis, number, price, side, text, top},
    market::{Said, What},
};

impl Language for Htx {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn packing(&self) -> Packing {
        Packing::Gzip
    }

    fn greet(&self, said: &Said<'_>) -> Vec<String> {
        vec![self.write(said)]
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said {
            symbol, price, bid, ask, bid_amount, ask_amount, base_volume, quote_volume, update, ..
        } = said;
        let time = said.millis();
        match said.what {
            What::Trades => {
                let trades = said.each_trade(|trade| {
                    let (id, price, amount, side) =
                        (trade.id, &trade.price, &trade.amount, trade.side("buy", "sell"));
                    format!(
                        r#"{{"id":{id}00000000,"ts":{time},"tradeId":{id},"amount":{amount},"price":{price},"direction":"{side}"}}"#
                    )
                });
                format!(
                    r#"{{"ch":"market.{symbol}.trade.detail","ts":{time},"tick":{{"id":{update},"ts":{time},"data":[{trades}]}}}}"#
                )
            }
            What::Best => format!(
                r#"{{"ch":"market.{symbol}.bbo","ts":{time},"tick":{{"seqId":{update},"ask":{ask},"askSize":{ask_amount},"bid":{bid},"bidSize":{bid_amount},"quoteTime":{time},"symbol":"{symbol}"}}}}"#
            ),
            What::Day => format!(
                r#"{{"ch":"market.{symbol}.detail","ts":{time},"tick":{{"id":{update},"low":{bid},"high":{ask},"open":{bid},"close":{price},"vol":{quote_volume},"amount":{base_volume},"version":{update},"count":90000}}}}"#
            ),
            What::Beat => format!(r#"{{"ping":{time}}}"#),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        let value: Value = serde_json::from_str(words).ok()?;
        if let Some(number) = value["ping"].as_u64() {
            reader.reply = Some(format!(r#"{{"pong":{number}}}"#));
            return Some(());
        }
        let (symbol, channel) = value["ch"].as_str()?.strip_prefix("market.")?.split_once('.')?;
        let tick = &value["tick"];
        match channel {
            "trade.detail" => {
                let past = reader.begins(symbol);
                for data in tick["data"].as_array()? {
                    let trade = Trade {
                        id: text(&data["tradeId"]).or_else(|| text(&data["id"])),
                        count: 1,
                        price: price(&data["price"])?,
                        amount: price(&data["amount"])?,
                        side: side(&data["direction"], "buy", "sell")?,
                        time: millis(&data["ts"])?,
                    };
                    heard.push(reader.trade(symbol, trade, past)?);
                }
            }
            "bbo" => {
                let (book, time) = (top(&tick["bid"], &tick["ask"]), millis(&tick["quoteTime"]));
                heard.push(reader.ticker(symbol, Told { book, time, ..Told::default() })?);
            }
            "detail" => {
                let told = Told {
                    last: price(&tick["close"]),
                    base_volume: number(&tick["amount"]),
                    quote_volume: number(&tick["vol"]),
                    time: millis(&value["ts"]),
                    ..Told::default()
                };
                heard.push(reader.ticker(symbol, told)?);
            }
            _ => return None,
        }
        Some(())
    }
}
