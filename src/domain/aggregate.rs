//! Many quotes to one consensus, and why each counted or not.
//!
//! The steps, in this order; a quote that fails one is not looked at by the next:
//!
//! 1. **Reading** (`reading`): is the quote timely, does its book make sense, is it frozen, and what does it say
//!    in the pair's quote asset? Stablecoins are converted at their live rate, never at 1.
//! 2. **Votes** (`votes`): one reading per owner.
//! 3. **Outliers** (`outliers`): readings far from the unweighted median are dropped.
//! 4. **Weights** (`weights`): by 24-hour volume, capped; equal where that cannot be done.
//! 5. **Consensus** (`consensus`): the weighted median of what is left, its dispersion and its times.
//!
//! Owners vote *before* outliers are looked for: else an owner with three markets would be the median by itself,
//! and the independent ones the outliers. All sums are exact and the result is rounded once, so it does not
//! depend on the order of the quotes.

mod consensus;
mod outliers;
mod reading;
#[cfg(test)]
mod tests;
mod votes;
mod weights;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use self::weights::Weights;
use super::{
    decimal::DecimalError,
    pair::Pair,
    peg::Pegs,
    price::{Status, StatusReason, Value},
    quote::Quote,
    venue::Venue,
};

/// Makes the standard deviation of a normal distribution out of its median absolute deviation.
const DEVIATIONS_PER_MAD: Decimal = Decimal::from_parts(14_826, 0, 0, false, 4);

/// One basis point.
const BASIS_POINT: Decimal = Decimal::from_parts(1, 0, 0, false, 4);

/// The consensus of many quotes on one pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// The price and what stands behind it; `None` exactly if the status is UNAVAILABLE.
    pub value: Option<Value>,
    /// Independent owners whose quotes counted.
    pub source_count: u32,
    /// How good the price is.
    pub status: Status,
    /// Why it is not LIVE.
    pub status_reason: Option<StatusReason>,
    /// Every quote that was given, and what became of it, ordered by venue and market.
    pub contributions: Vec<Contribution>,
}

/// What became of one quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The quote as it was given.
    pub quote: Quote,
    /// What it says about the pair; `None` if it was rejected before that was known.
    pub reading: Option<Reading>,
    /// Its share of the vote, from 0 to 1, to ten places: those of all used quotes add up to exactly 1.
    pub weight: Decimal,
    /// Whether it counted, and if not, why.
    pub verdict: Verdict,
}

/// What one quote says about the pair: the numbers that the consensus is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Units of the pair's quote asset for one unit of base, exact where 28 digits hold it.
    pub price: Decimal,
    /// The bid, likewise; `None` if the price is a trade's.
    pub bid: Option<Decimal>,
    /// The ask, likewise; `None` if the price is a trade's.
    pub ask: Option<Decimal>,
    /// What the price was taken from.
    pub basis: Basis,
    /// For a market quoted in a stablecoin: that coin's pair and the live rate it was converted at.
    pub peg: Option<(Pair, Decimal)>,
    /// Volume of the last 24 hours in units of the pair's quote asset, where it is known.
    pub quote_volume_24h: Option<Decimal>,
    /// When the venue last confirmed it, or the peg was observed, whichever is earlier.
    pub observe_time: DateTime<Utc>,
    /// When it or the peg was received, whichever is earlier.
    pub receive_time: DateTime<Utc>,
}

/// What a reading's price was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Basis {
    /// The mean of best bid and best ask.
    Mid,
    /// The last trade, as the spread was too wide or no book is known.
    LastTrade,
}

/// Whether a quote counted, and if not, the first reason found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It counted.
    Used,
    /// The venue last confirmed it too long ago.
    Stale,
    /// Its times lie further ahead of our clock than clocks may differ.
    FromTheFuture,
    /// Its book lacks a bid or an ask.
    OneSided,
    /// Its bid is not below its ask.
    Crossed,
    /// Its spread is too wide, or it has no book, and no fresh trade stands in; or it is of another market, or
    /// too large or too small to be held.
    NoReading,
    /// It has stayed as it is while the consensus moved away.
    Frozen,
    /// It is in a stablecoin whose own price is not known.
    PegUnknown,
    /// It is in a stablecoin that has lost its peg.
    Depegged,
    /// Another market of the same owner has the owner's vote.
    OwnerVotesElsewhere,
    /// It is too far from the median.
    Outlier,
}

