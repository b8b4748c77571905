//! Coinbase: the Advanced Trade feed.

use cryptoprice::{
    domain::trade::Trade,
    feed::{delivery::DeliveryKind, venue::Protocol, venues::coinbase::Coinbase},
};
use serde_json::Value;

use super::{
    language::{Language, Reader, Told, date, number, price, side, text, top},
    market::{Said, What},
};

impl Language for Coinbase {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn quote(&self) -> &'static str {
        "USD"
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said { symbol, price, bid, ask, bid_amount, ask_amount, base_volume, update, .. } = said;
        let time = said.date();
        match said.what {
            What::Trades => {
                let trades = said.each_trade(|trade| {
                    // The maker's side.
                    let (id, price, amount, side) =
                        (trade.id, &trade.price, &trade.amount, trade.side("SELL", "BUY"));
                    format!(
                        r#"{{"product_id":"{symbol}","trade_id":"{id}","price":"{price}","size":"{amount}","time":"{time}","side":"{side}"}}"#
                    )
                });
                format!(
                    r#"{{"channel":"market_trades","client_id":"","timestamp":"{time}","sequence_num":{update},"events":[{{"type":"update","trades":[{trades}]}}]}}"#
                )
            }
            What::Best | What::Day => format!(
                r#"{{"channel":"ticker","client_id":"","timestamp":"{time}","sequence_num":{update},"events":[{{"type":"update","tickers":[{{"type":"ticker","product_id":"{symbol}","price":"{price}","volume_24_h":"{base_volume}","low_24_h":"{bid}","high_24_h":"{ask}","low_52_w":"{bid}","high_52_w":"{ask}","price_percent_chg_24_h":"1.25","best_bid":"{bid}","best_ask":"{ask}","best_bid_quantity":"{bid_amount}","best_ask_quantity":"{ask_amount}"}}]}}]}}"#
            ),
            What::Beat => format!(
                r#"{{"channel":"heartbeats","client_id":"","timestamp":"{time}","sequence_num":{update},"events":[{{"current_time":"2026-01-02 03:04:05.1 +0000 UTC m=+41.2","heartbeat_counter":{update}}}]}}"#
            ),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        let value: Value = serde_json::from_str(words).ok()?;
        match value["channel"].as_str()? {
            "market_trades" => {
                for event in value["events"].as_array()? {
                    let past = event["type"].as_str()? == "snapshot";
                    for data in event["trades"].as_array()? {
                        let trade = Trade {
                            id: text(&data["trade_id"]),
                            count: 1,
                            price: price(&data["price"])?,
                            amount: price(&data["size"])?,
                            side: side(&data["side"], "SELL", "BUY")?,
                            time: date(&data["time"])?,
                        };
                        heard.push(reader.trade(data["product_id"].as_str()?, trade, past)?);
                    }
                }
            }
            "ticker" => {
                let time = date(&value["timestamp"]);
                for event in value["events"].as_array()? {
                    for data in event["tickers"].as_array()? {
                        let told = Told {
                            book: top(&data["best_bid"], &data["best_ask"]),
                            last: price(&data["price"]),
                            base_volume: number(&data["volume_24_h"]),
                            time,
                            ..Told::default()
                        };
                        heard.push(reader.ticker(data["product_id"].as_str()?, told)?);
                    }
                }
            }
            "heartbeats" => heard.push(DeliveryKind::Confirm(None)),
            _ => return None,
        }
        Some(())
    }
}
