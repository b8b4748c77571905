//! Units: what a venue says that trades an asset in multiples, told in the asset itself.
//!
//! One `1000SATS` is 1,000 `SATS`: its price is divided by 1,000 and its amounts are multiplied, both exactly. Only a
//! price whose digits cannot all be kept is rounded, as every derived price is.

use rust_decimal::Decimal;

use super::{
    event::{Ticker, TradeReport},
    rest::CandleReport,
    venue::{Market, ParseError, Protocol},
};
use crate::domain::{decimal, pair::Asset, quote::TopOfBook};

/// How many of an asset make one of what a venue trades, for both sides of a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale(Option<Multiples>);

/// The same where it is not one of each, as it is in nearly all markets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Multiples {
    base: Decimal,
    quote: Decimal,
}

impl Scale {
    /// Leaves everything as it is.
    pub const ONE: Self = Self(None);

    /// Finds the scale of a market, with the assets named as the venue names them.
    pub fn of<P: Protocol + ?Sized>(protocol: &P, market: Market) -> Self {
        let multiple = |asset: Asset| {
            let found = protocol.multiples().iter().find(|(native, ..)| *native == asset.as_str());
            found.map_or(Decimal::ONE, |(.., multiple)| Decimal::from(*multiple))
        };
        let (base, quote) = (multiple(market.pair.base), multiple(market.pair.quote));
        let one = base == Decimal::ONE && quote == Decimal::ONE;
        Self((!one).then_some(Multiples { base, quote }))
    }

    /// Finds the scale of a symbol.
    pub fn of_symbol<P: Protocol + ?Sized>(protocol: &P, symbol: &str) -> Result<Self, ParseError> {
        Ok(Self::of(protocol, protocol.market(symbol)?))
    }

    /// Tells a price in units of the assets themselves.
    pub fn price(self, price: Decimal) -> Result<Decimal, ParseError> {
        let Some(Multiples { base, quote }) = self.0 else {
            return Ok(price);
        };
        let bad = || ParseError::value("price", price);
        let scaled = price.checked_mul(quote).ok_or_else(bad)?;
        let quotient = scaled.checked_div(base).ok_or_else(bad)?;
        let quotient = match quotient.checked_mul(base) {
            Some(back) if back == scaled => quotient.normalize(),
            _ => decimal::round_significant(quotient),
        };
        if quotient.is_zero() && !price.is_zero() { Err(bad()) } else { Ok(quotient) }
    }

    /// Tells an amount of the base in units of the asset itself.
    pub fn base_amount(self, amount: Decimal) -> Result<Decimal, ParseError> {
        self.0.map_or(Ok(amount), |multiples| times(amount, multiples.base))
    }

    /// Tells an amount of the quote in units of the asset itself.
    pub fn quote_amount(self, amount: Decimal) -> Result<Decimal, ParseError> {
        self.0.map_or(Ok(amount), |multiples| times(amount, multiples.quote))
    }

    /// Tells a ticker in units of the assets themselves.
    pub fn ticker<'a>(self, ticker: &Ticker<'a>) -> Result<Ticker<'a>, ParseError> {
        let price = |price: Option<Decimal>| price.map(|price| self.price(price)).transpose();
        let book = ticker
            .book
            .map(|book| Ok::<_, ParseError>(TopOfBook { bid: price(book.bid)?, ask: price(book.ask)? }));
        Ok(Ticker {
            book: book.transpose()?,
            last: price(ticker.last)?,
            base_volume_24h: ticker.base_volume_24h.map(|v| self.base_amount(v)).transpose()?,
            quote_volume_24h: ticker.quote_volume_24h.map(|v| self.quote_amount(v)).transpose()?,
            ..*ticker
        })
    }

    /// Tells a trade in units of the assets themselves.
    pub fn trade<'a>(self, trade: &TradeReport<'a>) -> Result<TradeReport<'a>, ParseError> {
        Ok(TradeReport { price: self.price(trade.price)?, amount: self.base_amount(trade.amount)?, ..*trade })
    }

    /// Tells a candle in units of the assets themselves.
    pub fn candle(self, candle: CandleReport) -> Result<CandleReport, ParseError> {
        Ok(CandleReport {
            open: self.price(candle.open)?,
            high: self.price(candle.high)?,
            low: self.price(candle.low)?,
            close: self.price(candle.close)?,
            base_volume: candle.base_volume.map(|v| self.base_amount(v)).transpose()?,
            quote_volume: candle.quote_volume.map(|v| self.quote_amount(v)).transpose()?,
            ..candle
        })
    }
}

