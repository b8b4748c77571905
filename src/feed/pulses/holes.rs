//! What trades of a market may have been missed, and asking for them until the hole is closed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::{MAX_QUIET, Pulse, Pulses};
use crate::domain::pair::Pair;

/// How often missed trades are asked for, if there is no answer.
const TRADE_TRIES: u32 = 10;

/// How long before the last trade some may have been missed, where numbers show a gap: those may be of another channel. And how
/// long after the stream has spoken again some may have.
pub(super) const GAP: TimeDelta = TimeDelta::seconds(5);

/// Trades of a market may have been missed since a moment. They are being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feed) struct Missed {
    pub(in crate::feed) market: Pair,
    pub(in crate::feed) since: DateTime<Utc>,
    /// Since when the stream tells them itself.
    pub(in crate::feed) until: DateTime<Utc>,
    /// How often they were asked for in vain.
    pub(super) tries: u32,
}

/// Trades may be missing, and are to be asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hole {
    since: DateTime<Utc>,
    /// Since when the stream has the word: before it is back, more would be missing after the answer.
    until: Option<DateTime<Utc>>,
    /// How often they were asked for in vain, and when they may be again.
    tries: u32,
    not_before: Instant,
}

impl Missed {
    /// Says what was missed, as it is asked for the first time.
    pub(in crate::feed) fn between(market: Pair, since: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { market, since, until, tries: 0 }
    }

    /// Tells whether trades up to some time close the hole.
    pub(in crate::feed) fn is_closed_by(&self, time: DateTime<Utc>) -> bool {
        time - self.until >= GAP
    }
}

impl Pulses {
    /// Takes out so many markets at most whose missed trades are to be asked for now, those that have waited longest.
    pub(in crate::feed) fn missed(&self, room: usize, now: Instant) -> Vec<Missed> {
        let mut markets = self.markets();
        let due = |hole: Hole| hole.until.is_some() && hole.not_before <= now;
        let mut turns: Vec<(Instant, Pair)> = markets
            .iter()
            .filter_map(|(market, pulse)| Some((pulse.missed.filter(|hole| due(*hole))?.not_before, *market)))
            .collect();
        turns.sort_unstable();
        let taken = turns.into_iter().take(room).filter_map(|(_, market)| {
            let pulse = markets.get_mut(&market)?;
            let Hole { since, until, tries, .. } = pulse.missed.take()?;
            // By the venue's clock, if that is ahead.
            let until = until.max(pulse.trade_since)?;
            Some(Missed { tries, ..Missed::between(market, since, until) })
        });
        taken.collect()
    }

    /// Puts back what was not answered: it is asked for again when an answer would be due, or when the venue wants to be asked
    /// again, then ever later. Tells whether it will be: not after a number of tries.
    pub(in crate::feed) fn still_missed(
        &self,
        missed: Missed,
        asked_to_wait: Option<Duration>,
        now: Instant,
    ) -> bool {
        let wait = self.options.poll_every * 2_u32.saturating_pow(missed.tries);
        let not_before = now + asked_to_wait.unwrap_or(wait.min(MAX_QUIET));
        // A question that was not put was no try.
        let tries = missed.tries + u32::from(asked_to_wait.is_none());
        self.put_back(Missed { tries, ..missed }, not_before)
    }

    /// Puts back what an answer has left open: it is asked for from the last trade on that was told, after others.
    pub(in crate::feed) fn missed_after(&self, missed: Missed, last: DateTime<Utc>, now: Instant) {
        self.put_back(Missed { since: last, tries: 0, ..missed }, now);
    }

    /// Tells whether it is asked for again.
    fn put_back(&self, missed: Missed, not_before: Instant) -> bool {
        let Missed { market, since, until, tries } = missed;
        let mut markets = self.markets();
        let Some(pulse) = markets.get_mut(&market) else { return true };
        if let Some(more) = &mut pulse.missed {
            // More is missing since then, which is another matter.
            (more.since, more.not_before) = (more.since.min(since), not_before);
            return true;
        }
        let again = tries < TRADE_TRIES;
        pulse.missed = again.then_some(Hole { since, until: Some(until), tries, not_before });
        again
    }
}

impl Pulse {
    /// Notes that trades may be missing since some time before the last one that came, but not from before the first. What the
    /// stream has already gone on from is due.
    pub(super) fn miss(&mut self, now: DateTime<Utc>, before: TimeDelta, until: Option<DateTime<Utc>>) {
        if self.spoke {
            let last = self.trade_time.unwrap_or(now);
            let since = last.checked_sub_signed(before).unwrap_or(last);
            let since = self.first_trade.map_or(since, |first| since.max(first.min(last)));
            let since = self.missed.map_or(since, |known| known.since.min(since));
            let not_before = self.missed.map_or(self.heard, |known| known.not_before);
            self.missed = Some(Hole { since, until, tries: 0, not_before });
            self.trade_since = None;
        }
    }

    /// Notes that the stream is back: what it has missed can be asked for.
    pub(super) fn resume(&mut self, received: DateTime<Utc>) {
        if let Some(missed) = &mut self.missed {
            missed.until.get_or_insert(received);
        }
    }
}
