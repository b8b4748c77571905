//! From quotes to prices: keeps what every venue says, and publishes what it amounts to.
//!
//! A plain state machine: it is told what came in ([`Aggregator::apply`]) and when to look at it
//! ([`Aggregator::settle`], [`Aggregator::tick`]), always with the time. The same input at the same times gives the
//! same prices, byte for byte, live or replayed.

mod state;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use foldhash::fast::RandomState;
use rust_decimal::Decimal;

use self::state::{PairState, differs};
use super::{
    board::Publisher,
    crosses::Crosses,
    health::{Counted, Source, Sources},
    quotes::{Effect, Heard, Quotes, TickerUpdate},
    scorecard::Scorecard,
};
use crate::{
    domain::{
        aggregate::{self, Aggregate, Policy},
        jump::JumpPolicy,
        pair::{Asset, Pair},
        peg::{PegPolicy, Pegs},
        price::{Origin, Price, StatusReason},
        venue::{MarketKind, Venue},
    },
    feed::{
        delivery::{Delivery, DeliveryKind},
        translate::believed,
    },
};

/// What the aggregator is told at the start.
#[derive(Debug, Clone)]
pub struct Options {
    /// How quotes become a price.
    pub policy: Policy,
    /// When a stablecoin's markets count.
    pub peg: PegPolicy,
    /// Stablecoins, and what each is pegged to.
    pub coins: Vec<(Asset, Asset)>,
    /// When a sudden move is believed.
    pub jump: JumpPolicy,
    /// A price whose number stays is published again this often.
    pub refresh: TimeDelta,
    /// Where the prices come from.
    pub origin: Origin,
    /// Which markets are taken in.
    pub markets: Markets,
}

/// Which markets are taken in.
#[derive(Debug, Clone)]
pub enum Markets {
    /// These; what comes from others is counted only.
    Configured(BTreeSet<Pair>),
    /// All spot markets that are met, as in a recording.
    Met,
}

/// Keeps quotes and publishes prices.
#[derive(Debug)]
pub struct Aggregator {
    options: Options,
    quotes: Quotes,
    pegs: Pegs,
    pairs: HashMap<Pair, PairState, RandomState>,
    dirty: BTreeSet<Pair>,
    crosses: Crosses,
    crosses_version: u64,
    derived: BTreeMap<Pair, Option<Price>>,
    /// A stablecoin has lost its peg or got it back: routes through it are judged anew.
    rederive: bool,
    sources: Sources,
    scorecard: Scorecard,
    publisher: Publisher,
}

impl Aggregator {
    /// Starts with the configured pairs on the board, none of them priced yet.
    pub fn new(
        options: Options,
        crosses: Crosses,
        sources: Sources,
        publisher: Publisher,
        now: DateTime<Utc>,
    ) -> Self {
        let pegs = Pegs::new(options.coins.iter().copied());
        let mut aggregator = Self {
            quotes: Quotes::default(),
            pegs,
            pairs: HashMap::default(),
            dirty: BTreeSet::new(),
            crosses,
            crosses_version: 0,
            derived: BTreeMap::new(),
            rederive: false,
            sources,
            scorecard: Scorecard::default(),
            publisher,
            options,
        };
        if let Markets::Configured(markets) = &aggregator.options.markets {
            let mut pairs = markets.clone();
            pairs.extend(markets.iter().map(|market| aggregator.reference(*market)));
            let prices = pairs.iter().map(|pair| aggregator.unpriced(*pair, now)).collect();
            aggregator.publisher.register(prices, now);
            for pair in pairs {
                let state = PairState::new(aggregator.unpriced(pair, now), now);
                aggregator.pairs.insert(pair, state);
            }
        }
        aggregator
    }

