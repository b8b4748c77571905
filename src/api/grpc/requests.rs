//! What requests have in common: the caller's bar, spans and decimals.

use chrono::TimeDelta;
use prost_types::Duration;
use rust_decimal::Decimal;

use crate::{
    domain::decimal,
    service::{bar::Bar, error::ServiceError},
};

/// Reads the caller's bar from the fields that every reading call has.
pub(super) fn bar(
    max_age: Option<Duration>,
    min_sources: u32,
    max_dispersion_bps: &str,
    allow_derived: Option<bool>,
) -> Result<Bar, ServiceError> {
    Ok(Bar {
        max_age: max_age.map(|span| positive("max_age", span)).transpose()?,
        min_sources,
        max_dispersion_bps: basis_points("max_dispersion_bps", max_dispersion_bps)?,
        allow_derived: allow_derived.unwrap_or(true),
    })
}

pub(super) fn positive(field: &str, span: Duration) -> Result<TimeDelta, ServiceError> {
    let nanos = u32::try_from(span.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    nanos
        .and_then(|nanos| TimeDelta::new(span.seconds, nanos))
        .filter(|span| *span > TimeDelta::zero())
        .ok_or_else(|| ServiceError::field(field, "is not a positive duration"))
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
