//! The one table from errors to what callers see: code, reason, the values at fault, when to try again.

use std::{collections::HashMap, time::Duration};

use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::pb::v1::ErrorReason;
use crate::{
    domain::decimal,
    service::error::{ServiceError, instant, join},
};

/// Who defines our reasons.
pub const DOMAIN: &str = "cryptoprice";

/// When a price that is missing now may be there.
const RETRY: Duration = Duration::from_secs(1);

/// Gets a reason as errors carry it: the enum's name without its prefix.
pub fn reason_text(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// Gets the HTTP status of a code and the code's name, by the mapping in googleapis' `google/rpc/code.proto`.
pub fn http(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::Ok => (StatusCode::OK, "OK"),
        Code::Cancelled => (StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST), "CANCELLED"),
        Code::Unknown => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
        Code::InvalidArgument => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        Code::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED"),
        Code::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        Code::AlreadyExists => (StatusCode::CONFLICT, "ALREADY_EXISTS"),
        Code::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
        Code::FailedPrecondition => (StatusCode::BAD_REQUEST, "FAILED_PRECONDITION"),
        Code::Aborted => (StatusCode::CONFLICT, "ABORTED"),
        Code::OutOfRange => (StatusCode::BAD_REQUEST, "OUT_OF_RANGE"),
        Code::Unimplemented => (StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED"),
        Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
        Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        Code::DataLoss => (StatusCode::INTERNAL_SERVER_ERROR, "DATA_LOSS"),
        Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
    }
}

/// Makes a status with a reason and the values at fault.
pub fn status<K: Into<String>, V: Into<String>>(
    code: Code,
    reason: ErrorReason,
    message: impl Into<String>,
    metadata: impl IntoIterator<Item = (K, V)>,
) -> Status {
    Status::with_error_details(code, message, details(reason, metadata))
}

impl From<ServiceError> for Status {
    fn from(error: ServiceError) -> Self {
        let (code, reason) = classify(&error);
        let mut details = details(reason, metadata(&error));
        if code == Code::Unavailable {
            details.set_retry_info(Some(RETRY));
        }
        if let ServiceError::Field { field, description } = &error {
            details.add_bad_request_violation(field, description);
        }
        if let ServiceError::PageToken = &error {
            details.add_bad_request_violation("page_token", "not a token of this list with these arguments");
        }
        Self::with_error_details(code, error.to_string(), details)
    }
}

fn classify(error: &ServiceError) -> (Code, ErrorReason) {
    match error {
        ServiceError::Stale { .. } => (Code::Unavailable, ErrorReason::Stale),
        ServiceError::TooFewSources { .. } => (Code::Unavailable, ErrorReason::TooFewSources),
        ServiceError::Divergent { .. } => (Code::Unavailable, ErrorReason::Divergent),
        ServiceError::PriceUnavailable { .. } => (Code::Unavailable, ErrorReason::PriceUnavailable),
        ServiceError::LegSkew { .. } => (Code::Unavailable, ErrorReason::LegSkew),
        ServiceError::HistoryUnavailable => (Code::Unavailable, ErrorReason::HistoryUnavailable),
        ServiceError::NotRecorded { .. } => (Code::NotFound, ErrorReason::PriceNotRecorded),
        ServiceError::Stopping { .. } => (Code::Unavailable, ErrorReason::Stopping),
        ServiceError::SlowReader { .. } => (Code::Unavailable, ErrorReason::SlowReader),
        ServiceError::ConnectionAge { .. } => (Code::Unavailable, ErrorReason::ConnectionAge),
        ServiceError::StreamDeadline { .. } => (Code::DeadlineExceeded, ErrorReason::DeadlineExceeded),
        ServiceError::Depegged { .. } => (Code::FailedPrecondition, ErrorReason::Depegged),
        ServiceError::DerivedNotAllowed { .. } => (Code::FailedPrecondition, ErrorReason::DerivedNotAllowed),
        ServiceError::BelowPrecision { .. } => (Code::OutOfRange, ErrorReason::BelowPrecision),
        ServiceError::TooLarge { .. } => (Code::OutOfRange, ErrorReason::TooLarge),
        ServiceError::PairUnknown { .. } => (Code::NotFound, ErrorReason::PairUnknown),
        ServiceError::SourceUnknown { .. } => (Code::NotFound, ErrorReason::SourceUnknown),
        ServiceError::Field { .. } => (Code::InvalidArgument, ErrorReason::FieldInvalid),
        ServiceError::PageToken => (Code::InvalidArgument, ErrorReason::PageTokenInvalid),
    }
}

fn metadata(error: &ServiceError) -> Vec<(&'static str, String)> {
    match error {
        ServiceError::Stale { pair, age, max_age, observe_time } => vec![
            ("pair", pair.to_string()),
            ("age", span(*age)),
            ("max_age", span(*max_age)),
            ("observe_time", instant(*observe_time)),
        ],
        ServiceError::TooFewSources { pair, source_count, min_sources } => vec![
            ("pair", pair.to_string()),
            ("source_count", source_count.to_string()),
            ("min_sources", min_sources.to_string()),
        ],
        ServiceError::Divergent { pair, dispersion_bps, max_dispersion_bps } => vec![
            ("pair", pair.to_string()),
            ("dispersion_bps", decimal::text(*dispersion_bps)),
            ("max_dispersion_bps", decimal::text(*max_dispersion_bps)),
        ],
        ServiceError::Depegged { pair } | ServiceError::PriceUnavailable { pair } => {
            vec![("pair", pair.to_string())]
        }
        ServiceError::DerivedNotAllowed { pair, route } | ServiceError::LegSkew { pair, route } => {
            vec![("pair", pair.to_string()), ("route", join(route))]
        }
        ServiceError::BelowPrecision { what } | ServiceError::TooLarge { what } => {
            vec![("what", what.clone())]
        }
        ServiceError::PairUnknown { pair, nearest } => {
            vec![("pair", pair.to_string()), ("nearest", nearest.join(", "))]
        }
        ServiceError::SourceUnknown { source_name, nearest } => {
            vec![("source", source_name.clone()), ("nearest", nearest.join(", "))]
        }
        ServiceError::Field { field, .. } => vec![("field", field.clone())],
        ServiceError::Stopping { resume_after }
        | ServiceError::SlowReader { resume_after }
        | ServiceError::ConnectionAge { resume_after }
        | ServiceError::StreamDeadline { resume_after } => resume_after.map_or_else(Vec::new, |cursor| {
            vec![("epoch", cursor.epoch.to_string()), ("sequence", cursor.sequence.to_string())]
        }),
        ServiceError::NotRecorded { pair, time } => {
            vec![("pair", pair.to_string()), ("time", instant(*time))]
        }
        ServiceError::HistoryUnavailable | ServiceError::PageToken => Vec::new(),
    }
}

fn details<K: Into<String>, V: Into<String>>(
    reason: ErrorReason,
    metadata: impl IntoIterator<Item = (K, V)>,
) -> ErrorDetails {
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    ErrorDetails::with_error_info(reason_text(reason), DOMAIN, metadata)
}

fn span(span: chrono::TimeDelta) -> String {
    let millis = span.num_milliseconds();
    format!("{}{}.{:03}s", if millis < 0 { "-" } else { "" }, millis.abs() / 1000, millis.abs() % 1000)
}