    /// Takes in what a venue said, and counts it for the source if that is known. Nothing is published before it is settled.
    pub fn apply(&mut self, delivery: Delivery, source: Option<&Source>) {
        let Delivery { venue, connection, receive_time, kind: said } = delivery;
        let heard = Heard { venue, connection, receive_time };
        // What is asked over REST does not tell that the stream speaks.
        if let Some(source) = source.filter(|_| connection.is_some() && said.is_event()) {
            source.spoke(receive_time);
        }
        match said {
            DeliveryKind::Ticker { market, kind, book, last, base_volume_24h, quote_volume_24h, time } => {
                if let Some(source) = source {
                    source.count(Counted::Ticker);
                    if let Some(time) = time {
                        source.lag(receive_time - time);
                    }
                }
                if self.takes(source, market, kind) {
                    let ticker = TickerUpdate { book, last, base_volume_24h, quote_volume_24h, time };
                    let consensus = self.consensus(market);
                    let effect = self.quotes.ticker(heard, market, &ticker, consensus);
                    self.note(source, market, effect, receive_time);
                }
            }
            DeliveryKind::Trade { market, kind, mut trade, snapshot } => {
                let counted = if snapshot { Counted::SnapshotTrade } else { Counted::Trade };
                let time = trade.time;
                trade.time = believed(time, receive_time);
                if !snapshot {
                    self.quotes.lags.trade(heard, time);
                }
                let effect = self.takes(source, market, kind).then(|| {
                    let consensus = self.consensus(market);
                    self.quotes.trade(heard, market, trade, consensus)
                });
                if let Some(source) = source {
                    let again = effect == Some(Effect::Duplicate);
                    source.count(if again { Counted::Duplicate } else { counted });
                    if !snapshot && !again {
                        source.trade_lag(receive_time - time, receive_time);
                    }
                }
                // The past comes in any order.
                let expected = |effect: &Effect| !(snapshot && *effect == Effect::OutOfOrder);
                let noted = effect.into_iter().filter(expected);
                noted.for_each(|effect| self.note(source, market, effect, receive_time));
            }
            DeliveryKind::Confirm(market) => {
                self.quotes.confirm(heard, market);
            }
            DeliveryKind::ClockBehind(by) => self.quotes.lags.clock_behind(heard, by),
            DeliveryKind::Left(_) => {
                self.quotes.left(venue, connection);
                self.quotes.lags.left(heard);
            }
            DeliveryKind::Gap(None) => self.quotes.left(venue, connection),
            DeliveryKind::Gap(Some(market)) => self.quotes.unsay(venue, market),
            DeliveryKind::Listening { markets, .. } => {
                let gone = self.quotes.keep(venue, &markets);
                self.look_again(gone);
            }
            // What else concerns the connection is counted where it is known.
            _ => {}
        }
    }

    /// Takes a venue's quotes away: it is not listened to any more.
    pub fn leave(&mut self, venue: Venue, now: DateTime<Utc>) {
        let gone = self.quotes.keep(venue, &[]);
        self.quotes.lags.forget(venue);
        self.look_again(gone);
        self.settle(now);
    }

    /// Goes on with other options: pairs that are not asked for any more leave the board, new ones come onto it, and all
    /// prices are looked at anew. What is known of those that stay is kept.
    pub fn reconfigure(&mut self, options: Options, now: DateTime<Utc>) {
        let coins: Vec<_> = options.coins.clone();
        if coins != self.options.coins {
            self.pegs = Pegs::new(coins);
        }
        self.options = options;
        if let Markets::Configured(markets) = &self.options.markets {
            let wanted: BTreeSet<Pair> =
                markets.iter().flat_map(|market| [*market, self.reference(*market)]).collect();
            let gone: Vec<Pair> = self.pairs.keys().filter(|pair| !wanted.contains(pair)).copied().collect();
            for pair in gone {
                self.pairs.remove(&pair);
                self.publisher.remove(pair, now);
            }
            let new: Vec<Pair> = wanted.into_iter().filter(|pair| !self.pairs.contains_key(pair)).collect();
            // What was derived is priced by itself from now on.
            for pair in new {
                self.derived.remove(&pair);
                let unpriced = self.unpriced(pair, now);
                self.pairs.insert(pair, PairState::new(unpriced.clone(), now));
                self.publisher.publish(unpriced, Vec::new(), now);
            }
        }
        self.dirty.extend(self.pairs.keys().copied());
        // Pairs that may be derived now, or are not any more.
        self.keep_wanted(now);
        self.rederive = true;
        self.settle(now);
    }

