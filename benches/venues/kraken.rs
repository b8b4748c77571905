//! Kraken: API v2.

use cryptoprice::{
    domain::trade::Trade,
    feed::{delivery::DeliveryKind, venue::Protocol, venues::kraken::Kraken},
};
use serde_json::Value;

use super::{
    language::{Language, Reader, Told, date, number, price, side, text, top},
    market::{Said, What},
};

impl Language for Kraken {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn quote(&self) -> &'static str {
        "USD"
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said { symbol, price, bid, ask, bid_amount, ask_amount, base_volume, .. } = said;
        let time = said.date();
        match said.what {
            What::Trades => {
                let trades = said.each_trade(|trade| {
                    let (id, price, amount, side) =
                        (trade.id, &trade.price, &trade.amount, trade.side("buy", "sell"));
                    format!(
                        r#"{{"symbol":"{symbol}","side":"{side}","price":{price},"qty":{amount},"ord_type":"limit","trade_id":{id},"timestamp":"{time}"}}"#
                    )
                });
                format!(r#"{{"channel":"trade","type":"update","data":[{trades}]}}"#)
            }
            What::Best | What::Day => format!(
                r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"{symbol}","bid":{bid},"bid_qty":{bid_amount},"ask":{ask},"ask_qty":{ask_amount},"last":{price},"volume":{base_volume},"vwap":{price},"low":{bid},"high":{ask},"change":12.5,"change_pct":1.25,"timestamp":"{time}"}}]}}"#
            ),
            What::Beat => r#"{"channel":"heartbeat"}"#.to_owned(),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        let value: Value = serde_json::from_str(words).ok()?;
        match value["channel"].as_str()? {
            "trade" => {
                let past = value["type"].as_str()? == "snapshot";
                for data in value["data"].as_array()? {
                    let trade = Trade {
                        id: text(&data["trade_id"]),
                        count: 1,
                        price: price(&data["price"])?,
                        amount: price(&data["qty"])?,
                        side: side(&data["side"], "buy", "sell")?,
                        time: date(&data["timestamp"])?,
                    };
                    heard.push(reader.trade(data["symbol"].as_str()?, trade, past)?);
                }
            }
            "ticker" => {
                for data in value["data"].as_array()? {
                    let told = Told {
                        book: top(&data["bid"], &data["ask"]),
                        last: price(&data["last"]),
                        base_volume: number(&data["volume"]),
                        time: date(&data["timestamp"]),
                        ..Told::default()
                    };
                    heard.push(reader.ticker(data["symbol"].as_str()?, told)?);
                }
            }
            "heartbeat" => heard.push(DeliveryKind::Confirm(None)),
            _ => return None,
        }
        Some(())
    }
}
