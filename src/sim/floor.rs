//! The trading floor of one venue: its own view of the market, with its spread, its noise and its latency.
//!
//! A floor steps with the market and tells what happened in a [`Step`]: new quotes and trades, before they are
//! put into the venue's wire format.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    catalogue,
    chance::{BASIS_POINT, Chance},
    market::Market,
    stand::{Fair, Stand},
    ticker::{Ticker, Trade},
    trouble::Trouble,
};
use crate::domain::{pair::Pair, venue::Venue};

/// How often a market is quoted anew, on average, if the steps are so frequent; else in each step.
const QUOTES_A_SECOND: i64 = 5;

/// One venue's markets.
#[derive(Debug)]
pub(super) struct Floor {
    stands: Vec<Stand>,
    /// Milliseconds between an event and the message that tells it, at least.
    latency: i64,
    chance: Chance,
}

/// What happened at a venue in one step, and how all its markets stand after it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) time: DateTime<Utc>,
    pub(super) tickers: Vec<Arc<Ticker>>,
    pub(super) news: Vec<News>,
    pub(super) trouble: Option<Trouble>,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(super) enum News {
    Quoted(Arc<Ticker>),
    Traded(Arc<Ticker>, Trade),
}

impl Floor {
    /// Opens a venue's floor, with a few past trades in each market.
    pub(super) fn new(venue: Venue, market: &Market, seed: u64, now: DateTime<Utc>) -> Self {
        let mut chance = Chance::new(seed, venue.as_str());
        let latency = chance.between(5, 100);
        let spread = chance.between(1, 6) * BASIS_POINT;
        let stands = catalogue::listings(venue)
            .filter_map(|listing| {
                let fair = Fair::of(market, listing.pair)?;
                Some(Stand::new(listing, fair, spread, now, &mut chance))
            })
            .collect();
        Self { stands, latency, chance }
    }

    /// Follows the market after some time has passed.
    pub(super) fn step(
        &mut self,
        market: &Market,
        lapse: Duration,
        now: DateTime<Utc>,
        trouble: Option<Trouble>,
    ) -> Step {
        let mut news = Vec::new();
        // Microseconds are millionths of seconds, and chances are counted in millionths too.
        let odds = i64::try_from(lapse.as_micros()).unwrap_or(i64::MAX).saturating_mul(QUOTES_A_SECOND);
        for stand in &mut self.stands {
            let Some(fair) = Fair::of(market, stand.listing.pair) else {
                continue;
            };
            let latency = self.latency + self.chance.between(0, 50);
            let time = (now - TimeDelta::milliseconds(latency)).max(stand.ticker.time);
            if self.chance.happens(odds) {
                stand.quote(fair, time, trouble, &mut self.chance);
                news.push(News::Quoted(Arc::clone(&stand.ticker)));
            }
            let trades = stand.trade(fair, lapse, time, trouble, &mut self.chance);
            let report = |trade| News::Traded(Arc::clone(&stand.ticker), trade);
            news.extend(trades.into_iter().map(report));
        }
        let tickers = self.stands.iter().map(|stand| Arc::clone(&stand.ticker));
        Step { time: now, tickers: tickers.collect(), news, trouble }
    }
}

impl Step {
    /// Tells whether the venue is silent: it neither speaks nor listens, and answers when it is back.
    pub(super) fn hangs(&self) -> bool {
        self.trouble == Some(Trouble::Silence)
    }

