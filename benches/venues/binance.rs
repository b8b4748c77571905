//! Binance and Binance.US: combined streams.

use cryptoprice::{
    domain::trade::{Side, Trade},
    feed::{
        delivery::DeliveryKind,
        venue::Protocol,
        venues::{binance::Binance, binanceus::BinanceUs},
    },
};
use serde_json::Value;

use super::{
    language::{Language, Reader, Told, millis, number, price, text, top},
    market::{Said, What},
};

impl Language for Binance {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn gathers(&self) -> bool {
        false
    }

    fn write(&self, said: &Said<'_>) -> String {
        write(said)
    }

    fn read(&self, reader: &mut Reader, text: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        read(reader, text, heard)
    }
}

impl Language for BinanceUs {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn gathers(&self) -> bool {
        false
    }

    fn write(&self, said: &Said<'_>) -> String {
        write(said)
    }

    fn read(&self, reader: &mut Reader, text: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        read(reader, text, heard)
    }
}

fn write(said: &Said<'_>) -> String {
    let Said { symbol, price, bid, ask, bid_amount, ask_amount, base_volume, quote_volume, .. } = said;
    let (stream, time) = (symbol.to_lowercase(), said.millis());
    match said.what {
        What::Trades => said.each_trade(|trade| {
            let (id, price, amount, maker) = (trade.id, &trade.price, &trade.amount, trade.sold);
            format!(
                r#"{{"stream":"{stream}@aggTrade","data":{{"e":"aggTrade","E":{time},"s":"{symbol}","a":{id},"p":"{price}00","q":"{amount}00","f":{id},"l":{id},"T":{time},"m":{maker},"M":true}}}}"#
            )
        }),
        What::Best => format!(
            r#"{{"stream":"{stream}@bookTicker","data":{{"u":{},"s":"{symbol}","b":"{bid}00","B":"{bid_amount}","a":"{ask}00","A":"{ask_amount}"}}}}"#,
            said.update
        ),
        What::Day | What::Beat => format!(
            r#"{{"stream":"{stream}@ticker","data":{{"e":"24hrTicker","E":{time},"s":"{symbol}","p":"12.50","P":"1.250","w":"{price}","x":"{bid}","c":"{price}00","Q":"0.0125","b":"{bid}00","B":"{bid_amount}","a":"{ask}00","A":"{ask_amount}","o":"{bid}","h":"{ask}","l":"{bid}","v":"{base_volume}","q":"{quote_volume}","O":1700000000000,"C":1700086400000,"F":1,"L":900000,"n":900000}}}}"#
        ),
    }
}

fn read(reader: &Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
    let value: Value = serde_json::from_str(words).ok()?;
    let (_, channel) = value["stream"].as_str()?.split_once('@')?;
    let data = &value["data"];
    let symbol = data["s"].as_str()?;
    heard.push(match channel {
        "aggTrade" => {
            let trade = Trade {
                id: text(&data["a"]),
                count: 1,
                price: price(&data["p"])?,
                amount: price(&data["q"])?,
                side: if data["m"].as_bool()? { Side::Sell } else { Side::Buy },
                time: millis(&data["T"])?,
            };
            reader.trade(symbol, trade, false)?
        }
        "bookTicker" => {
            let book = top(&data["b"], &data["a"]);
            reader.ticker(symbol, Told { book, ..Told::default() })?
        }
        "ticker" => {
            let told = Told {
                book: top(&data["b"], &data["a"]),
                last: price(&data["c"]),
                base_volume: number(&data["v"]),
                quote_volume: number(&data["q"]),
                time: millis(&data["E"]),
            };
            reader.ticker(symbol, told)?
        }
        _ => return None,
    });
    Some(())
}
