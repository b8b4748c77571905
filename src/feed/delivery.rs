//! What a feed hands on: owned, in canonical names, stamped with when it was received.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use crate::domain::{
    pair::Pair,
    quote::TopOfBook,
    trade::Trade,
    venue::{MarketKind, Venue},
};

/// One thing that a venue said, or that happened to the connection with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Who said it.
    pub venue: Venue,
    /// On which of the connections to it, numbered as they are made; `None` if it was asked for over REST.
    pub connection: Option<u64>,
    /// When it was received, by our clock.
    pub receive_time: DateTime<Utc>,
    /// What.
    pub kind: DeliveryKind,
}

/// What a feed hands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryKind {
    /// Best bid and ask, last price or volume of a market. What the venue did not say is `None`.
    Ticker {
        /// The market, with canonical asset names.
        market: Pair,
        /// Spot, or a derivative that must not enter a spot price.
        kind: MarketKind,
        /// Best bid and ask.
        book: Option<TopOfBook>,
        /// The price of the last trade.
        last: Option<Decimal>,
        /// Volume of the last 24 hours in units of base.
        base_volume_24h: Option<Decimal>,
        /// Volume of the last 24 hours in units of quote.
        quote_volume_24h: Option<Decimal>,
        /// When, by the venue's clock.
        time: Option<DateTime<Utc>>,
    },
    /// A trade.
    Trade {
        /// The market, with canonical asset names.
        market: Pair,
        /// Spot, or a derivative that must not enter a spot price.
        kind: MarketKind,
        /// The trade.
        trade: Trade,
        /// Past data, sent as an answer to the subscription: not live volume.
        snapshot: bool,
    },
    /// What was said before still holds: of one market, or of all markets of the connection.
    Confirm(Option<Pair>),
    /// Messages of a market were missed, or of all markets of the connection.
    Gap(Option<Pair>),
    /// The venue took a subscription.
    Subscribed,
    /// The venue refuses a subscription or reports an error.
    Refused {
        /// The market that it is about, where the words name one.
        market: Option<Pair>,
        /// The venue's own words.
        words: String,
    },
    /// The venue announces the end of the connection, in its own words.
    GoingAway(String),
    /// A market that was refused before speaks now.
    Accepted(Pair),
    /// The stream of a market is dead, though its connection stands: nothing was heard of it since a moment.
    Unheard {
        /// The market.
        market: Pair,
        /// When it was last heard; before it ever was, since when it should have been.
        since: DateTime<Utc>,
    },
    /// Trades of a market were missed, and the venue does not tell them over REST: they lie further back than it goes.
    Untold {
        /// The market.
        market: Pair,
        /// The last one that is known before them.
        from: DateTime<Utc>,
        /// The first one that is known after them.
        to: DateTime<Utc>,
    },
    /// A message came. What it says follows, if it says anything.
    Message,
    /// The message that came is not understood.
    Malformed {
        /// A short constant name for counting.
        kind: &'static str,
        /// What was wrong with it.
        error: String,
    },
    /// A connection stands, which is asked for these markets.
    Connected(Arc<[Pair]>),
    /// The venue's clock is behind ours by so much at least, by the date of its answer when the connection was made.
    ClockBehind(TimeDelta),
    /// The connection ended, which was asked for these. Another may have taken over.
    Left(Arc<[Pair]>),
    /// None has: a connection ended, or was not made.
    Disconnected {
        /// What it was asked for, or would have been.
        markets: Arc<[Pair]>,
        /// Why.
        error: String,
        /// What comes next.
        outlook: Outlook,
    },
    /// What is listened to has changed.
    Listening {
        /// The markets, with canonical asset names.
        markets: Vec<Pair>,
        /// Those that are wanted and not listened to, and why.
        absent: Vec<(Pair, String)>,
        /// Over how many connections.
        connections: usize,
    },
    /// The venue was asked for something over REST: how many markets are now asked for in the place of their stream, and the
    /// error, if there was one.
    Asked {
        /// Markets that REST speaks for.
        polled: usize,
        /// What went wrong.
        error: Option<String>,
    },
}

impl DeliveryKind {
    /// Tells whether something was said of a market, and not only of the connection.
    pub const fn is_event(&self) -> bool {
        matches!(self, Self::Ticker { .. } | Self::Trade { .. } | Self::Confirm(_))
    }
}

/// What comes after a connection that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Another is tried at this time.
    Retry(DateTime<Utc>),
    /// The venue has failed again and again, and is left alone until this time.
    Penalty(DateTime<Utc>),
    /// None is tried: the venue refuses us for good.
    Blocked,
}
