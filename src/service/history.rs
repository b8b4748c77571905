//! What was: prices at a time, and how a pair did.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    bar::Bar,
    error::ServiceError,
    prices::{MAX_BATCH, Prices},
};
use crate::{
    clock::Clock,
    domain::{
        cross::Step,
        pair::Pair,
        price::{Origin, Price, Stamp, Status, StatusReason, Value},
    },
    pipeline::board::Update,
    store::{Store, StoreError, prices::PricePoint, stats::PriceStats},
};

/// Pairs × times of a batch at most.
pub const MAX_BATCH_TIMES: usize = 1_000;

/// Reads the history.
#[derive(Debug, Clone)]
pub struct History {
    store: Arc<Store>,
    prices: Prices,
    clock: Clock,
    terms: Terms,
}

/// How what was recorded is read.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// A price that goes on as it is is recorded again after this time, and a change of its status at once. So it was what the
    /// service said for as long, and for half of that more, as rows are not written to the moment.
    pub repeat: TimeDelta,
    /// A price that was said to be live was observed at most this long before.
    pub max_age: TimeDelta,
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

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        if !error.is_passing() {
            tracing::error!(%error, "the history cannot be read");
        }
        Self::HistoryUnavailable { reason: error.to_string() }
    }
}

impl History {
    /// Reads this store. The prices are those of now: they know which pairs there are, and which ways lead to others.
    pub fn new(store: Arc<Store>, prices: Prices, clock: Clock, terms: Terms) -> Self {
        Self { store, prices, clock, terms }
    }

    /// Gets where the prices come from.
    pub fn origin(&self) -> Origin {
        self.store.origin()
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
        let earliest = times.iter().min().copied().unwrap_or(now);
        check_known_by(known_by, earliest, now)?;
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
                        check_time("times", *time, now).and(outcome).and_then(|update| {
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
        let mut stats = self.store.price_stats(pair, time).await?;
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
        let stored = self.store.prices_at(&asked, known_by).await?;
        let mut points = stored.into_iter().zip(&asked).map(|(stored, (pair, time))| {
            let recorded = || {
                let PricePoint { price, stamp } = stored?.point;
                Some(PricePoint { price: self.held(price, *time), stamp })
            };
            // What the board says now is newer than what is recorded, and may be what held then.
            let latest = || {
                let update = self.prices.board().get(*pair).filter(|_| known_by.is_none())?;
                let held = update.stamp.publish_time <= *time;
                held.then(|| PricePoint { price: update.price.clone(), stamp: update.stamp })
            };
            latest().or_else(recorded)
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

    /// Says what a recorded price was at a later time. Where no row follows it in time, nobody was there to confirm it.
    fn held(&self, price: Price, time: DateTime<Utc>) -> Price {
        let Terms { repeat, max_age } = self.terms;
        let (Status::Live | Status::Degraded, Some(value)) = (price.status, price.value) else {
            return price;
        };
        if time - price.aggregate_time > repeat + repeat / 2 {
            return Price {
                status: Status::Stale,
                status_reason: Some(StatusReason::NoFreshQuotes),
                ..price
            };
        }
        let earliest = time.checked_sub_signed(max_age).unwrap_or(value.observe_time);
        let observe_time = value.observe_time.max(earliest);
        Price { value: Some(Value { observe_time, ..value }), ..price }
    }
}

/// Refuses a time that lies ahead.
pub(super) fn check_time(field: &str, time: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), ServiceError> {
    if time > now { Err(ServiceError::field(field, "lies ahead")) } else { Ok(()) }
}

fn check_known_by(
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
