//! What is missing in a row of candles.

use std::{collections::BTreeMap, ops::Range};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{Candle, CandleState, Interval};

/// Gets the half-open spans of a range, from opening to closing times, of which candles are missing, say that nothing is
/// known, or were listened to for less than a share of their time.
///
/// The candles are those of one market and venue, in any order; those of other intervals are not looked at. The range is
/// widened to whole intervals.
pub fn gaps(
    candles: &[Candle],
    interval: Interval,
    range: Range<DateTime<Utc>>,
    least: Decimal,
) -> Vec<Range<DateTime<Utc>>> {
    let known = |candle: &&Candle| {
        candle.interval == interval && candle.state != CandleState::Gap && candle.coverage >= least
    };
    let known: BTreeMap<_, _> =
        candles.iter().filter(known).map(|candle| (candle.open_time, candle.close_time())).collect();
    let Range { start: from, end: to } = interval.widened(&range);
    let mut gaps = Vec::new();
    let mut at = from;
    if from < to {
        for (open, close) in known.range(from..to) {
            if at < *open {
                gaps.push(at..*open);
            }
            at = *close;
        }
    }
    if at < to {
        gaps.push(at..to);
    }
    gaps
}

/// Joins spans in the order of time that touch.
pub fn joined(spans: impl IntoIterator<Item = Range<DateTime<Utc>>>) -> Vec<Range<DateTime<Utc>>> {
    let mut all: Vec<Range<DateTime<Utc>>> = Vec::new();
    for span in spans {
        match all.last_mut() {
            Some(last) if last.end >= span.start => last.end = last.end.max(span.end),
            _ => all.push(span),
        }
    }
    all
}

#[cfg(test)]
mod tests;
