//! One pair: the trades of all its venues, and the candles that they make, each by itself and together.

use std::slice;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Candle, Interval,
    builder::{Builder, Series},
    by_time::ByTime,
    listening::{Audience, Listening},
    tally::{Mark, Tally},
    trade_id::TradeId,
};
use crate::domain::{pair::Pair, seen::Seen, trade::Trade, venue::Venue};

/// How many seconds are closed at once: after a long sleep the rest has to wait for the next time.
const CLOSED_AT_ONCE: TimeDelta = TimeDelta::seconds(600);

/// When candles are closed, told, and still changed.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How long after an interval, by the venue's progress, its trades are awaited.
    pub lateness: TimeDelta,
    /// How long after that a trade still restates it. This bounds what is kept in memory.
    pub restatable: TimeDelta,
    /// Ids of trades that are kept of a market of a venue at most, to know those that come twice. Where more come in the time
    /// in which they restate, that time is shorter: of what could come a second time unnoticed, nothing is taken in.
    pub max_ids: usize,
    /// A candle that is being formed is told again after this time at the earliest.
    pub cadence: TimeDelta,
    /// A time from further ahead of our clock than this is not believed: such a trade happened when it was received.
    pub max_future: TimeDelta,
    /// A venue whose trades come later than this is not waited for any longer.
    pub max_lag: TimeDelta,
}

/// What became of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Intake {
    /// It counts.
    Taken,
    /// Its id is known already.
    Duplicate,
    /// It was sent as past, has no id, and is of a time that was listened to: it came when it happened.
    Past,
    /// It happened before anything was known of the market here: that time is for the venue's history to tell.
    BeforeStart,
    /// It came so late that its candles cannot be restated any more.
    TooLate,
    /// Price or amount is not above zero.
    Worthless,
    /// It is of no spot market, or of a market that is not taken in.
    Foreign,
}

/// The trades and candles of one pair.
#[derive(Debug)]
pub struct Market {
    pair: Pair,
    venues: Vec<Listed>,
    /// As many as there are venues, in their order.
    listening: Vec<Listening>,
    composite: Builder,
    told: Option<DateTime<Utc>>,
    policy: Policy,
}

/// A venue that lists the pair.
#[derive(Debug)]
struct Listed {
    venue: Venue,
    builder: Builder,
    seen: Seen,
    unnamed: u64,
    /// What came since the candles were last brought up to date, by second.
    pending: ByTime<Tally>,
}

impl Market {
    /// Begins with no venue.
    pub fn new(pair: Pair, start: DateTime<Utc>, policy: Policy) -> Self {
        let composite = Builder::new(Series { pair, venue: None }, start, policy.restatable);
        Self { pair, venues: Vec::new(), listening: Vec::new(), composite, told: None, policy }
    }

    /// Expects a venue's trades from now on: its candles begin, and it is missed in the composite when it is not
    /// listened to.
    pub fn expect(&mut self, venue: Venue, now: DateTime<Utc>) {
        if self.place(venue).is_none() {
            let series = Series { pair: self.pair, venue: Some(venue) };
            self.venues.push(Listed {
                venue,
                builder: Builder::new(series, now, self.policy.restatable),
                seen: Seen::new(self.policy.max_ids, self.policy.restatable / 4),
                unnamed: 0,
                pending: ByTime::new(),
            });
            self.listening.push(Listening::default());
        }
    }

    /// Expects a venue's trades no longer. What is not closed of its candles is not told any more, and the composite goes
    /// on without it.
    pub fn dismiss(&mut self, venue: Venue) {
        self.settle();
        if let Some(at) = self.place(venue) {
            self.venues.remove(at);
            let listening = self.listening.remove(at);
            self.composite.dismiss(&listening);
        }
    }

    /// Lists the venues that are expected.
    pub fn venues(&self) -> impl Iterator<Item = Venue> {
        self.venues.iter().map(|listed| listed.venue)
    }

    /// Takes in a candle of the time before the start, of a venue or of all that are expected, for the longer ones that
    /// contain the start. No two may speak of the same time.
    pub fn restore(&mut self, candle: &Candle) {
        let Some(venue) = candle.venue else {
            return self.composite.restore(candle, Audience(&self.listening));
        };
        if let Some(at) = self.place(venue)
            && let (Some(listed), Some(listening)) = (self.venues.get_mut(at), self.listening.get(at))
        {
            listed.builder.restore(candle, Audience(slice::from_ref(listening)));
        }
    }

    /// Notes that a venue's trades are listened to from now on.
    pub fn connected(&mut self, venue: Venue, time: DateTime<Utc>) {
        if let Some(at) = self.place(venue)
            && let (Some(listed), Some(listening)) = (self.venues.get(at), self.listening.get_mut(at))
        {
            listening.start(time.max(listed.builder.closed_until()));
        }
    }

    /// Notes until when a venue's trades were listened to. Where that is noticed late, candles that were closed since
    /// are restated.
    pub fn disconnected(&mut self, venue: Venue, time: DateTime<Utc>) {
        if let Some(at) = self.place(venue)
            && let Some(moment) = self.listening.get_mut(at).and_then(|listening| listening.end(time))
            && let (Some(listed), Some(listening)) = (self.venues.get_mut(at), self.listening.get(at))
        {
            listed.builder.retract(moment, Audience(slice::from_ref(listening)));
            self.composite.retract(moment, Audience(&self.listening));
        }
    }

