//! What one caller asks for beyond the pairs: a bar for the prices it sees, and how far they must move.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use rust_decimal::Decimal;
use tokio::time::Instant;

use crate::{
    domain::{decimal, pair::Pair, price::Status},
    pipeline::{board::Update, message::Message},
    service::{bar::Bar, prices::Prices},
};

/// How often a stream looks for prices that have grown too old for its caller since they went out.
const AGEING: Duration = Duration::from_secs(1);

/// One caller's demands, and what it has been sent.
#[derive(Debug)]
pub(super) struct Personal {
    bar: Bar,
    deviation_bps: Option<Decimal>,
    sent: HashMap<Pair, (Option<Decimal>, Status)>,
    /// What went out with its number, kept only if it can grow too old for the caller.
    fresh: BTreeMap<Pair, Arc<Update>>,
    ageing: Instant,
    /// Skipped updates that no message has told of yet.
    skipped: u64,
}

impl Personal {
    /// Takes note of what is asked; nothing if that is what everybody gets.
    pub(super) fn asked(bar: Bar, deviation_bps: Option<Decimal>, now: Instant) -> Option<Self> {
        let common = bar == Bar::default() && deviation_bps.is_none();
        (!common).then(|| Self {
            bar,
            deviation_bps,
            sent: HashMap::new(),
            fresh: BTreeMap::new(),
            ageing: now + AGEING,
            skipped: 0,
        })
    }

    /// Takes in the state that a stream starts with.
    pub(super) fn first(&mut self, updates: &[Arc<Update>], prices: &Prices) -> Vec<Arc<Update>> {
        for update in updates {
            self.moved(update);
        }
        self.shown(updates.iter(), prices)
    }

    /// Forgets what it has been sent: the state comes anew.
    pub(super) fn forget(&mut self) {
        self.sent.clear();
        self.fresh.clear();
        self.skipped = 0;
    }

    /// Makes this caller's own message of one that all get; nothing if there is nothing in it for the caller.
    pub(super) fn make(&mut self, message: &Message, prices: &Prices) -> Option<Arc<Message>> {
        self.skipped += message.skipped;
        let moved: Vec<_> = message.updates.iter().filter(|update| self.moved(update)).collect();
        if moved.is_empty() {
            return None;
        }
        let shown = self.shown(moved.into_iter(), prices);
        let skipped = std::mem::take(&mut self.skipped);
        Some(Message::new(prices.board(), message.kind, shown, message.cursor, skipped))
    }

    /// Takes the prices that have grown too old since they went out, without their numbers.
    pub(super) fn aged(&mut self, now: Instant, prices: &Prices) -> Vec<Arc<Update>> {
        if now < self.ageing {
            return Vec::new();
        }
        self.ageing = now + AGEING;
        let time = prices.clock().now();
        let mut aged = Vec::new();
        self.fresh.retain(|pair, update| {
            let holds = self.bar.check(&update.price, time).is_ok();
            if !holds {
                aged.push(prices.board().blank(update));
                // The next one comes however little it has moved.
                self.sent.remove(pair);
            }
            holds
        });
        aged
    }

    /// Tells when something may have grown too old, if anything can.
    pub(super) fn looks_again(&self) -> Option<Instant> {
        self.bar.max_age.is_some().then_some(self.ageing)
    }

    /// Shows prices as the bar allows, and remembers those that can grow too old for it.
    fn shown<'u>(
        &mut self,
        updates: impl Iterator<Item = &'u Arc<Update>>,
        prices: &Prices,
    ) -> Vec<Arc<Update>> {
        let now = prices.clock().now();
        let mut shown = Vec::new();
        for update in updates {
            let pair = update.price.pair;
            let meets = self.bar == Bar::default() || self.bar.check(&update.price, now).is_ok();
            if self.bar.max_age.is_some() {
                if meets {
                    self.fresh.insert(pair, Arc::clone(update));
                } else {
                    self.fresh.remove(&pair);
                }
            }
            shown.push(if meets { Arc::clone(update) } else { prices.board().blank(update) });
        }
        shown
    }

    /// Tells whether a price has moved far enough since it last went out, and remembers it if so.
    fn moved(&mut self, update: &Arc<Update>) -> bool {
        let Some(least) = self.deviation_bps else { return true };
        let price = &update.price;
        let now = (price.value.map(|value| value.price), price.status);
        let near = self.sent.get(&price.pair).is_some_and(|sent| {
            let apart = sent.0.zip(now.0).and_then(|(sent, now)| decimal::deviation_bps(now, sent));
            sent.1 == now.1 && apart.is_some_and(|apart| apart.abs() < least)
        });
        if !near {
            self.sent.insert(price.pair, now);
        }
        !near
    }
}
