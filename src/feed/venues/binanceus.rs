//! Binance.US: the formats of [`Binance`], at an address and with a book of its own.
//!
//! What a message says and how it is read is told there. Only spot is traded. Source: Binance.US's public WebSocket
//! documentation, which describes the same streams.

mod rest;

use chrono::{DateTime, Utc};

use super::binance::Binance;
use crate::{
    domain::{pair::Pair, venue::Venue},
    feed::{
        event::Parsed,
        rest::Rest,
        venue::{ConnectionLimits, Endpoint, Market, ParseError, Protocol, Session},
    },
};

/// Speaks with Binance.US.
#[derive(Debug)]
pub struct BinanceUs;

impl Protocol for BinanceUs {
    fn venue(&self) -> Venue {
        Venue::new("binanceus")
    }

    fn evidence(&self) -> &'static str {
        "documentation only (the formats of Binance)"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://stream.binance.us:9443/stream")
    }

    fn symbol(&self, pair: Pair) -> String {
        Binance.symbol(pair)
    }

    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        Binance.market(symbol)
    }

    fn multiples(&self) -> &'static [(&'static str, &'static str, u32)] {
        Binance.multiples()
    }

    fn subscribe(&self, symbols: &[String], now: DateTime<Utc>) -> Vec<String> {
        Binance.subscribe(symbols, now)
    }

    fn limits(&self) -> ConnectionLimits {
        Binance.limits()
    }

    fn parse<'a>(&self, session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        Binance.parse(session, text)
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::BinanceUsRest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::trade::Side,
        feed::{event::Event, venues::expect},
    };

    const TRADE: &str = r#"{"stream":"abcusd@aggTrade","data":{"e":"aggTrade","E":1700000000100,"s":"ABCUSD","a":7,"p":"1.5000","q":"2","f":1,"l":1,"T":1700000000099,"m":true,"M":true}}"#;
    const BEST: &str =
        r#"{"stream":"abcusd@bookTicker","data":{"u":1,"s":"ABCUSD","b":"1.49","B":"3","a":"1.51","A":"2"}}"#;
    const DAY: &str = r#"{"stream":"abcusd@ticker","data":{"e":"24hrTicker","E":1700000000200,"s":"ABCUSD","c":"1.5","b":"1.49","a":"1.51","v":"1000.50","q":"1500.75"}}"#;

    fn event(text: &str) -> Event<'_> {
        let parsed = BinanceUs.parse(Box::leak(Box::default()), text).unwrap();
        parsed.events.into_iter().next().unwrap()
    }

    #[test]
    fn messages_mean_what_they_mean_at_binance() {
        let Event::Trade(trade) = event(TRADE) else { panic!("no trade") };
        assert_eq!((trade.symbol, trade.id, trade.side), ("ABCUSD", Some("7"), Side::Sell));
        assert_eq!(expect::line(&event(BEST)), "ABCUSD 1.49/1.51 last - base - quote - at 0");
        assert_eq!(
            expect::line(&event(DAY)),
            "ABCUSD 1.49/1.51 last 1.5 base 1000.5 quote 1500.75 at 1700000000200"
        );
    }

    #[test]
    fn it_is_another_venue_of_the_same_owner() {
        assert_ne!(BinanceUs.venue(), Binance.venue());
        assert_ne!(BinanceUs.endpoint(), Binance.endpoint());
        assert_eq!(BinanceUs.venue().owner(), Binance.venue().owner());
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &BinanceUs,
            &[("BTCUSD", "BTC-USD Spot"), ("USDTUSD", "USDT-USD Spot")],
            &["", "BTC", "BTC_USD", "BTCUSD_PERP"],
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&BinanceUs, &[TRADE, BEST, DAY]);
    }
}
