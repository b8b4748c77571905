//! What a feed hands on: owned, in canonical names, stamped with when it was received.

use chrono::{DateTime, Utc};
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
    /// The venue took a subscription.
    Subscribed,
    /// The venue refuses a subscription or reports an error, in its own words.
    Refused(String),
    /// A message came. What it says follows, if it says anything.
    Message,
    /// The message that came is not understood.
    Malformed {
        /// A short constant name for counting.
        kind: &'static str,
        /// What was wrong with it.
        error: String,
    },
    /// The connection stands, and the subscriptions were sent.
    Connected,
    /// The connection ended, or was not made.
    Disconnected {
        /// Why.
        error: String,
        /// When it will be tried again; never, if the venue refuses us for good.
        retry_time: Option<DateTime<Utc>>,
    },
}
