//! One source, counted as things happen and read without stopping the count.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::{
    connections::Connections,
    recent::Recent,
    report::{Counts, SourceReport, SourceState},
};
use crate::{
    domain::{pair::Pair, price::Origin, venue::Venue},
    feed::{delivery::Outlook, venues},
};

/// Part of a new lag that enters the smoothed one: one in this many.
const LAG_SMOOTHING: i64 = 16;

/// One source's counters, written by whoever hears it.
#[derive(Debug)]
pub struct Source {
    venue: Venue,
    origin: Origin,
    state: ArcSwap<(SourceState, DateTime<Utc>)>,
    markets: ArcSwap<Vec<Pair>>,
    frames: AtomicU64,
    tickers: AtomicU64,
    trades: AtomicU64,
    snapshot_trades: AtomicU64,
    duplicates: AtomicU64,
    out_of_order: AtomicU64,
    malformed: Mutex<BTreeMap<&'static str, u64>>,
    gaps: AtomicU64,
    connections: Mutex<Connections>,
    last_receive: AtomicI64,
    last_event: AtomicI64,
    lag: AtomicI64,
    last_error: ArcSwapOption<(String, DateTime<Utc>)>,
    recent: Mutex<Recent>,
    frozen: ArcSwapOption<(u32, DateTime<Utc>)>,
}

/// What a message was, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// A ticker.
    Ticker,
    /// A trade.
    Trade,
    /// A trade of the past, sent on subscription.
    SnapshotTrade,
    /// A trade known already.
    Duplicate,
}

impl Source {
    pub(super) fn new(venue: Venue, markets: Vec<Pair>, origin: Origin, now: DateTime<Utc>) -> Self {
        Self {
            venue,
            origin,
            state: ArcSwap::from_pointee((SourceState::Connecting, now)),
            markets: ArcSwap::from_pointee(markets),
            frames: AtomicU64::new(0),
            tickers: AtomicU64::new(0),
            trades: AtomicU64::new(0),
            snapshot_trades: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            out_of_order: AtomicU64::new(0),
            malformed: Mutex::default(),
            gaps: AtomicU64::new(0),
            connections: Mutex::new(Connections::new()),
            last_receive: AtomicI64::new(i64::MIN),
            last_event: AtomicI64::new(i64::MIN),
            lag: AtomicI64::new(i64::MIN),
            last_error: ArcSwapOption::empty(),
            recent: Mutex::new(Recent::new(now)),
            frozen: ArcSwapOption::empty(),
        }
    }

    /// Gets the venue.
    pub fn venue(&self) -> Venue {
        self.venue
    }

    /// Counts a frame.
    pub fn frame(&self, received: DateTime<Utc>) {
        self.frames.fetch_add(1, Relaxed);
        self.recent().frame(received);
        if let Some(nanos) = received.timestamp_nanos_opt() {
            self.last_receive.fetch_max(nanos, Relaxed);
        }
    }

    /// Notes that something was said of a market on a connection: answers to pings and subscriptions, and what is not
    /// understood, do not make it live.
    pub fn spoke(&self, received: DateTime<Utc>) {
        if let Some(nanos) = received.timestamp_nanos_opt() {
            self.last_event.fetch_max(nanos, Relaxed);
        }
        if self.state.load().0 != SourceState::Live && !lock(&self.connections).open.is_empty() {
            self.enter(SourceState::Live, received);
        }
    }

