//! Trades added up, in whatever order they come.

mod packed;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use smallvec::{SmallVec, smallvec};

use super::{Candle, CandleMaker, Ohlc, sum::Sum, trade_id::TradeId};
use crate::domain::venue::Venue;
pub(super) use packed::{pack, unpack};

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
    /// Who traded. Of most it is one.
    venues: SmallVec<[Venue; 1]>,
    /// How many traded of whom the names are not known.
    unnamed_venues: u32,
    maker: CandleMaker,
}

impl Tally {
    /// Begins with one trade: its place, units of quote for one unit of base, and units of base.
    pub fn of(mark: Mark, price: Decimal, amount: Decimal) -> Self {
        Self {
            venues: smallvec![mark.venue],
            first: (mark.clone(), price),
            last: (mark, price),
            high: price,
            low: price,
            base: Sum::of(amount),
            quote: Sum::of_product(price, amount),
            trade_count: 1,
            unnamed_venues: 0,
            maker: CandleMaker::Service,
        }
    }

    /// Takes it for so many trades that were told as one.
    #[must_use]
    pub fn counted(self, count: u32) -> Self {
        Self { trade_count: count.max(1).into(), ..self }
    }

    /// Begins with what a candle tells of its trades, as if they had happened when it opened; nothing if there were none.
    pub fn of_candle(candle: &Candle) -> Option<Self> {
        let Ohlc { open, high, low, close } = candle.prices?;
        let venue = candle.venue.unwrap_or(Venue::new(""));
        let mark = Mark { time: candle.open_time, venue, id: TradeId::Number([0; 16], 0) };
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
            maker: candle.maker,
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
        if other.maker == CandleMaker::Venue {
            self.maker = CandleMaker::Venue;
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
    pub const fn maker(&self) -> CandleMaker {
        self.maker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
