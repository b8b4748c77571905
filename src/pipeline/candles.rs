//! Candles of everything that is listened to, kept as trades come.
//!
//! A plain state machine, as the aggregator is: it is told what came in ([`CandleBook::hear`]), with the time at which it
//! came, and asked what has changed ([`CandleBook::tick`]). The same input at the same times gives the same candles.

pub mod counts;
pub mod hub;
pub mod listeners;
mod progress;
#[cfg(test)]
pub(in crate::pipeline) mod sample;
pub(in crate::pipeline) mod watch;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::aggregator::Markets;
use crate::{
    domain::{
        candle::{
            Candle, Interval,
            market::{Intake, Market, Policy},
        },
        pair::Pair,
        trade::Trade,
        venue::{MarketKind, Venue},
    },
    feed::delivery::{Delivery, DeliveryKind},
};
use counts::Counts;
use progress::Progress;

/// The candles of all pairs, at each venue and of all together.
#[derive(Debug)]
pub struct CandleBook {
    policy: Policy,
    taken: Markets,
    /// What is wanted of a venue, where that is known; of others all that is taken in.
    wanted: BTreeMap<Venue, BTreeSet<Pair>>,
    pairs: BTreeMap<Pair, Market>,
    venues: BTreeMap<Venue, Progress>,
    counts: Counts,
    now: DateTime<Utc>,
}

impl CandleBook {
    /// Begins with no market.
    pub fn new(policy: Policy, taken: Markets, now: DateTime<Utc>) -> Self {
        Self {
            policy,
            taken,
            wanted: BTreeMap::new(),
            pairs: BTreeMap::new(),
            venues: BTreeMap::new(),
            counts: Counts::default(),
            now,
        }
    }

    /// Goes on with other markets. What is wanted of venues is said by [`Self::want`].
    pub fn take(&mut self, markets: Markets) {
        self.taken = markets;
    }

    /// Expects these markets of a venue, from now on if that is news, and others of it no longer.
    pub fn want(&mut self, venue: Venue, markets: impl IntoIterator<Item = Pair>, now: DateTime<Utc>) {
        let markets: BTreeSet<Pair> = markets.into_iter().collect();
        for pair in self.pairs_of(venue) {
            if !markets.contains(&pair) {
                self.dismiss(venue, pair);
            }
        }
        for market in &markets {
            self.expect(venue, *market, now);
        }
        self.wanted.insert(venue, markets);
    }

    /// Expects nothing of a venue any more.
    pub fn leave(&mut self, venue: Venue, now: DateTime<Utc>) {
        self.want(venue, [], now);
        self.venues.remove(&venue);
    }

    /// Takes connections on which nothing was said for so long as ended when they were last heard.
    pub fn lapse(&mut self, silence: TimeDelta) {
        let Some(limit) = self.now.checked_sub_signed(silence) else { return };
        let silent: Vec<_> = self
            .venues
            .iter()
            .flat_map(|(venue, at)| at.silent_since(limit).map(|number| (*venue, number)))
            .collect();
        for (venue, number) in silent {
            self.left(venue, number);
        }
    }

    /// Tells whether a venue's trades of a market are expected; of no venue, whether anybody's are.
    pub fn expects(&self, pair: Pair, venue: Option<Venue>) -> bool {
        let known = self.pairs.get(&pair);
        known.is_some_and(|market| venue.is_none_or(|venue| market.venues().any(|known| known == venue)))
    }

    /// Lists what is expected: each market of each venue, and the composite of each pair after them.
    pub fn series(&self) -> Vec<(Pair, Option<Venue>)> {
        let of = |(pair, market): (&Pair, &Market)| {
            market.venues().map(Some).chain([None]).map(|venue| (*pair, venue)).collect::<Vec<_>>()
        };
        self.pairs.iter().flat_map(of).collect()
    }

    /// Expects a venue's trades of a market: its candles begin now, whether it is connected to or not.
    pub fn expect(&mut self, venue: Venue, market: Pair, now: DateTime<Utc>) {
        let now = self.advance(now);
        self.venues.entry(venue).or_insert_with(|| Progress::new(now));
        self.pairs.entry(market).or_insert_with(|| Market::new(market, now, self.policy)).expect(venue, now);
    }

    /// Takes in a stored candle of the time before its market was [expected](Self::expect), for the longer ones that go on
    /// across a restart. No two of a venue, or of the composite, may speak of the same time: the days of this week, the
    /// hours of today, the minutes of this hour.
    pub fn restore(&mut self, candle: &Candle) {
        if let Some(market) = self.pairs.get_mut(&candle.pair) {
            market.restore(candle);
        }
    }

