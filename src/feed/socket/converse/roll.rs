//! Which markets of a connection have spoken, and which are subscribed again after a refusal.
//!
//! A venue may have refused all for the sake of one, so soon after a refusal those that have not spoken are subscribed by themselves.
//! What is refused then may be so for a moment only, as for having asked too often: it is subscribed again after a while, then ever
//! later, for as long as the connection stands.

use std::{collections::HashSet, slice, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use tokio::time::Instant;

use crate::{domain::pair::Pair, feed::socket::Subscription};

/// How long after a refusal the markets that have not spoken yet are subscribed by themselves.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The longest wait before those that were refused are subscribed again.
const AGAIN_AFTER_AT_MOST: Duration = Duration::from_secs(3_600);

/// How many of those are subscribed at a time. Bitget takes 240 messages an hour, and the first of these hours has five times.
const AGAIN_AT_MOST: usize = 20;

/// The markets that a connection is asked for.
#[derive(Debug)]
pub(super) struct Roll {
    asked: Arc<[Subscription]>,
    /// Those that have not spoken yet.
    silent: HashSet<Pair, RandomState>,
    /// Those of them that were refused by name.
    refused: HashSet<Pair, RandomState>,
    /// Something was refused since the last time that markets were subscribed, and no market named.
    unnamed: bool,
    /// What was subscribed last were all, and not all but those that are refused.
    whole: bool,
    /// When markets are to be subscribed again.
    due: Option<Instant>,
    /// How often they were.
    times: u32,
    /// How long to wait before the second time; then it doubles.
    wait: Duration,
    /// Where in their order to go on, when they are too many.
    place: usize,
}

impl Roll {
    /// Begins with none that has spoken.
    pub(super) fn new(asked: Arc<[Subscription]>, wait: Duration) -> Self {
        let silent = asked.iter().map(|asked| asked.pair).collect();
        let refused = HashSet::default();
        Self { asked, silent, refused, unnamed: false, whole: true, due: None, times: 0, wait, place: 0 }
    }

    /// Notes that a market speaks.
    pub(super) fn speaks(&mut self, market: Pair) {
        if !self.silent.is_empty() {
            self.silent.remove(&market);
            self.refused.remove(&market);
        }
    }

    /// Notes a refusal. Finds the market that it is about, if the words name one that has not spoken.
    pub(super) fn refuse(&mut self, words: &str) -> Option<Pair> {
        let named =
            |wanted: &&Subscription| self.silent.contains(&wanted.pair) && names(words, &wanted.symbol);
        let market = self.asked.iter().find(named).map(|wanted| wanted.pair);
        // Where there is but one, it is that.
        let only =
            self.asked.first().filter(|only| self.asked.len() == 1 && self.silent.contains(&only.pair));
        self.refused.extend(market.or(only.map(|only| only.pair)));
        self.unnamed |= market.is_none();
        self.due = self.due.or_else(|| Some(Instant::now() + self.next_wait()));
        market
    }

    /// Tells when markets are to be subscribed again, if they are.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Lists what is to be subscribed again, in messages of their own. Where a subscription `replaces` those before it, one market
    /// alone would end all others: there it is all together, or all together but those refused.
    pub(super) fn again(&mut self, replaces: bool) -> Vec<Vec<Subscription>> {
        let again = if replaces { self.together() } else { self.singly() };
        self.times = self.times.saturating_add(1);
        self.unnamed = false;
        // All were tried: whether that is refused will be told.
        let settled = if replaces { self.whole } else { self.refused.is_empty() };
        self.due = (!settled).then(|| Instant::now() + self.next_wait());
        again
    }

    /// The first time it is each that has not spoken. Later, when those may as well be quiet, it is those that were refused, if
    /// that is known.
    fn singly(&mut self) -> Vec<Vec<Subscription>> {
        self.whole = false;
        let silent = self.asked.iter().filter(|wanted| self.silent.contains(&wanted.pair));
        let alone = |wanted| slice::from_ref(wanted).to_vec();
        if self.times == 0 {
            // The same once more, at once, would be answered as before.
            return silent.filter(|_| self.asked.len() > 1).map(alone).collect();
        }
        let concerned = |wanted: &&Subscription| self.unnamed || self.refused.contains(&wanted.pair);
        let mut due: Vec<_> = silent.filter(concerned).collect();
        let place = self.place.checked_rem(due.len()).unwrap_or_default();
        due.rotate_left(place);
        self.place = self.place.wrapping_add(AGAIN_AT_MOST);
        due.into_iter().take(AGAIN_AT_MOST).map(alone).collect()
    }

    /// All, and when that has been refused all but those that were.
    fn together(&mut self) -> Vec<Vec<Subscription>> {
        self.whole = !self.whole;
        let taken = |wanted: &&Subscription| self.whole || !self.refused.contains(&wanted.pair);
        let taken: Vec<_> = self.asked.iter().filter(taken).cloned().collect();
        let helps = !taken.is_empty() && (self.whole || taken.len() < self.asked.len());
        helps.then_some(taken).into_iter().collect()
    }

    /// Gets how long to wait now. After all were tried once more, those that are not refused are not kept waiting.
    fn next_wait(&self) -> Duration {
        match self.times.checked_sub(1) {
            None => AGAIN_AFTER,
            Some(_) if self.whole => Duration::ZERO,
            Some(times) => self.wait.saturating_mul(2_u32.saturating_pow(times)).min(AGAIN_AFTER_AT_MOST),
        }
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
