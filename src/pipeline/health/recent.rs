//! What a source has done lately: how much it sent, how late that was, and how far it was from what all agree on.
//!
//! Two windows of a minute each: the one that is being filled, and the one before it. What is told covers both, so it
//! is of the last one to two minutes, and what is older than that is forgotten.

use chrono::{DateTime, TimeDelta, Utc};
use hdrhistogram::Histogram;
use rust_decimal::Decimal;

/// How long a window is filled.
const WINDOW: TimeDelta = TimeDelta::seconds(60);

/// Digits of a value that are kept.
const DIGITS: u8 = 2;

/// The largest lag that is told apart from larger ones, in microseconds: an hour.
const MOST_LAG: u64 = 3_600_000_000;

/// The largest deviation that is told apart from larger ones, in hundredths of a basis point: ten times the price.
const MOST_DEVIATION: u64 = 10_000_000;

/// Hundredths of a basis point.
const HUNDREDTHS: u32 = 2;

/// Two quantiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantiles<T> {
    /// Half of the values were at most this.
    pub p50: T,
    /// Ninety-nine in a hundred were.
    pub p99: T,
}

/// What is told of the last one to two minutes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RecentReport {
    /// Frames a second.
    pub frame_rate: f64,
    /// How long live trades took from the venue's clock to ours; nothing where there were none. What seems to come from the
    /// future took no time.
    pub lag: Option<Quantiles<TimeDelta>>,
    /// The least of them, as it was: negative where the venue's clock is ahead of ours.
    pub least_lag: Option<TimeDelta>,
    /// How far its readings were from the prices that were agreed on, in basis points, whichever way.
    pub deviation_bps: Option<Quantiles<Decimal>>,
}

/// The windows.
#[derive(Debug)]
pub(super) struct Recent {
    current: Window,
    previous: Option<Window>,
}

#[derive(Debug)]
struct Window {
    began: DateTime<Utc>,
    frames: u64,
    lags: Histogram<u32>,
    least_lag: Option<TimeDelta>,
    deviations: Histogram<u32>,
}

impl Recent {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { current: Window::new(now), previous: None }
    }

    /// Takes in a frame.
    pub(super) fn frame(&mut self, now: DateTime<Utc>) {
        self.at(now).frames += 1;
    }

    /// Takes in how late a trade was.
    pub(super) fn lag(&mut self, lag: TimeDelta, now: DateTime<Utc>) {
        let micros = u64::try_from(lag.num_microseconds().unwrap_or(i64::MAX)).unwrap_or(0);
        let window = self.at(now);
        window.lags.saturating_record(micros);
        window.least_lag = Some(window.least_lag.map_or(lag, |least| least.min(lag)));
    }

    /// Takes in how far a reading was from what was agreed on.
    pub(super) fn deviation(&mut self, bps: Decimal, now: DateTime<Utc>) {
        let hundredths = bps.abs().checked_mul(Decimal::ONE_HUNDRED).map(|hundredths| hundredths.round());
        let hundredths = hundredths.and_then(|hundredths| u64::try_from(hundredths).ok());
        self.at(now).deviations.saturating_record(hundredths.unwrap_or(MOST_DEVIATION));
    }

    pub(super) fn report(&self, now: DateTime<Utc>) -> RecentReport {
        // A window that nobody has filled for long tells nothing of now.
        let lately = |window: &&Window| now - window.began < WINDOW * 2;
        let windows: Vec<_> = self.previous.iter().chain([&self.current]).filter(lately).collect();
        let Some(since) = windows.first().map(|window| window.began) else { return RecentReport::default() };
        let seconds = (now - since).max(TimeDelta::seconds(1)).as_seconds_f64();
        let frames: u64 = windows.iter().map(|window| window.frames).sum();
        let lags = quantiles(windows.iter().map(|window| &window.lags));
        let least_lag = windows.iter().filter_map(|window| window.least_lag).min();
        let deviations = quantiles(windows.iter().map(|window| &window.deviations));
        #[expect(clippy::cast_precision_loss, reason = "nobody sends so many frames")]
        let frame_rate = frames as f64 / seconds;
        RecentReport {
            frame_rate,
            least_lag,
            lag: lags.map(|lags| lags.map(|micros| TimeDelta::microseconds(signed(micros)))),
            deviation_bps: deviations
                .map(|bps| bps.map(|hundredths| Decimal::new(signed(hundredths), HUNDREDTHS))),
        }
    }

    /// Gets the window of a time: a new one, if the last has been filled for long enough.
    fn at(&mut self, now: DateTime<Utc>) -> &mut Window {
        let age = now - self.current.began;
        if age >= WINDOW {
            let filled = std::mem::replace(&mut self.current, Window::new(now));
            self.previous = (age < WINDOW * 2).then_some(filled);
        }
        &mut self.current
    }
}

