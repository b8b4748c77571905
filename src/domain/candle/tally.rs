//! Trades added up, in whatever order they come.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{Candle, CandleSource, Ohlc, sum::Sum};
use crate::domain::venue::Venue;

/// What tells a trade from the others of its market at its venue.
///
/// Their order is that of trades of the same time: numbers by their value, then texts, then trades without an id as they
/// came. To compare a number with a text as text, as seems natural, would put 9 before 10, 10 before `1a` and that before
/// 9 again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TradeId {
    /// An id of up to 38 digits, and how many digits were written: `07` is not `7`.
    Number(u128, usize),
    /// Any other id.
    Text(Arc<str>),
    /// The venue gives none: the how-many-eth of these it is.
    Unnamed(u64),
}

/// Where a trade stands among all trades of a pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// When it happened, by the venue's clock.
    pub time: DateTime<Utc>,
    /// Where.
    pub venue: Venue,
    /// Which it is.
    pub id: TradeId,
}

/// What at least one trade makes together. Adding is exact and cares for no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    first: (Mark, Decimal),
    last: (Mark, Decimal),
    high: Decimal,
    low: Decimal,
    base: Sum,
    quote: Sum,
    trade_count: u64,
    /// Who traded.
    venues: Vec<Venue>,
    /// How many traded of whom the names are not known.
    unnamed_venues: u32,
    source: CandleSource,
}

impl TradeId {
    /// Reads a venue's id.
    pub fn read(id: &str) -> Self {
        let digits = id.len() <= 38 && id.bytes().all(|byte| byte.is_ascii_digit());
        match id.parse() {
            Ok(number) if digits => Self::Number(number, id.len()),
            _ => Self::Text(id.into()),
        }
    }
}

impl Tally {
    /// Begins with one trade: its place, units of quote for one unit of base, and units of base.
    pub fn of(mark: Mark, price: Decimal, amount: Decimal) -> Self {
        Self {
            venues: vec![mark.venue],
            first: (mark.clone(), price),
            last: (mark, price),
            high: price,
            low: price,
            base: Sum::of(amount),
            quote: Sum::of_product(price, amount),
            trade_count: 1,
            unnamed_venues: 0,
            source: CandleSource::Trades,
        }
    }

    /// Begins with what a candle tells of its trades, as if they had happened when it opened; nothing if there were none.
    pub fn of_candle(candle: &Candle) -> Option<Self> {
        let Ohlc { open, high, low, close } = candle.prices?;
        let venue = candle.venue.unwrap_or(Venue::new(""));
        let mark = Mark { time: candle.open_time, venue, id: TradeId::Number(0, 0) };
        Some(Self {
            first: (mark.clone(), open),
            last: (mark, close),
            high,
            low,
            base: Sum::of(candle.base_volume),
            quote: Sum::of(candle.quote_volume),
            trade_count: candle.trade_count,
            venues: candle.venue.into_iter().collect(),
            unnamed_venues: candle.source_count,
            source: candle.source,
        })
    }

    /// Adds other trades.
    pub fn add(&mut self, other: &Self) {
        if other.first.0 < self.first.0 {
            self.first.clone_from(&other.first);
        }
        if other.last.0 > self.last.0 {
            self.last.clone_from(&other.last);
        }
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        self.base.add(&other.base);
        self.quote.add(&other.quote);
        self.trade_count = self.trade_count.saturating_add(other.trade_count);
        self.unnamed_venues = self.unnamed_venues.max(other.unnamed_venues);
        if other.source == CandleSource::Venue {
            self.source = CandleSource::Venue;
        }
        for venue in &other.venues {
            if !self.venues.contains(venue) {
                self.venues.push(*venue);
            }
        }
    }

    /// Gets first, highest, lowest and last price.
    pub fn prices(&self) -> Ohlc {
        Ohlc { open: self.first.1, high: self.high, low: self.low, close: self.last.1 }
    }

    /// Gets what was traded, in units of base.
    pub fn base_volume(&self) -> Decimal {
        self.base.held()
    }

    /// Gets what was traded, in units of quote.
    pub fn quote_volume(&self) -> Decimal {
        self.quote.held()
    }

    /// Gets how many trades there were.
    pub const fn trade_count(&self) -> u64 {
        self.trade_count
    }

    /// Gets how many venues traded; at least so many, if the names of some are not known.
    pub fn source_count(&self) -> u32 {
        u32::try_from(self.venues.len()).unwrap_or(u32::MAX).max(self.unnamed_venues)
    }

    /// Tells who added them up: we alone, or a venue some of them.
    pub const fn source(&self) -> CandleSource {
        self.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_order() {
        let written = ["9", "10", "010", "340282366920938463463", "1a", "9x", "a"];
        let mut ids: Vec<_> = written.iter().map(|id| TradeId::read(id)).collect();
        ids.push(TradeId::Unnamed(0));
        let longer = TradeId::read(&"9".repeat(39));
        assert!(matches!(longer, TradeId::Text(_)) && matches!(TradeId::read(""), TradeId::Text(_)));
        assert!(ids.is_sorted(), "{ids:?}");
        assert_ne!(TradeId::read("+7"), TradeId::read("7"));
    }

    #[test]
    fn trades_of_one_moment_stand_in_the_order_of_their_ids() {
        let venue = Venue::new("kraken");
        let time = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let tally = |id: &str, price: i64| {
            Tally::of(Mark { time, venue, id: TradeId::read(id) }, price.into(), Decimal::ONE)
        };
        let mut sum = tally("9", 3);
        sum.add(&tally("11", 5));
        sum.add(&tally("10", 4));
        let expected = Ohlc { open: 3.into(), high: 5.into(), low: 3.into(), close: 5.into() };
        assert_eq!((sum.prices(), sum.quote_volume(), sum.trade_count()), (expected, 12.into(), 3));
        assert_eq!(sum.source_count(), 1);
    }
}
