//! Upbit: binary frames with short names, books of fifteen levels.

use cryptoprice::{
    domain::trade::Trade,
    feed::{delivery::DeliveryKind, venue::Protocol, venues::upbit::Upbit},
};
use serde_json::Value;

use super::{
    language::{Language, Packing, Reader, Told, millis, number, price, side, text, top},
    market::{Said, What},
};

impl Language for Upbit {
    fn protocol(&self) -> &'static dyn Protocol {
        &Self
    }

    fn quote(&self) -> &'static str {
        "KRW"
    }

    fn packing(&self) -> Packing {
        Packing::Binary
    }

    fn gathers(&self) -> bool {
        false
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said { symbol, price, bid, ask, bid_amount, ask_amount, base_volume, quote_volume, .. } = said;
        let time = said.millis();
        match said.what {
            What::Trades => said.each_trade(|trade| {
                let (id, price, amount, side) =
                    (trade.id, &trade.price, &trade.amount, trade.side("BID", "ASK"));
                format!(
                    r#"{{"ty":"trade","cd":"{symbol}","tms":{time},"td":"2026-01-02","ttm":"03:04:05","ttms":{time},"tp":{price},"tv":{amount},"ab":"{side}","pcp":{bid},"c":"RISE","cp":4.0,"sid":{id},"bap":{ask},"bas":{ask_amount},"bbp":{bid},"bbs":{bid_amount},"st":"REALTIME"}}"#
                )
            }),
            What::Best => {
                let units = said.book(15).map(|(bid, ask)| {
                    format!(r#"{{"ap":{ask},"bp":{bid},"as":{ask_amount},"bs":{bid_amount}}}"#)
                });
                let units = units.collect::<Vec<_>>().join(",");
                format!(
                    r#"{{"ty":"orderbook","cd":"{symbol}","tms":{time},"tas":123.5,"tbs":234.5,"obu":[{units}],"lv":0,"st":"REALTIME"}}"#
                )
            }
            What::Day => format!(
                r#"{{"ty":"ticker","cd":"{symbol}","op":{bid},"hp":{ask},"lp":{bid},"tp":{price},"pcp":{bid},"atp":{quote_volume},"c":"RISE","cp":12.5,"scp":12.5,"cr":0.0125,"scr":0.0125,"ab":"BID","tv":0.25,"atv":{base_volume},"tdt":"20260102","ttm":"030405","ttms":{time},"aav":10.5,"abv":10.25,"h52wp":{ask},"h52wdt":"2025-06-01","l52wp":{bid},"l52wdt":"2025-02-01","ms":"ACTIVE","its":false,"dd":null,"mw":"NONE","tms":{time},"atp24h":{quote_volume},"atv24h":{base_volume},"st":"REALTIME"}}"#
            ),
            What::Beat => r#"{"status":"UP"}"#.to_owned(),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        let value: Value = serde_json::from_str(words).ok()?;
        if value["status"].is_string() {
            return Some(());
        }
        let symbol = value["cd"].as_str()?;
        heard.push(match value["ty"].as_str()? {
            "trade" => {
                let trade = Trade {
                    id: text(&value["sid"]),
                    count: 1,
                    price: price(&value["tp"])?,
                    amount: price(&value["tv"])?,
                    side: side(&value["ab"], "BID", "ASK")?,
                    time: millis(&value["ttms"])?,
                };
                reader.trade(symbol, trade, value["st"] == "SNAPSHOT")?
            }
            "orderbook" => {
                let best = &value["obu"][0];
                let (book, time) = (top(&best["bp"], &best["ap"]), millis(&value["tms"]));
                reader.ticker(symbol, Told { book, time, ..Told::default() })?
            }
            "ticker" => {
                let told = Told {
                    last: price(&value["tp"]),
                    base_volume: number(&value["atv24h"]),
                    quote_volume: number(&value["atp24h"]),
                    time: millis(&value["tms"]),
                    ..Told::default()
                };
                reader.ticker(symbol, told)?
            }
            _ => return None,
        });
        Some(())
    }
}