impl Window {
    fn new(began: DateTime<Utc>) -> Self {
        let (lags, deviations) = (histogram(MOST_LAG), histogram(MOST_DEVIATION));
        Self { began, frames: 0, lags, least_lag: None, deviations }
    }
}

impl<T> Quantiles<T> {
    fn map<U>(self, turn: impl Fn(T) -> U) -> Quantiles<U> {
        Quantiles { p50: turn(self.p50), p99: turn(self.p99) }
    }
}

#[expect(clippy::expect_used, reason = "these bounds are allowed, and there is no other way to make one")]
fn histogram(most: u64) -> Histogram<u32> {
    Histogram::new_with_bounds(1, most, DIGITS).expect("a histogram of these bounds")
}

/// Puts windows together, and finds the quantiles of what is in them; nothing if nothing is.
fn quantiles<'a>(mut windows: impl Iterator<Item = &'a Histogram<u32>>) -> Option<Quantiles<u64>> {
    let mut all = windows.next()?.clone();
    // Of the same bounds, they fit together.
    windows.for_each(|window| all.add(window).unwrap_or_default());
    let at = |quantile| all.value_at_quantile(quantile);
    (!all.is_empty()).then(|| Quantiles { p50: at(0.5), p99: at(0.99) })
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn after(seconds: i64) -> DateTime<Utc> {
        START + TimeDelta::seconds(seconds)
    }

    #[test]
    fn the_last_minutes_count_and_what_was_before_does_not() {
        let mut recent = Recent::new(START);
        for second in 0..60 {
            recent.frame(after(second));
            recent.lag(TimeDelta::milliseconds(200), after(second));
        }
        let report = recent.report(after(59));
        assert!((report.frame_rate - 60.0 / 59.0).abs() < 1e-9, "{report:?}");
        assert_eq!(report.lag.unwrap().p50.num_milliseconds(), 200);
        for second in 60..180 {
            recent.lag(TimeDelta::milliseconds(if second % 10 == 0 { 90 } else { 30 }), after(second));
        }
        // Two windows on, the first one is forgotten.
        let lag = recent.report(after(179)).lag.unwrap();
        assert_eq!((lag.p50.num_milliseconds(), lag.p99.num_milliseconds()), (30, 90));
        assert_eq!(recent.report(after(500)), RecentReport::default(), "of long ago, nothing is told");
        recent.frame(after(500));
        let report = recent.report(after(510));
        assert!((report.frame_rate - 0.1).abs() < 1e-9 && report.lag.is_none(), "{report:?}");
    }

    #[test]
    fn what_is_out_of_bounds_is_at_the_bound() {
        let mut recent = Recent::new(START);
        for lag in [TimeDelta::seconds(-5), TimeDelta::MAX] {
            recent.lag(lag, START);
        }
        let lag = recent.report(START).lag.unwrap();
        assert_eq!(lag.p50, TimeDelta::zero());
        assert!(lag.p99 >= TimeDelta::minutes(59), "{lag:?}");
        for bps in [Decimal::new(-125, 2), Decimal::MAX] {
            recent.deviation(bps, START);
        }
        let deviation = recent.report(START).deviation_bps.unwrap();
        assert_eq!(deviation.p50, Decimal::new(125, 2));
        assert!(deviation.p99 >= Decimal::new(99_000, 0), "{deviation:?}");
    }
}
