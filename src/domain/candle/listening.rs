//! When a market was listened to, and what share of an interval that is.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use crate::domain::exact::Exact;

/// Decimal places of a share.
pub(super) const PLACES: u32 = 6;

/// The spans in which one market of one venue was listened to, of which the old ones are forgotten.
#[derive(Debug, Default)]
pub struct Listening {
    spans: VecDeque<Span>,
    /// How long the spans are together, forgotten ones included.
    total: TimeDelta,
    /// When the span began that goes on.
    since: Option<DateTime<Utc>>,
}

/// A half-open span that is over.
#[derive(Debug)]
struct Span {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// How long the spans before it are together.
    before: TimeDelta,
}

impl Listening {
    /// Notes that the market is listened to from now on.
    pub fn start(&mut self, time: DateTime<Utc>) {
        let over = self.spans.back().map_or(time, |span| span.to);
        self.since.get_or_insert(time.max(over));
    }

    /// Notes until when it was listened to, which may be noticed late. Gives the moment from which on it was not, if
    /// that is news.
    pub fn end(&mut self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let from = self.since.take()?;
        let to = time.max(from);
        if to > from {
            self.spans.push_back(Span { from, to, before: self.total });
            self.total += to - from;
        }
        Some(to)
    }

    /// Tells whether a moment was listened to.
    pub fn covers(&self, time: DateTime<Utc>) -> bool {
        self.since.is_some_and(|since| since <= time)
            || self.spans.iter().rev().any(|span| span.from <= time && time < span.to)
    }

    /// Gets how long it was listened to before a moment. What is not over is taken to go on.
    pub fn before(&self, time: DateTime<Utc>) -> TimeDelta {
        if let Some(since) = self.since.filter(|since| *since <= time) {
            return self.total + (time - since);
        }
        let next = self.spans.partition_point(|span| span.from <= time);
        match next.checked_sub(1).and_then(|last| self.spans.get(last)) {
            Some(span) => span.before + (time.min(span.to) - span.from),
            None => self.spans.front().map_or(self.total, |span| span.before),
        }
    }

    /// Forgets the spans that were over before a moment: what is asked for later must not lie before it.
    pub fn forget(&mut self, time: DateTime<Utc>) {
        while self.spans.front().is_some_and(|span| span.to <= time) {
            self.spans.pop_front();
        }
    }
}

/// All whose trades are expected in a candle: one venue, or all of a pair.
#[derive(Debug, Clone, Copy)]
pub struct Audience<'a>(pub &'a [Listening]);

impl Audience<'_> {
    /// Gets how long they listened before a moment, added up.
    pub fn before(self, time: DateTime<Utc>) -> TimeDelta {
        self.0.iter().map(|listening| listening.before(time)).sum()
    }

    /// Gets how long they would listen in a span if all did, added up.
    pub fn all(self, span: TimeDelta) -> TimeDelta {
        span * i32::try_from(self.0.len()).unwrap_or(i32::MAX)
    }
}

/// Gets a share to six places: 1 only for all of it, and 0 only for nothing.
pub(super) fn share(part: TimeDelta, whole: TimeDelta) -> Decimal {
    if part <= TimeDelta::zero() {
        return Decimal::ZERO;
    }
    if part >= whole {
        return Decimal::ONE;
    }
    let nanos =
        |span: TimeDelta| Decimal::from(span.num_seconds()) + Decimal::new(i64::from(span.subsec_nanos()), 9);
    within(
        Exact::of(nanos(part))
            .divided_by(nanos(whole))
            .and_then(|share| share.to_places(PLACES))
            .unwrap_or_default(),
    )
}

/// Gets so long a part of a span as a share of it says.
pub(super) fn part(share: Decimal, whole: TimeDelta) -> TimeDelta {
    if share >= Decimal::ONE {
        return whole;
    }
    let nanos = Decimal::from(whole.num_seconds()).checked_mul(share * Decimal::from(1_000_000_000));
    let nanos = nanos.and_then(|nanos| i64::try_from(nanos.trunc()).ok());
    TimeDelta::nanoseconds(nanos.unwrap_or_default().max(0))
}

/// Brings what is a true part, but was rounded to all or nothing, back between the two.
pub(super) fn within(share: Decimal) -> Decimal {
    let least = Decimal::new(1, PLACES);
    share.clamp(least, Decimal::ONE - least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + millis).unwrap()
    }

    fn millis(millis: i64) -> TimeDelta {
        TimeDelta::milliseconds(millis)
    }

    #[test]
    fn spans_add_up() {
        let mut listening = Listening::default();
        assert_eq!(listening.before(at(5)), millis(0));
        listening.start(at(10));
        listening.start(at(15));
        assert_eq!(listening.end(at(20)), Some(at(20)));
        assert_eq!(listening.end(at(30)), None);
        listening.start(at(40));
        for (time, expected) in [(5, 0), (10, 0), (14, 4), (20, 10), (35, 10), (40, 10), (50, 20)] {
            assert_eq!(listening.before(at(time)), millis(expected), "{time}");
        }
        for (time, covered) in [(9, false), (10, true), (19, true), (20, false), (39, false), (40, true)] {
            assert_eq!(listening.covers(at(time)), covered, "{time}");
        }
        listening.forget(at(30));
        assert_eq!(listening.before(at(45)), millis(15));
    }

    #[test]
    fn an_end_that_is_noticed_late_takes_back_what_was_counted() {
        let mut listening = Listening::default();
        listening.start(at(10));
        assert_eq!(listening.before(at(50)), millis(40));
        assert_eq!(listening.end(at(30)), Some(at(30)));
        assert_eq!(listening.before(at(50)), millis(20));
        // Nothing was heard since it began.
        listening.start(at(60));
        assert_eq!(listening.end(at(30)), Some(at(60)));
        assert_eq!(listening.before(at(80)), millis(20));
        // What begins again does so after what was listened to already.
        listening.start(at(20));
        assert_eq!(listening.before(at(31)), millis(21));
    }

    #[test]
    fn a_share_is_all_or_nothing_only_where_it_is() {
        let second = TimeDelta::seconds(1);
        for (part, whole, expected) in [
            (TimeDelta::zero(), second, "0"),
            (-second, second, "0"),
            (second, second, "1"),
            (second * 2, second, "1"),
            (second, second * 3, "0.333333"),
            (TimeDelta::nanoseconds(1), second, "0.000001"),
            (second - TimeDelta::nanoseconds(1), second, "0.999999"),
        ] {
            assert_eq!(share(part, whole).to_string(), expected, "{part} of {whole}");
        }
        for (share, expected) in
            [("0", 0), ("0.333333", 19_999_980), ("1", 60_000_000), ("2", 60_000_000), ("-1", 0)]
        {
            assert_eq!(
                part(share.parse().unwrap(), second * 60),
                TimeDelta::microseconds(expected),
                "{share}"
            );
        }
    }
}
