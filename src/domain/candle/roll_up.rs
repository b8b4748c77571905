//! Longer candles made of shorter ones.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::{Candle, CandleMaker, CandleState, Interval, Ohlc, listening::within, sum::Sum};
use crate::domain::exact::Exact;

/// Why candles make no longer one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RollUpError {
    /// There is none.
    #[error("nothing is rolled up of no candles")]
    Empty,
    /// They are of several markets or venues.
    #[error("candles of several markets or venues cannot be rolled up")]
    Mixed,
    /// They do not lie within one longer interval.
    #[error("the {interval} candle of {open_time} lies outside of the {into} candle that is made")]
    Outside {
        /// How long it is.
        interval: Interval,
        /// When it opens.
        open_time: DateTime<Utc>,
        /// What was to be made.
        into: Interval,
    },
    /// Two are of the same time.
    #[error("two candles speak of the time from {0}")]
    Overlapping(DateTime<Utc>),
}

/// What shorter candles say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// First, highest, lowest and last price; `None` where there was no trade.
    pub prices: Option<Ohlc>,
    /// What was traded, in units of base.
    pub base_volume: Decimal,
    /// What was traded, in units of quote.
    pub quote_volume: Decimal,
    /// How many trades there were.
    pub trade_count: u64,
    /// How many venues traded, at least: the most of any part, as they are not known by name.
    pub source_count: u32,
}

impl Totals {
    /// Adds up candles that stand in order of time.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a Candle>) -> Self {
        let (mut base, mut quote) = (Sum::ZERO, Sum::ZERO);
        let (mut prices, mut trade_count, mut source_count) = (None::<Ohlc>, 0_u64, 0);
        for part in parts {
            base.add(&Sum::of(part.base_volume));
            quote.add(&Sum::of(part.quote_volume));
            trade_count = trade_count.saturating_add(part.trade_count);
            source_count = part.source_count.max(source_count);
            prices = match (prices, part.prices) {
                (Some(before), Some(after)) => Some(Ohlc {
                    open: before.open,
                    high: before.high.max(after.high),
                    low: before.low.min(after.low),
                    close: after.close,
                }),
                (before, after) => before.or(after),
            };
        }
        Self { prices, base_volume: base.held(), quote_volume: quote.held(), trade_count, source_count }
    }
}

/// Makes a longer candle of shorter ones, which may be of several intervals and stand in any order.
///
/// It is what the trades themselves would make, as long as 28 digits hold the volumes; but for the count of venues, which is
/// the least that it can be. Of time that no part speaks of nothing is known: it lessens the coverage. Whoever rolls up an
/// interval that is not over passes the part that is being formed too, and so the whole is [`CandleState::Forming`].
///
/// The revision is the sum of those of the parts, so that it grows when a part is restated; with one that was, the whole is
/// [`CandleState::Restated`], whether or not it was told before.
pub fn roll_up(parts: &[Candle], into: Interval) -> Result<Candle, RollUpError> {
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by_key(|part| part.open_time);
    let first = *parts.first().ok_or(RollUpError::Empty)?;
    let open_time = into.open_time(first.open_time);
    for part in &parts {
        if (part.pair, part.venue) != (first.pair, first.venue) {
            return Err(RollUpError::Mixed);
        }
        if part.interval > into || part.close_time() > into.close_time(open_time) {
            return Err(RollUpError::Outside { interval: part.interval, open_time: part.open_time, into });
        }
    }
    for (one, next) in parts.iter().zip(parts.iter().skip(1)) {
        if one.close_time() > next.open_time {
            return Err(RollUpError::Overlapping(next.open_time));
        }
    }
    let totals = Totals::of(parts.iter().copied());
    let coverage = coverage(&parts, into);
    let all_venues = parts.iter().all(|part| part.maker == CandleMaker::Service);
    Ok(Candle {
        pair: first.pair,
        venue: first.venue,
        interval: into,
        open_time,
        revision: parts.iter().fold(0, |sum, part| part.revision.saturating_add(sum)),
        state: state(&parts, &totals, coverage),
        maker: if all_venues { CandleMaker::Service } else { CandleMaker::Venue },
        prices: totals.prices,
        base_volume: totals.base_volume,
        quote_volume: totals.quote_volume,
        trade_count: totals.trade_count,
        source_count: totals.source_count,
        coverage,
    })
}

/// Tells what can be expected of the whole.
fn state(parts: &[&Candle], totals: &Totals, coverage: Decimal) -> CandleState {
    let any = |state| parts.iter().any(|part| part.state == state);
    if any(CandleState::Forming) {
        CandleState::Forming
    } else if totals.prices.is_none() && coverage.is_zero() {
        CandleState::Gap
    } else if any(CandleState::Restated) {
        CandleState::Restated
    } else {
        CandleState::Final
    }
}

/// Gets the mean of the parts' coverage by their length, of which what is missing has none.
fn coverage(parts: &[&Candle], into: Interval) -> Decimal {
    let seconds = |span: TimeDelta| Decimal::from(span.num_seconds());
    let mut covered = Exact::of(Decimal::ZERO);
    let (mut all, mut none) = (TimeDelta::zero(), true);
    for part in parts {
        covered = covered.plus(&Exact::of(part.coverage).times(seconds(part.interval.span())));
        if part.coverage == Decimal::ONE {
            all += part.interval.span();
        }
        none &= part.coverage.is_zero();
    }
    if none {
        return Decimal::ZERO;
    }
    if all == into.span() {
        return Decimal::ONE;
    }
    let share =
        covered.divided_by(seconds(into.span())).and_then(|share| share.to_places(super::listening::PLACES));
    within(share.unwrap_or_default())
}

#[cfg(test)]
mod tests;
