//! What each source does, counted as it happens and read without stopping the count.

mod recent;

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

use self::recent::Recent;
pub use self::recent::{Quantiles, RecentReport};
use crate::{
    domain::{pair::Pair, price::Origin, venue::Venue},
    feed::venues,
};

/// Part of a new lag that enters the smoothed one: one in this many.
const LAG_SMOOTHING: i64 = 16;

/// How a source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// Not connected yet, or connecting again.
    Connecting,
    /// Connected, and data comes in.
    Live,
    /// Connected, but nothing has come for too long.
    Silent,
    /// The recording has ended.
    Ended,
    /// The venue refuses us for good: it is not tried again.
    Blocked,
}

/// A source and what it has sent, at one moment.
#[derive(Debug, Clone)]
pub struct SourceReport {
    /// The venue.
    pub venue: Venue,
    /// How it does.
    pub state: SourceState,
    /// Since when.
    pub state_time: DateTime<Utc>,
    /// Its markets, by name.
    pub markets: Vec<Pair>,
    /// What was counted.
    pub counts: Counts,
    /// When the last frame was received.
    pub last_receive_time: Option<DateTime<Utc>>,
    /// From the venue's clock to ours, smoothed.
    pub lag: Option<TimeDelta>,
    /// The last error and its time.
    pub last_error: Option<(String, DateTime<Utc>)>,
    /// Frames that were not understood, by the kind of error.
    pub malformed: BTreeMap<&'static str, u64>,
    /// What it has done lately.
    pub recent: RecentReport,
    /// How many of its markets are frozen, and since when any is.
    pub frozen: Option<(u32, DateTime<Utc>)>,
    /// When a connection will be tried again, where there is none.
    pub retry_time: Option<DateTime<Utc>>,
    /// In what its formats were met.
    pub evidence: &'static str,
    /// Where its data comes from.
    pub origin: Origin,
}

/// What is counted of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames received.
    pub frames: u64,
    /// Tickers received.
    pub tickers: u64,
    /// Trades received, without duplicates and past ones.
    pub trades: u64,
    /// Past trades, sent on subscription.
    pub snapshot_trades: u64,
    /// Trades received again.
    pub duplicates: u64,
    /// Tickers and trades older than what was known.
    pub out_of_order: u64,
    /// Frames that were not understood.
    pub malformed: u64,
    /// Connections made again.
    pub reconnects: u64,
}

/// All sources. Clones share them.
#[derive(Debug, Clone)]
pub struct Sources {
    by_name: Arc<BTreeMap<&'static str, Arc<Source>>>,
    silent_after: TimeDelta,
}

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
    connections: AtomicU64,
    last_receive: AtomicI64,
    lag: AtomicI64,
    last_error: ArcSwapOption<(String, DateTime<Utc>)>,
    retry_time: ArcSwapOption<DateTime<Utc>>,
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

impl Sources {
    /// Starts counting for these venues, with the markets that are asked of them.
    pub fn new(
        venues: impl IntoIterator<Item = (Venue, Vec<Pair>)>,
        origin: Origin,
        silent_after: TimeDelta,
        now: DateTime<Utc>,
    ) -> Self {
        let source = |(venue, mut markets): (Venue, Vec<Pair>)| {
            markets.sort_unstable();
            (venue.as_str(), Arc::new(Source::new(venue, markets, origin, now)))
        };
        Self { by_name: Arc::new(venues.into_iter().map(source).collect()), silent_after }
    }

    /// Gets a source's counters.
    pub fn get(&self, venue: Venue) -> Option<&Arc<Source>> {
        self.by_name.get(venue.as_str())
    }

    /// Reports one source.
    pub fn report(&self, name: &str, now: DateTime<Utc>) -> Option<SourceReport> {
        self.by_name.get(name).map(|source| source.report(self.silent_after, now))
    }