    /// Counts what a frame said.
    pub fn count(&self, what: Counted) {
        let counter = match what {
            Counted::Ticker => &self.tickers,
            Counted::Trade => &self.trades,
            Counted::SnapshotTrade => &self.snapshot_trades,
            Counted::Duplicate => &self.duplicates,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Counts a message that was older than what was known.
    pub fn out_of_order(&self) {
        self.out_of_order.fetch_add(1, Relaxed);
    }

    /// Counts a frame that was not understood, for the kind of error that it is.
    pub fn malformed(&self, kind: &'static str, error: &str, now: DateTime<Utc>) {
        *lock(&self.malformed).entry(kind).or_default() += 1;
        self.error(error, now);
    }

    /// Notes an error.
    pub fn error(&self, error: &str, now: DateTime<Utc>) {
        self.last_error.store(Some(Arc::new((error.to_owned(), now))));
    }

    /// Takes in how long a live trade took from the venue. Trades alone tell: the time of a ticker may be that of a change
    /// long ago.
    pub fn trade_lag(&self, lag: TimeDelta, now: DateTime<Utc>) {
        self.recent().lag(lag, now);
    }

    /// Takes in how far a reading was from what was agreed on, in basis points.
    pub fn deviates(&self, bps: Decimal, now: DateTime<Utc>) {
        self.recent().deviation(bps, now);
    }

    /// Notes how many of its markets are frozen.
    pub fn frozen(&self, markets: u32, now: DateTime<Utc>) {
        let known = self.frozen.load();
        if known.as_deref().map_or(0, |(known, _)| *known) != markets {
            let since = known.as_deref().map_or(now, |(_, since)| *since);
            self.frozen.store((markets > 0).then(|| Arc::new((markets, since))));
        }
    }

    /// Takes in how long a message took from the venue.
    pub fn lag(&self, lag: TimeDelta) {
        let Some(new) = lag.num_nanoseconds() else { return };
        let old = self.lag.load(Relaxed);
        let smoothed = if old == i64::MIN { new } else { old + (new.saturating_sub(old)) / LAG_SMOOTHING };
        self.lag.store(smoothed, Relaxed);
    }

    /// Notes a connection made, by its number, and what it is asked for. The source is live once it says something.
    pub fn connected(&self, number: u64, markets: &[Pair], now: DateTime<Utc>) {
        let mut connections = lock(&self.connections);
        connections.made += 1;
        connections.open.insert(number);
        connections.found(markets);
        drop(connections);
        if self.state.load().0 != SourceState::Live {
            self.enter(SourceState::Connecting, now);
        }
    }

    /// Notes a connection that ended. One that was not known is from before a venue was listened to anew.
    pub fn left(&self, number: u64, now: DateTime<Utc>) {
        let mut connections = lock(&self.connections);
        let last = connections.open.remove(&number) && connections.open.is_empty();
        drop(connections);
        if last {
            self.enter(SourceState::Connecting, now);
        }
    }

    /// Notes a connection lost, or not made, which is asked for some markets, and what comes next.
    pub fn disconnected(&self, markets: &Arc<[Pair]>, error: &str, outlook: Outlook, now: DateTime<Utc>) {
        self.error(error, now);
        let mut connections = lock(&self.connections);
        connections.lose(markets, error, outlook);
        let none = connections.open.is_empty();
        drop(connections);
        match outlook {
            Outlook::Blocked => self.enter(SourceState::Blocked, now),
            Outlook::Retry(_) if none => self.enter(SourceState::Connecting, now),
            Outlook::Penalty(_) if none => self.enter(SourceState::Penalized, now),
            Outlook::Retry(_) | Outlook::Penalty(_) => {}
        }
    }

    /// Notes what is listened to.
    pub fn listening(&self, mut markets: Vec<Pair>, absent: &[(Pair, String)], connections: usize) {
        markets.sort_unstable();
        let mut known = lock(&self.connections);
        known.refused.retain(|market, _| markets.contains(market));
        known.want(&markets);
        self.markets.store(Arc::new(markets));
        known.absent = absent.iter().cloned().collect();
        known.wanted = connections;
        known.most = known.most.max(connections);
    }

    /// Notes how many markets are asked for over REST, and what went wrong.
    pub fn asked(&self, polled: usize, error: Option<&str>, now: DateTime<Utc>) {
        lock(&self.connections).polled = polled;
        if let Some(error) = error {
            self.error(error, now);
        }
    }

    /// Notes that the venue refuses something.
    pub fn refused(&self, market: Option<Pair>, words: &str, now: DateTime<Utc>) {
        self.error(words, now);
        if let Some(market) = market {
            lock(&self.connections).refused.insert(market, format!("refused: {words}"));
        }
    }

    /// Notes that a market speaks which was refused.
    pub fn accepted(&self, market: Pair) {
        lock(&self.connections).refused.remove(&market);
    }

    /// Lists the markets that are wanted and that the venue does not list, does not trade, or refuses.
    pub(super) fn absent(&self) -> Vec<Pair> {
        lock(&self.connections).lacking().into_keys().collect()
    }

    /// Tells whether a market is wanted and absent.
    pub(super) fn lacks(&self, market: Pair) -> bool {
        lock(&self.connections).lacking().contains_key(&market)
    }

    /// Tells whether a market is listened to, and not refused.
    pub(super) fn has(&self, market: Pair) -> bool {
        self.markets.load().contains(&market) && !lock(&self.connections).refused.contains_key(&market)
    }

    /// Counts messages that were missed.
    pub fn gap(&self) {
        self.gaps.fetch_add(1, Relaxed);
    }

    /// Notes the end of the recording.
    pub fn ended(&self, now: DateTime<Utc>) {
        self.enter(SourceState::Ended, now);
    }

    /// Adds a market that was found in the data.
    pub fn found(&self, market: Pair) {
        let markets = self.markets.load();
        if let Err(at) = markets.binary_search(&market) {
            let mut markets = markets.to_vec();
            markets.insert(at, market);
            self.markets.store(Arc::new(markets));
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        lock(&self.recent)
    }

    fn enter(&self, state: SourceState, now: DateTime<Utc>) {
        if self.state.load().0 != state {
            self.state.store(Arc::new((state, now)));
        }
    }

    pub(super) fn report(&self, silent_after: TimeDelta, now: DateTime<Utc>) -> SourceReport {
        let (mut state, mut state_time) = **self.state.load();
        let last_receive_time = known(&self.last_receive).map(DateTime::from_timestamp_nanos);
        let last_event_time = known(&self.last_event).map(DateTime::from_timestamp_nanos);
        let quiet_since = last_event_time.unwrap_or(state_time).max(state_time);
        if state == SourceState::Live && now - quiet_since > silent_after {
            (state, state_time) = (SourceState::Silent, quiet_since);
        }
        let malformed = lock(&self.malformed).clone();
        let connections = lock(&self.connections);
        SourceReport {
            venue: self.venue,
            state,
            state_time,
            state_reason: connections.reason(state, now - quiet_since),
            connections: (connections.open.len(), connections.wanted),
            absent: connections.lacking(),
            polled: connections.polled,
            markets: self.markets.load().to_vec(),
            counts: Counts {
                frames: self.frames.load(Relaxed),
                tickers: self.tickers.load(Relaxed),
                trades: self.trades.load(Relaxed),
                snapshot_trades: self.snapshot_trades.load(Relaxed),
                duplicates: self.duplicates.load(Relaxed),
                out_of_order: self.out_of_order.load(Relaxed),
                malformed: malformed.values().sum(),
                reconnects: connections.made.saturating_sub(connections.most as u64),
                gaps: self.gaps.load(Relaxed),
            },
            last_receive_time,
            lag: known(&self.lag).map(TimeDelta::nanoseconds),
            last_error: self.last_error.load().as_deref().cloned(),
            malformed: malformed.into_iter().map(|(kind, count)| (kind.into(), count)).collect(),
            evidence: venues::by_name(self.venue.as_str()).map_or("", |protocol| protocol.evidence()),
            retry_time: connections.retry_time(),
            penalty_end_time: connections.penalty_end_time(),
            recent: self.recent().report(now),
            frozen: self.frozen.load().as_deref().copied(),
            origin: self.origin,
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn known(value: &AtomicI64) -> Option<i64> {
    Some(value.load(Relaxed)).filter(|value| *value != i64::MIN)
}

#[cfg(test)]
mod tests;
