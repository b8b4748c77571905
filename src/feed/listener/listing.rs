//! Which of the wanted markets a venue lists, and how it spells them.

use std::collections::BTreeMap;

use crate::{
    domain::{pair::Pair, venue::MarketKind},
    feed::{
        rest::{Instrument, InstrumentState},
        socket::Subscription,
        venue::Protocol,
    },
};

/// The spot markets that a venue lists, by canonical names.
#[derive(Debug, Default)]
pub(super) struct Listing(BTreeMap<Pair, (String, InstrumentState)>);

/// What the wanted markets come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    /// Those that can be listened to.
    pub(super) listed: Vec<Subscription>,
    /// Those that cannot, and why.
    pub(super) absent: Vec<(Pair, String)>,
}

impl Listing {
    /// Brings what a venue lists to canonical names.
    pub(super) fn new(protocol: &dyn Protocol, instruments: Vec<Instrument>) -> Self {
        let mut listing = BTreeMap::new();
        for Instrument { symbol, market, state } in instruments {
            if market.kind != MarketKind::Spot {
                continue;
            }
            let pair = Pair::new(protocol.canonical(market.pair.base), protocol.canonical(market.pair.quote));
            let known: Option<&(_, InstrumentState)> = listing.get(&pair);
            // Where a venue lists a pair twice, the market that is traded is meant.
            if known.is_none_or(|(_, known)| *known != InstrumentState::Trading) {
                listing.insert(pair, (symbol, state));
            }
        }
        Self(listing)
    }

    /// Finds the wanted markets.
    pub(super) fn resolve(&self, wanted: &[Pair]) -> Resolved {
        let mut resolved = Resolved::default();
        for pair in wanted {
            match self.0.get(pair) {
                Some((symbol, InstrumentState::Trading)) => {
                    resolved.listed.push(Subscription { pair: *pair, symbol: symbol.clone() });
                }
                Some((_, InstrumentState::Suspended(word))) => {
                    resolved.absent.push((*pair, format!("not traded: {word}")));
                }
                None => resolved.absent.push((*pair, NOT_LISTED.to_owned())),
            }
        }
        resolved
    }
}

/// Why a market is absent that the venue does not know.
pub const NOT_LISTED: &str = "not listed";

/// Spells the wanted markets without having asked which are listed.
pub(super) fn unasked(protocol: &dyn Protocol, wanted: &[Pair]) -> Resolved {
    let spelled = wanted.iter().map(|pair| Subscription { pair: *pair, symbol: protocol.symbol(*pair) });
    Resolved { listed: spelled.collect(), absent: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{venue::Market, venues::kraken::Kraken};

    fn instrument(symbol: &str, pair: Pair, kind: MarketKind, word: &str) -> Instrument {
        let state = InstrumentState::of(word, "online");
        Instrument { symbol: symbol.to_owned(), market: Market { pair, kind }, state }
    }

    #[test]
    fn wanted_markets_are_found_by_canonical_names() {
        let [bitcoin, ether, coin] =
            [("XBT", "USD"), ("ETH", "USD"), ("ABC", "USD")].map(|(base, quote)| Pair::literal(base, quote));
        let listing = Listing::new(
            &Kraken,
            vec![
                instrument("XBT/USD", bitcoin, MarketKind::Spot, "online"),
                instrument("ETH/USD.d", ether, MarketKind::Spot, "delisted"),
                instrument("ETH/USD", ether, MarketKind::Spot, "cancel_only"),
                instrument("ABC/USD.d", coin, MarketKind::Spot, "online"),
                instrument("ABC/USD", coin, MarketKind::Spot, "cancel_only"),
                instrument("SOL/USD.P", Pair::literal("SOL", "USD"), MarketKind::Perpetual, "online"),
            ],
        );
        let wanted = ["BTC", "ETH", "ABC", "SOL"].map(|base| Pair::literal(base, "USD"));
        let resolved = listing.resolve(&wanted);
        let listed: Vec<_> = resolved.listed.iter().map(|s| (s.pair, s.symbol.as_str())).collect();
        assert_eq!(listed, [(wanted[0], "XBT/USD"), (wanted[2], "ABC/USD.d")]);
        let absent =
            [(wanted[1], "not traded: cancel_only".to_owned()), (wanted[3], "not listed".to_owned())];
        assert_eq!(resolved.absent, absent);
    }

    #[test]
    fn without_a_list_all_is_spelled_as_usual() {
        let resolved = unasked(&Kraken, &[Pair::literal("BTC", "USD")]);
        assert_eq!(resolved.listed[0].symbol, "BTC/USD");
        assert_eq!(resolved.absent, []);
    }
}
