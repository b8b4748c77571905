//! What was: prices at a time, and how a pair did.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    archive::Archive,
    bar::Bar,
    error::ServiceError,
    prices::{MAX_BATCH, Prices},
};
use crate::{
    clock::Clock,
    domain::{
        cross::Step,
        pair::Pair,
        price::{Origin, Price, Stamp, Status, StatusReason},
    },
    pipeline::{board::Update, standards::Standards},
    store::{prices::PricePoint, stats::PriceStats},
};

/// Pairs × times of a batch at most.
pub const MAX_BATCH_TIMES: usize = 1_000;

/// Reads the history.
#[derive(Debug, Clone)]
pub struct History {
    archive: Archive,
    prices: Prices,
    clock: Clock,
    standards: Standards,
}

/// How a pair did.
#[derive(Debug)]
pub struct Stats {
    /// The pair.
    pub pair: Pair,
    /// What the history tells of it.
    pub stats: PriceStats,
    /// When it was looked up.
    pub time: DateTime<Utc>,
}

/// What became of one pair at one time.
type Outcome = Result<Arc<Update>, ServiceError>;

impl History {
    /// Reads this archive. The prices are those of now: they know which pairs there are, and which ways lead to others.
    pub fn new(archive: Archive, prices: Prices, clock: Clock, standards: Standards) -> Self {
        Self { archive, prices, clock, standards }
    }

    /// Gets where the prices come from.
    pub fn origin(&self) -> Origin {
        self.archive.origin()
    }

    /// Gets the price of a pair at a time, if it met the bar then.
    pub async fn price_at(
        &self,
        pair: &str,
        time: DateTime<Utc>,
        known_by: Option<DateTime<Utc>>,
        bar: &Bar,
    ) -> Outcome {
        let now = self.clock.now();
        check_time("time", time, now)?;
        check_known_by(known_by, time, now)?;
        let pair = self.prices.resolve("pair", pair)?;
        let found = self.find(&[pair], &[time], known_by).await?.pop();
        found.unwrap_or(Err(ServiceError::NotRecorded { pair, time })).and_then(|update| {
            bar.check(&update.price, time)?;
            Ok(update)
        })
    }

    /// Gets the prices of many pairs at many times: all of the first pair, then of the next.
    pub async fn batch(
        &self,
        pairs: &[String],
        times: &[DateTime<Utc>],
        known_by: Option<DateTime<Utc>>,
        bar: &Bar,
    ) -> Result<Vec<Outcome>, ServiceError> {
        if pairs.is_empty() || pairs.len() > MAX_BATCH {
            let many = pairs.len();
            return Err(ServiceError::field(
                "pairs",
                format!("has {many} pairs: 1 to {MAX_BATCH} are needed"),
            ));
        }
        let asked = pairs.len() * times.len();
        if asked > MAX_BATCH_TIMES {
            let wrong = format!("{asked} prices are asked for: {MAX_BATCH_TIMES} at most are allowed");
            return Err(ServiceError::field("times", wrong));
        }
        let now = self.clock.now();
        let resolved: Vec<_> = pairs.iter().map(|pair| self.prices.resolve("pairs", pair)).collect();
        let known: Vec<Pair> = resolved.iter().flatten().copied().collect();
        let mut found = self.find(&known, times, known_by).await?.into_iter();
        let mut outcomes = Vec::with_capacity(asked);
        for pair in resolved {
            for time in times {
                outcomes.push(match &pair {
                    Err(error) => Err(error.clone()),
                    Ok(pair) => {
                        let outcome = found
                            .next()
                            .unwrap_or(Err(ServiceError::NotRecorded { pair: *pair, time: *time }));
                        let checked = check_time("times", *time, now);
                        checked.and(check_known_by(known_by, *time, now)).and(outcome).and_then(|update| {
                            bar.check(&update.price, *time)?;
                            Ok(update)
                        })
                    }
                });
            }
        }
        Ok(outcomes)
    }

    /// Tells how a pair did up to now.
    pub async fn stats(&self, pair: &str) -> Result<Stats, ServiceError> {
        let pair = self.prices.resolve("pair", pair)?;
        let time = self.clock.now();
        let mut stats = self.archive.price_stats(pair, time).await?;
        if stats == PriceStats::default() {
            // One that is neither known nor recorded is an error, as it is everywhere.
            self.prices.find(pair)?;
        }
        let latest = self.prices.board().get(pair).and_then(|update| update.price.value);
        stats.last = latest.map(|value| value.price).or(stats.last);
        Ok(Stats { pair, stats, time })
    }

