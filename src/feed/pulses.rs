//! How long ago each market of a venue was last heard of, and whether that is long.
//!
//! A connection that stands does not prove that each of its markets still comes. A market is late when it has said nothing
//! for some times as long as it usually does; then it is asked for over REST. If REST tells what the stream told last, the
//! market is quiet. If it tells something else, and still does when asked again, the stream is dead for this market. One
//! whose connection is down is asked for after a shorter while, and goes on being asked for until the stream is back; so is
//! one that the venue refuses. Among those that are to be asked for, the one goes first that was asked for least recently, so
//! that all get their turn however few may be asked.
//!
//! Beside that, a volume that nobody has told for long is asked for, which says nothing of the stream.

mod holes;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use foldhash::fast::RandomState;
use rust_decimal::Decimal;
use tokio::time::Instant;

pub(super) use self::holes::Missed;
use self::holes::{GAP, Hole};
use super::delivery::DeliveryKind;
use crate::domain::{pair::Pair, quote::TopOfBook};

/// A market is late after so many times the span that usually lies between two messages.
const LATE_FACTOR: u32 = 8;

/// Part of a new span that enters the smoothed one: one in this many.
const SMOOTHING: u32 = 8;

/// The longest time between two questions after a market that is quiet.
const MAX_QUIET: Duration = Duration::from_secs(600);

/// How often a volume is asked for, where the stream tells none. It is that of a day, and changes slowly.
const VOLUME_EVERY: Duration = Duration::from_secs(300);

/// How long a stream that tells volumes may tell none before they are asked for.
const VOLUME_AFTER: Duration = Duration::from_secs(3_600);

/// How soon a volume is asked for again that was not told.
const VOLUME_AGAIN: Duration = Duration::from_secs(60);

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
    /// When a volume is first asked for after a market is expected, and when it is again after it was told.
    volumes: (Duration, Duration),
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

/// A market that is to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Late {
    pub(super) market: Pair,
    /// A question that was about others too was refused, it may be for the sake of this one.
    pub(super) alone: bool,
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
    /// The times of the first trade that the stream told, and of the newest.
    first_trade: Option<DateTime<Utc>>,
    trade_time: Option<DateTime<Utc>>,
    /// That of the first new one since some were missed.
    trade_since: Option<DateTime<Utc>>,
    missed: Option<Hole>,
    /// How often it was asked for since the stream spoke last, and when it may be again.
    asked: u32,
    next_question: Option<Instant>,
    /// When it was asked for last, whatever the stream has said since.
    last_question: Option<Instant>,
    alone: bool,
    /// When its volume is to be asked for.
    next_volume: Instant,
    /// An answer has differed from what the stream said.
    suspect: bool,
    /// REST speaks in the stream's place.
    polled: bool,
}

impl Pulses {
    pub(super) fn new(options: PulseOptions) -> Self {
        Self { options, volumes: (VOLUME_AFTER, VOLUME_AFTER), markets: Mutex::default() }
    }

    /// Has volumes asked for that the stream does not tell.
    pub(super) fn without_volumes(self) -> Self {
        Self { volumes: (Duration::ZERO, VOLUME_EVERY), ..self }
    }

    /// Expects these markets to be heard from now on, and no others.
    pub(super) fn expect(&self, markets: &BTreeSet<Pair>, now: Instant) {
        let mut pulses = self.markets();
        pulses.retain(|market, _| markets.contains(market));
        for market in markets {
            pulses.entry(*market).or_insert_with(|| Pulse::new(now, now + self.volumes.0));
        }
    }

