//! Gemini: market data v2, whose book comes once and then in changes.

use cryptoprice::{
    domain::trade::{Side, Trade},
    feed::{delivery::DeliveryKind, venue::Protocol, venues::gemini::Gemini},
};
use serde_json::Value;

use super::{
    language::{Language, Reader, Told, millis, number, price, side, text},
    market::{Said, What},
};

impl Language for Gemini {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn quote(&self) -> &'static str {
        "USD"
    }

    fn gathers(&self) -> bool {
        false
    }

    fn greet(&self, said: &Said<'_>) -> Vec<String> {
        let Said { symbol, bid, ask, bid_amount, ask_amount, .. } = said;
        vec![format!(
            r#"{{"type":"l2_updates","symbol":"{symbol}","changes":[["buy","{bid}","{bid_amount}"],["sell","{ask}","{ask_amount}"]],"trades":[],"auction_events":[]}}"#
        )]
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said { symbol, bid, ask, old_bid, old_ask, bid_amount, ask_amount, .. } = said;
        let time = said.millis();
        match said.what {
            What::Trades => said.each_trade(|trade| {
                let (id, price, amount, side) =
                    (trade.id, &trade.price, &trade.amount, trade.side("buy", "sell"));
                format!(
                    r#"{{"type":"trade","symbol":"{symbol}","event_id":{id},"timestamp":{time},"price":"{price}","quantity":"{amount}","side":"{side}","tid":{id}}}"#
                )
            }),
            What::Best | What::Day => {
                let gone = [("buy", old_bid, bid), ("sell", old_ask, ask)]
                    .into_iter()
                    .filter(|(_, old, new)| old != new)
                    .map(|(side, old, _)| format!(r#"["{side}","{old}","0"],"#));
                let gone: String = gone.collect();
                format!(
                    r#"{{"type":"l2_updates","symbol":"{symbol}","changes":[{gone}["buy","{bid}","{bid_amount}"],["sell","{ask}","{ask_amount}"]]}}"#
                )
            }
            What::Beat => format!(r#"{{"type":"heartbeat","timestamp":{time}}}"#),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        let value: Value = serde_json::from_str(words).ok()?;
        let symbol = value["symbol"].as_str();
        heard.push(match value["type"].as_str()? {
            "l2_updates" => {
                let mut changes = Vec::new();
                for level in value["changes"].as_array()? {
                    let side = side(&level[0], "buy", "sell")?;
                    changes.push((side, price(&level[1])?, number(&level[2])?));
                }
                let anew = reader.begins(symbol?) || value["trades"].is_array();
                let book = Some(reader.book(symbol?, anew, changes));
                reader.ticker(symbol?, Told { book, ..Told::default() })?
            }
            "trade" => {
                let trade = Trade {
                    id: text(&value["tid"]),
                    count: 1,
                    price: price(&value["price"])?,
                    amount: price(&value["quantity"])?,
                    side: if value["side"] == "buy" { Side::Buy } else { Side::Sell },
                    time: millis(&value["timestamp"])?,
                };
                reader.trade(symbol?, trade, false)?
            }
            "heartbeat" => return Some(()),
            _ => return None,
        });
        Some(())
    }
}