    /// Takes in what a venue said, as far as it concerns candles. Tells what became of a trade.
    pub fn hear(&mut self, delivery: &Delivery) -> Option<Intake> {
        let Delivery { venue, connection, receive_time, ref kind } = *delivery;
        match kind {
            DeliveryKind::Trade { market, kind, trade, snapshot } => {
                if *kind == MarketKind::Spot {
                    self.meet(venue, connection, *market, receive_time);
                }
                return Some(self.trade(venue, (*market, *kind), trade, *snapshot, receive_time));
            }
            DeliveryKind::Ticker { market, kind: MarketKind::Spot, .. } => {
                self.meet(venue, connection, *market, receive_time);
            }
            DeliveryKind::Message => {
                let now = self.advance(receive_time);
                let met = matches!(self.taken, Markets::Met);
                self.progress(venue).hear(connection, now, met);
            }
            DeliveryKind::Connected(markets) => {
                let now = self.advance(receive_time);
                let markets: Vec<Pair> =
                    markets.iter().filter(|market| self.takes(venue, **market)).copied().collect();
                for market in self.progress(venue).connect(connection, &markets, now) {
                    self.connected(venue, market, now);
                }
            }
            DeliveryKind::Left(_) => {
                self.advance(receive_time);
                self.left(venue, connection);
            }
            DeliveryKind::Unheard { market, since } => {
                self.advance(receive_time);
                if self.progress(venue).mute(*market) {
                    self.disconnected(venue, *market, *since);
                }
            }
            DeliveryKind::Refused { market: Some(market), .. } => {
                self.advance(receive_time);
                if let Some(since) = self.progress(venue).refuse(connection, *market) {
                    self.disconnected(venue, *market, since);
                }
            }
            DeliveryKind::Gap(market) => {
                let now = self.advance(receive_time);
                // Nobody had listened: what covers that time is not whole, whoever tells it.
                for (market, from) in self.progress(venue).missed(connection, *market) {
                    self.disconnected(venue, market, from);
                    self.connected(venue, market, now);
                }
            }
            DeliveryKind::Listening { markets, absent, .. } => {
                let now = self.advance(receive_time);
                for market in markets.iter().filter(|market| self.takes(venue, **market)).collect::<Vec<_>>()
                {
                    self.expect(venue, *market, now);
                }
                // What the venue does not trade is not missed.
                for (market, _) in absent {
                    self.dismiss(venue, *market);
                }
            }
            _ => {}
        }
        None
    }

    /// Takes in a trade.
    pub fn trade(
        &mut self,
        venue: Venue,
        (pair, kind): (Pair, MarketKind),
        trade: &Trade,
        snapshot: bool,
        received: DateTime<Utc>,
    ) -> Intake {
        let market = self.pairs.get_mut(&pair).filter(|_| kind == MarketKind::Spot);
        let intake = market.map_or(Intake::Foreign, |market| market.trade(venue, trade, snapshot, received));
        // What is sent as past tells nothing of how far the venue is.
        let live = !snapshot && matches!(intake, Intake::Taken | Intake::TooLate);
        if let Some(progress) = self.venues.get_mut(&venue).filter(|_| live) {
            progress.reach(self.policy.time_of(trade, received), received);
        }
        self.counts.add(intake);
        intake
    }

    /// Notes that a venue's trades of a market are listened to from a time on.
    pub fn connected(&mut self, venue: Venue, market: Pair, time: DateTime<Utc>) {
        self.expect(venue, market, time);
        if let Some(market) = self.pairs.get_mut(&market) {
            market.connected(venue, time);
        }
    }

    /// Notes until when a venue's trades of a market were listened to. That may be said late: candles that were closed since
    /// are restated.
    pub fn disconnected(&mut self, venue: Venue, market: Pair, time: DateTime<Utc>) {
        if let Some(market) = self.pairs.get_mut(&market) {
            market.disconnected(venue, time);
        }
    }

    /// Closes what is over, and gives all candles that say something new since they were last given.
    pub fn tick(&mut self, now: DateTime<Utc>) -> Vec<Candle> {
        let now = self.advance(now);
        self.venues.values_mut().for_each(|venue| venue.tick(now, &self.policy));
        let mut out = Vec::new();
        let venues = &self.venues;
        let mark = |venue| venues.get(&venue).map_or(now, Progress::mark);
        self.pairs.values_mut().for_each(|market| market.tick(now, mark, &mut out));
        out
    }