    /// Takes in a trade, in constant time; the candles follow when they are looked at.
    ///
    /// Trades that were sent as past (`snapshot`) fill in what is missing, and nothing else: by their ids, or where they
    /// have none, if their time was not listened to. They do not make that time one that was.
    pub fn trade(&mut self, venue: Venue, trade: &Trade, snapshot: bool, received: DateTime<Utc>) -> Intake {
        let Some(at) = self.place(venue) else {
            return Intake::Foreign;
        };
        let (Some(listed), Some(listening)) = (self.venues.get_mut(at), self.listening.get(at)) else {
            return Intake::Foreign;
        };
        if !(trade.price.is_sign_positive() && trade.amount.is_sign_positive())
            || trade.price.is_zero()
            || trade.amount.is_zero()
        {
            return Intake::Worthless;
        }
        let time = self.policy.time_of(trade, received);
        let second = Interval::Second.open_time(time);
        if let Err(refused) = listed.builder.takes(second) {
            return refused;
        }
        let id = match &trade.id {
            Some(_) if listed.seen.has_lost(second) => return Intake::TooLate,
            Some(id) if !listed.seen.insert_joined(second, id, trade.count) => return Intake::Duplicate,
            Some(id) => TradeId::read(id),
            None if snapshot && listening.covers(time) => return Intake::Past,
            None => {
                listed.unnamed += 1;
                TradeId::Unnamed(listed.unnamed)
            }
        };
        let mark = Mark { time, venue, id };
        let tally = Tally::of(mark, trade.price, trade.amount).counted(trade.count);
        match listed.pending.get_mut(second) {
            Some(pending) => pending.add(&tally),
            None => {
                listed.pending.or_insert_with(second, || tally);
            }
        }
        Intake::Taken
    }

    /// Brings the candles up to date, and gives those that say something new: closed and restated ones at once, those
    /// that are being formed at the policy's cadence. Each venue has a mark, the time up to which it is known.
    pub fn tick(&mut self, now: DateTime<Utc>, mark: impl Fn(Venue) -> DateTime<Utc>, out: &mut Vec<Candle>) {
        self.settle();
        let lateness = self.policy.lateness;
        let until = |mark: DateTime<Utc>, builder: &Builder| {
            let over = mark.checked_sub_signed(lateness).unwrap_or(mark).min(now);
            over.min(builder.closed_until().checked_add_signed(CLOSED_AT_ONCE).unwrap_or(over))
        };
        let mut least = now;
        for (listed, listening) in self.venues.iter_mut().zip(&self.listening) {
            let mark = mark(listed.venue);
            least = least.min(mark);
            listed.builder.close(until(mark, &listed.builder), Audience(slice::from_ref(listening)), out);
            listed.seen.forget(listed.builder.settled_until());
        }
        self.composite.close(until(least, &self.composite), Audience(&self.listening), out);
        for (listed, listening) in self.venues.iter().zip(&mut self.listening) {
            listening.forget(listed.builder.settled_until().min(self.composite.settled_until()));
        }
        self.tell_forming(now, out);
    }

    /// Gets the earliest candle of an interval that is not over, of a venue or of all together.
    pub fn forming(
        &mut self,
        venue: Option<Venue>,
        interval: Interval,
        now: DateTime<Utc>,
    ) -> Option<Candle> {
        self.settle();
        let Some(venue) = venue else {
            return self.composite.current(interval, now, Audience(&self.listening));
        };
        let at = self.place(venue)?;
        let audience = Audience(slice::from_ref(self.listening.get(at)?));
        self.venues.get(at)?.builder.current(interval, now, audience)
    }

    /// Adds what came to the candles.
    fn settle(&mut self) {
        for (listed, listening) in self.venues.iter_mut().zip(&self.listening) {
            while let Some((second, trades)) = listed.pending.pop_first() {
                listed.builder.add(second, &trades, Audience(slice::from_ref(listening)));
                self.composite.add(second, &trades, Audience(&self.listening));
            }
        }
    }

    fn tell_forming(&mut self, now: DateTime<Utc>, out: &mut Vec<Candle>) {
        let early = self.told.is_some_and(|told| now - told < self.policy.cadence);
        let changed =
            || self.composite.has_changed() || self.venues.iter().any(|listed| listed.builder.has_changed());
        if early || !changed() {
            return;
        }
        self.told = Some(now);
        for (listed, listening) in self.venues.iter_mut().zip(&self.listening) {
            listed.builder.forming(now, Audience(slice::from_ref(listening)), out);
        }
        self.composite.forming(now, Audience(&self.listening), out);
    }

    fn place(&self, venue: Venue) -> Option<usize> {
        self.venues.iter().position(|listed| listed.venue == venue)
    }
}

impl Policy {
    /// Gets when a trade happened: when its venue says, or when it was received, if the venue's clock is further ahead than is
    /// believed.
    pub fn time_of(&self, trade: &Trade, received: DateTime<Utc>) -> DateTime<Utc> {
        if trade.time - received > self.max_future { received } else { trade.time }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            lateness: TimeDelta::seconds(2),
            restatable: TimeDelta::minutes(10),
            // 1,700 trades a second in all of ten minutes, in 12 MiB at most.
            max_ids: 1 << 20,
            cadence: TimeDelta::seconds(1),
            max_future: TimeDelta::seconds(5),
            max_lag: TimeDelta::seconds(10),
        }
    }
}

#[cfg(test)]
mod tests;
