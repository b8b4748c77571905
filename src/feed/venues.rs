//! The venues, one file each, all of one shape: endpoint, symbols, subscription, messages, tests.

pub mod binance;

use super::venue::Protocol;

/// All venues, in the order in which they are listed.
pub const ALL: &[&dyn Protocol] = &[&binance::Binance];

/// Finds a venue by its name.
pub fn by_name(name: &str) -> Option<&'static dyn Protocol> {
    ALL.iter()
        .copied()
        .find(|protocol| protocol.venue().as_str() == name)
}
