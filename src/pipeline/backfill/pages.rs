//! What is still to be asked of a venue, a page at a time. Pure.

use std::{collections::VecDeque, ops::Range};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{domain::candle::Interval, feed::rest::CandleReport};

/// A half-open span of time, from opening to closing times.
pub(super) type Span = Range<DateTime<Utc>>;

/// The candles of a series that are missing, from the oldest, and how many an answer can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pages {
    missing: VecDeque<Span>,
    interval: Interval,
    max: i32,
}

/// What is asked for at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// From the first missing candle to the last one that fits.
    pub(super) wanted: Span,
    /// One candle more on either side: between rows of one answer, what is left out was not traded, and so an empty
    /// interval at the end of a page can be told from one that the venue does not have.
    pub(super) asked: Span,
}

impl Pages {
    /// Begins with spans in the order of time, of which none touch.
    pub(super) fn new(missing: Vec<Span>, interval: Interval, max: usize) -> Self {
        Self { missing: missing.into(), interval, max: i32::try_from(max).unwrap_or(i32::MAX) }
    }

    /// Gets what is missing.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Span> {
        self.missing.iter()
    }

    /// Counts the candles that are missing.
    pub(super) fn left(&self) -> u64 {
        self.missing.iter().map(|span| count(span, self.interval)).sum()
    }

    /// Gets the next page: the oldest missing candle, and as many after it as an answer has.
    pub(super) fn next(&self) -> Option<Page> {
        let span = self.interval.span();
        let from = self.missing.front()?.start;
        // With the two at the ends, if there is room for them.
        let margin = if self.max > 2 { span } else { TimeDelta::zero() };
        let room = if self.max > 2 { self.max - 2 } else { 1 };
        let full = span.checked_mul(room).and_then(|room| from.checked_add_signed(room));
        let full = full.unwrap_or(DateTime::<Utc>::MAX_UTC);
        let within = self.missing.iter().take_while(|missing| missing.start < full);
        let to = within.map(|missing| missing.end.min(full)).max()?;
        Some(Page { wanted: from..to, asked: from - margin..to + margin })
    }

    /// Takes out what an answer has decided: the page that was asked for, whatever else the rows speak of, and, where they
    /// begin only after the page, all that is older, for the venue reaches no further back.
    pub(super) fn settle(&mut self, page: &Page, rows: &[CandleReport]) {
        self.take_out(&page.wanted);
        if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
            self.take_out(&(first.open_time..self.interval.close_time(last.open_time)));
            if first.open_time >= page.asked.end {
                self.take_out(&(DateTime::<Utc>::MIN_UTC..first.open_time));
            }
        }
    }

    fn take_out(&mut self, known: &Span) {
        let left = |missing: Span| {
            let before = missing.start..missing.end.min(known.start);
            let after = missing.start.max(known.end)..missing.end;
            [before, after].into_iter().filter(|span| span.start < span.end)
        };
        self.missing = std::mem::take(&mut self.missing).into_iter().flat_map(left).collect();
    }
}

/// Counts the candles of a span.
pub(super) fn count(span: &Span, interval: Interval) -> u64 {
    u64::try_from((span.end - span.start).num_seconds() / interval.seconds()).unwrap_or_default()
}