    /// Reports all sources whose names come after a name, in order.
    pub fn reports(&self, after: &str, now: DateTime<Utc>) -> impl Iterator<Item = SourceReport> {
        let later = self.by_name.iter().filter(move |(name, _)| **name > after);
        later.map(move |(_, source)| source.report(self.silent_after, now))
    }

    /// Lists the counters of all.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.by_name.values().map(|source| &**source)
    }

    /// Lists the names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }
}

impl Source {
    fn new(venue: Venue, markets: Vec<Pair>, origin: Origin, now: DateTime<Utc>) -> Self {
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
            connections: AtomicU64::new(0),
            last_receive: AtomicI64::new(i64::MIN),
            lag: AtomicI64::new(i64::MIN),
            last_error: ArcSwapOption::empty(),
            retry_time: ArcSwapOption::empty(),
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

    /// Notes a connection made.
    pub fn connected(&self, now: DateTime<Utc>) {
        self.connections.fetch_add(1, Relaxed);
        self.retry_time.store(None);
        self.enter(SourceState::Live, now);
    }

    /// Notes a connection lost, or not made, and when it will be tried again: never, if the venue refuses us for good.
    pub fn disconnected(&self, error: &str, retry_time: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        self.error(error, now);
        self.enter(retry_time.map_or(SourceState::Blocked, |_| SourceState::Connecting), now);
        self.retry_time.store(retry_time.map(Arc::new));
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

    fn report(&self, silent_after: TimeDelta, now: DateTime<Utc>) -> SourceReport {
        let (mut state, mut state_time) = **self.state.load();
        let last_receive_time = known(&self.last_receive).map(DateTime::from_timestamp_nanos);
        let quiet_since = last_receive_time.unwrap_or(state_time).max(state_time);
        if state == SourceState::Live && now - quiet_since > silent_after {
            (state, state_time) = (SourceState::Silent, quiet_since);
        }
        let malformed = lock(&self.malformed).clone();
        SourceReport {
            venue: self.venue,
            state,
            state_time,
            markets: self.markets.load().to_vec(),
            counts: Counts {
                frames: self.frames.load(Relaxed),
                tickers: self.tickers.load(Relaxed),
                trades: self.trades.load(Relaxed),
                snapshot_trades: self.snapshot_trades.load(Relaxed),
                duplicates: self.duplicates.load(Relaxed),
                out_of_order: self.out_of_order.load(Relaxed),
                malformed: malformed.values().sum(),
                reconnects: self.connections.load(Relaxed).saturating_sub(1),
            },
            last_receive_time,
            lag: known(&self.lag).map(TimeDelta::nanoseconds),
            last_error: self.last_error.load().as_deref().cloned(),
            malformed,
            evidence: venues::by_name(self.venue.as_str()).map_or("", |protocol| protocol.evidence()),
            retry_time: self.retry_time.load().as_deref().copied(),
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
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_kinds_and_frozen_markets_since_the_first() {
        let [start, later, end] = [0, 5, 9].map(|second| DateTime::UNIX_EPOCH + TimeDelta::seconds(second));
        let source = Source::new(Venue::new("kraken"), Vec::new(), Origin::Live, start);
        for (kind, error) in [("json", "not JSON"), ("value", "bad price"), ("json", "cut off")] {
            source.malformed(kind, error, start);
        }
        let report = |now| source.report(TimeDelta::seconds(30), now);
        let told = report(start);
        assert_eq!((told.counts.malformed, told.malformed), (3, [("json", 2), ("value", 1)].into()));
        assert_eq!(told.last_error, Some(("cut off".to_owned(), start)));
        for (markets, now, expected) in [
            (0, start, None),
            (1, start, Some((1, start))),
            (3, later, Some((3, start))),
            (0, end, None),
            (2, end, Some((2, end))),
        ] {
            source.frozen(markets, now);
            assert_eq!(report(now).frozen, expected);
        }
    }
}
