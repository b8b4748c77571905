//! What requests have in common: the caller's bar, spans and decimals.

use std::{ops::RangeInclusive, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use prost_types::Duration as Span;
use rust_decimal::Decimal;

use crate::{
    api::pb::v1 as pb,
    domain::decimal,
    service::{bar::Bar, error::ServiceError},
};

/// How often a stream that has nothing to say says so, unless the caller wants it otherwise.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The shortest and the longest heartbeat that a caller may want.
const HEARTBEATS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// A request that carries the caller's bar, in the fields that every reading call has.
pub(super) trait Barred {
    /// Reads the bar.
    fn bar(&self) -> Result<Bar, ServiceError>;
}

macro_rules! barred {
    ($($request:ident)*) => {
        $(impl Barred for pb::$request {
            fn bar(&self) -> Result<Bar, ServiceError> {
                Ok(Bar {
                    max_age: self.max_age.map(|span| positive("max_age", span)).transpose()?,
                    min_sources: self.min_sources,
                    max_dispersion_bps: basis_points("max_dispersion_bps", &self.max_dispersion_bps)?,
                    allow_derived: self.allow_derived.unwrap_or(true),
                })
            }
        })*
    };
}

barred!(GetPriceRequest BatchGetPricesRequest ListPricesRequest StreamPricesRequest ExplainPriceRequest ConvertAmountRequest);

/// The seconds that a timestamp may have, by its definition: of the years from 1 to 9999.
const INSTANTS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Reads an instant, if there is one.
pub(super) fn instant(
    field: &str,
    time: Option<prost_types::Timestamp>,
) -> Result<Option<DateTime<Utc>>, ServiceError> {
    let read = |time: prost_types::Timestamp| {
        let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
        nanos
            .filter(|_| INSTANTS.contains(&time.seconds))
            .and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos))
            .ok_or_else(|| ServiceError::field(field, "is not an instant"))
    };
    time.map(read).transpose()
}

pub(super) fn positive(field: &str, span: Span) -> Result<TimeDelta, ServiceError> {
    let nanos = u32::try_from(span.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    nanos
        .and_then(|nanos| TimeDelta::new(span.seconds, nanos))
        .filter(|span| *span > TimeDelta::zero())
        .ok_or_else(|| ServiceError::field(field, "is not a positive duration"))
}

/// Reads how often a stream that has nothing to say is to say so.
pub(super) fn heartbeat(asked: Option<Span>) -> Result<Duration, ServiceError> {
    within("heartbeat", asked, HEARTBEAT, HEARTBEATS)
}

/// Reads a span that has bounds.
pub(super) fn within(
    field: &str,
    asked: Option<Span>,
    default: Duration,
    (least, most): (Duration, Duration),
) -> Result<Duration, ServiceError> {
    let Some(asked) = asked else { return Ok(default) };
    let span = positive(field, asked)?.to_std().unwrap_or(Duration::MAX);
    if (least..=most).contains(&span) {
        return Ok(span);
    }
    let bounds = format!("is not from {} s to {} s", least.as_secs(), most.as_secs());
    Err(ServiceError::field(field, bounds))
}

pub(super) fn basis_points(field: &str, text: &str) -> Result<Option<Decimal>, ServiceError> {
    if text.is_empty() {
        return Ok(None);
    }
    let value = decimal::parse(text).map_err(|error| ServiceError::field(field, error))?;
    if value.is_sign_negative() && !value.is_zero() {
        return Err(ServiceError::field(field, format!("{text} is negative")));
    }
    Ok(Some(value))
}
