//! The price of a pair: the number, how good it is, and its place in the sequence of all updates.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::pair::Pair;

/// How good a price is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Meets the configured bar.
    Live,
    /// Fresh, but below the configured sources, above the dispersion limit, or awaiting confirmation of a jump.
    Degraded,
    /// The last good price, older than the configured age.
    Stale,
    /// There is no price.
    Unavailable,
}

/// Why a price is not LIVE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StatusReason {
    /// No venue has confirmed a usable quote within the configured age.
    NoFreshQuotes,
    /// Fewer independent sources than configured.
    TooFewSources,
    /// The sources differ by more than the configured dispersion.
    Divergent,
    /// The price moved by more than the configured jump and waits for confirmation.
    JumpUnconfirmed,
    /// All that would price it is quoted in a stablecoin that has lost its peg.
    Depegged,
    /// The legs that it would be derived from were observed too far apart in time.
    LegSkew,
    /// The result is too small to be held with its significant digits.
    BelowPrecision,
    /// No route of known pairs leads from base to quote.
    NoRoute,
    /// The pair was derived for streams, and none asks for it any more: this is its last update.
    NotKept,
}

/// Where prices come from. What is not live is never passed off as live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Real venues, now.
    Live,
    /// A recording, on a virtual clock.
    Replay,
    /// The simulated market.
    Simulated,
}

impl Origin {
    /// Gets its name, as settings, files and keys have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Replay => "replay",
            Self::Simulated => "simulated",
        }
    }
}

/// A place in the sequence of all updates of a board, compared by epoch, then by sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cursor {
    /// Rises at every start.
    pub epoch: u64,
    /// Rises with every update of any pair within an epoch.
    pub sequence: u64,
}

/// The numbers behind a price, present unless it is UNAVAILABLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Units of quote for one unit of base.
    pub price: Decimal,
    /// What buyers pay, where every source that counted told it.
    pub bid: Option<Decimal>,
    /// What sellers take, where every source that counted told it.
    pub ask: Option<Decimal>,
    /// How far the sources lie apart, in basis points of the price: 1.4826 × weighted median absolute
    /// deviation ÷ price × 10,000. Zero for a single source.
    pub dispersion_bps: Decimal,
    /// When at least half of the voting weight still held, by the venues' clocks.
    pub observe_time: DateTime<Utc>,
    /// When at least half of the voting weight was received, by our clock.
    pub receive_time: DateTime<Utc>,
}

/// The price of a pair, before the board has given it its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// What is priced.
    pub pair: Pair,
    /// How good it is.
    pub status: Status,
    /// Why it is not LIVE.
    pub status_reason: Option<StatusReason>,
    /// The numbers; `None` exactly if the status is UNAVAILABLE.
    pub value: Option<Value>,
    /// Independent owners whose quotes counted.
    pub source_count: u32,
    /// When this was computed.
    pub aggregate_time: DateTime<Utc>,
    /// The pairs that it was derived through, in order; empty if direct.
    pub route: Vec<Pair>,
    /// Where it comes from.
    pub origin: Origin,
}

/// What the board adds when it publishes a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The update's place in the sequence.
    pub cursor: Cursor,
    /// When the board published it.
    pub publish_time: DateTime<Utc>,
}

impl Price {
    /// Makes a price that is not there, and says why.
    pub fn unavailable(pair: Pair, reason: StatusReason, origin: Origin, now: DateTime<Utc>) -> Self {
        Self {
            pair,
            status: Status::Unavailable,
            status_reason: Some(reason),
            value: None,
            source_count: 0,
            aggregate_time: now,
            route: Vec::new(),
            origin,
        }
    }

    /// Tells whether this is the last update of a pair that is not kept any more.
    pub fn is_gone(&self) -> bool {
        self.status_reason == Some(StatusReason::NotKept)
    }
}
