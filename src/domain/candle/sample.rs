//! Candles for the tests of what is done with them.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{Candle, CandleMaker, CandleState, Interval, Ohlc, builder::Series};
use crate::domain::{pair::Pair, venue::Venue};

/// Whose they are.
pub(super) const SERIES: Series =
    Series { pair: Pair::literal("ETH", "BTC"), venue: Some(Venue::new("kraken")) };

/// The start of a week, so many seconds later.
pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_392_000 + seconds, 0).unwrap()
}

/// A candle that is final and was listened to, with open, high, low and close, and as much volume as trades.
pub(super) fn candle(interval: Interval, open: i64, prices: Option<[i64; 4]>, trade_count: u32) -> Candle {
    Candle {
        pair: SERIES.pair,
        venue: SERIES.venue,
        interval,
        open_time: at(open),
        revision: 0,
        state: CandleState::Final,
        maker: CandleMaker::Service,
        prices: prices.map(|prices| {
            let [open, high, low, close] = prices.map(Decimal::from);
            Ohlc { open, high, low, close }
        }),
        base_volume: trade_count.into(),
        quote_volume: (trade_count * 2).into(),
        trade_count: trade_count.into(),
        source_count: prices.is_some().into(),
        coverage: Decimal::ONE,
    }
}

/// A candle of which nothing is known.
pub(super) fn gap(interval: Interval, open: i64) -> Candle {
    Candle { state: CandleState::Gap, coverage: Decimal::ZERO, ..candle(interval, open, None, 0) }
}