/// Multiplies without losing a digit.
fn times(amount: Decimal, multiple: Decimal) -> Result<Decimal, ParseError> {
    amount
        .checked_mul(multiple)
        .filter(|product| product.checked_div(multiple) == Some(amount))
        .map(|product| product.normalize())
        .ok_or_else(|| ParseError::value("amount", amount))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        domain::{
            pair::Pair,
            trade::Side,
            venue::{MarketKind, Venue},
        },
        feed::{
            event::Parsed,
            venue::{Endpoint, Session},
            venues::binance::Binance,
        },
    };

    /// A venue that trades three assets in multiples and writes one of them with a small letter.
    #[derive(Debug)]
    struct Invented;

    impl Protocol for Invented {
        fn venue(&self) -> Venue {
            Venue::new("invented")
        }

        fn evidence(&self) -> &'static str {
            "none"
        }

        fn endpoint(&self) -> Endpoint {
            Endpoint::Socket("wss://invented.example")
        }

        fn symbol(&self, pair: Pair) -> String {
            format!("{}-{}", self.native(pair.base), self.native(pair.quote))
        }

        fn market(&self, symbol: &str) -> Result<Market, ParseError> {
            let pair = Pair::split_at(symbol, '-').map_err(|_| ParseError::unknown_symbol(symbol))?;
            Ok(Market { pair, kind: MarketKind::Spot })
        }

        fn aliases(&self) -> &'static [(&'static str, &'static str)] {
            &[("OLD", "NEW")]
        }

        fn multiples(&self) -> &'static [(&'static str, &'static str, u32)] {
            &[("KPEPE", "PEPE", 1_000), ("1MDOGS", "DOGS", 1_000_000), ("DOZEN", "EGG", 12)]
        }

        fn subscribe(&self, _symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
            Vec::new()
        }

        fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
            Err(ParseError::unknown_channel(text))
        }
    }

    fn number(text: &str) -> Decimal {
        decimal::parse(text).unwrap()
    }

    #[test]
    fn names_of_multiples_are_names_of_the_asset() {
        for (protocol, native, canonical) in [
            (&Invented as &dyn Protocol, "kPEPE", "PEPE"),
            (&Invented, "KPEPE", "PEPE"),
            (&Invented, "1MDOGS", "DOGS"),
            (&Invented, "OLD", "NEW"),
            (&Invented, "1000PEPE", "1000PEPE"),
            (&Binance, "1000SATS", "SATS"),
            (&Binance, "1MBABYDOGE", "BABYDOGE"),
        ] {
            let native = Asset::raw(native).unwrap();
            assert_eq!(protocol.canonical(native).as_str(), canonical);
            assert_eq!(protocol.native(Asset::literal(canonical)), native);
        }
        assert_eq!(Binance.symbol(Pair::literal("SATS", "USDT")), "1000SATSUSDT");
    }

    #[test]
    fn prices_are_divided_where_amounts_are_multiplied() {
        for (symbol, price, amount, expected) in [
            ("PEPE-USD", "0.0123", "7", "0.0123 7"),
            ("kPEPE-USD", "0.0123", "7", "0.0000123 7000"),
            ("1MDOGS-USD", "1.5", "0.0000005", "0.0000015 0.5"),
            ("USD-kPEPE", "81.3", "7", "81300 7"),
            ("DOZEN-USD", "3", "2", "0.25 24"),
            ("DOZEN-USD", "1", "2", "0.08333333333333333 24"),
            ("kPEPE-USD", "1234567.890123456789012345678", "1", "1234.567890123456789012345678 1000"),
            ("kPEPE-USD", "1", "0.9999999999999999999999999999", "0.001 999.9999999999999999999999999"),
        ] {
            let scale = Scale::of_symbol(&Invented, symbol).unwrap();
            let (price, amount) = (scale.price(number(price)), scale.base_amount(number(amount)));
            let told = format!("{} {}", decimal::text(price.unwrap()), decimal::text(amount.unwrap()));
            assert_eq!(told, expected, "{symbol}");
        }
    }

    #[test]
    fn what_cannot_be_held_is_an_error() {
        let scale = Scale::of_symbol(&Invented, "1MDOGS-USD").unwrap();
        assert!(scale.price(number("0.0000000000000000000000000001")).is_err());
        assert!(scale.base_amount(number("1234567890123456789012345678")).is_err());
        assert!(Scale::of_symbol(&Invented, "DOGS").is_err());
    }

    #[test]
    fn every_number_of_a_report_is_told_in_the_asset() {
        let both = Scale::of_symbol(&Invented, "kPEPE-kPEPE").unwrap();
        let scale = Scale::of_symbol(&Invented, "kPEPE-USD").unwrap();
        let ticker = Ticker {
            symbol: "kPEPE-USD",
            book: Some(TopOfBook { bid: Some(number("1")), ask: None }),
            last: Some(number("2")),
            base_volume_24h: Some(number("3")),
            quote_volume_24h: Some(number("4")),
            time: Some(DateTime::default()),
        };
        let told = scale.ticker(&ticker).unwrap();
        let expected = Ticker {
            book: Some(TopOfBook { bid: Some(number("0.001")), ask: None }),
            last: Some(number("0.002")),
            base_volume_24h: Some(number("3000")),
            ..ticker
        };
        assert_eq!(told, expected);
        assert_eq!(both.ticker(&ticker).unwrap().quote_volume_24h, Some(number("4000")));

        let trade = TradeReport {
            symbol: "kPEPE-USD",
            id: Some("7"),
            count: 1,
            price: number("2"),
            amount: number("3"),
            side: Side::Sell,
            time: DateTime::default(),
            snapshot: true,
        };
        let told = scale.trade(&trade).unwrap();
        assert_eq!(told, TradeReport { price: number("0.002"), amount: number("3000"), ..trade });

        let candle = CandleReport {
            open_time: DateTime::default(),
            open: number("2"),
            high: number("4"),
            low: number("1"),
            close: number("3"),
            base_volume: Some(number("5")),
            quote_volume: None,
            trade_count: Some(6),
        };
        let told = scale.candle(candle).unwrap();
        let expected = CandleReport {
            open: number("0.002"),
            high: number("0.004"),
            low: number("0.001"),
            close: number("0.003"),
            base_volume: Some(number("5000")),
            ..candle
        };
        assert_eq!(told, expected);
        assert_eq!(Scale::ONE.candle(candle), Ok(candle));
    }

    proptest! {
        #[test]
        fn what_a_market_is_worth_does_not_change(mantissa in 1_i64..1_000_000_000, scale in 0_u32..12, amount in 1_i64..1_000_000) {
            let (price, amount) = (Decimal::new(mantissa, scale), Decimal::new(amount, 3));
            for symbol in ["kPEPE-USD", "1MDOGS-USD", "PEPE-USD"] {
                let units = Scale::of_symbol(&Invented, symbol).unwrap();
                let told = units.price(price).unwrap() * units.base_amount(amount).unwrap();
                prop_assert_eq!(told, price * amount);
            }
        }
    }
}
