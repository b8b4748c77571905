//! How long ago each market of a venue was last heard of, and whether that is long.
//!
//! A connection that stands does not prove that each of its markets still comes. A market is late when it has said nothing
//! for some times as long as it usually does; then it is asked for over REST. If REST tells what the stream told last, the
//! market is quiet. If it tells something else, and still does when asked again, the stream is dead for this market. One
//! whose connection is down is asked for after a shorter while, and goes on being asked for until the stream is back; so is
//! one that the venue refuses.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use foldhash::fast::RandomState;
use rust_decimal::Decimal;
use tokio::time::Instant;

use super::delivery::DeliveryKind;
use crate::domain::{pair::Pair, quote::TopOfBook};

/// A market is late after so many times the span that usually lies between two messages.
const LATE_FACTOR: u32 = 8;

/// Part of a new span that enters the smoothed one: one in this many.
const SMOOTHING: u32 = 8;

/// The longest time between two questions after a market that is quiet.
const MAX_QUIET: Duration = Duration::from_secs(600);

/// How often missed trades are asked for, if there is no answer.
const TRADE_TRIES: u32 = 10;

/// How long before the last trade some may have been missed, where numbers show a gap: those may be of another channel.
const GAP: TimeDelta = TimeDelta::seconds(5);

/// When markets are asked for over REST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PulseOptions {
    /// A market is never late before this, however often it usually speaks.
    pub silent_after: Duration,
    /// One whose connection is down is asked for after this.
    pub poll_after: Duration,
    /// And then this often, until the stream is back.
    pub poll_every: Duration,
}

/// The pulses of a venue's markets.
#[derive(Debug)]
pub(super) struct Pulses {
    options: PulseOptions,
    markets: Mutex<HashMap<Pair, Pulse, RandomState>>,
}

/// What an answer over REST tells of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// The stream goes on, or its connection is down and known to be.
    Expected,
    /// The stream has spoken since the question: what it said is newer than the answer.
    Overtaken,
    /// The market has moved and the stream has not said so: nothing of it was heard since a moment.
    Dead { since: DateTime<Utc> },
}

/// Trades of a market may have been missed since a moment. They are being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) market: Pair,
    pub(super) since: DateTime<Utc>,
    /// How often they were asked for in vain.
    tries: u32,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Pulse {
    /// The connection that was asked for it last, while it stands.
    asked_on: Option<u64>,
    /// The venue refuses it.
    refused: bool,
    /// The connection that spoke last, while it stands.
    connection: Option<u64>,
    /// When the stream spoke last; before it has, since when it should.
    heard: Instant,
    /// What lies between two messages, smoothed; `None` before there were two.
    span: Option<Duration>,
    spoke: bool,
    book: Option<TopOfBook>,
    last: Option<Decimal>,
    trade_time: Option<DateTime<Utc>>,
    missed: Option<Hole>,
    /// How often it was asked for since the stream spoke last, and when it may be again.
    asked: u32,
    next_question: Option<Instant>,
    /// An answer has differed from what the stream said.
    suspect: bool,
    /// REST speaks in the stream's place.
    polled: bool,
}

/// Trades may be missing, and are to be asked for.
#[derive(Debug, Clone, Copy)]
struct Hole {
    since: DateTime<Utc>,
    /// Whether the stream has the word: before it is back, more would be missing after the answer.
    due: bool,
    /// How often they were asked for in vain, and when they may be again.
    tries: u32,
    not_before: Instant,
}

impl Pulses {
    pub(super) fn new(options: PulseOptions) -> Self {
        Self { options, markets: Mutex::default() }
    }

    /// Expects these markets to be heard from now on, and no others.
    pub(super) fn expect(&self, markets: &BTreeSet<Pair>, now: Instant) {
        let mut pulses = self.markets();
        pulses.retain(|market, _| markets.contains(market));
        for market in markets {
            pulses.entry(*market).or_insert_with(|| Pulse::new(now));
        }
    }