    /// Has the pairs that some markets count for looked at.
    fn look_again(&mut self, markets: Vec<Pair>) {
        for market in markets {
            let concerned = [market, self.reference(market)];
            self.dirty.extend(concerned.into_iter().filter(|pair| self.pairs.contains_key(pair)));
        }
    }

    /// Takes what comes next as a recording that starts again.
    pub fn start_again(&mut self) {
        self.quotes.forget_trades();
    }

    /// Looks at every pair whose quotes changed, and publishes what changed of it.
    pub fn settle(&mut self, now: DateTime<Utc>) {
        let mut dirty = std::mem::take(&mut self.dirty);
        let mut changed = BTreeSet::new();
        let mut coins = 0..self.options.coins.len();
        while let Some((coin, reference)) = coins.next().and_then(|at| self.options.coins.get(at).copied()) {
            let pair = Pair::new(coin, reference);
            if dirty.remove(&pair) {
                let aggregate = self.price(pair, now, &mut changed);
                if aggregate.is_some_and(|aggregate| self.repeg(coin, &aggregate, now)) {
                    dirty.extend(self.priced_through(coin, reference));
                }
            }
        }
        for pair in dirty {
            self.price(pair, now, &mut changed);
        }
        self.settle_crosses(&changed, now);
    }

    /// Looks at every pair that has not been looked at for a while: ages go on when nothing comes in.
    pub fn tick(&mut self, now: DateTime<Utc>) {
        let due = now - self.options.refresh;
        self.dirty
            .extend(self.pairs.iter().filter(|(_, state)| state.looked_at <= due).map(|(pair, _)| *pair));
        self.settle(now);
        self.scorecard.look(self.publisher.board(), &self.sources, now);
    }

    /// Tells whether a market is taken in; a recording's are, as they are met.
    fn takes(&self, source: Option<&Source>, market: Pair, kind: MarketKind) -> bool {
        if kind != MarketKind::Spot {
            return false;
        }
        match &self.options.markets {
            Markets::Configured(markets) => markets.contains(&market),
            Markets::Met => {
                if let Some(source) = source {
                    source.found(market);
                }
                true
            }
        }
    }

    fn note(&mut self, source: Option<&Source>, market: Pair, effect: Effect, now: DateTime<Utc>) {
        match effect {
            Effect::Changed => {
                if !self.pairs.contains_key(&market) {
                    let unpriced = self.unpriced(market, now);
                    self.pairs.insert(market, PairState::new(unpriced.clone(), now));
                    // What was derived is priced by itself from now on: a pair has one writer.
                    if self.derived.remove(&market).is_some() {
                        self.publisher.publish(unpriced, Vec::new(), now);
                    }
                }
                let reference = self.reference(market);
                self.dirty
                    .extend([market, reference].into_iter().filter(|pair| self.pairs.contains_key(pair)));
            }
            Effect::OutOfOrder => {
                if let Some(source) = source {
                    source.out_of_order();
                }
            }
            Effect::Confirmed | Effect::Duplicate => {}
        }
    }

    /// Computes a pair's price and publishes it if it says something new.
    fn price(&mut self, pair: Pair, now: DateTime<Utc>, changed: &mut BTreeSet<Pair>) -> Option<Aggregate> {
        let quotes = self.quotes.of(&aggregate::markets(pair, &self.pegs));
        let consensus = self.consensus(pair);
        let mut aggregate =
            aggregate::aggregate(pair, &quotes, &self.pegs, consensus, &self.options.policy, now);
        let state = self.pairs.get_mut(&pair)?;
        state.looked_at = now;
        let price = state.judge(pair, &aggregate, &self.options, now);
        let contributions = std::mem::take(&mut aggregate.contributions);
        let new = !self.publisher.board().contains(pair);
        if new || differs(&state.published, &price, self.options.refresh) {
            state.published = price.clone();
            self.publisher.publish(price, contributions, now);
            changed.insert(pair);
        } else {
            self.publisher.explain(pair, contributions, now);
        }
        Some(aggregate)
    }

