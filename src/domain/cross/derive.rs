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
    let route: Vec<_> = legs.iter().map(|(step, _)| step.pair).collect();
    match combine(pair, legs, policy, depegged) {
        Ok(combined) => Price {
            pair,
            status: combined.status,
            status_reason: combined.status_reason,
            value: Some(combined.value),
            source_count: legs
                .iter()
                .map(|(_, price)| price.source_count)
                .min()
                .unwrap_or(0),
            aggregate_time: now,
            route,
            origin,
        },
        Err(reason) => Price {
            route,
            ..Price::unavailable(pair, reason, origin, now)
        },
    }
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

struct Combined {
    status: Status,
    status_reason: Option<StatusReason>,
    value: Value,
}

fn combine(
    pair: Pair,
    legs: &[(Step, &Price)],
    policy: &CrossPolicy,
    depegged: &dyn Fn(Asset) -> bool,
) -> Result<Combined, StatusReason> {
    if !leads(pair, legs) {
        return Err(StatusReason::NoRoute);
    }
    let mut values = Vec::with_capacity(legs.len());
    for (step, price) in legs {
        let missing = price.status_reason.unwrap_or(StatusReason::NoFreshQuotes);
        values.push((*step, price.value.as_ref().ok_or(missing)?));
    }
    if legs.iter().skip(1).any(|(step, _)| depegged(step.from())) {
        return Err(StatusReason::Depegged);
    }
    let observed = || values.iter().map(|(_, value)| value.observe_time);
    let received = values.iter().map(|(_, value)| value.receive_time);
    // `leads` has seen to it that there are legs.
    let (Some(first), Some(last), Some(receive_time)) = (observed().min(), observed().max(), received.min())
    else {
        return Err(StatusReason::NoRoute);
    };
    if last.signed_duration_since(first) > policy.max_skew {
        return Err(StatusReason::LegSkew);
    }
    // No reason tells of a result too large; one beyond 28 digits is as far from any market as one too small.
    let price = product(&values, |value, _| Some(value.price)).ok_or(StatusReason::BelowPrecision)?;
    let sides = |own: fn(&Value) -> Option<Decimal>, other: fn(&Value) -> Option<Decimal>| {
        product(
            &values,
            |value, inverted| if inverted { other(value) } else { own(value) },
        )
    };
    let dispersions = values.iter().map(|(_, value)| value.dispersion_bps);
    let worst =
        legs.iter().map(|(_, price)| price).reduce(
            |worst, price| {
                if price.status > worst.status { price } else { worst }
            },
        );
    Ok(Combined {
        status: worst.map_or(Status::Unavailable, |price| price.status),
        status_reason: worst.and_then(|price| price.status_reason),
        value: Value {
            price,
            bid: sides(|value| value.bid, |value| value.ask),
            ask: sides(|value| value.ask, |value| value.bid),
            dispersion_bps: dispersions.fold(Decimal::ZERO, Decimal::saturating_add),
            observe_time: first,
            receive_time,
        },
    })
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

/// Multiplies one number of each leg, and rounds once.
fn product(values: &[(Step, &Value)], number: impl Fn(&Value, bool) -> Option<Decimal>) -> Option<Decimal> {
    let mut product = Exact::of(Decimal::ONE);
    for (step, value) in values {
        let number = number(value, step.inverted)?;
        product = if step.inverted {
            product.divided_by(number).ok()?
        } else {
            product.times(number)
        };
    }
    product.rounded().ok()
}

fn reciprocal(value: Decimal) -> Result<Decimal, DecimalError> {
    Exact::of(Decimal::ONE).divided_by(value)?.rounded()
}
