//! Bitstamp: API v2, whose book comes whole, a hundred levels a side.

use chrono::DateTime;
use cryptoprice::{
    domain::trade::{Side, Trade},
    feed::{delivery::DeliveryKind, venue::Protocol, venues::bitstamp::Bitstamp},
};
use serde_json::Value;

use super::{
    language::{Language, Reader, Told, price, text, top, whole},
    market::{Said, What},
};

impl Language for Bitstamp {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn quote(&self) -> &'static str {
        "USD"
    }

    fn gathers(&self) -> bool {
        false
    }

    fn write(&self, said: &Said<'_>) -> String {
        let (symbol, micros) = (said.symbol, said.micros());
        let seconds = micros / 1_000_000;
        match said.what {
            What::Trades => said.each_trade(|trade| {
                let (id, price, amount, side) = (trade.id, &trade.price, &trade.amount, trade.side("0", "1"));
                format!(
                    r#"{{"data":{{"id":{id},"id_str":"{id}","timestamp":"{seconds}","amount":{amount},"amount_str":"{amount}","price":{price},"price_str":"{price}","type":{side},"microtimestamp":"{micros}","buy_order_id":1700000000000001,"sell_order_id":1700000000000002}},"channel":"live_trades_{symbol}","event":"trade"}}"#
                )
            }),
            What::Best | What::Day => {
                let (mut bids, mut asks) = (String::new(), String::new());
                for (bid, ask) in said.book(100) {
                    for (side, price, amount) in
                        [(&mut bids, bid, &said.bid_amount), (&mut asks, ask, &said.ask_amount)]
                    {
                        let comma = if side.is_empty() { "" } else { "," };
                        side.extend([comma, "[\"", &price, "\",\"", amount, "\"]"]);
                    }
                }
                format!(
                    r#"{{"data":{{"timestamp":"{seconds}","microtimestamp":"{micros}","bids":[{bids}],"asks":[{asks}]}},"channel":"order_book_{symbol}","event":"data"}}"#
                )
            }
            What::Beat => r#"{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}"#.to_owned(),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        let value: Value = serde_json::from_str(words).ok()?;
        if value["event"] == "bts:heartbeat" {
            return Some(());
        }
        let (channel, data) = (value["channel"].as_str()?, &value["data"]);
        let time = DateTime::from_timestamp_micros(whole(&data["microtimestamp"])?)?;
        heard.push(if let Some(symbol) = channel.strip_prefix("live_trades_") {
            let trade = Trade {
                id: text(&data["id"]),
                count: 1,
                price: price(&data["price_str"])?,
                amount: price(&data["amount_str"])?,
                side: if data["type"].as_u64()? == 0 { Side::Buy } else { Side::Sell },
                time,
            };
            reader.trade(symbol, trade, false)?
        } else {
            let symbol = channel.strip_prefix("order_book_")?;
            let book = top(&data["bids"][0][0], &data["asks"][0][0]);
            reader.ticker(symbol, Told { book, time: Some(time), ..Told::default() })?
        });
        Some(())
    }
}
