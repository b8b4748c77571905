//! What is said to a venue on a connection: subscriptions, which are taken or refused, pings and answers to its own.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    super::{
        line::Said,
        tongue::Tongue,
        words::{Channel, Heard},
    },
    Shared,
};

/// How long the venue's own ping may go without an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

impl Shared {
    /// Hears what is said on a connection.
    pub(in super::super) fn hear(&self, number: usize, text: &str) {
        let heard = self.tongue.hears(text);
        if let Some(Heard::Wants(wanted)) = &heard {
            self.subscribe(number, text, wanted);
            return;
        }
        let mut state = self.state();
        let state = &mut *state;
        let Some(standing) = state.standing.get_mut(&number) else { return };
        match heard {
            Some(Heard::Pings(answer)) => {
                let _ = standing.say.send(Said::Text(answer.to_owned()));
            }
            Some(Heard::Answers(ping)) if standing.awaited.remove(&ping).is_some() => state.answered += 1,
            _ => state.not_understood.push(text.to_owned()),
        }
    }

    /// Notes that the venue pings. Tells whether it still does: not after a ping that was not answered.
    pub(in super::super) fn beat(&self, number: usize, ping: i64) -> bool {
        let mut state = self.state();
        let state = &mut *state;
        let Some(standing) = state.standing.get_mut(&number) else { return true };
        standing.awaited.insert(ping, Instant::now());
        let late = standing.awaited.values().any(|since| since.elapsed() > ANSWERED_WITHIN);
        state.unanswered += u64::from(late);
        !late
    }

    /// Takes or refuses subscriptions, and says so.
    fn subscribe(&self, number: usize, asked: &str, wanted: &[(String, String)]) {
        let mut state = self.state();
        let state = &mut *state;
        let Some(standing) = state.standing.get_mut(&number) else { return };
        let market = |symbol: &str| {
            let mut markets = self.markets.iter().copied();
            markets.find(|market| self.tongue.symbol(market) == symbol)
        };
        let mut bad = BTreeSet::new();
        for (channel, symbol) in wanted {
            let known = market(symbol).filter(|_| self.tongue.words().channel(channel).is_some());
            match known {
                None => state.not_understood.push(format!("{channel} of {symbol}")),
                Some(market) if state.refused.contains(market) => {}
                Some(_) => continue,
            }
            bad.insert(symbol);
        }
        // One that has ended hears nothing.
        let say = |said| drop(standing.say.send(said));
        for symbol in &bad {
            say(Said::Text(self.tongue.refuses(symbol)));
        }
        if state.refuses_whole && !bad.is_empty() {
            return;
        }
        if self.tongue.words().replaces() {
            standing.subscribed.clear();
        }
        let taken: Vec<_> = wanted.iter().filter(|(_, symbol)| !bad.contains(symbol)).cloned().collect();
        say(Said::Taken(asked.to_owned(), taken.clone()));
        let past = self.tongue.tells_past();
        for (name, symbol) in taken {
            let Some((channel, market)) = self.tongue.words().channel(&name).zip(market(&symbol)) else {
                continue;
            };
            let new = standing.subscribed.insert((channel, symbol.clone()));
            let quote = state.quotes.get(market).filter(|_| !state.muted.contains(market));
            match channel {
                // Who subscribes once more wants all of the book.
                Channel::Quotes if new || self.tongue == Tongue::Gemini => {
                    say(Said::Anew(symbol.clone()));
                    if let Some((quote, time)) = quote {
                        say(Said::Quote(symbol, *quote, *time));
                    }
                }
                Channel::Day if new && state.tells_days => {
                    if let Some((quote, time)) = quote {
                        say(Said::Day(symbol, *quote, *time));
                    }
                }
                Channel::Deals if new && past && quote.is_some() => {
                    if let Some(deal) = state.deals.get(market).and_then(|deals| deals.last()) {
                        let again = !state.sent.insert((market, deal.id));
                        *state.copies.entry(market).or_default() += u64::from(again);
                        say(Said::Past(symbol, deal.clone()));
                    }
                }
                _ => {}
            }
        }
    }
}
