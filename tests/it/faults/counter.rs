//! What loopback venues answer over REST.

use chrono::{DateTime, Utc};

use super::tongue::{Answers, Deal, Dealt, Listed, Quote, Standing, Tongue, assets, decimal};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// All markets.
    Markets,
    /// How this one stands.
    Quote(&'static str),
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
        let words: Vec<&str> = target.split(['/', '?', '&', '=']).collect();
        let market = markets.iter().copied().find(|market| words.contains(&spelled(market).as_str()));
        let [listing, quote, deals] = self.words().questions();
        match market {
            None => target.contains(listing).then_some(Asked::Markets),
            Some(market) if target.contains(deals) => Some(Asked::Deals(market)),
            Some(market) => target.contains(quote).then_some(Asked::Quote(market)),
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

    /// Tells how a market stands.
    pub(super) fn stands(self, market: &str, quote: Quote, time: DateTime<Utc>) -> String {
        let symbol = self.symbol(market);
        let (bid, ask) = (decimal(quote.bid), decimal(quote.ask));
        let stands = self.words().stands(&Standing { symbol: &symbol, bid, ask, time });
        self.words().answers(Answers::Quote, &stands)
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
