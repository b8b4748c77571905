//! How each venue's server speaks: one file per venue, all of one shape.

mod binance;
mod bitfinex;
mod coinbase;
mod cryptocom;
mod kraken;
mod okx;

use super::wire::Dialect;
use crate::domain::venue::Venue;

/// A venue's server: where its socket is and how it speaks there.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) venue: Venue,
    /// The path of the socket.
    pub(super) path: &'static str,
    /// Begins to speak on a new connection.
    pub(super) dialect: fn() -> Box<dyn Dialect>,
}

/// The servers of all venues of the catalogue.
pub(super) static SERVERS: [Server; 6] = [
    Server {
        venue: Venue::new("binance"),
        path: "/stream",
        dialect: || Box::new(binance::Binance::default()),
    },
    Server { venue: Venue::new("coinbase"), path: "/", dialect: || Box::new(coinbase::Coinbase::default()) },
    Server { venue: Venue::new("kraken"), path: "/v2", dialect: || Box::new(kraken::Kraken::default()) },
    Server { venue: Venue::new("okx"), path: "/ws/v5/public", dialect: || Box::new(okx::Okx::default()) },
    Server {
        venue: Venue::new("bitfinex"),
        path: "/ws/2",
        dialect: || Box::new(bitfinex::Bitfinex::default()),
    },
    Server {
        venue: Venue::new("cryptocom"),
        path: "/exchange/v1/market",
        dialect: || Box::new(cryptocom::CryptoCom::default()),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::catalogue;

    #[test]
    fn every_venue_of_the_catalogue_has_a_server() {
        assert!(SERVERS.iter().map(|server| server.venue).eq(catalogue::venues()));
    }
}
