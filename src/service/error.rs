//! What can go wrong with a call: the one closed list that reaches the doors.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use crate::domain::{pair::Pair, price::Cursor};

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// The price is older than the caller allows.
    #[error("the price of {pair} is {} old, {} at most was asked for", seconds(*age), seconds(*max_age))]
    Stale {
        /// The pair.
        pair: Pair,
        /// The price's age.
        age: TimeDelta,
        /// What the caller allows.
        max_age: TimeDelta,
        /// When the price was observed.
        observe_time: DateTime<Utc>,
    },
    /// Fewer independent sources than the caller asks for.
    #[error(
        "the price of {pair} has {source_count} independent sources, {min_sources} at least were asked for"
    )]
    TooFewSources {
        /// The pair.
        pair: Pair,
        /// The price's sources.
        source_count: u32,
        /// What the caller asks for.
        min_sources: u32,
    },
    /// The sources differ more than the caller allows.
    #[error(
        "the sources of {pair} differ by {dispersion_bps} bps, {max_dispersion_bps} at most was asked for"
    )]
    Divergent {
        /// The pair.
        pair: Pair,
        /// The price's dispersion.
        dispersion_bps: Decimal,
        /// What the caller allows.
        max_dispersion_bps: Decimal,
    },
    /// All that would price the pair is quoted in a stablecoin that has lost its peg.
    #[error("{pair} has no price: all that would price it is quoted in a stablecoin that has lost its peg")]
    Depegged {
        /// The pair.
        pair: Pair,
    },
    /// The price is derived and the caller does not allow that.
    #[error("the price of {pair} is derived through {}, and allow_derived is false", join(route))]
    DerivedNotAllowed {
        /// The pair.
        pair: Pair,
        /// What it is derived through.
        route: Vec<Pair>,
    },
    /// The pair is known, but nothing has priced it yet.
    #[error("{pair} has no price yet")]
    PriceUnavailable {
        /// The pair.
        pair: Pair,
    },
    /// The legs were observed too far apart in time.
    #[error("{pair} has no price: the prices of {} were observed too far apart in time", join(route))]
    LegSkew {
        /// The pair.
        pair: Pair,
        /// The legs.
        route: Vec<Pair>,
    },
    /// The result is too small to be held.
    #[error("{what} is too small to keep its significant digits")]
    BelowPrecision {
        /// The pair or the amount.
        what: String,
    },
    /// The result is too large to be held.
    #[error("{what} is too large to be held in 28 digits")]
    TooLarge {
        /// The pair or the amount.
        what: String,
    },
    /// No venue lists the pair and no route leads to it.
    #[error("{pair} is not known{}", nearest_hint(nearest))]
    PairUnknown {
        /// The pair.
        pair: Pair,
        /// Known pairs like it, the nearest first.
        nearest: Vec<String>,
    },
    /// No source has this name.
    #[error("source `{source_name}` is not known{}", nearest_hint(nearest))]
    SourceUnknown {
        /// The name asked for.
        source_name: String,
        /// Known names like it, the nearest first.
        nearest: Vec<String>,
    },
    /// A field of the request is wrong.
    #[error("{field}: {description}")]
    Field {
        /// The field's path.
        field: String,
        /// What is wrong with it.
        description: String,
    },
    /// The page token is not of this list with these arguments.
    #[error("page_token: not a token of this list with these arguments")]
    PageToken,
    /// The history has no price of the pair at that time.
    #[error("no price of {pair} is recorded at or before {}", instant(*time))]
    NotRecorded {
        /// The pair.
        pair: Pair,
        /// The time that was asked for.
        time: DateTime<Utc>,
    },
    /// The history cannot be read now.
    #[error("the history cannot be read now")]
    HistoryUnavailable,
    /// The service is stopping.
    #[error("the service is stopping{}", resume_hint(*resume_after))]
    Stopping {
        /// Up to where everything was delivered.
        resume_after: Option<Cursor>,
    },
    /// A stream was read too slowly: it has stopped reading, or wants every update and the log has moved past it.
    #[error("the stream was read too slowly{}", resume_hint(*resume_after))]
    SlowReader {
        /// Up to where everything was delivered.
        resume_after: Option<Cursor>,
    },
    /// The connection has been open for as long as it may be.
    #[error("the connection is old and will be closed{}", resume_hint(*resume_after))]
    ConnectionAge {
        /// Up to where everything was delivered.
        resume_after: Option<Cursor>,
    },
    /// The time that the caller gave a stream is up.
    #[error("the time given to the stream is up{}", resume_hint(*resume_after))]
    StreamDeadline {
        /// Up to where everything was delivered.
        resume_after: Option<Cursor>,
    },
}

impl ServiceError {
    /// Makes an error of a field.
    pub fn field(field: impl Into<String>, description: impl fmt::Display) -> Self {
        Self::Field { field: field.into(), description: description.to_string() }
    }
}

fn seconds(span: TimeDelta) -> String {
    let seconds = span.as_seconds_f64();
    if seconds < 10.0 { format!("{seconds:.3} s") } else { format!("{seconds:.0} s") }
}

/// Writes an instant.
pub fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// Writes pairs as a list.
pub fn join(pairs: &[Pair]) -> String {
    pairs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn resume_hint(resume_after: Option<Cursor>) -> String {
    let hint = |cursor: Cursor| format!("; it can be resumed after {}-{}", cursor.epoch, cursor.sequence);
    resume_after.map_or_else(String::new, hint)
}

fn nearest_hint(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; nearest: {}", nearest.join(", ")) }
}
