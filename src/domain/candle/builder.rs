//! Candles of one pair, at one venue or at all together, built of trades as they come.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Candle, CandleState, Interval,
    lane::Lane,
    listening::{Audience, Listening},
    market::Intake,
    tally::Tally,
};
use crate::domain::{pair::Pair, venue::Venue};

/// Whose candles they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The market, with canonical asset names.
    pub pair: Pair,
    /// The venue; `None` for the composite of all.
    pub venue: Option<Venue>,
}

/// Builds the candles of all intervals.
///
/// Time is cut at a moment up to which candles are closed, which only moves forward ([`Self::close`]). What comes for a
/// time before it changes candles that were final. How far back that can be is bounded: older trades are refused, as the
/// candle that they would make anew would lack all others.
#[derive(Debug)]
pub struct Builder {
    series: Series,
    start: DateTime<Utc>,
    closed_until: DateTime<Utc>,
    restatable: TimeDelta,
    lanes: [Lane; Interval::ALL.len()],
}

impl Builder {
    /// Begins with the second into which a moment falls. Closed candles can be restated for the given time.
    pub fn new(series: Series, start: DateTime<Utc>, restatable: TimeDelta) -> Self {
        let start = Interval::Second.open_time(start);
        let lanes = Interval::ALL.map(|interval| Lane::new(interval, start));
        Self { series, start, closed_until: start, restatable, lanes }
    }

    /// Gets the moment up to which candles are closed.
    pub const fn closed_until(&self) -> DateTime<Utc> {
        self.closed_until
    }

    /// Gets the moment before which nothing changes any more.
    pub fn settled_until(&self) -> DateTime<Utc> {
        let settled = self.closed_until.checked_sub_signed(self.restatable);
        settled.unwrap_or(DateTime::<Utc>::MIN_UTC).max(self.start)
    }

    /// Tells whether trades of a second can be taken in, or why not.
    pub fn takes(&self, second: DateTime<Utc>) -> Result<(), Intake> {
        if second < self.start {
            Err(Intake::BeforeStart)
        } else if second < self.settled_until() {
            Err(Intake::TooLate)
        } else {
            Ok(())
        }
    }

    /// Takes in trades of a second, unless that [cannot be](Self::takes).
    pub fn add(&mut self, second: DateTime<Utc>, trades: &Tally, audience: Audience<'_>) {
        if self.takes(second).is_ok() {
            self.lanes.iter_mut().for_each(|lane| lane.add(second, trades, audience));
        }
    }

    /// Takes in what is known of the time before the start, for the longer candles that contain the start. Other candles are
    /// passed over, and so are those that are not closed.
    pub fn restore(&mut self, candle: &Candle, audience: Audience<'_>) {
        if candle.close_time() <= self.start && candle.state != CandleState::Forming {
            self.lanes.iter_mut().for_each(|lane| lane.restore(candle, audience));
        }
    }

    /// Notes that one of the audience has stopped listening at a moment that was taken to be listened to, and all time
    /// since. The audience is as it is known now.
    pub fn retract(&mut self, moment: DateTime<Utc>, audience: Audience<'_>) {
        let from = moment.max(self.settled_until());
        if from < self.closed_until {
            self.lanes.iter_mut().for_each(|lane| lane.retract(moment, from, audience));
        }
    }

    /// Counts on one of the audience no longer.
    pub fn dismiss(&mut self, gone: &Listening) {
        self.lanes.iter_mut().for_each(|lane| lane.dismiss(gone));
    }

    /// Closes what is over at a moment, then forgets what is settled. Gives the candles that changed after they were
    /// final, then those that are final now.
    pub fn close(&mut self, until: DateTime<Utc>, audience: Audience<'_>, out: &mut Vec<Candle>) {
        self.lanes.iter_mut().for_each(|lane| lane.restate(self.series, out));
        let until = Interval::Second.open_time(until);
        if until <= self.closed_until {
            return;
        }
        self.closed_until = until;
        let settled = self.settled_until();
        for lane in &mut self.lanes {
            lane.close(self.series, until, audience, out);
            lane.forget(settled);
        }
    }

    /// Gives the candles that are not over and have changed since this was last asked.
    pub fn forming(&mut self, now: DateTime<Utc>, audience: Audience<'_>, out: &mut Vec<Candle>) {
        self.lanes.iter_mut().for_each(|lane| lane.forming(self.series, now, audience, out));
    }

    /// Tells whether some candle that is not over has changed since that was last asked for.
    pub fn has_changed(&self) -> bool {
        self.lanes.iter().any(Lane::has_changed)
    }

    /// Gets the earliest candle of an interval that is not over.
    pub fn current(&self, interval: Interval, now: DateTime<Utc>, audience: Audience<'_>) -> Option<Candle> {
        let lane = self.lanes.iter().find(|lane| lane.interval() == interval)?;
        Some(lane.current(self.series, now, audience))
    }
}
