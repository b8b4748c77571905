//! One price made of its legs.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{CrossPolicy, Step};
use crate::domain::{
    decimal::DecimalError,
    exact::Exact,
    pair::{Asset, Pair},
    price::{Origin, Price, Status, StatusReason, Value},
};

/// Derives the price of a pair from the legs of a route to it.
///
/// With x the price of a leg, or 1 ÷ x where it is inverted, the price is the product of all x. Bid and ask are
/// products too, where an inverted leg's bid is 1 ÷ ask and its ask 1 ÷ bid. Source count and times are the
/// minimum of the legs', dispersion is the sum, status is the worst, with that leg's reason.
///
/// Where there is no price, it is UNAVAILABLE and says why: a leg is, the route passes through an asset that
/// `depegged` names, the legs were observed too far apart, the legs do not lead from base to quote, or the result
/// cannot be held.
pub fn derive(
    pair: Pair,
    legs: &[(Step, &Price)],
    policy: &CrossPolicy,
    depegged: &dyn Fn(Asset) -> bool,
    now: DateTime<Utc>,
) -> Price {
    // Of nothing, or of a mixture, the least real: what is not live is never passed off as live.
    let origins = legs.iter().map(|(_, price)| price.origin);
    let origin = origins.max().unwrap_or(Origin::Simulated);
    let mut derived = match combine(pair, legs, policy, depegged) {
        Err(reason) => Price::unavailable(pair, reason, origin, now),
        Ok((worst, value)) => Price {
            pair,
            value: Some(value),
            source_count: legs.iter().map(|(_, leg)| leg.source_count).min().unwrap_or(0),
            aggregate_time: now,
            origin,
            ..worst.clone()
        },
    };
    derived.route = legs.iter().map(|(step, _)| step.pair).collect();
    derived
}

/// Turns a price around: 1 ÷ price, with 1 ÷ ask as bid and 1 ÷ bid as ask, each rounded once.
///
/// All else stays, and the route tells the pair that was turned, or if that was derived, its route back.
pub fn invert(price: &Price) -> Result<Price, DecimalError> {
    let turned = |value: &Value| {
        Ok(Value {
            price: reciprocal(value.price)?,
            bid: value.ask.and_then(|ask| reciprocal(ask).ok()),
            ask: value.bid.and_then(|bid| reciprocal(bid).ok()),
            ..*value
        })
    };
    Ok(Price {
        pair: price.pair.inverse(),
        value: price.value.as_ref().map(turned).transpose()?,
        route: if price.route.is_empty() {
            vec![price.pair]
        } else {
            price.route.iter().rev().copied().collect()
        },
        ..price.clone()
    })
}

/// Combines the legs' values, and gets the first leg of the worst status.
fn combine<'a>(
    pair: Pair,
    legs: &[(Step, &'a Price)],
    policy: &CrossPolicy,
    depegged: &dyn Fn(Asset) -> bool,
) -> Result<(&'a Price, Value), StatusReason> {
    if !leads(pair, legs) {
        return Err(StatusReason::NoRoute);
    }
    let values: Vec<_> = legs.iter().map(present).collect::<Result<_, _>>()?;
    if legs.iter().skip(1).any(|(step, _)| depegged(step.from())) {
        return Err(StatusReason::Depegged);
    }
    let first_worst =
        |so_far: &'a Price, leg: &'a Price| if leg.status > so_far.status { leg } else { so_far };
    let worst = legs.iter().map(|(_, leg)| *leg).reduce(first_worst).ok_or(StatusReason::NoRoute)?;
    let earliest = |time: fn(&Value) -> DateTime<Utc>| values.iter().map(|(_, value)| time(value)).min();
    let observe_time = earliest(|value| value.observe_time).ok_or(StatusReason::NoRoute)?;
    let receive_time = earliest(|value| value.receive_time).ok_or(StatusReason::NoRoute)?;
    let skewed = |value: &Value| value.observe_time.signed_duration_since(observe_time) > policy.max_skew;
    if values.iter().any(|(_, value)| skewed(value)) {
        return Err(StatusReason::LegSkew);
    }
    let value = Value {
        // No reason tells of a result too large; one beyond 28 digits is as far from any market as one too small.
        price: product(&values, |value| Some(value.price), |value| Some(value.price))
            .ok_or(StatusReason::BelowPrecision)?,
        bid: product(&values, |value| value.bid, |value| value.ask),
        ask: product(&values, |value| value.ask, |value| value.bid),
        dispersion_bps: values
            .iter()
            .fold(Decimal::ZERO, |sum, (_, value)| sum.saturating_add(value.dispersion_bps)),
        observe_time,
        receive_time,
    };
    Ok((worst, value))
}

/// Gets the value of a leg, or why there is none.
fn present<'a>((step, price): &(Step, &'a Price)) -> Result<(Step, &'a Value), StatusReason> {
    let value = price.value.as_ref().filter(|_| price.status != Status::Unavailable);
    let value = value.ok_or(price.status_reason.unwrap_or(StatusReason::NoFreshQuotes))?;
    Ok((*step, value))
}

/// Tells whether the legs lead, one after the other, from base to quote.
fn leads(pair: Pair, legs: &[(Step, &Price)]) -> bool {
    let mut reached = pair.base;
    for (step, price) in legs {
        if step.pair != price.pair || step.from() != reached {
            return false;
        }
        reached = step.to();
    }
    !legs.is_empty() && reached == pair.quote
}

/// Multiplies `direct` of each leg as it is with 1 ÷ `inverse` of each that is inverted, and rounds once.
fn product(
    values: &[(Step, &Value)],
    direct: fn(&Value) -> Option<Decimal>,
    inverse: fn(&Value) -> Option<Decimal>,
) -> Option<Decimal> {
    let mut product = Exact::of(Decimal::ONE);
    for (step, value) in values {
        product = if step.inverted {
            product.divided_by(inverse(value)?).ok()?
        } else {
            product.times(direct(value)?)
        };
    }
    product.rounded().ok()
}

fn reciprocal(value: Decimal) -> Result<Decimal, DecimalError> {
    Exact::of(Decimal::ONE).divided_by(value)?.rounded()
}
