//! How each source stands to what all agree on, looked at now and then for all pairs.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{board::Board, health::Sources};
use crate::domain::{aggregate::Verdict, decimal, pair::Pair, venue::Venue};

/// How often it is looked.
const EVERY: TimeDelta = TimeDelta::seconds(1);

/// Looks when it is time to.
#[derive(Debug, Default)]
pub(super) struct Scorecard {
    looked_at: Option<DateTime<Utc>>,
}

impl Scorecard {
    /// Tells the sources how far their readings were from the prices on the board, and which of their markets are
    /// frozen; unless that was done a moment ago.
    pub(super) fn look(&mut self, board: &Board, sources: &Sources, now: DateTime<Utc>) {
        if self.looked_at.is_some_and(|looked_at| now - looked_at < EVERY) {
            return;
        }
        self.looked_at = Some(now);
        let mut frozen: BTreeMap<Venue, BTreeSet<Pair>> = BTreeMap::new();
        for explanation in board.list(None, None).filter_map(|update| board.explain(update.price.pair)) {
            let agreed = explanation.update.price.value.map(|value| value.price);
            for made in &explanation.contributions {
                if made.verdict == Verdict::Frozen {
                    frozen.entry(made.quote.venue).or_default().insert(made.quote.market);
                }
                let apart = made.reading.as_ref().zip(agreed);
                let apart = apart.and_then(|(reading, agreed)| decimal::deviation_bps(reading.price, agreed));
                if let (Some(apart), Some(source)) = (apart, sources.get(made.quote.venue)) {
                    source.deviates(apart, now);
                }
            }
        }
        for source in sources.all() {
            let markets = frozen.get(&source.venue()).map_or(0, BTreeSet::len);
            source.frozen(u32::try_from(markets).unwrap_or(u32::MAX), now);
        }
    }
}
