//! What one venue says about one market: its best bid and ask, its last trade, and when it said so.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{pair::Pair, venue::Venue};

/// The best bid and ask of a book. A side that is empty is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TopOfBook {
    /// The highest price somebody pays.
    pub bid: Option<Decimal>,
    /// The lowest price somebody takes.
    pub ask: Option<Decimal>,
}

/// The last trade of a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTrade {
    /// Units of quote for one unit of base.
    pub price: Decimal,
    /// When it happened: by the venue's clock where the venue gives it, else when it was received.
    pub time: DateTime<Utc>,
}

/// The state of one market at one venue, as far as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Who says so.
    pub venue: Venue,
    /// The market, with canonical asset names.
    pub market: Pair,
    /// Best bid and ask, once the venue has sent them.
    pub book: Option<TopOfBook>,
    /// The last trade, once the venue has sent one.
    pub last: Option<LastTrade>,
    /// Volume of the last 24 hours in units of the market's quote asset, where the venue gives it.
    pub quote_volume_24h: Option<Decimal>,
    /// When bid and ask (without a book: the last trade) took the values they have: by the venue's clock where it
    /// gives one.
    pub observe_time: DateTime<Utc>,
    /// When the venue last confirmed that they still hold; never before `observe_time`. A venue that sends
    /// changes only confirms by its heartbeat. What tells no time is as late as the trades beside it.
    pub confirm_time: DateTime<Utc>,
    /// When the last message that changed or confirmed the quote was received, by our clock.
    pub receive_time: DateTime<Utc>,
    /// When bid and ask (without a book: the last trade) last changed, by our clock.
    pub change_time: DateTime<Utc>,
    /// The price that all venues agreed on when this quote last changed: a quote that stays while that moves
    /// away is frozen.
    pub consensus_at_change: Option<Decimal>,
}
