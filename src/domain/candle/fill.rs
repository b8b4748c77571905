//! What to show for intervals in which nothing was traded, or of which nothing is known.

use std::{iter::Peekable, ops::Range};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{Candle, CandleMaker, CandleState, Interval, Ohlc, builder::Series};

/// What to show for intervals without trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fill {
    /// The last price before it as open, high, low and close, with no volume.
    Previous,
    /// A candle without prices.
    Null,
}

/// A candle to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What is said of the interval.
    pub candle: Candle,
    /// Whether some of that was filled in: the prices, or all of it.
    pub filled: bool,
}

/// Shows the intervals that open in a half-open range, one after the other, filled as asked for.
///
/// The candles are of one series and interval and stand in order of time; others are skipped. An interval that was listened
/// to in vain and one of which nothing is known are both filled, and the state tells them apart: it is never changed, and
/// [`CandleState::Gap`] where there was no candle at all. `previous` is the last price before the range; without one,
/// [`Fill::Previous`] has no prices to show before the first trade.
pub fn fill<'a, C>(
    candles: C,
    (series, interval): (Series, Interval),
    range: Range<DateTime<Utc>>,
    fill: Fill,
    previous: Option<Decimal>,
) -> impl Iterator<Item = Row>
where
    C: IntoIterator<Item = &'a Candle>,
{
    let open = interval.open_time(range.start);
    let at = if open < range.start { interval.close_time(open) } else { open };
    Rows { candles: candles.into_iter().peekable(), series, interval, at, to: range.end, fill, previous }
}

/// The rows of a range, made as they are asked for.
struct Rows<I: Iterator> {
    candles: Peekable<I>,
    series: Series,
    interval: Interval,
    at: DateTime<Utc>,
    to: DateTime<Utc>,
    fill: Fill,
    previous: Option<Decimal>,
}

impl<'a, I: Iterator<Item = &'a Candle>> Iterator for Rows<I> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        if self.at >= self.to {
            return None;
        }
        let at = self.at;
        self.at = self.interval.close_time(at);
        let row = self.row(at);
        if let Some(prices) = row.candle.prices {
            self.previous = Some(prices.close);
        }
        Some(row)
    }
}

impl<'a, I: Iterator<Item = &'a Candle>> Rows<I> {
    fn row(&mut self, at: DateTime<Utc>) -> Row {
        let candle = self.candle(at);
        let filled = candle.is_none();
        let mut candle = candle.unwrap_or_else(|| self.unknown(at));
        match self.previous {
            Some(price) if candle.prices.is_none() && self.fill == Fill::Previous => {
                candle.prices = Some(Ohlc { open: price, high: price, low: price, close: price });
                Row { candle, filled: true }
            }
            _ => Row { candle, filled },
        }
    }

    /// Finds the candle that opens at a moment.
    fn candle(&mut self, at: DateTime<Utc>) -> Option<Candle> {
        let (series, interval) = (self.series, self.interval);
        let ours = |candle: &Candle| {
            (candle.pair, candle.venue, candle.interval) == (series.pair, series.venue, interval)
        };
        while self.candles.next_if(|candle| candle.open_time < at || !ours(candle)).is_some() {}
        self.candles.next_if(|candle| candle.open_time == at).cloned()
    }

    fn unknown(&self, open_time: DateTime<Utc>) -> Candle {
        Candle {
            pair: self.series.pair,
            venue: self.series.venue,
            interval: self.interval,
            open_time,
            revision: 0,
            state: CandleState::Gap,
            maker: CandleMaker::Service,
            prices: None,
            base_volume: Decimal::ZERO,
            quote_volume: Decimal::ZERO,
            trade_count: 0,
            source_count: 0,
            coverage: Decimal::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
