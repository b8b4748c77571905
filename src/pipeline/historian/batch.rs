//! Rows that are written together.

use crate::store::{candles::StoredCandle, prices::StoredPrice};

/// One row, with the time when it was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row {
    Candle(StoredCandle),
    Price(StoredPrice),
}

/// Rows that are written together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Batch {
    pub(super) candles: Vec<StoredCandle>,
    pub(super) prices: Vec<StoredPrice>,
}

impl Batch {
    /// Gets the number of rows.
    pub(super) fn len(&self) -> usize {
        self.candles.len() + self.prices.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds another after it.
    pub(super) fn append(&mut self, mut other: Self) {
        self.candles.append(&mut other.candles);
        self.prices.append(&mut other.prices);
    }

    /// Takes it apart.
    pub(super) fn into_rows(self) -> impl Iterator<Item = Row> {
        self.candles.into_iter().map(Row::Candle).chain(self.prices.into_iter().map(Row::Price))
    }
}

impl FromIterator<Row> for Batch {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        let mut batch = Self::default();
        for row in rows {
            match row {
                Row::Candle(candle) => batch.candles.push(candle),
                Row::Price(price) => batch.prices.push(price),
            }
        }
        batch
    }
}

#[cfg(test)]
pub(super) mod sample {
    //! Rows for the tests of this module.

    use std::ops::Range;

    use chrono::{DateTime, TimeDelta, Utc};
    use rust_decimal::Decimal;

    use super::*;
    use crate::domain::{
        candle::{Candle, CandleMaker, CandleState, Interval, Ohlc},
        pair::Pair,
        price::{Cursor, Origin, Price, Stamp, Status, StatusReason, Value},
        venue::Venue,
    };
    use crate::store::prices::PricePoint;

    /// When the rows are known.
    pub(in super::super) fn known() -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::microseconds(1_700_000_000_123_456)
    }

    /// Makes the rows of some candles.
    pub(in super::super) fn rows(candles: Vec<Candle>) -> Vec<StoredCandle> {
        let row = |candle| StoredCandle { candle, record_time: known() };
        candles.into_iter().map(row).collect()
    }

    /// Makes candles of minutes, counted from 1970.
    pub(in super::super) fn candles(minutes: Range<i64>) -> Vec<Candle> {
        let price = Decimal::new(6_543_210, 2);
        let candle = |minute| Candle {
            pair: Pair::literal("BTC", "USD"),
            venue: (minute % 2 == 0).then_some(Venue::new("kraken")),
            interval: Interval::Minute,
            open_time: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(minute),
            revision: 0,
            state: CandleState::Final,
            maker: CandleMaker::Service,
            prices: Some(Ohlc { open: price, high: price, low: price, close: price }),
            base_volume: Decimal::new(1, 8),
            quote_volume: price,
            trade_count: 3,
            source_count: 1,
            coverage: Decimal::ONE,
        };
        minutes.map(candle).collect()
    }

    /// Makes a price with everything that one can have.
    pub(in super::super) fn point(sequence: u64) -> StoredPrice {
        let time = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::nanoseconds(1_234_567_890_123);
        let value = Value {
            price: "0.000000000012345678".parse().unwrap_or_default(),
            bid: Some(Decimal::ONE),
            ask: None,
            dispersion_bps: Decimal::new(25, 1),
            observe_time: time,
            receive_time: time,
        };
        let price = Price {
            pair: Pair::literal("ETH", "EUR"),
            status: Status::Degraded,
            status_reason: Some(StatusReason::TooFewSources),
            value: Some(value),
            source_count: 1,
            aggregate_time: time,
            route: vec![Pair::literal("ETH", "USD"), Pair::literal("EUR", "USD")],
            origin: Origin::Live,
        };
        let stamp = Stamp { cursor: Cursor { epoch: 7, sequence }, publish_time: time };
        StoredPrice { point: PricePoint { price, stamp }, record_time: known() }
    }
}
