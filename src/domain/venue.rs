//! Venues, who owns them, and the kinds of market they run.

use std::fmt;

/// A trading venue, by its lower-case name (`kraken`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Venue(&'static str);

/// Who owns a venue. Venues of one owner share one vote.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(&'static str);

/// What is traded: only spot markets may enter a spot price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarketKind {
    /// Asset against asset, settled now.
    Spot,
    /// A future without an end.
    Perpetual,
    /// A future or option that ends on a day.
    Dated,
}

impl Venue {
    /// Names a venue.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Gets the name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Gets the owner: the venue itself, unless it is known to belong to another.
    pub fn owner(self) -> Owner {
        match self.0 {
            // A company and a book of its own, but under the control of the same people: whoever moves or halts the
            // one can do so to the other, and so the two are not independent witnesses.
            "binanceus" => Owner("binance"),
            name => Owner(name),
        }
    }
}

impl Owner {
    /// Gets the name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