    /// Finds the market that the venue names so.
    pub(super) fn find(&self, named: impl Fn(Pair) -> bool) -> Option<&Ticker> {
        let found = self.tickers.iter().find(|ticker| named(ticker.pair));
        found.map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;
    use crate::sim::market::Market;

    const LAPSE: Duration = Duration::from_millis(200);

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_760_000_000, 0).unwrap()
    }

    /// Steps a floor and gives what each market said, with the truth of that instant.
    fn run(venue: Venue, steps: i32, trouble: Option<Trouble>) -> Vec<(Decimal, News)> {
        let mut market = Market::new(9);
        let mut floor = Floor::new(venue, &market, 9, now());
        let mut said = Vec::new();
        for at in 1..=steps {
            market.step(LAPSE);
            let step = floor.step(&market, LAPSE, now() + LAPSE * at.unsigned_abs(), trouble);
            for news in step.news {
                let (News::Quoted(ticker) | News::Traded(ticker, _)) = &news;
                said.push((market.truth(ticker.pair).unwrap(), news));
            }
        }
        said
    }

    fn bps_apart(a: Decimal, b: Decimal) -> Decimal {
        ((a - b) / b).abs() * Decimal::from(10_000)
    }

    #[test]
    fn a_healthy_venue_quotes_near_the_truth() {
        for venue in catalogue::venues() {
            let mut last = now() - TimeDelta::minutes(1);
            for (truth, news) in run(venue, 200, None) {
                let News::Quoted(ticker) = news else { continue };
                assert!(ticker.bid < ticker.ask, "{venue} {ticker:?}");
                let middle = (ticker.bid + ticker.ask) / Decimal::TWO;
                let apart = bps_apart(middle, truth);
                assert!(apart < Decimal::TEN, "{venue} {} {apart}", ticker.pair);
                assert!(bps_apart(ticker.ask, ticker.bid) < Decimal::from(30), "{ticker:?}");
                assert!(ticker.bid.scale() <= ticker.decimals && ticker.ask.scale() <= ticker.decimals);
                assert!(ticker.bid_amount > Decimal::ZERO && ticker.ask_amount > Decimal::ZERO);
                last = last.max(ticker.time);
            }
            assert!(last > now());
        }
    }

    #[test]
    fn trades_are_numbered_and_fall_on_the_quote() {
        let mut ids = std::collections::BTreeMap::new();
        for (_, news) in run(Venue::new("kraken"), 400, None) {
            let News::Traded(ticker, trade) = news else {
                continue;
            };
            assert!([ticker.bid, ticker.ask].contains(&trade.price));
            if let Some(last) = ids.insert(ticker.pair, trade.id) {
                assert_eq!(trade.id, last + 1, "{}", ticker.pair);
            }
        }
        assert!(ids.len() > 10);
    }

    #[test]
    fn turnover_stays_about_what_the_catalogue_says() {
        let venue = Venue::new("binance");
        let listing = catalogue::listings(venue).next().unwrap();
        let volumes: Vec<Decimal> = run(venue, 5_000, None)
            .into_iter()
            .filter_map(|(_, news)| match news {
                News::Quoted(ticker) if ticker.pair == listing.pair => Some(ticker.day.quote_volume),
                _ => None,
            })
            .collect();
        for volume in [volumes[0], volumes[volumes.len() - 1]] {
            let ratio = volume / listing.turnover;
            assert!(ratio > Decimal::new(7, 1) && ratio < Decimal::new(13, 1), "{ratio}");
        }
    }

    #[test]
    fn trouble_shows() {
        let venue = Venue::new("coinbase");
        for (_, news) in run(venue, 50, Some(Trouble::Crossed)) {
            if let News::Quoted(ticker) = news {
                assert!(ticker.bid > ticker.ask, "{ticker:?}");
            }
        }
        for (truth, news) in run(venue, 50, Some(Trouble::Spike(50_000_000))) {
            if let News::Quoted(ticker) = news {
                assert!(ticker.bid > truth * Decimal::new(104, 2), "{ticker:?}");
            }
        }
        let mut frozen = std::collections::BTreeMap::new();
        for (_, news) in run(venue, 50, Some(Trouble::Frozen)) {
            let News::Quoted(ticker) = news else { panic!("a frozen venue trades") };
            let first = *frozen.entry(ticker.pair).or_insert((ticker.bid, ticker.ask));
            assert_eq!(first, (ticker.bid, ticker.ask));
        }
        let shuffled = run(venue, 50, Some(Trouble::Shuffled));
        let ids = shuffled.into_iter().filter_map(|(_, news)| match news {
            News::Traded(_, trade) => Some(trade.id),
            News::Quoted(_) => None,
        });
        let ids: Vec<u64> = ids.collect();
        assert_eq!((ids[0], ids[0]), (ids[1] + 1, ids[2]));
    }
}
