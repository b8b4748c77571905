//! Which markets of a connection have spoken, and which are subscribed once more after a refusal.

use std::{collections::HashSet, slice, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use tokio::time::Instant;

use crate::{domain::pair::Pair, feed::socket::Subscription};

/// How long after a refusal the markets that have not spoken yet are subscribed once more: the venue may have refused all for
/// the sake of one.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The markets that a connection is asked for.
#[derive(Debug)]
pub(super) struct Roll {
    asked: Arc<[Subscription]>,
    /// Those that have not spoken yet.
    silent: HashSet<Pair, RandomState>,
    /// Those that were refused by name.
    refused: HashSet<Pair, RandomState>,
    again: Again,
}

/// Whether markets are subscribed once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Nothing was refused.
    Not,
    /// Something was: at this time.
    At(Instant),
    /// That was done.
    Done,
}

impl Roll {
    /// Begins with none that has spoken.
    pub(super) fn new(asked: Arc<[Subscription]>) -> Self {
        let silent = asked.iter().map(|asked| asked.pair).collect();
        Self { asked, silent, refused: HashSet::default(), again: Again::Not }
    }

    /// Notes that a market speaks.
    pub(super) fn speaks(&mut self, market: Pair) {
        if !self.silent.is_empty() {
            self.silent.remove(&market);
        }
    }

    /// Notes a refusal. Finds the market that it is about, if the words name one that has not spoken.
    pub(super) fn refuse(&mut self, words: &str) -> Option<Pair> {
        let named =
            |wanted: &&Subscription| self.silent.contains(&wanted.pair) && names(words, &wanted.symbol);
        let market = self.asked.iter().find(named).map(|wanted| wanted.pair);
        self.refused.extend(market);
        if self.again == Again::Not && self.asked.len() > 1 {
            self.again = Again::At(Instant::now() + AGAIN_AFTER);
        }
        market
    }

    /// Tells when markets are to be subscribed once more, if they are.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.again {
            Again::At(time) => Some(time),
            Again::Not | Again::Done => None,
        }
    }

    /// Lists what is to be subscribed once more, in messages of their own: each market that has not spoken. Where a
    /// subscription `replaces` those before it, that would end all others: there it is all together but those refused.
    pub(super) fn again(&mut self, replaces: bool) -> Vec<Vec<Subscription>> {
        self.again = Again::Done;
        let asked = self.asked.iter();
        if !replaces {
            let silent = asked.filter(|wanted| self.silent.contains(&wanted.pair));
            return silent.map(|wanted| slice::from_ref(wanted).to_vec()).collect();
        }
        let taken: Vec<_> = asked.filter(|wanted| !self.refused.contains(&wanted.pair)).cloned().collect();
        // The same once more would be answered as before.
        let helps = !taken.is_empty() && taken.len() < self.asked.len();
        helps.then_some(taken).into_iter().collect()
    }
}

/// Tells whether words name a symbol: as a word of its own, whatever the case.
fn names(words: &str, symbol: &str) -> bool {
    let (words, symbol) = (words.to_ascii_lowercase(), symbol.to_ascii_lowercase());
    let joins = |c: char| c.is_alphanumeric();
    words.match_indices(&symbol).any(|(at, found)| {
        let before = words.get(..at).and_then(|before| before.chars().next_back());
        let after = words.get(at + found.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_named_as_a_word_of_its_own() {
        for (words, symbol, expected) in [
            ("unknown pair: abc_usdt", "ABC_USDT", true),
            ("Currency pair not supported XYZ/BTC/USD", "BTC/USD", true),
            ("tBTCUSD: invalid", "BTCUSD", false),
            ("BTCUSDT is unknown", "BTCUSD", false),
            ("spot.trades:BTC-USDT,ETH-USDT", "ETH-USDT", true),
            ("no", "BTC_USDT", false),
        ] {
            assert_eq!(names(words, symbol), expected, "{words}");
        }
    }
}
