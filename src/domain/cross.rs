//! Prices derived through other pairs: inverses and crosses.
//!
//! A price is a product of legs, each a pair on the board, taken as it is or inverted (1 ÷ price). The product is
//! exact and rounded once, half-even, to 16 significant digits. A derived price is never better than its legs: it
//! has the worst of their status, the fewest of their sources, the earliest of their times and the sum of their
//! dispersions.

mod derive;
mod route;
#[cfg(test)]
mod tests;

use chrono::TimeDelta;
use rust_decimal::Decimal;

pub use self::{
    derive::{derive, invert},
    route::{EdgeQuality, route},
};
use super::{
    decimal::DecimalError,
    exact::Exact,
    pair::{Asset, Pair},
};

/// One leg of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The pair as it is on the board.
    pub pair: Pair,
    /// Whether it is walked from quote to base.
    pub inverted: bool,
}

/// The constants of derived prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossPolicy {
    /// Legs of a route at most.
    pub max_hops: usize,
    /// How far apart the legs of a price may have been observed.
    pub max_skew: TimeDelta,
}

impl Default for CrossPolicy {
    fn default() -> Self {
        Self { max_hops: 3, max_skew: TimeDelta::seconds(30) }
    }
}

impl Step {
    /// Gets the asset that the step starts from.
    pub const fn from(self) -> Asset {
        if self.inverted { self.pair.quote } else { self.pair.base }
    }

    /// Gets the asset that the step leads to.
    pub const fn to(self) -> Asset {
        if self.inverted { self.pair.base } else { self.pair.quote }
    }
}

/// Converts an amount of base into quote: amount × price, rounded once to 16 significant digits.
pub fn convert(amount: Decimal, price: Decimal) -> Result<Decimal, DecimalError> {
    Exact::of(amount).times(price).rounded()
}
