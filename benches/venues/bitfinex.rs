//! Bitfinex: API v2. The subscriptions of a market are numbered by its place: even for trades, odd for the ticker.

use cryptoprice::{
    domain::trade::{Side, Trade},
    feed::{delivery::DeliveryKind, venue::Protocol, venues::bitfinex::Bitfinex},
};
use serde_json::Value;

use super::{
    language::{Language, Reader, Told, millis, number, price, text, top},
    market::{Said, What},
};

impl Language for Bitfinex {
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
        let symbol = said.symbol;
        ["trades", "ticker"]
            .into_iter()
            .enumerate()
            .map(|(at, channel)| {
                let number = 2 * said.place + at;
                format!(
                    r#"{{"event":"subscribed","channel":"{channel}","chanId":{number},"symbol":"{symbol}","pair":"{}"}}"#,
                    symbol.trim_start_matches('t')
                )
            })
            .collect()
    }

    fn write(&self, said: &Said<'_>) -> String {
        let Said { price, bid, ask, bid_amount, ask_amount, base_volume, .. } = said;
        let (trades, ticker) = (2 * said.place, 2 * said.place + 1);
        match said.what {
            What::Trades => said.each_trade(|trade| {
                let (id, time) = (trade.id, said.millis());
                let (sign, amount, price) = (trade.side("", "-"), &trade.amount, &trade.price);
                format!(r#"[{trades},"te",[{id},{time},{sign}{amount},{price}]]"#)
            }),
            What::Best | What::Day => format!(
                r"[{ticker},[{bid},{bid_amount},{ask},{ask_amount},12.5,0.0125,{price},{base_volume},{ask},{bid}]]"
            ),
            What::Beat => format!(r#"[{ticker},"hb"]"#),
        }
    }

    fn read(&self, reader: &mut Reader, words: &str, heard: &mut Vec<DeliveryKind>) -> Option<()> {
        let value: Value = serde_json::from_str(words).ok()?;
        if value["event"] == "subscribed" {
            let name = |field: &str| Some(value[field].as_str()?.to_owned());
            reader.channels.insert(value["chanId"].as_u64()?, (name("channel")?, name("symbol")?));
            heard.push(DeliveryKind::Subscribed);
            return Some(());
        }
        let (channel, symbol) = reader.channels.get(&value[0].as_u64()?)?;
        match (channel.as_str(), value[1].as_str()) {
            ("ticker", Some("hb")) => heard.push(DeliveryKind::Confirm(reader.pair(symbol))),
            ("trades", Some("te")) => {
                let row = &value[2];
                let amount = number(&row[2])?;
                let trade = Trade {
                    id: text(&row[0]),
                    count: 1,
                    price: price(&row[3])?,
                    amount: amount.abs(),
                    side: if amount.is_sign_negative() { Side::Sell } else { Side::Buy },
                    time: millis(&row[1])?,
                };
                heard.push(reader.trade(symbol, trade, false)?);
            }
            ("ticker", None) => {
                let row = &value[1];
                let told = Told {
                    book: top(&row[0], &row[2]),
                    last: price(&row[6]),
                    base_volume: number(&row[7]),
                    ..Told::default()
                };
                heard.push(reader.ticker(symbol, told)?);
            }
            _ => return None,
        }
        Some(())
    }
}
