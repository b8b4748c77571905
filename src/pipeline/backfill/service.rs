//! Back-filling in the background of a running service: a look at the last hours when it starts, then every gap, a while after
//! it is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Backfill, BackfillMetrics, Job, Outcome, SETTLED_AFTER, Span, VenueClient};
use crate::domain::{candle::Interval, pair::Pair, venue::Venue};

/// Requests that wait to be looked at, at most.
const QUEUE: usize = 1_024;

/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How soon what has failed is tried again.
const AGAIN_AFTER: TimeDelta = TimeDelta::minutes(10);

/// How often it is tried at most; what is still missing then is found at the next start.
const ATTEMPTS: u32 = 6;

/// What is done when.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// How far back candles are looked for at the start.
    pub look_back: TimeDelta,
    /// Which are asked for.
    pub intervals: Vec<Interval>,
}

/// Requests back-fills. Clones reach the same service.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    metrics: BackfillMetrics,
}

/// A market of which messages were missed, and when.
#[derive(Debug)]
pub(super) struct Request {
    market: (Pair, Venue),
    range: Span,
    /// Whether messages are known to have been missed.
    doubted: bool,
}

/// Tells a running service that other markets are listened to.
#[derive(Debug)]
pub struct Extender {
    backfill: Arc<Backfill>,
    handle: Handle,
    look_back: TimeDelta,
}

/// Fills in for as long as the service runs.
#[derive(Debug)]
pub struct Service {
    backfill: Arc<Backfill>,
    options: ServiceOptions,
    requests: mpsc::Receiver<Request>,
    waiting: Waiting,
}

/// What is to be filled in, by market and by whether what is stored is doubted.
#[derive(Debug, Default)]
struct Waiting(BTreeMap<(Pair, Venue, bool), Gap>);

/// When something was missed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gap {
    range: Span,
    due: DateTime<Utc>,
    attempts: u32,
}

/// What is to be filled in of one pair now.
#[derive(Debug, PartialEq, Eq)]
struct Due {
    pair: Pair,
    /// Whether messages are known to have been missed: then what is stored counts for nothing.
    doubted: bool,
    gaps: BTreeMap<Venue, Gap>,
}

impl Handle {
    pub(super) fn new(metrics: BackfillMetrics) -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(QUEUE);
        (Self { requests, metrics }, receiver)
    }

    /// Has a market filled in of which messages were missed within a range. Never waits.
    pub fn request(&self, pair: Pair, venue: Venue, range: Range<DateTime<Utc>>) {
        self.send(Request { market: (pair, venue), range, doubted: true });
    }

    fn send(&self, request: Request) {
        if self.requests.try_send(request).is_err() {
            self.metrics.drop_gap();
        }
    }
}

impl Extender {
    /// Takes in all markets that are listened to from now on, and how venues are asked that are new, or are asked in another
    /// way. Of markets that are new, the last hours are looked at as at a start.
    pub fn extend(&self, new: Vec<VenueClient>, markets: BTreeMap<Pair, BTreeSet<Venue>>) {
        let now = self.backfill.clock.now();
        let from = now.checked_sub_signed(self.look_back).unwrap_or(now);
        for market in self.backfill.reach(new, markets) {
            self.handle.send(Request { market, range: from..now, doubted: false });
        }
    }
}

impl Service {
    /// Makes what tells it of other markets.
    pub fn extender(&self, handle: Handle) -> Extender {
        Extender { backfill: Arc::clone(&self.backfill), handle, look_back: self.options.look_back }
    }

    /// Makes a service, and what requests of it.
    pub fn new(backfill: Backfill, options: ServiceOptions) -> (Self, Handle) {
        let (handle, requests) = Handle::new(backfill.metrics.clone());
        let waiting = Waiting::default();
        (Self { backfill: Arc::new(backfill), options, requests, waiting }, handle)
    }

    /// Runs until `shutdown`: what is being asked then is left, and found missing at the next start.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let _ = shutdown.run_until_cancelled(self.fill()).await;
    }

    async fn fill(&mut self) {
        self.look_back();
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => self.wait_for(request),
                    // Nobody is left to ask for more.
                    None if self.waiting.0.is_empty() => return,
                    None => { ticks.tick().await; }
                },
                _ = ticks.tick() => {}
            }
            // What was requested by then is taken together.
            let now = self.backfill.clock.now();
            while let Ok(request) = self.requests.try_recv() {
                self.wait_for(request);
            }
            if let Some(due) = self.waiting.due(now) {
                self.fill_pair(due).await;
                ticks.reset_immediately();
            }
            self.backfill.metrics.wait(self.waiting.0.len());
        }
    }

    /// Looks at the last hours of every market.
    fn look_back(&mut self) {
        let now = self.backfill.clock.now();
        let Some(from) = now.checked_sub_signed(self.options.look_back).filter(|from| *from < now) else {
            return;
        };
        for (pair, venue) in self.backfill.reach.load().asked() {
            self.waiting.add((pair, venue, false), Gap { range: from..now, due: now, attempts: 0 });
        }
    }

    fn wait_for(&mut self, Request { market: (pair, venue), range, doubted }: Request) {
        if self.backfill.reach.load().asks((pair, venue)) {
            // The candle that the end falls into is over by then, and its makers have had their time.
            let due = if doubted { settled(self.shortest(), range.end) } else { range.end };
            self.waiting.add((pair, venue, doubted), Gap { range, due, attempts: 0 });
        }
    }

    async fn fill_pair(&mut self, Due { pair, doubted, gaps }: Due) {
        let now = self.backfill.clock.now();
        for interval in self.options.intervals.clone() {
            let venues = gaps.iter().map(|(venue, gap)| (*venue, gap.range.clone())).collect();
            let failed = match self.backfill.fill(&Job { pair, venues, interval, doubted }).await {
                Ok(outcomes) => failed(outcomes),
                Err(error) => {
                    warn!(%pair, %interval, %error, "candles cannot be written");
                    if error.is_passing() { gaps.keys().copied().collect() } else { Vec::new() }
                }
            };
            for venue in failed {
                if let Some(gap) = gaps.get(&venue) {
                    self.again(pair, venue, doubted, gap);
                }
            }
        }
        for (venue, gap) in gaps.into_iter().filter(|_| doubted) {
            if let Some(rest) = gap.rest(self.shortest(), now) {
                self.waiting.add((pair, venue, doubted), rest);
            }
        }
    }

    fn again(&mut self, pair: Pair, venue: Venue, doubted: bool, gap: &Gap) {
        let attempts = gap.attempts + 1;
        if attempts < ATTEMPTS {
            let due = self.backfill.clock.now() + AGAIN_AFTER;
            self.waiting.add((pair, venue, doubted), Gap { range: gap.range.clone(), due, attempts });
        } else {
            debug!(%pair, %venue, "a gap is left for the next start");
        }
    }

    fn shortest(&self) -> Interval {
        self.options.intervals.iter().min().copied().unwrap_or(Interval::Minute)
    }
}

