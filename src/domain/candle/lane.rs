//! The candles of one interval: those that are being formed, and those that can still be restated.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::{
    Candle, CandleMaker, CandleState, Interval,
    builder::Series,
    by_time::ByTime,
    kept::Kept,
    listening::{Audience, Listening, part, share},
    tally::Tally,
};
use crate::domain::venue::Venue;

/// The candles of one interval.
#[derive(Debug)]
pub(super) struct Lane {
    interval: Interval,
    /// When the first candle opened that is not closed.
    current: DateTime<Utc>,
    /// How long the audience had listened when that opened.
    listened: TimeDelta,
    /// By when they opened. Closed seconds without trades are not kept: there are too many of them.
    windows: ByTime<Window>,
    /// Whose trades were packed.
    venues: Vec<Venue>,
    /// What has changed since it was last told.
    changed: BTreeSet<DateTime<Utc>>,
}

/// What is known of one candle.
#[derive(Debug, Default)]
struct Window {
    trades: Kept,
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
            windows: ByTime::new(),
            venues: Vec::new(),
            changed: BTreeSet::new(),
        }
    }

    pub(super) const fn interval(&self) -> Interval {
        self.interval
    }

    /// Takes in trades.
    pub(super) fn add(&mut self, time: DateTime<Utc>, trades: &Tally, audience: Audience<'_>) {
        let open = self.interval.open_time(time);
        let (window, venues) = self.window(open, audience);
        window.trades.add(trades, open, venues);
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
            let kept = self.windows.get(open).is_some();
            if let Some(closed) = &mut self.window(open, audience).0.closed
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
            if let Some(window) = self.windows.get_mut(open)
                && let Some(mut closed) = window.closed
            {
                closed.revision = closed.revision.saturating_add(1);
                window.closed = Some(closed);
                out.push(window.candle(series, self.interval, open, closed, &self.venues));
                window.trades.pack(open, &mut self.venues);
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
            let window = self.windows.or_insert_with(open, Window::default);
            window.closed = Some(closed);
            out.push(window.candle(series, self.interval, open, closed, &self.venues));
            window.trades.pack(open, &mut self.venues);
            if self.interval == Interval::Second && window.trades.is_none() {
                self.windows.remove(open);
            }
            self.changed.remove(&open);
            (self.current, self.listened) = (close, listened);
        }
    }

    /// Forgets what closed before a moment.
    pub(super) fn forget(&mut self, settled: DateTime<Utc>) {
        while self.windows.first().is_some_and(|open| self.interval.close_time(open) <= settled) {
            self.windows.pop_first();
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
        let trades = self.windows.get(open).and_then(|window| window.trades.get(open, &self.venues));
        let coverage = share(audience.before(now) - before, audience.all(self.interval.span()));
        candle(series, self.interval, open, trades.as_deref(), coverage)
    }

    /// Finds a window or makes it anew, closed if its time is over; with it whose trades were packed.
    fn window(&mut self, open: DateTime<Utc>, audience: Audience<'_>) -> (&mut Window, &[Venue]) {
        let over = open < self.current;
        let window = self.windows.or_insert_with(open, || Window {
            trades: Kept::None,
            closed: over.then(|| Closed {
                revision: 0,
                listened: audience.before(self.interval.close_time(open)) - audience.before(open),
                expected: audience.all(self.interval.span()),
            }),
        });
        (window, &self.venues)
    }
}

impl Window {
    /// Says what is known of a closed candle.
    fn candle(
        &self,
        series: Series,
        interval: Interval,
        open: DateTime<Utc>,
        closed: Closed,
        venues: &[Venue],
    ) -> Candle {
        let coverage = share(closed.listened, closed.expected);
        let state = match closed.revision {
            _ if self.trades.is_none() && coverage.is_zero() => CandleState::Gap,
            0 => CandleState::Final,
            _ => CandleState::Restated,
        };
        let trades = self.trades.get(open, venues);
        let candle = candle(series, interval, open, trades.as_deref(), coverage);
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
        maker: trades.map_or(CandleMaker::Service, Tally::maker),
        prices: trades.map(Tally::prices),
        base_volume: trades.map(Tally::base_volume).unwrap_or_default(),
        quote_volume: trades.map(Tally::quote_volume).unwrap_or_default(),
        trade_count: trades.map(Tally::trade_count).unwrap_or_default(),
        source_count: trades.map(Tally::source_count).unwrap_or_default(),
        coverage,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{listening::Listening, sample, tally::Mark, trade_id::TradeId},
        *,
    };

    /// What the windows take, the bytes of the packed ones rounded up as allocators do.
    fn bytes(lane: &Lane) -> usize {
        let (windows, room) = lane.windows.values();
        let kept = windows.map(|window| match &window.trades {
            Kept::None => 0,
            Kept::Open(_) => size_of::<Tally>(),
            Kept::Packed(bytes) => bytes.len().next_multiple_of(16),
        });
        kept.sum::<usize>() + room * size_of::<(DateTime<Utc>, Window)>()
    }

    #[test]
    fn a_closed_second_takes_two_hundred_bytes_and_the_first_of_a_long_lane_half_a_thousand() {
        let listening = [Listening::default()];
        let audience = Audience(&listening);
        let venue = sample::SERIES.venue.unwrap();
        let mut out = Vec::new();
        let mut lanes = Interval::ALL.map(|interval| Lane::new(interval, sample::at(0)));
        for second in 0..600 {
            for number in 0..12 {
                let id = TradeId::read(&(4_312_587_901_i64 + second * 12 + number).to_string());
                let time = sample::at(second) + TimeDelta::milliseconds(number * 80);
                let (price, amount) =
                    (Decimal::new(10_423_517 + number * 31 % 17, 2), Decimal::new(1_234_567 + second, 8));
                let tally = Tally::of(Mark { time, venue, id }, price, amount);
                for lane in &mut lanes {
                    lane.add(time, &tally, audience);
                }
            }
            for lane in &mut lanes {
                lane.close(sample::SERIES, sample::at(second + 1), audience, &mut out);
            }
        }
        let [seconds, .., weeks] = &lanes;
        let of_a_second = bytes(seconds) / 600;
        assert!(of_a_second <= 200, "{of_a_second}");
        assert!(bytes(weeks) <= 512, "{}", bytes(weeks));
    }

    #[test]
    fn a_late_trade_is_added_to_what_was_packed() {
        let listening = [Listening::default()];
        let (audience, series) = (Audience(&listening), sample::SERIES);
        let trade = |id: &str, price: i64| {
            let mark = Mark { time: sample::at(0), venue: series.venue.unwrap(), id: TradeId::read(id) };
            Tally::of(mark, price.into(), Decimal::ONE)
        };
        let mut lane = Lane::new(Interval::Second, sample::at(0));
        let mut told = Vec::new();
        lane.add(sample::at(0), &trade("2", 5), audience);
        lane.close(series, sample::at(1), audience, &mut told);
        for (id, price) in [("1", 4), ("3", 7)] {
            lane.add(sample::at(0), &trade(id, price), audience);
            lane.restate(series, &mut told);
            assert!(lane.windows.values().0.all(|window| matches!(window.trades, Kept::Packed(_))));
        }
        let last = told.pop().unwrap();
        let prices = last.prices.unwrap();
        assert_eq!([prices.open, prices.high, prices.low, prices.close], [4, 7, 4, 7].map(Decimal::from));
        assert_eq!((last.revision, last.trade_count, last.quote_volume), (2, 3, 16.into()));
    }
}
