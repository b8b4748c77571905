//! What is told of a source.

use std::{borrow::Cow, collections::BTreeMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::recent::RecentReport;
use crate::domain::{pair::Pair, price::Origin, venue::Venue};

/// How a source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// Not connected yet, connecting again, or connected and nothing was said of any market yet.
    Connecting,
    /// Connected, and data comes in.
    Live,
    /// Connected, but nothing was said of any market for too long.
    Silent,
    /// The recording has ended.
    Ended,
    /// The venue refuses us for good: it is not tried again.
    Blocked,
    /// The venue has failed again and again: it is left alone for a while.
    Penalized,
}

/// A source and what it has sent, at one moment.
#[derive(Debug, Clone)]
pub struct SourceReport {
    /// The venue.
    pub venue: Venue,
    /// How it does.
    pub state: SourceState,
    /// Since when.
    pub state_time: DateTime<Utc>,
    /// Why, where that is not plain.
    pub state_reason: String,
    /// How many connections stand, and how many are wanted.
    pub connections: (usize, usize),
    /// Its markets, by name.
    pub markets: Vec<Pair>,
    /// Markets that are wanted and not listened to, and why.
    pub absent: BTreeMap<Pair, String>,
    /// How many of its markets are asked for over REST, in the place of their streams.
    pub polled: usize,
    /// What was counted.
    pub counts: Counts,
    /// When the last frame was received.
    pub last_receive_time: Option<DateTime<Utc>>,
    /// From the venue's clock to ours, smoothed.
    pub lag: Option<TimeDelta>,
    /// The last error and its time.
    pub last_error: Option<(String, DateTime<Utc>)>,
    /// Frames that were not understood, by the kind of error.
    pub malformed: BTreeMap<Cow<'static, str>, u64>,
    /// What it has done lately.
    pub recent: RecentReport,
    /// How many of its markets are frozen, and since when any is.
    pub frozen: Option<(u32, DateTime<Utc>)>,
    /// When a connection will be tried again, where one is missing.
    pub retry_time: Option<DateTime<Utc>>,
    /// Until when it is left alone, after it has failed again and again.
    pub penalty_end_time: Option<DateTime<Utc>>,
    /// In what its formats were met.
    pub evidence: &'static str,
    /// Where its data comes from.
    pub origin: Origin,
}

/// What is counted of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames received.
    pub frames: u64,
    /// Tickers received.
    pub tickers: u64,
    /// Trades received, without duplicates and past ones.
    pub trades: u64,
    /// Past trades, sent on subscription.
    pub snapshot_trades: u64,
    /// Trades received again.
    pub duplicates: u64,
    /// Tickers and trades older than what was known.
    pub out_of_order: u64,
    /// Frames that were not understood.
    pub malformed: u64,
    /// Connections made again.
    pub reconnects: u64,
    /// Times that messages were missed.
    pub gaps: u64,
}
