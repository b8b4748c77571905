//! What a frame says, in the venue's own symbols, borrowed from the frame.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use smallvec::SmallVec;

use crate::domain::{quote::TopOfBook, trade::Side};

/// One thing that a venue says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Best bid and ask, last price or volume of a market.
    Ticker(Ticker<'a>),
    /// A trade.
    Trade(TradeReport<'a>),
    /// What was said before still holds: of one market, or of all markets of the connection.
    Confirm(Option<&'a str>),
    /// Messages of a market were missed, or of all markets of the connection.
    Gap(Option<&'a str>),
    /// The venue took a subscription.
    Subscribed,
    /// The venue refuses a subscription or reports an error, in its own words.
    Refused(&'a str),
    /// The venue will end the connection soon, or wants another to be made, in its own words.
    GoingAway(&'a str),
}

/// The parts of a ticker that a message carries; what it does not carry is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticker<'a> {
    /// The venue's symbol of the market.
    pub symbol: &'a str,
    /// Best bid and ask. A side that the message shows as empty or zero is `None` inside.
    pub book: Option<TopOfBook>,
    /// The price of the last trade.
    pub last: Option<Decimal>,
    /// Volume of the last 24 hours in units of base.
    pub base_volume_24h: Option<Decimal>,
    /// Volume of the last 24 hours in units of quote.
    pub quote_volume_24h: Option<Decimal>,
    /// When, by the venue's clock.
    pub time: Option<DateTime<Utc>>,
}

/// A trade as a message carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeReport<'a> {
    /// The venue's symbol of the market.
    pub symbol: &'a str,
    /// The venue's id, where it gives one.
    pub id: Option<&'a str>,
    /// How many trades the venue tells as this one: they have this id and the numbers before it.
    pub count: u32,
    /// Units of quote for one unit of base.
    pub price: Decimal,
    /// Units of base (contracts on derivative markets).
    pub amount: Decimal,
    /// The taker's side.
    pub side: Side,
    /// When it happened, by the venue's clock.
    pub time: DateTime<Utc>,
    /// Past data, sent as an answer to the subscription: not live volume.
    pub snapshot: bool,
}

/// What a frame says: one thing, nearly always, which then needs no memory of its own.
pub type Events<'a> = SmallVec<[Event<'a>; 1]>;

/// What became of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// The venue's name of the channel or kind of message, also for those that are not used.
    pub channel: &'a str,
    /// What it says; empty for channels that are not used.
    pub events: Events<'a>,
    /// What the venue wants to hear back.
    pub reply: Option<String>,
}

impl<'a> Parsed<'a> {
    /// A frame that says nothing we use.
    pub fn ignored(channel: &'a str) -> Self {
        Self { channel, events: Events::new(), reply: None }
    }

    /// A frame that says one thing.
    #[inline]
    pub fn one(channel: &'a str, event: Event<'a>) -> Self {
        Self { channel, events: Events::from_buf([event]), reply: None }
    }

    /// A frame that says many things.
    pub fn many(channel: &'a str, events: Events<'a>) -> Self {
        Self { channel, events, reply: None }
    }
}