/// The constants of the aggregation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The widest spread at which the mid is taken, in basis points of the mid.
    pub max_spread_bps: Decimal,
    /// The age at which a quote is stale, counted from its confirmation.
    pub max_age: TimeDelta,
    /// Deviations (1.4826 × MAD each) from the median at which a reading is an outlier.
    pub outlier_mads: Decimal,
    /// The distance from the median within which no reading is an outlier, in basis points of the median.
    pub outlier_floor_bps: Decimal,
    /// The largest share of the vote of one owner.
    pub weight_cap: Decimal,
    /// Independent owners that a LIVE price needs.
    pub min_sources: u32,
    /// The largest dispersion of a LIVE price.
    pub max_dispersion_bps: Decimal,
    /// How long an unchanged quote is believed while the consensus moves.
    pub frozen_after: TimeDelta,
    /// How far the consensus has to move for that, in basis points.
    pub frozen_move_bps: Decimal,
    /// How far ahead of ours a venue's clock may be.
    pub max_future: TimeDelta,
    /// What a venue's volume is multiplied by where it weighs; 1 for those that are not named.
    pub factors: BTreeMap<Venue, Decimal>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_spread_bps: Decimal::ONE_HUNDRED,
            max_age: TimeDelta::seconds(30),
            outlier_mads: Decimal::from(3),
            outlier_floor_bps: Decimal::from(25),
            weight_cap: Decimal::new(40, 2),
            min_sources: 2,
            max_dispersion_bps: Decimal::ONE_HUNDRED,
            frozen_after: TimeDelta::seconds(60),
            frozen_move_bps: Decimal::from(25),
            max_future: TimeDelta::seconds(5),
            factors: BTreeMap::new(),
        }
    }
}

impl Policy {
    /// Gets what a venue's volume is multiplied by.
    fn factor(&self, venue: Venue) -> Decimal {
        self.factors.get(&venue).copied().unwrap_or(Decimal::ONE)
    }
}

/// Lists the markets whose quotes may price a pair: the pair itself, and its base in each stablecoin of its quote.
///
/// A stablecoin's own price comes from direct markets only; else pegs would hang on each other.
pub fn markets(pair: Pair, pegs: &Pegs) -> Vec<Pair> {
    let coins = pegs.declared().filter(|(_, reference)| *reference == pair.quote);
    let coins = coins.filter(|_| pegs.reference(pair.base) != Some(pair.quote));
    let converted = coins.map(|(coin, _)| Pair::new(pair.base, coin));
    std::iter::once(pair).chain(converted).collect()
}

/// Makes one price of all quotes on a pair's [`markets`].
///
/// `consensus` is the pair's current price, against which a quote that does not move is found frozen.
pub fn aggregate(
    pair: Pair,
    quotes: &[Quote],
    pegs: &Pegs,
    consensus: Option<Decimal>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Aggregate {
    let reader = reading::Reader::new(pair, pegs, consensus, policy, now);
    let mut contributions: Vec<_> = quotes.iter().map(|quote| reader.judge(quote)).collect();
    contributions.sort_by(|a, b| votes::order(&a.quote, &b.quote));
    votes::one_per_owner(&mut contributions);
    outliers::reject(&mut contributions, policy);
    let counted = contributions.iter().filter(|c| c.verdict == Verdict::Used && c.reading.is_some());
    let factors: Vec<_> = counted.map(|c| policy.factor(c.quote.venue)).collect();
    let used: Vec<_> = used(&mut contributions).collect();
    let volumes: Vec<_> = used.iter().map(|(reading, _)| reading.quote_volume_24h).collect();
    let weights = Weights::new(&volumes, &factors, policy.weight_cap);
    let readings: Vec<_> = used.iter().map(|(reading, _)| *reading).collect();
    let value = consensus::value(&readings, &weights);
    let source_count = u32::try_from(used.len()).unwrap_or(u32::MAX);
    for ((_, weight), share) in used.into_iter().zip(weights.shown()) {
        *weight = share;
    }
    let (status, status_reason) = status(&value, source_count, &contributions, policy);
    let value = value.ok().flatten();
    Aggregate {
        source_count: if value.is_some() { source_count } else { 0 },
        value,
        status,
        status_reason,
        contributions,
    }
}

/// Goes through what still counts: each reading, and the weight to be given to it.
fn used(contributions: &mut [Contribution]) -> impl Iterator<Item = (&Reading, &mut Decimal)> {
    contributions
        .iter_mut()
        .filter(|c| c.verdict == Verdict::Used)
        .filter_map(|c| Some((c.reading.as_ref()?, &mut c.weight)))
}

fn status(
    value: &Result<Option<Value>, DecimalError>,
    source_count: u32,
    contributions: &[Contribution],
    policy: &Policy,
) -> (Status, Option<StatusReason>) {
    let any = |verdict| contributions.iter().any(|c| c.verdict == verdict);
    match value {
        Err(_) => (Status::Unavailable, Some(StatusReason::BelowPrecision)),
        Ok(None) if any(Verdict::Depegged) && !any(Verdict::PegUnknown) => {
            (Status::Unavailable, Some(StatusReason::Depegged))
        }
        Ok(None) => (Status::Unavailable, Some(StatusReason::NoFreshQuotes)),
        Ok(Some(_)) if source_count < policy.min_sources => {
            (Status::Degraded, Some(StatusReason::TooFewSources))
        }
        Ok(Some(value)) if value.dispersion_bps > policy.max_dispersion_bps => {
            (Status::Degraded, Some(StatusReason::Divergent))
        }
        Ok(Some(_)) => (Status::Live, None),
    }
}
