//! Gate: version 4.

use chrono::DateTime;
use cryptoprice::{
    domain::trade::Trade,
    feed::{delivery::DeliveryKind, venue::Protocol, venues::gate::Gate},
};
use rust_decimal::{Decimal, prelude::ToPrimitive as _};
use serde_json::Value;

use super::{
    language::{Language, Reader, Told, millis, number, price, side, text, top},
    market::{Said, What},
};

impl Language for Gate {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn gathers(&self) -> bool {
        false
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said {
            symbol, price, bid, ask, bid_amount, ask_amount, base_volume, quote_volume, update, ..
        } = said;
        let (millis, micros) = (said.millis(), said.micros());
        let seconds = millis / 1_000;
        let head = |channel: &str| {
            format!(r#"{{"time":{seconds},"time_ms":{millis},"channel":"spot.{channel}","event":"update""#)
        };
        match said.what {
            What::Trades => said.each_trade(|trade| {
                let (id, price, amount, side) =
                    (trade.id, &trade.price, &trade.amount, trade.side("buy", "sell"));
                let time = format!("{}.{:03}", micros / 1_000, micros % 1_000);
                format!(
                    r#"{},"result":{{"id":{id},"create_time":{seconds},"create_time_ms":"{time}","side":"{side}","currency_pair":"{symbol}","amount":"{amount}","price":"{price}","range":"{id}-{id}"}}}}"#,
                    head("trades")
                )
            }),
            What::Best => format!(
                r#"{},"result":{{"t":{millis},"u":{update},"s":"{symbol}","b":"{bid}","B":"{bid_amount}","a":"{ask}","A":"{ask_amount}"}}}}"#,
                head("book_ticker")
            ),
            What::Day => format!(
                r#"{},"result":{{"currency_pair":"{symbol}","last":"{price}","lowest_ask":"{ask}","highest_bid":"{bid}","change_percentage":"1.25","base_volume":"{base_volume}","quote_volume":"{quote_volume}","high_24h":"{ask}","low_24h":"{bid}"}}}}"#,
                head("tickers")
            ),
            What::Beat => format!(
                r#"{{"time":{seconds},"time_ms":{millis},"channel":"spot.pong","event":"","result":null}}"#
            ),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        let value: Value = serde_json::from_str(words).ok()?;
        let data = &value["result"];
        heard.push(match value["channel"].as_str()? {
            "spot.trades" => {
                let nanos = number(&data["create_time_ms"])?.checked_mul(Decimal::from(1_000_000))?;
                let trade = Trade {
                    id: text(&data["id"]),
                    count: 1,
                    price: price(&data["price"])?,
                    amount: price(&data["amount"])?,
                    side: side(&data["side"], "buy", "sell")?,
                    time: DateTime::from_timestamp_nanos(nanos.to_i64()?),
                };
                reader.trade(data["currency_pair"].as_str()?, trade, false)?
            }
            "spot.book_ticker" => {
                let (book, time) = (top(&data["b"], &data["a"]), millis(&data["t"]));
                reader.ticker(data["s"].as_str()?, Told { book, time, ..Told::default() })?
            }
            "spot.tickers" => {
                let told = Told {
                    book: top(&data["highest_bid"], &data["lowest_ask"]),
                    last: price(&data["last"]),
                    base_volume: number(&data["base_volume"]),
                    quote_volume: number(&data["quote_volume"]),
                    time: millis(&value["time_ms"]),
                };
                reader.ticker(data["currency_pair"].as_str()?, told)?
            }
            "spot.pong" => return Some(()),
            _ => return None,
        });
        Some(())
    }
}
