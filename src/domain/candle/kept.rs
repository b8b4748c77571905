//! The trades of a candle, in as much room as its state asks for.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::tally::{Tally, pack, unpack};
use crate::domain::venue::Venue;

/// What is known of the trades of a candle: added up while more may come, packed once it is closed. It is packed with the list
/// of venues, and with the moment at which the candle opened, that are given each time.
#[derive(Debug, Default)]
pub(super) enum Kept {
    /// There were none.
    #[default]
    None,
    /// More are awaited.
    Open(Box<Tally>),
    /// It is closed.
    Packed(Box<[u8]>),
}

impl Kept {
    pub(super) const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Gets the trades.
    pub(super) fn get(&self, open: DateTime<Utc>, venues: &[Venue]) -> Option<Cow<'_, Tally>> {
        match self {
            Self::None => None,
            Self::Open(trades) => Some(Cow::Borrowed(trades)),
            Self::Packed(bytes) => unpack(bytes, open, venues).map(Cow::Owned),
        }
    }

    /// Adds trades.
    pub(super) fn add(&mut self, trades: &Tally, open: DateTime<Utc>, venues: &[Venue]) {
        if let Self::Open(known) = self {
            return known.add(trades);
        }
        let all = match self.get(open, venues).map(Cow::into_owned) {
            Some(mut known) => {
                known.add(trades);
                known
            }
            None => trades.clone(),
        };
        *self = Self::Open(Box::new(all));
    }

    /// Packs them.
    pub(super) fn pack(&mut self, open: DateTime<Utc>, venues: &mut Vec<Venue>) {
        if let Self::Open(trades) = self {
            *self = Self::Packed(pack(trades, open, venues));
        }
    }
}
