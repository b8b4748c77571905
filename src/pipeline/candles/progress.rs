//! How far a venue has come: the time up to which its trades are known.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::candle::market::Policy;

/// How far a venue has come, and whether it is connected to.
#[derive(Debug)]
pub(super) struct Progress {
    /// The latest trade, by the venue's clock, and when it came, by ours.
    latest: Option<(DateTime<Utc>, DateTime<Utc>)>,
    mark: DateTime<Utc>,
    /// When it was last heard, while it is connected to.
    heard: Option<DateTime<Utc>>,
}

impl Progress {
    /// Begins to follow a venue.
    pub(super) const fn new(now: DateTime<Utc>) -> Self {
        Self { latest: None, mark: now, heard: None }
    }

    /// Notes that it is connected to.
    pub(super) fn connect(&mut self, now: DateTime<Utc>) {
        self.heard = Some(self.heard.map_or(now, |heard| heard.max(now)));
    }

    /// Notes that it has said something.
    pub(super) fn hear(&mut self, now: DateTime<Utc>) {
        self.heard = self.heard.map(|heard| heard.max(now));
    }

    /// Notes that it is not connected to any more; gives when it was last heard, if that is news.
    pub(super) const fn disconnect(&mut self) -> Option<DateTime<Utc>> {
        self.heard.take()
    }

    pub(super) const fn is_connected(&self) -> bool {
        self.heard.is_some()
    }

    /// Notes a live trade.
    pub(super) fn reach(&mut self, time: DateTime<Utc>, received: DateTime<Utc>) {
        if self.latest.is_none_or(|(latest, _)| time > latest) {
            self.latest = Some((time, received));
        }
    }

    /// Moves the mark, which never goes back: to the venue's clock, which is taken to go on as ours does from the latest
    /// trade, but is not followed beyond what is believed of it.
    pub(super) fn tick(&mut self, now: DateTime<Utc>, policy: &Policy) {
        let clock = self.latest.map_or(now, |(time, received)| {
            time.checked_add_signed((now - received).max(TimeDelta::zero())).unwrap_or(time)
        });
        let earliest = now.checked_sub_signed(policy.max_lag).unwrap_or(now);
        let latest = now.checked_add_signed(policy.max_future).unwrap_or(now);
        self.mark = self.mark.max(clock.clamp(earliest, latest));
    }

    /// Gets the time up to which its trades are known.
    pub(super) const fn mark(&self) -> DateTime<Utc> {
        self.mark
    }
}
