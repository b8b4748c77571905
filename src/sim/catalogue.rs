//! Which simulated venue lists which pairs, with how many decimals, and how much is traded there.
//!
//! Every pair is listed by three venues or more, so that a single venue in trouble is never a majority. ETH-EUR
//! is listed nowhere on purpose: it can only be derived.

use rust_decimal::Decimal;

use crate::domain::{pair::Pair, venue::Venue};

/// The venues, in the order of the columns of [`MARKETS`], each with its share of all trading in percent.
const VENUES: [(Venue, i64); 6] = [
    (Venue::new("binance"), 40),
    (Venue::new("coinbase"), 20),
    (Venue::new("kraken"), 9),
    (Venue::new("okx"), 18),
    (Venue::new("bitfinex"), 5),
    (Venue::new("cryptocom"), 8),
];

/// One pair: base, quote, millions of dollars traded in a day, and the decimals of its price at each venue.
type Row = (&'static str, &'static str, i64, [i32; 6]);

/// Not listed.
const NO: i32 = -1;

#[rustfmt::skip]
const MARKETS: &[Row] = &[
    //                       binance coinbase kraken okx bitfinex crypto.com
    ("BTC",  "USD",  2_400, [NO,     2,       1,     NO, 0,       2]),
    ("ETH",  "USD",  1_300, [NO,     2,       2,     NO, 1,       2]),
    ("SOL",  "USD",    520, [NO,     2,       2,     NO, 2,       2]),
    ("XRP",  "USD",    610, [NO,     4,       5,     NO, 4,       5]),
    ("ADA",  "USD",    110, [NO,     4,       6,     NO, NO,      5]),
    ("DOGE", "USD",    240, [NO,     5,       7,     NO, 5,       5]),
    ("LTC",  "USD",     90, [NO,     2,       2,     NO, 2,       3]),
    ("LINK", "USD",     85, [NO,     3,       5,     NO, NO,      4]),
    ("AVAX", "USD",     60, [NO,     2,       2,     NO, NO,      3]),
    ("DOT",  "USD",     45, [NO,     3,       4,     NO, NO,      4]),
    ("SHIB", "USD",     70, [NO,     8,       9,     NO, 9,       9]),
    ("PEPE", "USD",     95, [NO,     8,       9,     NO, 9,       9]),
    ("USDT", "USD",    310, [NO,     5,       5,     NO, 5,       5]),
    ("USDC", "USD",    150, [NO,     4,       4,     NO, 5,       5]),
    ("EUR",  "USD",    120, [NO,     4,       5,     NO, 4,       5]),
    ("GBP",  "USD",     60, [NO,     4,       5,     NO, 4,       NO]),
    ("BTC",  "USDT", 4_200, [2,      NO,      1,     1,  0,       2]),
    ("ETH",  "USDT", 2_600, [2,      NO,      2,     2,  NO,      2]),
    ("SOL",  "USDT",   930, [2,      NO,      NO,    2,  NO,      2]),
    ("BNB",  "USDT",   380, [1,      NO,      NO,    1,  NO,      2]),
    ("XRP",  "USDT",   880, [4,      NO,      NO,    4,  NO,      5]),
    ("ADA",  "USDT",   170, [4,      NO,      NO,    4,  NO,      5]),
    ("DOGE", "USDT",   410, [5,      NO,      NO,    5,  NO,      5]),
    ("SHIB", "USDT",   130, [8,      NO,      NO,    9,  NO,      9]),
    ("PEPE", "USDT",   260, [8,      NO,      NO,    9,  NO,      9]),
    ("USDC", "USDT",   900, [4,      NO,      4,     4,  NO,      5]),
    ("BTC",  "USDC",   540, [2,      2,       NO,    1,  NO,      NO]),
    ("ETH",  "USDC",   290, [2,      2,       NO,    2,  NO,      NO]),
    ("BTC",  "EUR",    260, [2,      2,       1,     NO, 0,       NO]),
    ("BTC",  "GBP",     80, [NO,     2,       1,     NO, NO,      2]),
    ("ETH",  "BTC",    210, [5,      5,       5,     5,  6,       NO]),
    ("SOL",  "BTC",     30, [7,      NO,      7,     7,  NO,      NO]),
    ("XRP",  "BTC",     40, [8,      NO,      8,     9,  NO,      NO]),
    ("LTC",  "BTC",     15, [7,      7,       7,     NO, NO,      NO]),
];

/// A pair at a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) pair: Pair,
    /// Decimals of its price.
    pub(super) decimals: u32,
    /// Dollars traded at the venue in a day.
    pub(super) turnover: Decimal,
}

/// Lists the simulated venues and their pairs.
pub fn catalogue() -> Vec<(Venue, Vec<Pair>)> {
    venues().map(|venue| (venue, listings(venue).map(|listing| listing.pair).collect())).collect()
}

/// Lists the venues.
pub(super) fn venues() -> impl Iterator<Item = Venue> {
    VENUES.iter().map(|(venue, _)| *venue)
}

/// Lists what one venue lists.
pub(super) fn listings(venue: Venue) -> impl Iterator<Item = Listing> {
    VENUES.iter().enumerate().filter(move |(_, (name, _))| *name == venue).flat_map(
        |(column, &(_, share))| {
            MARKETS.iter().filter_map(move |&(base, quote, millions, decimals)| {
                Some(Listing {
                    pair: Pair::literal(base, quote),
                    decimals: u32::try_from(*decimals.get(column)?).ok()?,
                    turnover: Decimal::from(millions * share * 10_000),
                })
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sim::market::Market;

    fn listed() -> BTreeMap<Pair, usize> {
        let mut count = BTreeMap::new();
        for (_, pairs) in catalogue() {
            for pair in pairs {
                *count.entry(pair).or_default() += 1;
            }
        }
        count
    }

    #[test]
    fn one_venue_is_never_half_of_a_pair() {
        let listed = listed();
        assert!(listed.len() >= 24, "{}", listed.len());
        for (pair, venues) in listed {
            assert!(venues >= 3, "{pair} is listed by {venues}");
        }
    }

    #[test]
    fn stablecoins_have_four_anchors_and_the_cross_has_no_market() {
        let listed = listed();
        let venues = |text: &str| listed.get(&text.parse().unwrap()).copied().unwrap_or_default();
        assert!(venues("USDT-USD") >= 4 && venues("USDC-USD") >= 4);
        assert!(venues("EUR-USD") >= 3 && venues("GBP-USD") >= 3);
        assert_eq!(venues("ETH-EUR"), 0);
    }

    #[test]
    fn a_tick_is_small_beside_the_price() {
        let market = Market::new(1);
        for venue in venues() {
            for listing in listings(venue) {
                let price = market.truth(listing.pair).unwrap();
                let tick = Decimal::new(1, listing.decimals);
                let bps = tick / price * Decimal::from(10_000);
                assert!(bps < Decimal::from(6), "{venue} {}: {bps}", listing.pair);
            }
        }
    }
}