impl Gap {
    /// Gets what of it was not over yet, and when it will be.
    fn rest(&self, interval: Interval, now: DateTime<Utc>) -> Option<Self> {
        let over = interval.open_time(now.checked_sub_signed(SETTLED_AFTER).unwrap_or(now));
        let due = settled(interval, self.range.end);
        (over < self.range.end).then(|| Self {
            range: over.max(self.range.start)..self.range.end,
            due,
            attempts: 0,
        })
    }
}

impl Waiting {
    /// Adds a gap; with one that waits already it becomes one, from the first to the last moment of both. It is due when the
    /// first of them was: a venue that misses something all the time would put it off for ever.
    fn add(&mut self, market: (Pair, Venue, bool), gap: Gap) {
        self.0
            .entry(market)
            .and_modify(|known| {
                known.range = known.range.start.min(gap.range.start)..known.range.end.max(gap.range.end);
                known.due = known.due.min(gap.due);
                known.attempts = known.attempts.max(gap.attempts);
            })
            .or_insert(gap);
    }

    /// Takes out what is due of one pair: that which has waited for longest.
    fn due(&mut self, now: DateTime<Utc>) -> Option<Due> {
        let due = self.0.iter().filter(|(_, gap)| gap.due <= now).min_by_key(|(_, gap)| gap.due);
        let (pair, doubted) = due.map(|((pair, _, doubted), _)| (*pair, *doubted))?;
        let mut gaps = BTreeMap::new();
        self.0.retain(|(known, venue, doubt), gap| {
            let taken = (*known, *doubt) == (pair, doubted) && gap.due <= now;
            if taken {
                gaps.insert(*venue, gap.clone());
            }
            !taken
        });
        Some(Due { pair, doubted, gaps })
    }
}

/// Tells when the candle can be asked for that a moment falls into.
fn settled(interval: Interval, time: DateTime<Utc>) -> DateTime<Utc> {
    interval.close_time(interval.open_time(time)) + SETTLED_AFTER
}

/// Lists the venues of which it may be tried again.
fn failed(outcomes: Vec<Outcome>) -> Vec<Venue> {
    let failed = |Outcome { venue, filled }: Outcome| {
        filled.err().filter(super::BackfillError::is_passing).map(|_| venue)
    };
    outcomes.into_iter().filter_map(failed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BTC_USD: Pair = Pair::literal("BTC", "USD");
    const ETH_USD: Pair = Pair::literal("ETH", "USD");
    const KRAKEN: Venue = Venue::new("kraken");
    const OKX: Venue = Venue::new("okx");

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_392_000 + second, 0).unwrap()
    }

    fn gap(from: i64, to: i64, due: i64) -> Gap {
        Gap { range: at(from)..at(to), due: at(due), attempts: 0 }
    }

    #[test]
    fn what_is_due_is_taken_by_pair_and_no_gap_is_put_off_by_another() {
        let mut waiting = Waiting::default();
        waiting.add((BTC_USD, KRAKEN, true), gap(0, 10, 120));
        waiting.add((BTC_USD, KRAKEN, true), gap(50, 70, 180));
        waiting.add((BTC_USD, OKX, true), gap(0, 10, 110));
        waiting.add((BTC_USD, KRAKEN, false), gap(-900, 0, 130));
        waiting.add((ETH_USD, KRAKEN, true), gap(0, 10, 500));
        assert_eq!(waiting.due(at(109)), None);
        let gaps = [(KRAKEN, gap(0, 70, 120)), (OKX, gap(0, 10, 110))];
        assert_eq!(waiting.due(at(130)), Some(Due { pair: BTC_USD, doubted: true, gaps: gaps.into() }));
        let gaps = [(KRAKEN, gap(-900, 0, 130))];
        assert_eq!(waiting.due(at(130)), Some(Due { pair: BTC_USD, doubted: false, gaps: gaps.into() }));
        assert_eq!(waiting.due(at(499)), None);
        assert_eq!(waiting.0.len(), 1);
    }

    #[test]
    fn what_is_not_over_yet_is_left_for_later() {
        let gap = gap(0, 70, 120);
        assert_eq!(gap.rest(Interval::Minute, at(180)), None);
        assert_eq!(gap.rest(Interval::Minute, at(179)), Some(self::gap(60, 70, 180)));
        assert_eq!(gap.rest(Interval::Minute, at(59)), Some(self::gap(0, 70, 180)));
    }
}