    /// Finds what was said of pairs at times: recorded, or derived of what was recorded.
    async fn find(
        &self,
        pairs: &[Pair],
        times: &[DateTime<Utc>],
        known_by: Option<DateTime<Utc>>,
    ) -> Result<Vec<Outcome>, ServiceError> {
        // Most are recorded themselves; of the others, the legs of the way that leads to them now are.
        let routes: Vec<Vec<Step>> = pairs.iter().map(|pair| self.route(*pair)).collect();
        let asked: Vec<(Pair, DateTime<Utc>)> = pairs
            .iter()
            .zip(&routes)
            .flat_map(|(pair, route)| std::iter::once(*pair).chain(route.iter().map(|step| step.pair)))
            .flat_map(|pair| times.iter().map(move |time| (pair, *time)))
            .collect();
        let stored = self.archive.prices_at(&asked, known_by).await?;
        let mut points = stored.into_iter().zip(&asked).map(|(stored, (pair, time))| {
            let recorded = stored.map(|stored| stored.point);
            // What the board says now is newer than what is recorded, and may be what held then.
            let latest = || {
                let update = self.prices.board().get(*pair).filter(|_| known_by.is_none())?;
                let held = update.stamp.publish_time <= *time;
                held.then(|| PricePoint { price: update.price.clone(), stamp: update.stamp })
            };
            latest().or(recorded).map(|point| PricePoint { price: self.aged(point.price, *time), ..point })
        });
        let mut outcomes = Vec::with_capacity(pairs.len() * times.len());
        for (pair, route) in pairs.iter().zip(&routes) {
            let direct: Vec<_> = points.by_ref().take(times.len()).collect();
            let legs: Vec<Vec<_>> =
                route.iter().map(|_| points.by_ref().take(times.len()).collect()).collect();
            for (at, (own, time)) in direct.into_iter().zip(times).enumerate() {
                let derived = || self.derived(*pair, route, &legs, at, *time);
                let point = own.or_else(derived);
                outcomes.push(match point {
                    Some(PricePoint { price, stamp }) => Ok(self.prices.board().encode(price, stamp)),
                    None => Err(ServiceError::NotRecorded { pair: *pair, time: *time }),
                });
            }
        }
        Ok(outcomes)
    }

    /// Gets the way that leads to a pair that has no price of its own.
    fn route(&self, pair: Pair) -> Vec<Step> {
        let prices = &self.prices;
        if prices.board().contains(pair) {
            return Vec::new();
        }
        prices.crosses().route(prices.board(), pair).unwrap_or_default()
    }

    /// Derives a price of the prices that its legs had at a time.
    fn derived(
        &self,
        pair: Pair,
        route: &[Step],
        legs: &[Vec<Option<PricePoint>>],
        at: usize,
        time: DateTime<Utc>,
    ) -> Option<PricePoint> {
        let points: Vec<&PricePoint> =
            legs.iter().map(|leg| leg.get(at).and_then(Option::as_ref)).collect::<Option<_>>()?;
        let newest: Stamp = points.iter().map(|point| point.stamp).max_by_key(|stamp| stamp.cursor)?;
        let legs: Vec<(Step, &Price)> =
            route.iter().copied().zip(points.iter().map(|point| &point.price)).collect();
        let price = self.prices.crosses().combine(pair, &legs, time);
        Some(PricePoint { price, stamp: newest })
    }

    /// Says what a price was at a time that was computed before it: it may have grown old since.
    fn aged(&self, price: Price, time: DateTime<Utc>) -> Price {
        let old = price.value.is_some_and(|value| time - value.observe_time > self.standards.max_age());
        match price.status {
            Status::Live | Status::Degraded if old => {
                Price { status: Status::Stale, status_reason: Some(StatusReason::NoFreshQuotes), ..price }
            }
            _ => price,
        }
    }
}

/// Refuses a time that lies ahead.
pub(super) fn check_time(field: &str, time: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), ServiceError> {
    if time > now { Err(ServiceError::field(field, "lies ahead")) } else { Ok(()) }
}

/// Refuses a time by which something was known that lies ahead, or before what was to be known.
pub(super) fn check_known_by(
    known_by: Option<DateTime<Utc>>,
    time: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    let Some(known_by) = known_by else { return Ok(()) };
    check_time("known_by", known_by, now)?;
    if known_by < time {
        Err(ServiceError::field("known_by", "lies before the time that is asked for"))
    } else {
        Ok(())
    }
}
