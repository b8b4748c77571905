//! How far a venue has come: the time up to which its trades are known.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{candle::market::Policy, pair::Pair};

/// How far a venue has come, and what is listened to on the connections to it.
#[derive(Debug)]
pub(super) struct Progress {
    /// The latest trade, by the venue's clock, and when it came, by ours.
    latest: Option<(DateTime<Utc>, DateTime<Utc>)>,
    mark: DateTime<Utc>,
    connections: BTreeMap<Option<u64>, Connection>,
    /// Markets that are refused, or of which the stream was found dead: a connection that is asked for them does not prove
    /// that it brings them, so they are listened to again when they speak.
    mute: BTreeSet<Pair>,
}

/// A connection that stands.
#[derive(Debug)]
struct Connection {
    /// When it was made.
    began: DateTime<Utc>,
    /// When it was last heard.
    heard: DateTime<Utc>,
    /// When it was heard before that.
    before: DateTime<Utc>,
    markets: BTreeSet<Pair>,
}

impl Progress {
    /// Begins to follow a venue.
    pub(super) const fn new(now: DateTime<Utc>) -> Self {
        Self { latest: None, mark: now, connections: BTreeMap::new(), mute: BTreeSet::new() }
    }

    /// Notes that a connection stands, which was asked for these markets. Gives those that are listened to now.
    pub(super) fn connect(&mut self, number: Option<u64>, asked: &[Pair], now: DateTime<Utc>) -> Vec<Pair> {
        let heard: Vec<Pair> = asked.iter().filter(|market| !self.mute.contains(market)).copied().collect();
        let markets = heard.iter().copied().collect();
        self.connections.insert(number, Connection { began: now, heard: now, before: now, markets });
        heard
    }

    /// Notes that something was said on a connection. One that is not known is passed over, or is met by that.
    pub(super) fn hear(&mut self, number: Option<u64>, now: DateTime<Utc>, met: bool) {
        if let Some(connection) = self.connections.get_mut(&number) {
            if now > connection.heard {
                (connection.before, connection.heard) = (connection.heard, now);
            }
        } else if met {
            self.connect(number, &[], now);
        }
    }

    /// Lists the connections on which nothing was said since a moment.
    pub(super) fn silent_since(&self, limit: DateTime<Utc>) -> impl Iterator<Item = Option<u64>> {
        self.connections.iter().filter(move |(_, at)| at.heard < limit).map(|(number, _)| *number)
    }

    /// Notes that a market was met on a connection. Tells whether that is news.
    pub(super) fn meet(&mut self, number: Option<u64>, market: Pair) -> bool {
        let Some(connection) = self.connections.get(&number) else { return false };
        if connection.markets.contains(&market) {
            return false;
        }
        let news = !self.hears(market);
        self.mute.remove(&market);
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.markets.insert(market);
        }
        news
    }

    /// Notes that the stream of a market is dead. Tells whether it was listened to.
    pub(super) fn mute(&mut self, market: Pair) -> bool {
        self.mute.insert(market);
        let heard = self.hears(market);
        for connection in self.connections.values_mut() {
            connection.markets.remove(&market);
        }
        heard
    }

    /// Notes that a market is refused on a connection. If it is listened to on no other, gives when that one was made: it
    /// has brought nothing of it.
    pub(super) fn refuse(&mut self, number: Option<u64>, market: Pair) -> Option<DateTime<Utc>> {
        let connection = self.connections.get_mut(&number)?;
        let (asked, began) = (connection.markets.remove(&market), connection.began);
        if self.hears(market) {
            return None;
        }
        self.mute.insert(market);
        asked.then_some(began)
    }

    /// Expects a market no longer: if it ever is again, nothing is known of how it is brought.
    pub(super) fn dismiss(&mut self, market: Pair) {
        self.mute.remove(&market);
    }

    /// Notes that a connection has ended. Gives the markets that are not listened to any more, and until when they were:
    /// whether they still were after the last message, nobody knows.
    pub(super) fn leave(&mut self, number: Option<u64>) -> Vec<(Pair, DateTime<Utc>)> {
        let Some(Connection { heard, markets, .. }) = self.connections.remove(&number) else {
            return Vec::new();
        };
        markets.into_iter().filter(|market| !self.hears(*market)).map(|market| (market, heard)).collect()
    }

    /// Lists the markets of which messages were missed before the last one of a connection, and since when: all, or the one
    /// that is named. What another connection brings was not missed.
    pub(super) fn missed(&self, number: Option<u64>, market: Option<Pair>) -> Vec<(Pair, DateTime<Utc>)> {
        let Some(connection) = self.connections.get(&number) else { return Vec::new() };
        let elsewhere = |market: Pair| {
            self.connections.iter().any(|(other, at)| *other != number && at.markets.contains(&market))
        };
        let named = connection.markets.iter().filter(|known| market.is_none_or(|market| market == **known));
        named.filter(|market| !elsewhere(**market)).map(|market| (*market, connection.before)).collect()
    }

    /// Lists the markets that are listened to, each with when its connection was last heard.
    pub(super) fn listened(&self) -> BTreeMap<Pair, DateTime<Utc>> {
        let mut listened = BTreeMap::new();
        for connection in self.connections.values() {
            for market in &connection.markets {
                let heard = listened.entry(*market).or_insert(connection.heard);
                *heard = connection.heard.max(*heard);
            }
        }
        listened
    }

    /// Goes on from a time to which our clock was set, with the connections that stand.
    pub(super) fn go_on(&mut self, now: DateTime<Utc>) {
        (self.latest, self.mark) = (None, now);
        for connection in self.connections.values_mut() {
            (connection.heard, connection.before) = (now, now);
        }
    }

    fn hears(&self, market: Pair) -> bool {
        self.connections.values().any(|connection| connection.markets.contains(&market))
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