    /// Takes in what was said on a connection. Tells which market speaks that was refused before.
    pub(super) fn hear(&self, connection: u64, said: &DeliveryKind, received: DateTime<Utc>) -> Option<Pair> {
        match said {
            DeliveryKind::Ticker { market, book, last, base_volume_24h, quote_volume_24h, .. } => {
                if let Some(pulse) = self.markets().get_mut(market) {
                    let now = Instant::now();
                    let accepted = pulse.beat(connection, now, received);
                    if base_volume_24h.or(*quote_volume_24h).is_some() {
                        pulse.next_volume = now + self.volumes.1;
                    }
                    pulse.book = book.or(pulse.book);
                    pulse.last = last.or(pulse.last);
                    return accepted.then_some(*market);
                }
            }
            DeliveryKind::Trade { market, trade, snapshot, .. } => {
                if let Some(pulse) = self.markets().get_mut(market) {
                    let accepted = pulse.beat(connection, Instant::now(), received);
                    pulse.first_trade.get_or_insert(trade.time);
                    if !snapshot {
                        pulse.trade_since.get_or_insert(trade.time);
                    }
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
                        pulse.miss(received, TimeDelta::zero(), None);
                    }
                }
            }
            DeliveryKind::Gap(market) => {
                let mut markets = self.markets();
                for (pair, pulse) in &mut *markets {
                    let concerned = market.map_or(pulse.connection == Some(connection), |gap| gap == *pair);
                    if concerned {
                        pulse.miss(received, GAP, Some(received));
                    }
                }
            }
            _ => {}
        }
        None
    }

    /// Lists markets that are to be asked for now: those that never were, the longest silent first, then those that were asked
    /// for the longest ago.
    pub(super) fn late(&self, now: Instant) -> Vec<Late> {
        let mut late: Vec<_> = self
            .markets()
            .iter()
            .filter(|(_, pulse)| now.duration_since(pulse.heard) >= pulse.limit(&self.options))
            .filter(|(_, pulse)| pulse.next_question.is_none_or(|next| next <= now))
            .map(|(market, pulse)| (pulse.last_question, pulse.heard, *market, pulse.alone))
            .collect();
        late.sort_unstable();
        late.into_iter().map(|(_, _, market, alone)| Late { market, alone }).collect()
    }

    /// Notes that a market is being asked for: not again before there is an answer, unless none comes.
    pub(super) fn asked(&self, market: Pair, now: Instant) {
        if let Some(pulse) = self.markets().get_mut(&market) {
            pulse.asked = pulse.asked.saturating_add(1);
            pulse.last_question = Some(now);
            pulse.next_question = Some(now + 6 * self.options.poll_every);
        }
    }

    /// Notes that a question was not answered: it is asked again when an answer would be due, and `alone` if it may have been
    /// refused for the sake of one among several.
    pub(super) fn unanswered(&self, market: Pair, alone: bool, now: Instant) {
        if let Some(pulse) = self.markets().get_mut(&market) {
            pulse.polled = false;
            pulse.alone |= alone;
            pulse.next_question = Some(now + self.options.poll_every);
        }
    }

    /// Takes out a market whose volume was to be asked for so long ago at least, the one that has waited longest.
    pub(super) fn unmeasured(&self, patience: Duration, now: Instant) -> Option<Pair> {
        let mut markets = self.markets();
        let waiting = markets.iter_mut().filter(|(_, pulse)| pulse.next_volume + patience <= now);
        let (market, pulse) = waiting.min_by_key(|(market, pulse)| (pulse.next_volume, **market))?;
        pulse.next_volume = now + VOLUME_AGAIN;
        Some(*market)
    }

    /// Notes that REST has told a volume.
    pub(super) fn measured(&self, market: Pair, now: Instant) {
        if let Some(pulse) = self.markets().get_mut(&market) {
            pulse.next_volume = now + self.volumes.1;
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
        pulse.alone = false;
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
        pulse.miss(since, TimeDelta::zero(), None);
        Finding::Dead { since }
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
    fn new(now: Instant, next_volume: Instant) -> Self {
        Self {
            asked_on: None,
            refused: false,
            connection: None,
            heard: now,
            span: None,
            spoke: false,
            book: None,
            last: None,
            first_trade: None,
            trade_time: None,
            trade_since: None,
            missed: None,
            asked: 0,
            next_question: None,
            last_question: None,
            alone: false,
            next_volume,
            suspect: false,
            polled: false,
        }
    }

    /// Notes that the stream speaks. Tells whether it was refused before.
    fn beat(&mut self, connection: u64, now: Instant, received: DateTime<Utc>) -> bool {
        if self.spoke && self.connection.is_some() {
            let new = now.duration_since(self.heard);
            self.span = Some(self.span.map_or(new, |old| (old * (SMOOTHING - 1) + new) / SMOOTHING));
        }
        (self.heard, self.spoke, self.connection) = (now, true, Some(connection));
        (self.asked, self.next_question, self.suspect, self.polled) = (0, None, false, false);
        self.resume(received);
        std::mem::take(&mut self.refused)
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
