//! What happens, as it is to be kept: candles of the trades, and prices as they are published.
//!
//! Driven by whoever drives the aggregator, with the same deliveries and the same times, live or replayed.

use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use super::{
    aggregator::Markets,
    candles::{CandleBook, counts::Counts, hub::CandleHub},
    historian::{inbox::Inbox, points::Points},
};
use crate::{
    domain::{candle::market::Policy, pair::Pair, venue::Venue},
    feed::delivery::Delivery,
};

/// How often candles and prices are looked at.
const EVERY: TimeDelta = TimeDelta::milliseconds(200);

/// A connection of a recording that says nothing for so long has ended: recordings do not tell.
const RECORDED_SILENCE: TimeDelta = TimeDelta::seconds(60);

/// A step that no delay explains: the clock was set, or the machine slept. The clock takes over at once what is above it.
const STEP: TimeDelta = TimeDelta::seconds(60);

/// Makes candles, and hands them and the prices on.
#[derive(Debug)]
pub struct Chronicle {
    book: CandleBook,
    hub: CandleHub,
    prices: Option<(Points, Inbox)>,
    recorded: bool,
    looked: Option<DateTime<Utc>>,
}

impl Chronicle {
    /// Begins with the markets of each venue, as far as they are known. Prices go to an inbox, if history is kept.
    pub fn new(
        policy: Policy,
        markets: Markets,
        venues: impl IntoIterator<Item = (Venue, Vec<Pair>)>,
        hub: CandleHub,
        prices: Option<(Points, Inbox)>,
        now: DateTime<Utc>,
    ) -> Self {
        let recorded = matches!(markets, Markets::Met);
        let mut book = CandleBook::new(policy, markets, now);
        if !recorded {
            venues.into_iter().for_each(|(venue, markets)| book.want(venue, markets, now));
        }
        Self { book, hub, prices, recorded, looked: None }
    }

    /// Gets the candles, for what is stored of the time before.
    pub fn book(&mut self) -> &mut CandleBook {
        &mut self.book
    }

    /// Gets what counts what became of trades.
    pub fn counts(&self) -> Counts {
        self.book.counts()
    }

    /// Takes in what a venue said.
    pub fn hear(&mut self, delivery: &Delivery) {
        if let Some(looked) = self.looked.filter(|looked| delivery.receive_time - *looked > STEP) {
            self.step(looked, delivery.receive_time);
        }
        self.book.hear(delivery);
    }

    /// Closes candles that are over and looks at the prices, now and then, and hands on what is new.
    pub fn tick(&mut self, now: DateTime<Utc>) {
        if let Some(looked) = self.looked.filter(|looked| (now - *looked).abs() > STEP) {
            self.step(looked, now);
        }
        if self.looked.is_none_or(|looked| now - looked >= EVERY) {
            self.look(now);
        }
    }

    /// Does that at once.
    pub fn look(&mut self, now: DateTime<Utc>) {
        self.looked = Some(now);
        if self.recorded {
            self.book.lapse(RECORDED_SILENCE);
        }
        self.hub.publish(self.book.tick(now));
        if let Some((points, inbox)) = &mut self.prices {
            let points = points.look(now);
            if !points.is_empty() {
                inbox.put_prices(points);
            }
        }
    }

    /// Closes all that is over, as nothing comes after.
    pub fn end(&mut self, now: DateTime<Utc>) {
        self.hub.publish(self.book.end(now));
        if let Some((points, inbox)) = &mut self.prices {
            inbox.put_prices(points.last(now));
        }
    }

    /// Takes what comes next as a recording that starts again: what was being formed is not told any more.
    pub fn start_again(&mut self, now: DateTime<Utc>) {
        self.book.clear(now);
    }

    /// Goes on with other markets.
    pub fn take(&mut self, markets: Markets) {
        self.book.take(markets);
    }

    /// Wants these markets of a venue from now on, and no others.
    pub fn want(&mut self, venue: Venue, markets: impl IntoIterator<Item = Pair>, now: DateTime<Utc>) {
        self.book.want(venue, markets, now);
        self.forget();
    }

    /// Wants nothing of a venue any more.
    pub fn leave(&mut self, venue: Venue, now: DateTime<Utc>) {
        self.book.leave(venue, now);
        self.forget();
    }

    /// Follows the clock, which was set or has slept. That of a recording goes as it was recorded.
    fn step(&mut self, looked: DateTime<Utc>, now: DateTime<Utc>) {
        if self.recorded {
            return;
        }
        let seconds = (now - looked).num_seconds();
        warn!(seconds, "the clock has made a step: nothing is known of the time that it left out");
        if now > looked {
            self.book.pass_over(looked, now);
            self.looked = Some(now);
            return;
        }
        // The last that was told by the clock that was.
        self.hub.publish(self.book.end(looked));
        self.book.begin_again(now);
        self.hub.retain(|_| false);
        if let Some((points, _)) = &mut self.prices {
            points.go_on(now);
        }
        self.looked = None;
    }

    fn forget(&self) {
        self.hub.retain(|series| self.book.expects(series.pair, series.venue));
    }
}

#[cfg(test)]
mod tests;