    /// Takes in what was said on a connection. Tells which market speaks that was refused before.
    pub(super) fn hear(&self, connection: u64, said: &DeliveryKind, received: DateTime<Utc>) -> Option<Pair> {
        match said {
            DeliveryKind::Ticker { market, book, last, .. } => {
                if let Some(pulse) = self.markets().get_mut(market) {
                    let accepted = pulse.beat(connection, Instant::now());
                    pulse.book = book.or(pulse.book);
                    pulse.last = last.or(pulse.last);
                    return accepted.then_some(*market);
                }
            }
            DeliveryKind::Trade { market, trade, .. } => {
                if let Some(pulse) = self.markets().get_mut(market) {
                    let accepted = pulse.beat(connection, Instant::now());
                    if pulse.trade_time.is_none_or(|known| known <= trade.time) {
                        pulse.trade_time = Some(trade.time);
                        pulse.last = Some(trade.price);
                    }
                    return accepted.then_some(*market);
                }
            }
            DeliveryKind::Refused { market: Some(market), .. } => {
                if let Some(pulse) = self.markets().get_mut(market) {
                    pulse.refused = true;
                }
            }
            DeliveryKind::Connected(asked) => {
                let mut markets = self.markets();
                for market in asked.iter() {
                    if let Some(pulse) = markets.get_mut(market) {
                        pulse.asked_on = Some(connection);
                    }
                }
            }
            DeliveryKind::Left(_) => {
                for pulse in self.markets().values_mut() {
                    pulse.asked_on = pulse.asked_on.filter(|asked| *asked != connection);
                    if pulse.connection == Some(connection) {
                        pulse.connection = None;
                        pulse.miss(received, TimeDelta::zero(), false);
                    }
                }
            }
            DeliveryKind::Gap(market) => {
                let mut markets = self.markets();
                for (pair, pulse) in &mut *markets {
                    let concerned = market.map_or(pulse.connection == Some(connection), |gap| gap == *pair);
                    if concerned {
                        pulse.miss(received, GAP, true);
                    }
                }
            }
            _ => {}
        }
        None
    }

    /// Lists markets that are to be asked for now, the longest silent first.
    pub(super) fn late(&self, now: Instant) -> Vec<Pair> {
        let mut late: Vec<_> = self
            .markets()
            .iter()
            .filter(|(_, pulse)| now.duration_since(pulse.heard) >= pulse.limit(&self.options))
            .filter(|(_, pulse)| pulse.next_question.is_none_or(|next| next <= now))
            .map(|(market, pulse)| (pulse.heard, *market))
            .collect();
        late.sort_unstable();
        late.into_iter().map(|(_, market)| market).collect()
    }

    /// Notes that a market is being asked for: not again before there is an answer, unless none comes.
    pub(super) fn asked(&self, market: Pair, now: Instant) {
        if let Some(pulse) = self.markets().get_mut(&market) {
            pulse.asked = pulse.asked.saturating_add(1);
            pulse.next_question = Some(now + 6 * self.options.poll_every);
        }
    }

    /// Notes that a question was not answered: it is asked again when an answer would be due.
    pub(super) fn unanswered(&self, market: Pair, now: Instant) {
        if let Some(pulse) = self.markets().get_mut(&market) {
            pulse.polled = false;
            pulse.next_question = Some(now + self.options.poll_every);
        }
    }

    /// Takes in an answer over REST. Where the stream is found dead, trades are missing since it was last heard.
    pub(super) fn answered(
        &self,
        market: Pair,
        book: Option<TopOfBook>,
        last: Option<Decimal>,
        asked: Instant,
        (now, received): (Instant, DateTime<Utc>),
    ) -> Finding {
        let mut markets = self.markets();
        let Some(pulse) = markets.get_mut(&market) else { return Finding::Expected };
        if pulse.spoke && pulse.heard > asked {
            return Finding::Overtaken;
        }
        let differs =
            |known: Option<_>, told: Option<_>| known.zip(told).is_some_and(|(known, told)| known != told);
        let moved =
            !pulse.spoke || differs(pulse.book, book) || pulse.last.zip(last).is_some_and(|(a, b)| a != b);
        let down = pulse.asked_on.is_none() && pulse.connection.is_none();
        // One that is refused is not dead, and asking for it anew would not bring it to life.
        let dead = moved && pulse.suspect && !down && !pulse.refused;
        pulse.polled = pulse.connection.is_none() || moved;
        pulse.suspect = moved;
        let wait = if pulse.polled {
            self.options.poll_every
        } else {
            (pulse.limit(&self.options) * 2_u32.saturating_pow(pulse.asked.min(8))).min(MAX_QUIET)
        };
        pulse.next_question = Some(now + wait);
        if !dead {
            return Finding::Expected;
        }
        let silence = TimeDelta::from_std(now.duration_since(pulse.heard)).unwrap_or_default();
        let since = received.checked_sub_signed(silence).unwrap_or(received);
        pulse.miss(since, TimeDelta::zero(), false);
        Finding::Dead { since }
    }

