//! How late is what a connection brings, where its messages do not tell: as late as its trades are, which do.
//!
//! Late are all messages of a connection alike, be it that the venue is slow or that they have waited on their way. The
//! median of a few trades is not moved by a single one that was told late, and follows within a few when all are in time again.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use foldhash::fast::RandomState;

use super::quotes::Heard;
use crate::domain::venue::Venue;

/// Trades that are looked at: the last ones of a connection.
const TRADES: usize = 9;

/// How long a trade tells how late all is. Where nothing is traded, nothing is known, and what comes is taken as in time.
const TELLS_FOR: TimeDelta = TimeDelta::seconds(60);

/// How late the connections are of which that is known.
#[derive(Debug, Default)]
pub(super) struct Lags(HashMap<(Venue, u64), Lag, RandomState>);

/// What one connection shows.
#[derive(Debug, Default)]
struct Lag {
    /// How far the venue's clock is behind ours at least.
    clock_behind: TimeDelta,
    /// When each of the last trades was received, and how long after it had happened.
    trades: [Option<(DateTime<Utc>, TimeDelta)>; TRADES],
    /// Where the next one goes.
    next: usize,
    /// The median of those that tell something, and when it was taken.
    median: Option<(DateTime<Utc>, TimeDelta)>,
}

impl Lags {
    /// Takes in a trade that was told as it happened.
    pub(super) fn trade(&mut self, heard: Heard, time: DateTime<Utc>) {
        if let Some(connection) = heard.connection {
            let lag = self.0.entry((heard.venue, connection)).or_default();
            lag.take(heard.receive_time, heard.receive_time - time);
        }
    }

    /// Notes how far a venue's clock is behind ours, as it was told when the connection was made.
    pub(super) fn clock_behind(&mut self, heard: Heard, by: TimeDelta) {
        if let Some(connection) = heard.connection {
            self.0.entry((heard.venue, connection)).or_default().clock_behind = by;
        }
    }

    /// Tells since when a message without a time of its own has been on its way. An answer over REST was made when it was asked for.
    pub(super) fn said_at(&self, heard: Heard) -> DateTime<Utc> {
        let received = heard.receive_time;
        let known = heard.connection.and_then(|connection| self.0.get(&(heard.venue, connection)));
        known.and_then(|lag| received.checked_sub_signed(lag.at(received))).unwrap_or(received)
    }

    /// Forgets a connection that has ended.
    pub(super) fn left(&mut self, heard: Heard) {
        if let Some(connection) = heard.connection {
            self.0.remove(&(heard.venue, connection));
        }
    }

    /// Forgets all connections of a venue.
    pub(super) fn forget(&mut self, venue: Venue) {
        self.0.retain(|(known, _), _| *known != venue);
    }
}

impl Lag {
    fn take(&mut self, received: DateTime<Utc>, lag: TimeDelta) {
        if let Some(place) = self.trades.get_mut(self.next) {
            *place = Some((received, lag));
        }
        self.next = (self.next + 1) % TRADES;
        let mut lags = [TimeDelta::zero(); TRADES];
        let told = self.trades.iter().flatten().filter(|(then, _)| received - *then <= TELLS_FOR);
        let count = lags.iter_mut().zip(told).map(|(place, (_, lag))| *place = *lag).count();
        let median = lags.get_mut(..count).filter(|lags| !lags.is_empty()).map(|lags| {
            let (_, median, _) = lags.select_nth_unstable(count / 2);
            *median
        });
        self.median = median.map(|median| (received, median));
    }

    /// Tells how late what is received now is. A clock that is behind makes trades look old that are not.
    fn at(&self, now: DateTime<Utc>) -> TimeDelta {
        match self.median {
            Some((then, median)) if now - then <= TELLS_FOR => {
                (median - self.clock_behind).max(TimeDelta::zero())
            }
            _ => TimeDelta::zero(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VENUE: Venue = Venue::new("gemini");

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn heard(connection: u64, second: i64) -> Heard {
        Heard { venue: VENUE, connection: Some(connection), receive_time: at(second) }
    }

    /// Has trades told, one a second from a second on, each so much too late.
    fn told(lags: &mut Lags, connection: u64, from: i64, late: &[i64]) {
        for (second, late) in (from..).zip(late) {
            lags.trade(heard(connection, second), at(second - late));
        }
    }

    /// Tells how late what comes in some second is taken to be.
    fn late(lags: &Lags, connection: u64, second: i64) -> i64 {
        (at(second) - lags.said_at(heard(connection, second))).num_seconds()
    }

    #[test]
    fn all_is_as_late_as_most_of_the_last_trades() {
        for (trades, expected) in [
            (&[][..], 0),
            (&[90], 90),
            (&[0, 0, 90], 0),
            (&[0; 30], 0),
            (&[90, 90, 90, 90, 90, 0, 0, 0, 0], 90),
            (&[90, 90, 90, 90, 0, 0, 0, 0, 0], 0),
            (&[3, 1, 2, 9, 8, 7, 4, 6, 5], 5),
            (&[1_000, 1_000, 3, 1, 2, 9, 8, 7, 4, 6, 5], 5),
            (&[-5, -5, -5], 0),
        ] {
            let mut lags = Lags::default();
            told(&mut lags, 1, 0, trades);
            assert_eq!(late(&lags, 1, 30), expected, "{trades:?}");
        }
    }

    #[test]
    fn a_connection_is_in_time_again_a_few_trades_after_it_has_caught_up() {
        let mut lags = Lags::default();
        told(&mut lags, 1, 0, &[90; 50]);
        told(&mut lags, 1, 50, &[0; 4]);
        assert_eq!(late(&lags, 1, 54), 90);
        told(&mut lags, 1, 54, &[0]);
        assert_eq!(late(&lags, 1, 55), 0);
    }

    #[test]
    fn trades_of_long_ago_tell_nothing() {
        let mut lags = Lags::default();
        told(&mut lags, 1, 0, &[90; 9]);
        assert_eq!(late(&lags, 1, 8 + 60), 90);
        assert_eq!(late(&lags, 1, 8 + 61), 0);
        told(&mut lags, 1, 70, &[0]);
        assert_eq!(late(&lags, 1, 71), 0, "those of before have no part in the median any more");
    }

    #[test]
    fn each_connection_is_late_by_itself_and_what_is_asked_for_is_not() {
        let mut lags = Lags::default();
        told(&mut lags, 1, 0, &[90; 3]);
        told(&mut lags, 2, 0, &[1; 3]);
        assert_eq!((late(&lags, 1, 5), late(&lags, 2, 5), late(&lags, 3, 5)), (90, 1, 0));
        let asked = Heard { connection: None, ..heard(1, 5) };
        assert_eq!(lags.said_at(asked), at(5));
        lags.left(heard(1, 5));
        assert_eq!((late(&lags, 1, 5), late(&lags, 2, 5)), (0, 1));
        lags.forget(VENUE);
        assert_eq!(late(&lags, 2, 5), 0);
    }

    #[test]
    fn a_clock_that_is_known_to_be_behind_makes_nothing_late() {
        let mut lags = Lags::default();
        lags.clock_behind(heard(1, 0), TimeDelta::seconds(89));
        told(&mut lags, 1, 0, &[90; 9]);
        assert_eq!(late(&lags, 1, 9), 1);
        told(&mut lags, 1, 9, &[120; 9]);
        assert_eq!(late(&lags, 1, 18), 31);
        told(&mut lags, 1, 18, &[10; 9]);
        assert_eq!(late(&lags, 1, 27), 0, "nothing comes before it was sent");
    }
}