/// Cuts a span into pieces of so many candles at most, so that no one of them fills the memory.
pub(super) fn pieces(span: Span, interval: Interval, most: i32) -> impl Iterator<Item = Span> {
    let length = interval.span().checked_mul(most.max(1)).unwrap_or(TimeDelta::MAX);
    let mut at = span.start;
    std::iter::from_fn(move || {
        let from = at;
        at = from.checked_add_signed(length).unwrap_or(span.end).min(span.end);
        (from < at).then_some(from..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::candle::gaps::joined;
    use rust_decimal::Decimal;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_392_000 + 60 * minute, 0).unwrap()
    }

    fn span(from: i64, to: i64) -> Span {
        at(from)..at(to)
    }

    fn row(minute: i64) -> CandleReport {
        CandleReport {
            open_time: at(minute),
            open: Decimal::ONE,
            high: Decimal::ONE,
            low: Decimal::ONE,
            close: Decimal::ONE,
            base_volume: None,
            quote_volume: None,
            trade_count: None,
        }
    }

    fn pages(missing: &[(i64, i64)], max: usize) -> Pages {
        let missing = missing.iter().map(|(from, to)| span(*from, *to)).collect();
        Pages::new(missing, Interval::Minute, max)
    }

    /// Lists the pages as minutes, when each answer has nothing but what was asked for.
    fn asked(mut pages: Pages) -> Vec<(i64, i64)> {
        let mut all = Vec::new();
        while let Some(page) = pages.next() {
            let minute = |time: DateTime<Utc>| (time - at(0)).num_minutes();
            assert_eq!(
                page.asked,
                page.wanted.start - Interval::Minute.span()..page.wanted.end + Interval::Minute.span()
            );
            all.push((minute(page.wanted.start), minute(page.wanted.end)));
            pages.settle(&page, &[]);
        }
        all
    }

    #[test]
    fn what_is_missing_is_asked_for_in_as_few_pages_as_it_fits_into() {
        for (missing, expected) in [
            (&[][..], &[][..]),
            (&[(0, 1)], &[(0, 1)]),
            (&[(0, 25)], &[(0, 10), (10, 20), (20, 25)]),
            // Holes that are near each other are asked for at once, and what lies between far ones is not.
            (&[(0, 1), (5, 6), (9, 12)], &[(0, 10), (10, 12)]),
            (&[(0, 1), (1_000, 1_001)], &[(0, 1), (1_000, 1_001)]),
        ] {
            assert_eq!(asked(pages(missing, 12)), expected, "{missing:?}");
        }
    }

    #[test]
    fn a_venue_that_answers_one_candle_at_a_time_is_asked_for_each() {
        let pages = pages(&[(0, 2)], 1);
        let page = pages.next().unwrap();
        assert_eq!(page, Page { wanted: span(0, 1), asked: span(0, 1) });
    }

    #[test]
    fn rows_beyond_the_page_need_not_be_asked_for() {
        let mut pages = pages(&[(0, 25)], 12);
        let page = pages.next().unwrap();
        pages.settle(&page, &[row(0), row(21)]);
        assert_eq!(pages.missing().cloned().collect::<Vec<_>>(), [span(22, 25)]);
        assert_eq!(pages.left(), 3);
    }

    #[test]
    fn where_the_venue_reaches_no_further_back_nothing_older_is_asked_for() {
        let mut pages = pages(&[(0, 100), (500, 510)], 12);
        let page = pages.next().unwrap();
        pages.settle(&page, &[row(505), row(506)]);
        assert_eq!(pages.missing().cloned().collect::<Vec<_>>(), [span(507, 510)]);
        // An empty answer says nothing of what is older or newer.
        let mut pages = self::pages(&[(0, 20)], 12);
        let page = pages.next().unwrap();
        pages.settle(&page, &[]);
        assert_eq!(pages.missing().cloned().collect::<Vec<_>>(), [span(10, 20)]);
    }

    #[test]
    fn a_span_is_cut_into_pieces_and_joined_again() {
        let whole = span(3, 20);
        let cut: Vec<_> = pieces(whole.clone(), Interval::Minute, 8).collect();
        assert_eq!(cut, [span(3, 11), span(11, 19), span(19, 20)]);
        assert_eq!(joined(cut), [whole]);
        assert_eq!(joined([span(0, 1), span(2, 3)]), [span(0, 1), span(2, 3)]);
        assert_eq!(pieces(span(3, 3), Interval::Minute, 8).count(), 0);
        assert_eq!(count(&span(0, 7), Interval::FiveMinutes), 1);
    }
}
