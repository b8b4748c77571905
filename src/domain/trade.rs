//! One trade at a venue.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

/// Which side took: the side of the order that met one already in the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The taker bought.
    Buy,
    /// The taker sold.
    Sell,
}

impl Side {
    /// Gets the other side, for venues that name the maker's.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// One trade, as its venue reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// The venue's id of the trade, where it gives one.
    pub id: Option<String>,
    /// How many trades the venue tells as this one; where more than one, it has the last id, and the numbers before that
    /// one are the others'.
    pub count: u32,
    /// Units of quote for one unit of base.
    pub price: Decimal,
    /// Units of base.
    pub amount: Decimal,
    /// The taker's side.
    pub side: Side,
    /// When it happened, by the venue's clock.
    pub time: DateTime<Utc>,
}
