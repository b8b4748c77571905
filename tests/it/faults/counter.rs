//! What loopback venues answer over REST.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::{
    tongue::{Deal, Quote, Tongue, assets, decimal},
    words::{Answers, Dealt, Listed, Questions, Standing},
};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// All markets.
    Markets,
    /// Whether this one is traded.
    State(&'static str),
    /// How these stand.
    Quotes(Vec<&'static str>),
    /// The books of these.
    Books(Vec<&'static str>),
    /// What was traded on this one.
    Deals(&'static str),
}

impl Tongue {
    /// Understands a question by its path and query.
    pub(super) fn asked(self, target: &str, markets: &[&'static str]) -> Option<Asked> {
        let spelled = |market: &str| {
            let (base, quote) = assets(market);
            self.words().spell_in_questions(base, quote)
        };
        // A list may be one in JSON, percent-encoded.
        let plain = target.replace("%22", ",").replace("%5B", ",").replace("%5D", ",");
        let words: HashSet<&str> = plain.split(['/', '?', '&', '=', ',']).collect();
        let named = markets.iter().copied().filter(|market| words.contains(spelled(market).as_str()));
        let named: Vec<&'static str> = named.collect();
        let Questions { markets, state, quotes, books, deals } = self.words().questions();
        let asks = |path: Option<&str>| path.is_some_and(|path| target.contains(path));
        match named.first() {
            None => target.contains(markets).then_some(Asked::Markets),
            Some(market) if target.contains(deals) => Some(Asked::Deals(market)),
            Some(market) if asks(state) => Some(Asked::State(market)),
            Some(_) if asks(books) => Some(Asked::Books(named)),
            Some(_) => target.contains(quotes).then_some(Asked::Quotes(named)),
        }
    }

    /// Lists markets, and whether they are traded.
    pub(super) fn listing(self, markets: &[(&str, bool)]) -> String {
        let listed = markets.iter().filter_map(|(market, trading)| {
            let (base, quote) = assets(market);
            self.words().lists(&Listed { symbol: self.symbol(market), base, quote, trading: *trading })
        });
        self.words().answers(Answers::Markets, &listed.collect::<Vec<_>>().join(","))
    }

    /// Tells whether a market is traded, where the list of markets does not.
    pub(super) fn state(self, trading: bool) -> String {
        self.words().tells_state(trading)
    }

    /// Tells how some markets stand.
    pub(super) fn stand(self, markets: &[(&str, Quote)], time: DateTime<Utc>) -> String {
        let kind = if markets.len() > 1 { Answers::Quotes } else { Answers::Quote };
        self.words().answers(kind, &self.each(markets, time, |standing| self.words().stands(standing)))
    }

    /// Tells the books of some markets, where how they stand does not.
    pub(super) fn books(self, markets: &[(&str, Quote)], time: DateTime<Utc>) -> String {
        let books = self.each(markets, time, |standing| self.words().tells_book(standing));
        self.words().answers(Answers::Quotes, &books)
    }

    fn each(
        self,
        markets: &[(&str, Quote)],
        time: DateTime<Utc>,
        tell: impl Fn(&Standing<'_>) -> String,
    ) -> String {
        let told = markets.iter().map(|(market, quote)| {
            let (symbol, (base, counted)) = (self.symbol(market), assets(market));
            let (bid, ask) = (decimal(quote.bid), decimal(quote.ask));
            tell(&Standing { symbol: &symbol, base, quote: counted, bid, ask, time })
        });
        told.collect::<Vec<_>>().join(",")
    }

    /// Tells what was traded, as far back as the venue goes, the newest first; we order them ourselves.
    pub(super) fn dealt(self, market: &str, deals: &[Deal]) -> String {
        let symbol = self.symbol(market);
        let told = deals.iter().rev().take(self.words().deals_at_most()).map(|deal| {
            let (id, price) = (self.words().trade_id(deal.id), decimal(deal.price));
            self.words().dealt(&symbol, &Dealt { id, price, time: deal.time })
        });
        self.words().answers(Answers::Deals, &told.collect::<Vec<_>>().join(","))
    }
}
