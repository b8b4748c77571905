//! The task that moves the market, venue by venue, and brings the trouble.

use std::{iter::Peekable, sync::Arc, time::Duration};

use tokio::{
    sync::{broadcast, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    catalogue,
    floor::{Floor, Step},
    market::Market,
    server::SimOptions,
    trouble::{Episode, Timetable},
};
use crate::domain::venue::Venue;

/// Steps in a second at most.
const MAX_RATE: u32 = 100;

/// Steps that a session may be behind: five seconds at the highest rate.
const BACKLOG: usize = 500;

/// The steps of one venue, for all its sessions.
pub(super) type Steps = broadcast::Sender<Arc<Step>>;

/// Moves the market, and tells each venue's sessions what happened there.
pub(super) struct Driver {
    market: watch::Sender<Market>,
    floors: Vec<(Venue, Floor, Steps)>,
    options: SimOptions,
    troubles: Peekable<Timetable>,
    /// The trouble of the last step.
    trouble: Option<Episode>,
    /// Simulated time since the start.
    elapsed: Duration,
    /// How much of it passes in a step.
    lapse: Duration,
}

impl Driver {
    /// Opens the market, at first without venues.
    pub(super) fn new(options: SimOptions) -> Self {
        let rate = options.updates_per_second.get().min(MAX_RATE);
        let troubled = catalogue::venues().filter(|_| options.trouble).collect();
        Self {
            market: watch::Sender::new(Market::new(options.seed)),
            floors: Vec::new(),
            troubles: Timetable::new(options.seed, troubled).peekable(),
            trouble: None,
            elapsed: Duration::ZERO,
            lapse: Duration::from_secs(1) / rate,
            options,
        }
    }

    /// Opens the floor of a venue, and gives what its sessions can follow.
    pub(super) fn open(&mut self, venue: Venue) -> Steps {
        let steps = Steps::new(BACKLOG);
        let now = (self.options.now)();
        let floor = Floor::new(venue, &self.market.borrow(), self.options.seed, now);
        self.floors.push((venue, floor, steps.clone()));
        steps
    }

    /// Gets a view of the market as it moves.
    pub(super) fn market(&self) -> watch::Receiver<Market> {
        self.market.subscribe()
    }

    /// Steps at its rate until the shutdown.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = interval(self.lapse);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.step();
        }
    }

    fn step(&mut self) {
        self.elapsed += self.lapse;
        self.market.send_modify(|market| market.step(self.lapse));
        self.change_trouble();
        let market = self.market.borrow();
        let now = (self.options.now)();
        for (venue, floor, steps) in &mut self.floors {
            let trouble = self.trouble.filter(|episode| episode.venue == *venue);
            let step = floor.step(&market, self.lapse, now, trouble.map(|episode| episode.trouble));
            // Nobody may be connected.
            let _ = steps.send(Arc::new(step));
        }
    }

    /// Ends and begins troubles as the timetable says.
    fn change_trouble(&mut self) {
        while self.troubles.next_if(|episode| episode.end < self.elapsed).is_some() {}
        let due = self.troubles.peek().filter(|episode| episode.start <= self.elapsed).copied();
        if due == self.trouble {
            return;
        }
        if let Some(Episode { venue, trouble, .. }) = self.trouble {
            tracing::debug!(%venue, %trouble, "simulated trouble is over");
        }
        if let Some(Episode { venue, trouble, start, end }) = due {
            let duration = end.saturating_sub(start);
            let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(%venue, %trouble, duration_ms, "simulated trouble begins");
        }
        self.trouble = due;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        num::NonZeroU32,
        sync::atomic::{AtomicI64, Ordering},
    };

    use chrono::DateTime;
    use rust_decimal::Decimal;

    use super::*;
    use crate::{
        domain::pair::Pair,
        sim::{floor::News, trouble::Trouble},
    };

    /// A driver of one step a second, by a clock that moves with it.
    fn driver(seed: u64) -> Driver {
        let clock = AtomicI64::new(1_760_000_000);
        let now = move || DateTime::from_timestamp(clock.fetch_add(1, Ordering::Relaxed), 0).unwrap();
        Driver::new(SimOptions {
            seed,
            updates_per_second: NonZeroU32::MIN,
            trouble: true,
            now: Arc::new(now),
        })
    }

    /// What a client knows of a market: the middle of the book, and how many seconds ago it was told.
    type Known = BTreeMap<(Pair, Venue), (Decimal, u32)>;

    fn learn(known: &mut Known, venue: Venue, step: &Step) {
        if matches!(step.trouble, Some(Trouble::Silence | Trouble::Cut)) {
            return;
        }
        for news in &step.news {
            let News::Quoted(ticker) = news else { continue };
            if ticker.bid < ticker.ask {
                let middle = (ticker.bid + ticker.ask) / Decimal::TWO;
                known.insert((ticker.pair, venue), (middle, 0));
            } else {
                known.remove(&(ticker.pair, venue));
            }
        }
    }

    fn median(known: &Known, pair: Pair) -> Decimal {
        let mut prices: Vec<Decimal> = known
            .iter()
            .filter(|((of, _), (_, age))| *of == pair && *age <= 30)
            .map(|(_, (price, _))| *price)
            .collect();
        prices.sort();
        (prices[prices.len() / 2] + prices[(prices.len() - 1) / 2]) / Decimal::TWO
    }

    /// Follows all venues for some minutes, and gives how many troubles there were.
    fn follow(seed: u64) -> u32 {
        let mut driver = driver(seed);
        let mut venues: Vec<_> =
            catalogue::venues().map(|venue| (venue, driver.open(venue).subscribe())).collect();
        let pairs: BTreeSet<Pair> = catalogue::catalogue().into_iter().flat_map(|(_, pairs)| pairs).collect();
        let mut known = Known::new();
        let mut troubles = 0;
        for second in 0..240 {
            let before = driver.trouble;
            driver.step();
            troubles += u32::from(driver.trouble.is_some() && driver.trouble != before);
            for (_, age) in known.values_mut() {
                *age += 1;
            }
            for (venue, steps) in &mut venues {
                learn(&mut known, *venue, &steps.try_recv().unwrap());
            }
            for pair in &pairs {
                let truth = driver.market.borrow().truth(*pair).unwrap();
                let apart = ((median(&known, *pair) - truth) / truth).abs() * Decimal::from(10_000);
                assert!(
                    apart < Decimal::from(15),
                    "{pair} {apart} after {second} s of {seed}: {:?}",
                    driver.trouble
                );
            }
        }
        troubles
    }

    #[test]
    fn the_median_of_the_venues_stays_near_the_truth_through_all_trouble() {
        let troubles: u32 = (1..=5).map(follow).sum();
        assert!(troubles >= 30, "{troubles}");
    }

    #[test]
    fn a_seed_repeats_everything_that_is_said() {
        let said = |seed| {
            let mut driver = driver(seed);
            let mut steps = driver.open(Venue::new("kraken")).subscribe();
            for _ in 0..30 {
                driver.step();
            }
            let mut said = Vec::new();
            while let Ok(step) = steps.try_recv() {
                said.push(format!("{step:?}"));
            }
            said
        };
        assert_eq!(said(1), said(1));
        assert_ne!(said(1), said(2));
    }
}