    /// Takes out so many markets at most whose missed trades are to be asked for now.
    pub(super) fn missed(&self, room: usize, now: Instant) -> Vec<Missed> {
        let mut markets = self.markets();
        let due = markets.iter_mut().filter_map(|(market, pulse)| {
            let Hole { since, tries, .. } =
                pulse.missed.take_if(|missed| missed.due && missed.not_before <= now)?;
            Some(Missed { market: *market, since, tries })
        });
        due.take(room).collect()
    }

    /// Puts back what was not answered: it is asked for again when an answer would be due, or when the venue wants to be asked
    /// again, then ever later. Tells whether it will be: not after a number of tries.
    pub(super) fn still_missed(&self, missed: Missed, asked_to_wait: Option<Duration>, now: Instant) -> bool {
        let mut markets = self.markets();
        let Some(pulse) = markets.get_mut(&missed.market) else { return true };
        let wait = self.options.poll_every * 2_u32.saturating_pow(missed.tries);
        let not_before = now + asked_to_wait.unwrap_or(wait.min(MAX_QUIET));
        if let Some(more) = &mut pulse.missed {
            // More is missing since then, which is another matter.
            (more.since, more.not_before) = (more.since.min(missed.since), not_before);
            return true;
        }
        // A question that was not put was no try.
        let tries = missed.tries + u32::from(asked_to_wait.is_none());
        let again = tries < TRADE_TRIES;
        pulse.missed = again.then_some(Hole { since: missed.since, due: true, tries, not_before });
        again
    }

    /// Counts the markets that REST speaks for.
    pub(super) fn polled(&self) -> usize {
        self.markets().values().filter(|pulse| pulse.polled).count()
    }

    fn markets(&self) -> MutexGuard<'_, HashMap<Pair, Pulse, RandomState>> {
        self.markets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    fn new(now: Instant) -> Self {
        Self {
            asked_on: None,
            refused: false,
            connection: None,
            heard: now,
            span: None,
            spoke: false,
            book: None,
            last: None,
            trade_time: None,
            missed: None,
            asked: 0,
            next_question: None,
            suspect: false,
            polled: false,
        }
    }

    /// Notes that the stream speaks. Tells whether it was refused before.
    fn beat(&mut self, connection: u64, now: Instant) -> bool {
        if self.spoke && self.connection.is_some() {
            let new = now.duration_since(self.heard);
            self.span = Some(self.span.map_or(new, |old| (old * (SMOOTHING - 1) + new) / SMOOTHING));
        }
        (self.heard, self.spoke, self.connection) = (now, true, Some(connection));
        (self.asked, self.next_question, self.suspect, self.polled) = (0, None, false, false);
        // The stream is back: what it has missed can be asked for.
        if let Some(missed) = &mut self.missed {
            missed.due = true;
        }
        std::mem::take(&mut self.refused)
    }

    /// Notes that trades may be missing since some time before the last one that came.
    fn miss(&mut self, now: DateTime<Utc>, before: TimeDelta, due: bool) {
        if self.spoke {
            let last = self.trade_time.unwrap_or(now);
            let since = last.checked_sub_signed(before).unwrap_or(last);
            let since = self.missed.map_or(since, |known| known.since.min(since));
            let not_before = self.missed.map_or(self.heard, |known| known.not_before);
            self.missed = Some(Hole { since, due, tries: 0, not_before });
        }
    }

    fn limit(&self, options: &PulseOptions) -> Duration {
        match (self.connection, self.span) {
            (None, _) if self.asked_on.is_none() => options.poll_after,
            (Some(_), Some(span)) => (span * LATE_FACTOR).min(MAX_QUIET).max(options.silent_after),
            _ => options.silent_after,
        }
    }
}

#[cfg(test)]
mod tests;
