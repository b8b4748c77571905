//! Candles for the tests of what is done with them.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use crate::domain::{
    candle::{Candle, CandleMaker, CandleState, Interval},
    pair::Pair,
    venue::Venue,
};

/// A candle of a second of which nothing was traded, so many seconds after 1970.
pub(in crate::pipeline) fn candle(second: i64, state: CandleState) -> Candle {
    Candle {
        pair: Pair::literal("BTC", "USD"),
        venue: Some(Venue::new("kraken")),
        interval: Interval::Second,
        open_time: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(second),
        revision: 0,
        state,
        maker: CandleMaker::Service,
        prices: None,
        base_volume: Decimal::ZERO,
        quote_volume: Decimal::ZERO,
        trade_count: 0,
        source_count: 0,
        coverage: Decimal::ONE,
    }
}
