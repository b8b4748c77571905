//! What was: prices at a time, and how a pair did.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

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
        pair::{Asset, Pair},
        price::{Origin, Price, Stamp, Status, StatusReason, Value},
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
    /// A price that goes on as it is is recorded again after this time, and a change of its status at once. So it was what the
    /// service said for as long, and for half of that more, as rows are not written to the moment.
    repeat: TimeDelta,
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

/// A pair, and what its price can be made of.
struct Way {
    pair: Pair,
    /// The steps that lead to it now; none where it has a direct price.
    steps: Vec<Step>,
    /// The stablecoins that these pass through, each with the pair that tells whether it holds its peg.
    pegs: Vec<(Asset, Pair)>,
}

impl Way {
    /// Lists the pairs whose prices are needed: its own first, then those of the steps, then those of the pegs.
    fn asked(&self) -> impl Iterator<Item = Pair> {
        let steps = self.steps.iter().map(|step| step.pair);
        std::iter::once(self.pair).chain(steps).chain(self.pegs.iter().map(|(_, pair)| *pair))
    }
}

/// What became of one pair at one time.
type Outcome = Result<Arc<Update>, ServiceError>;

impl History {
    /// Reads this archive. The prices are those of now: they know which pairs there are, and which ways lead to others. A
    /// price that goes on as it is was recorded again each time that `repeat` had passed.
    pub fn new(
        archive: Archive,
        prices: Prices,
        clock: Clock,
        standards: Standards,
        repeat: TimeDelta,
    ) -> Self {
        Self { archive, prices, clock, standards, repeat }
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
        let ways: Vec<Way> = pairs.iter().map(|pair| self.way(*pair)).collect();
        let asked: Vec<(Pair, DateTime<Utc>)> = ways
            .iter()
            .flat_map(Way::asked)
            .flat_map(|pair| times.iter().map(move |time| (pair, *time)))
            .collect();
        let stored = self.archive.prices_at(&asked, known_by).await?;
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
        for way in &ways {
            // Of each pair that was asked for, its points at all times.
            let found: Vec<Vec<_>> =
                way.asked().map(|_| points.by_ref().take(times.len()).collect()).collect();
            for (at, time) in times.iter().enumerate() {
                let found: Vec<Option<&PricePoint>> =
                    found.iter().map(|points| points.get(at).and_then(Option::as_ref)).collect();
                outcomes.push(match self.at(way, &found, *time) {
                    Some(PricePoint { price, stamp }) => Ok(self.prices.board().encode(price, stamp)),
                    None => Err(ServiceError::NotRecorded { pair: way.pair, time: *time }),
                });
            }
        }
        Ok(outcomes)
    }

    /// Gets the way that leads to a pair, where it has no direct price.
    fn way(&self, pair: Pair) -> Way {
        let board = self.prices.board();
        let is_direct = board.get(pair).is_some_and(|update| update.price.route.is_empty());
        let route = || self.prices.crosses().route(board, pair).unwrap_or_default();
        let steps = if is_direct { Vec::new() } else { route() };
        let through = steps.iter().skip(1).map(|step| step.from());
        let pegs = through
            .filter_map(|coin| Some((coin, Pair { base: coin, quote: self.standards.reference(coin)? })))
            .collect();
        Way { pair, steps, pegs }
    }

    /// Gets the price at a time, of what was found of all pairs that were asked for.
    fn at(&self, way: &Way, found: &[Option<&PricePoint>], time: DateTime<Utc>) -> Option<PricePoint> {
        let (own, others) = found.split_first()?;
        // One that nobody kept then, or that was kept no longer, would have been derived for whoever asked.
        let own = own.filter(|own| !own.price.is_gone());
        let kept = |own: &&PricePoint| own.price.route.is_empty() || own.price.status != Status::Stale;
        if let Some(own) = own.filter(kept) {
            return Some(own.clone());
        }
        self.derived(way, others, time).or_else(|| own.cloned())
    }

    /// Derives a price of the prices that its legs had at a time.
    fn derived(&self, way: &Way, found: &[Option<&PricePoint>], time: DateTime<Utc>) -> Option<PricePoint> {
        let (legs, pegs) = found.split_at_checked(way.steps.len())?;
        let legs: Vec<&PricePoint> = legs.iter().copied().collect::<Option<_>>()?;
        let newest: Stamp = legs.iter().map(|point| point.stamp).max_by_key(|stamp| stamp.cursor)?;
        let lost = |asset: Asset| {
            let mut pegs = way.pegs.iter().zip(pegs).filter(|((coin, _), _)| *coin == asset);
            pegs.any(|(_, peg)| peg.is_some_and(|peg| self.standards.is_lost(&peg.price)))
        };
        let legs: Vec<(Step, &Price)> =
            way.steps.iter().copied().zip(legs.iter().map(|point| &point.price)).collect();
        let price = self.prices.crosses().combine(way.pair, &legs, &lost, time);
        Some(PricePoint { price, stamp: newest })
    }

    /// Says what a recorded price was at a later time. Where no row follows it in time, nobody was there to confirm it.
    fn held(&self, price: Price, time: DateTime<Utc>) -> Price {
        let (Status::Live | Status::Degraded, Some(value)) = (price.status, price.value) else {
            return price;
        };
        if time - price.aggregate_time > self.repeat + self.repeat / 2 {
            return Price {
                status: Status::Stale,
                status_reason: Some(StatusReason::NoFreshQuotes),
                ..price
            };
        }
        let earliest = time.checked_sub_signed(self.standards.max_age()).unwrap_or(value.observe_time);
        let observe_time = value.observe_time.max(earliest);
        Price { value: Some(Value { observe_time, ..value }), ..price }
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

#[cfg(test)]
mod tests;