    /// Notes that our clock went from one moment to another while nobody heard anything: the machine slept, or the clock was
    /// set. What was listened to is so up to when it was last heard, and again from then on.
    pub fn pass_over(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) {
        let to = self.advance(to);
        for (venue, market, heard) in self.listened() {
            self.disconnected(venue, market, heard.min(from));
            self.connected(venue, market, to);
        }
        for progress in self.venues.values_mut() {
            progress.go_on(to);
        }
    }

    /// Begins anew at a time to which our clock was set back, with the same markets and connections. What was being formed
    /// was of a time that was wrong, and is not told any more.
    pub fn begin_again(&mut self, now: DateTime<Utc>) {
        let (expected, listened) = (self.series(), self.listened());
        self.now = now;
        self.pairs.clear();
        for progress in self.venues.values_mut() {
            progress.go_on(now);
        }
        for (pair, venue) in expected {
            if let Some(venue) = venue {
                self.expect(venue, pair, now);
            }
        }
        for (venue, market, _) in listened {
            self.connected(venue, market, now);
        }
    }

    /// Ends, as nothing comes after, and gives what that closes: all that is over, without waiting for what may come late. So
    /// nothing was listened to beyond the time up to which each venue's trades are known.
    pub fn end(&mut self, now: DateTime<Utc>) -> Vec<Candle> {
        let now = self.advance(now);
        self.venues.values_mut().for_each(|venue| venue.tick(now, &self.policy));
        for (venue, market, _) in self.listened() {
            let mark = self.progress(venue).mark();
            self.disconnected(venue, market, mark.min(now));
        }
        let over = now.checked_add_signed(self.policy.lateness).unwrap_or(now);
        let mut out = Vec::new();
        self.pairs.values_mut().for_each(|market| market.tick(now, |_| over, &mut out));
        out
    }

    /// Gets the earliest candle of an interval that is not over, of a venue or of all together.
    pub fn forming(&mut self, pair: Pair, venue: Option<Venue>, interval: Interval) -> Option<Candle> {
        let now = self.now;
        self.pairs.get_mut(&pair)?.forming(venue, interval, now)
    }

    /// Gets what counts what became of trades.
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Forgets all markets and connections, and begins with none.
    pub fn clear(&mut self, now: DateTime<Utc>) {
        let counts = self.counts();
        *self = Self { counts, ..Self::new(self.policy, self.taken.clone(), now) };
    }

    /// Expects a market from now on if it is one that is taken in, and listens to it if that is how it was met.
    fn meet(&mut self, venue: Venue, connection: Option<u64>, market: Pair, now: DateTime<Utc>) {
        if !self.takes(venue, market) {
            return;
        }
        if self.progress(venue).meet(connection, market) {
            self.connected(venue, market, now);
        } else if !self.pairs.get(&market).is_some_and(|known| known.venues().any(|known| known == venue)) {
            self.expect(venue, market, now);
        }
    }

    fn takes(&self, venue: Venue, market: Pair) -> bool {
        match (&self.taken, self.wanted.get(&venue)) {
            (_, Some(wanted)) => wanted.contains(&market),
            (Markets::Configured(pairs), None) => pairs.contains(&market),
            (Markets::Met, None) => true,
        }
    }

    /// Lists what is listened to, each with when it was last heard.
    fn listened(&self) -> Vec<(Venue, Pair, DateTime<Utc>)> {
        let of = |(venue, at): (&Venue, &Progress)| {
            let venue = *venue;
            at.listened().into_iter().map(move |(market, heard)| (venue, market, heard))
        };
        self.venues.iter().flat_map(of).collect()
    }

    fn left(&mut self, venue: Venue, connection: Option<u64>) {
        for (market, heard) in self.progress(venue).leave(connection) {
            self.disconnected(venue, market, heard);
        }
    }

    fn pairs_of(&self, venue: Venue) -> Vec<Pair> {
        let has = |market: &Market| market.venues().any(|known| known == venue);
        self.pairs.iter().filter(|(_, market)| has(market)).map(|(pair, _)| *pair).collect()
    }

    fn dismiss(&mut self, venue: Venue, pair: Pair) {
        if let Some(progress) = self.venues.get_mut(&venue) {
            progress.dismiss(pair);
        }
        if let Some(market) = self.pairs.get_mut(&pair) {
            market.dismiss(venue);
            if market.venues().next().is_none() {
                self.pairs.remove(&pair);
            }
        }
    }

    fn progress(&mut self, venue: Venue) -> &mut Progress {
        self.venues.entry(venue).or_insert_with(|| Progress::new(self.now))
    }

    /// Gets the time, which does not go back.
    fn advance(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.now = self.now.max(now);
        self.now
    }
}

#[cfg(test)]
mod tests;