    /// Takes in what a stablecoin is worth; tells whether that changed.
    fn repeg(&mut self, coin: Asset, aggregate: &Aggregate, now: DateTime<Utc>) -> bool {
        let worth = |pegs: &Pegs| pegs.get(coin).map(|peg| (peg.rate, peg.state));
        let before = worth(&self.pegs);
        self.pegs.update(coin, aggregate, &self.options.peg, now);
        let depegged = self.pegs.declared().map(|(coin, _)| coin).filter(|coin| self.pegs.depegged(*coin));
        self.rederive |= self.crosses.set_depegged(depegged.collect());
        before != worth(&self.pegs)
    }

    /// Lists the pairs that a stablecoin's markets count for.
    fn priced_through(&self, coin: Asset, reference: Asset) -> Vec<Pair> {
        let through =
            |pair: &&Pair| pair.quote == reference && aggregate::markets(**pair, &self.pegs).len() > 1;
        let base_has = |pair: &&Pair| self.quotes.has(Pair::new(pair.base, coin));
        self.pairs.keys().filter(through).filter(base_has).copied().collect()
    }

    /// Brings the derived pairs on the board up to date with the legs that changed, and with what is wanted.
    fn settle_crosses(&mut self, changed: &BTreeSet<Pair>, now: DateTime<Utc>) {
        let version = self.crosses.version();
        let rederive = std::mem::take(&mut self.rederive);
        if version != self.crosses_version {
            self.crosses_version = version;
            self.keep_wanted(now);
        } else if changed.is_empty() && !rederive {
            return;
        }
        // A pair without a price may get one over another way, whose ends are its own.
        let ends: BTreeSet<_> = changed.iter().flat_map(|leg| [leg.base, leg.quote]).collect();
        for (pair, published) in &mut self.derived {
            let concerned = |price: &Price| {
                rederive
                    || price.route.iter().any(|leg| changed.contains(leg))
                    || (price.value.is_none() && [pair.base, pair.quote].iter().any(|end| ends.contains(end)))
            };
            if published.as_ref().is_some_and(|price| !concerned(price)) {
                continue;
            }
            let derived = self.crosses.derive(self.publisher.board(), *pair, now).map(|(price, _)| price);
            let absent = || Price::unavailable(*pair, StatusReason::NoRoute, self.options.origin, now);
            let price = derived.unwrap_or_else(absent);
            if published.as_ref().is_none_or(|published| differs(published, &price, TimeDelta::zero())) {
                *published = Some(price.clone());
                self.publisher.publish(price, Vec::new(), now);
            }
        }
    }

    fn keep_wanted(&mut self, now: DateTime<Utc>) {
        // A pair with markets of its own needs no deriving, whatever is configured.
        let direct = |pair: &Pair| self.pairs.contains_key(pair);
        let wanted: BTreeSet<_> = self.crosses.wanted().into_iter().filter(|pair| !direct(pair)).collect();
        let gone: Vec<_> = self.derived.keys().filter(|pair| !wanted.contains(pair)).copied().collect();
        for pair in gone {
            self.derived.remove(&pair);
            if !self.pairs.contains_key(&pair) {
                self.publisher.remove(pair, now);
            }
        }
        for pair in wanted {
            self.derived.entry(pair).or_insert(None);
        }
    }

    /// Gets the pair that tells whether a market's quote is frozen: the one that all its kin count for.
    fn reference(&self, market: Pair) -> Pair {
        match self.pegs.reference(market.quote) {
            Some(reference)
                if reference != market.base && self.pegs.reference(market.base) != Some(reference) =>
            {
                Pair::new(market.base, reference)
            }
            _ => market,
        }
    }

    /// Gets the number that quotes of a market are held against to find the frozen ones.
    fn consensus(&self, market: Pair) -> Option<Decimal> {
        let state = self.pairs.get(&self.reference(market)).or_else(|| self.pairs.get(&market))?;
        state.published.value.map(|value| value.price)
    }

    fn unpriced(&self, pair: Pair, now: DateTime<Utc>) -> Price {
        Price::unavailable(pair, StatusReason::NoFreshQuotes, self.options.origin, now)
    }
}

#[cfg(test)]
mod tests;
