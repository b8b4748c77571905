//! The caller's bar: what a price must meet to be an answer.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::error::ServiceError;
use crate::domain::price::{Price, StatusReason};

/// What the caller asks of a price. The default asks nothing: LIVE, DEGRADED and STALE prices meet it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Age at most, counted from the observe time.
    pub max_age: Option<TimeDelta>,
    /// Independent sources at least.
    pub min_sources: u32,
    /// Dispersion at most, in basis points.
    pub max_dispersion_bps: Option<Decimal>,
    /// Whether a derived price will do.
    pub allow_derived: bool,
}

impl Default for Bar {
    fn default() -> Self {
        Self { max_age: None, min_sources: 0, max_dispersion_bps: None, allow_derived: true }
    }
}

impl Bar {
    /// Passes a price that meets the bar, or says what it misses. A price that is not there never passes.
    pub fn check(&self, price: &Price, now: DateTime<Utc>) -> Result<(), ServiceError> {
        self.check_now(price, || now)
    }

    /// Does the same, and asks for the time only if it matters.
    pub fn check_now(&self, price: &Price, now: impl FnOnce() -> DateTime<Utc>) -> Result<(), ServiceError> {
        let pair = price.pair;
        if !self.allow_derived && !price.route.is_empty() {
            return Err(ServiceError::DerivedNotAllowed { pair, route: price.route.clone() });
        }
        let Some(value) = &price.value else {
            return Err(absent(price));
        };
        if let Some(max_age) = self.max_age {
            let age = now() - value.observe_time;
            if age > max_age {
                return Err(ServiceError::Stale { pair, age, max_age, observe_time: value.observe_time });
            }
        }
        let (source_count, min_sources) = (price.source_count, self.min_sources);
        if source_count < min_sources {
            return Err(ServiceError::TooFewSources { pair, source_count, min_sources });
        }
        match self.max_dispersion_bps {
            Some(max_dispersion_bps) if value.dispersion_bps > max_dispersion_bps => {
                Err(ServiceError::Divergent {
                    pair,
                    dispersion_bps: value.dispersion_bps,
                    max_dispersion_bps,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Says why there is no price.
fn absent(price: &Price) -> ServiceError {
    let pair = price.pair;
    match price.status_reason {
        Some(StatusReason::Depegged) => ServiceError::Depegged { pair },
        Some(StatusReason::LegSkew) => ServiceError::LegSkew { pair, route: price.route.clone() },
        Some(StatusReason::BelowPrecision) => ServiceError::BelowPrecision { what: pair.to_string() },
        _ => ServiceError::PriceUnavailable { pair },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        pair::Pair,
        price::{Origin, Status, Value},
    };

    fn price(age: i64, source_count: u32, dispersion_bps: i64, route: Vec<Pair>) -> (Price, DateTime<Utc>) {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let time = now - TimeDelta::seconds(age);
        let value = Value {
            price: 1.into(),
            bid: None,
            ask: None,
            dispersion_bps: dispersion_bps.into(),
            observe_time: time,
            receive_time: time,
        };
        let price = Price {
            pair: Pair::literal("BTC", "USD"),
            status: Status::Stale,
            status_reason: None,
            value: Some(value),
            source_count,
            aggregate_time: now,
            route,
            origin: Origin::Simulated,
        };
        (price, now)
    }

    fn check(bar: Bar, given: &(Price, DateTime<Utc>), expected: &str) {
        let said = bar.check(&given.0, given.1).map_or_else(|error| error.to_string(), |()| "passes".into());
        assert!(said.starts_with(expected), "{bar:?}: {said}");
    }

    #[test]
    fn what_is_asked_is_held_to_the_limit_itself() {
        let direct = price(10, 2, 50, vec![]);
        check(Bar::default(), &direct, "passes");
        let bar = Bar { max_age: Some(TimeDelta::seconds(10)), min_sources: 2, ..Bar::default() };
        check(Bar { max_dispersion_bps: Some(50.into()), ..bar }, &direct, "passes");
        check(
            Bar { max_age: Some(TimeDelta::seconds(9)), ..bar },
            &direct,
            "the price of BTC-USD is 10 s old",
        );
        check(Bar { min_sources: 3, ..bar }, &direct, "the price of BTC-USD has 2 independent sources");
        check(
            Bar { max_dispersion_bps: Some(49.into()), ..bar },
            &direct,
            "the sources of BTC-USD differ by 50 bps",
        );
        check(Bar { allow_derived: false, ..bar }, &direct, "passes");
        let derived = price(10, 2, 50, vec![Pair::literal("BTC", "EUR"), Pair::literal("EUR", "USD")]);
        check(bar, &derived, "passes");
        check(
            Bar { allow_derived: false, ..bar },
            &derived,
            "the price of BTC-USD is derived through BTC-EUR, EUR-USD",
        );
    }

    #[test]
    fn a_price_that_is_not_there_meets_no_bar() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        for (reason, expected) in [
            (StatusReason::NoFreshQuotes, "BTC-USD has no price yet"),
            (
                StatusReason::Depegged,
                "BTC-USD has no price: all that would price it is quoted in a stablecoin",
            ),
            (StatusReason::BelowPrecision, "BTC-USD is too small"),
        ] {
            let absent = Price::unavailable(Pair::literal("BTC", "USD"), reason, Origin::Live, now);
            check(Bar::default(), &(absent, now), expected);
        }
    }
}
