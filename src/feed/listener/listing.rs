//! Which of the wanted markets a venue lists, and how it spells them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    domain::{pair::Pair, venue::MarketKind},
    feed::{
        rest::{Instrument, InstrumentState, Query},
        socket::Subscription,
        venue::Protocol,
    },
};

/// How soon after a state was asked for another one is, where there is no answer.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The spot markets that a venue lists, by canonical names.
#[derive(Debug)]
pub(super) struct Listing {
    markets: BTreeMap<Pair, (String, InstrumentState)>,
    /// What tells the states that the list does not; what was asked before comes last.
    untold: VecDeque<(Pair, Query)>,
    /// No state is asked for before that.
    ask_at: Instant,
}

/// What the wanted markets come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    /// Those that can be listened to.
    pub(super) listed: Vec<Subscription>,
    /// Those that cannot, and why.
    pub(super) absent: Vec<(Pair, String)>,
}

impl Listing {
    /// Brings what a venue lists to canonical names. A state that this list does not tell is that of before, until it is told.
    pub(super) fn new(
        protocol: &dyn Protocol,
        instruments: Vec<Instrument>,
        before: Option<&Self>,
        now: Instant,
    ) -> Self {
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
        let mut untold = VecDeque::new();
        for (pair, (_, state)) in &mut listing {
            if let InstrumentState::Untold(query) = state {
                untold.push_back((*pair, query.clone()));
                if let Some((_, known)) = before.and_then(|before| before.markets.get(pair)) {
                    *state = known.clone();
                }
            }
        }
        // What was not answered yet has its turn first, however often there is a new list.
        let place = |pair: &Pair| before?.untold.iter().position(|(untold, _)| untold == pair);
        untold.make_contiguous().sort_by_key(|(pair, _)| place(pair).unwrap_or(usize::MAX));
        Self { markets: listing, untold, ask_at: now }
    }

    /// Gets the next question for the state of a wanted market, one at a time.
    pub(super) fn ask(&mut self, wanted: &[Pair], now: Instant) -> Option<(Pair, Query)> {
        if now < self.ask_at {
            return None;
        }
        let place = self.untold.iter().position(|(market, _)| wanted.contains(market))?;
        let asked = self.untold.remove(place)?;
        self.untold.push_back(asked.clone());
        self.ask_at = now + ASK_AGAIN;
        Some(asked)
    }

    /// Takes in the answer.
    pub(super) fn tell(&mut self, market: Pair, state: InstrumentState, now: Instant) {
        self.untold.retain(|(untold, _)| *untold != market);
        if let Some((_, known)) = self.markets.get_mut(&market) {
            *known = state;
        }
        self.ask_at = now;
    }

    /// Finds the wanted markets.
    pub(super) fn resolve(&self, wanted: &[Pair]) -> Resolved {
        let mut resolved = Resolved::default();
        for pair in wanted {
            match self.markets.get(pair) {
                Some((symbol, InstrumentState::Trading | InstrumentState::Untold(_))) => {
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
            None,
            Instant::now(),
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
    fn a_state_that_the_list_does_not_tell_is_asked_for_and_kept_until_it_is_told_anew() {
        let wanted = ["BTC", "ETH", "XYZ"].map(|base| Pair::literal(base, "USD"));
        let [bitcoin, ether, _] = wanted;
        let list = || {
            let untold = |pair: Pair| Instrument {
                state: InstrumentState::Untold(Query::new(format!("/{}", pair.base))),
                ..instrument(&pair.to_string(), pair, MarketKind::Spot, "")
            };
            [Pair::literal("ABC", "USD"), bitcoin, ether].map(untold).to_vec()
        };
        let listed = |listing: &Listing| {
            listing.resolve(&wanted).listed.iter().map(|listed| listed.pair).collect::<Vec<_>>()
        };
        let now = Instant::now();
        let mut listing = Listing::new(&Kraken, list(), None, now);
        assert_eq!(listed(&listing), [bitcoin, ether]);
        assert_eq!(listing.ask(&wanted, now), Some((bitcoin, Query::new("/BTC"))));
        assert_eq!(listing.ask(&wanted, now), None, "one at a time");
        // Without an answer, others have their turn.
        let later = now + ASK_AGAIN;
        assert_eq!(listing.ask(&wanted, later), Some((ether, Query::new("/ETH"))));
        listing.tell(ether, InstrumentState::of("post_only", "open"), later);
        assert_eq!(listing.ask(&wanted, later), Some((bitcoin, Query::new("/BTC"))));
        listing.tell(bitcoin, InstrumentState::Trading, later);
        assert_eq!(listing.ask(&wanted, later), None, "what nobody wants is not asked for");
        assert_eq!(listed(&listing), [bitcoin]);
        assert_eq!(listing.resolve(&wanted).absent[0], (ether, "not traded: post_only".to_owned()));
        let mut listing = Listing::new(&Kraken, list(), Some(&listing), later);
        assert_eq!(listed(&listing), [bitcoin], "what was suspended is not traded because it is listed");
        assert_eq!(listing.ask(&wanted, later).map(|(asked, _)| asked), Some(bitcoin));
        listing.tell(bitcoin, InstrumentState::Trading, later);
        let mut listing = Listing::new(&Kraken, list(), Some(&listing), later);
        assert_eq!(listing.ask(&wanted, later).map(|(asked, _)| asked), Some(ether), "it has waited longer");
        listing.tell(ether, InstrumentState::Trading, later);
        assert_eq!(listed(&listing), [bitcoin, ether]);
    }

    #[test]
    fn without_a_list_all_is_spelled_as_usual() {
        let resolved = unasked(&Kraken, &[Pair::literal("BTC", "USD")]);
        assert_eq!(resolved.listed[0].symbol, "BTC/USD");
        assert_eq!(resolved.absent, []);
    }
}
