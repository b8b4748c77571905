//! The candles of one interval: those that are being formed, and those that can still be restated.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::{
    Candle, CandleSource, CandleState, Interval,
    builder::Series,
    listening::{Audience, Listening, part, share},
    tally::Tally,
};

/// The candles of one interval.
#[derive(Debug)]
pub(super) struct Lane {
    interval: Interval,
    /// When the first candle opened that is not closed.
    current: DateTime<Utc>,
    /// How long the audience had listened when that opened.
    listened: TimeDelta,
    /// By when they opened. Closed seconds without trades are not kept: there are too many of them.
    windows: BTreeMap<DateTime<Utc>, Window>,
    /// What has changed since it was last told.
    changed: BTreeSet<DateTime<Utc>>,
}

/// What is known of one candle.
#[derive(Debug, Default)]
struct Window {
    trades: Option<Tally>,
    closed: Option<Closed>,
}

/// What is known of a closed one.
#[derive(Debug, Clone, Copy)]
struct Closed {
    revision: u32,
    listened: TimeDelta,
    /// How long would have been listened to, if all had.
    expected: TimeDelta,
}

impl Lane {
    pub(super) fn new(interval: Interval, start: DateTime<Utc>) -> Self {
        Self {
            interval,
            current: interval.open_time(start),
            listened: TimeDelta::zero(),
            windows: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    pub(super) const fn interval(&self) -> Interval {
        self.interval
    }

    /// Takes in trades.
    pub(super) fn add(&mut self, time: DateTime<Utc>, trades: &Tally, audience: Audience<'_>) {
        let open = self.interval.open_time(time);
        let window = self.window(open, audience);
        match &mut window.trades {
            Some(known) => known.add(trades),
            none => *none = Some(trades.clone()),
        }
        self.changed.insert(open);
    }

    /// Takes in what a shorter candle tells that closed before the current one's trades began to come.
    pub(super) fn restore(&mut self, candle: &Candle, audience: Audience<'_>) {
        if candle.interval < self.interval && self.interval.open_time(candle.open_time) == self.current {
            self.listened -= part(candle.coverage, audience.all(candle.interval.span()));
            if let Some(trades) = Tally::of_candle(candle) {
                self.add(candle.open_time, &trades, audience);
            }
        }
    }

    /// Takes back that one of the audience listened from a moment on, in all that closed after another.
    pub(super) fn retract(&mut self, moment: DateTime<Utc>, from: DateTime<Utc>, audience: Audience<'_>) {
        let mut open = self.interval.open_time(from);
        while open < self.current {
            let close = self.interval.close_time(open);
            // One that was not kept is made anew, by what is known now.
            let kept = self.windows.contains_key(&open);
            if let Some(closed) = &mut self.window(open, audience).closed
                && kept
            {
                closed.listened -= close - open.max(moment);
            }
            self.changed.insert(open);
            open = close;
        }
        if self.current > moment {
            self.listened -= self.current - moment;
        }
    }

    /// Leaves out of the count how long one of the audience had listened.
    pub(super) fn dismiss(&mut self, gone: &Listening) {
        self.listened -= gone.before(self.current);
    }

    /// Gives what has changed since it was closed, as its next revision.
    pub(super) fn restate(&mut self, series: Series, out: &mut Vec<Candle>) {
        while let Some(open) = self.changed.first().copied().filter(|open| *open < self.current) {
            self.changed.remove(&open);
            if let Some(window) = self.windows.get_mut(&open)
                && let Some(mut closed) = window.closed
            {
                closed.revision = closed.revision.saturating_add(1);
                window.closed = Some(closed);
                out.push(window.candle(series, self.interval, open, closed));
            }
        }
    }

    /// Closes what is over at a moment, and gives it.
    pub(super) fn close(
        &mut self,
        series: Series,
        until: DateTime<Utc>,
        audience: Audience<'_>,
        out: &mut Vec<Candle>,
    ) {
        loop {
            let (open, close) = (self.current, self.interval.close_time(self.current));
            if close > until || close <= open {
                return;
            }
            let listened = audience.before(close);
            let closed = Closed {
                revision: 0,
                listened: listened - self.listened,
                expected: audience.all(self.interval.span()),
            };
            let window = self.windows.entry(open).or_default();
            window.closed = Some(closed);
            out.push(window.candle(series, self.interval, open, closed));
            if self.interval == Interval::Second && window.trades.is_none() {
                self.windows.remove(&open);
            }
            self.changed.remove(&open);
            (self.current, self.listened) = (close, listened);
        }
    }

    /// Forgets what closed before a moment.
    pub(super) fn forget(&mut self, settled: DateTime<Utc>) {
        while let Some(first) = self.windows.first_entry()
            && self.interval.close_time(*first.key()) <= settled
        {
            first.remove();
        }
    }

    /// Gives what is not over and has changed since it was last told.
    pub(super) fn forming(
        &mut self,
        series: Series,
        now: DateTime<Utc>,
        audience: Audience<'_>,
        out: &mut Vec<Candle>,
    ) {
        for open in self.changed.split_off(&self.current) {
            out.push(self.formed(series, open, now, audience));
        }
    }

    pub(super) fn has_changed(&self) -> bool {
        self.changed.last().is_some_and(|open| *open >= self.current)
    }

    /// Gets the earliest that is not over.
    pub(super) fn current(&self, series: Series, now: DateTime<Utc>, audience: Audience<'_>) -> Candle {
        self.formed(series, self.current, now, audience)
    }

    fn formed(
        &self,
        series: Series,
        open: DateTime<Utc>,
        now: DateTime<Utc>,
        audience: Audience<'_>,
    ) -> Candle {
        let now = now.max(open).min(self.interval.close_time(open));
        let before = if open == self.current { self.listened } else { audience.before(open) };
        let trades = self.windows.get(&open).and_then(|window| window.trades.as_ref());
        let coverage = share(audience.before(now) - before, audience.all(self.interval.span()));
        candle(series, self.interval, open, trades, coverage)
    }

    /// Finds a window or makes it anew, closed if its time is over.
    fn window(&mut self, open: DateTime<Utc>, audience: Audience<'_>) -> &mut Window {
        let over = open < self.current;
        self.windows.entry(open).or_insert_with(|| Window {
            trades: None,
            closed: over.then(|| Closed {
                revision: 0,
                listened: audience.before(self.interval.close_time(open)) - audience.before(open),
                expected: audience.all(self.interval.span()),
            }),
        })
    }
}

impl Window {
    /// Says what is known of a closed candle.
    fn candle(&self, series: Series, interval: Interval, open: DateTime<Utc>, closed: Closed) -> Candle {
        let coverage = share(closed.listened, closed.expected);
        let state = match closed.revision {
            _ if self.trades.is_none() && coverage.is_zero() => CandleState::Gap,
            0 => CandleState::Final,
            _ => CandleState::Restated,
        };
        let candle = candle(series, interval, open, self.trades.as_ref(), coverage);
        Candle { state, revision: closed.revision, ..candle }
    }
}

/// Says what is known of a candle that is being formed.
fn candle(
    Series { pair, venue }: Series,
    interval: Interval,
    open_time: DateTime<Utc>,
    trades: Option<&Tally>,
    coverage: Decimal,
) -> Candle {
    Candle {
        pair,
        venue,
        interval,
        open_time,
        revision: 0,
        state: CandleState::Forming,
        source: trades.map_or(CandleSource::Trades, Tally::source),
        prices: trades.map(Tally::prices),
        base_volume: trades.map(Tally::base_volume).unwrap_or_default(),
        quote_volume: trades.map(Tally::quote_volume).unwrap_or_default(),
        trade_count: trades.map(Tally::trade_count).unwrap_or_default(),
        source_count: trades.map(Tally::source_count).unwrap_or_default(),
        coverage,
    }
}
