//! How one market stands at one venue: its best bid and ask, its trades, its day.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use crate::domain::{pair::Pair, trade::Side};

/// Past trades that a ticker remembers.
const MEMORY: usize = 20;

/// Seconds in the window of the day's volume.
pub(super) const SECONDS_A_DAY: i64 = 86_400;

/// How one market stands at one venue.
#[derive(Debug, Clone)]
pub(super) struct Ticker {
    pub(super) pair: Pair,
    /// Decimals of a price.
    pub(super) decimals: u32,
    pub(super) bid: Decimal,
    pub(super) bid_amount: Decimal,
    pub(super) ask: Decimal,
    pub(super) ask_amount: Decimal,
    /// The last trade.
    pub(super) last: Trade,
    /// The last trades, the newest first.
    pub(super) trades: VecDeque<Trade>,
    pub(super) day: Day,
    /// When it took these values, by the venue's clock.
    pub(super) time: DateTime<Utc>,
    /// Rises with every change.
    pub(super) update: u64,
}

/// The last 24 hours: volumes forget what is older little by little; the rest reaches back over all of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    pub(super) open: Decimal,
    pub(super) high: Decimal,
    pub(super) low: Decimal,
    pub(super) base_volume: Decimal,
    pub(super) quote_volume: Decimal,
}

/// One trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trade {
    pub(super) id: u64,
    pub(super) price: Decimal,
    pub(super) amount: Decimal,
    /// The taker's side.
    pub(super) side: Side,
    pub(super) time: DateTime<Utc>,
}

impl Ticker {
    /// Takes a trade that has happened.
    pub(super) fn record(&mut self, trade: Trade) {
        self.day.count(&trade, trade.time - self.last.time);
        self.last = trade;
        self.trades.truncate(MEMORY - 1);
        self.trades.push_front(trade);
    }

    /// Gets how much the price changed over the day, and the same relative to the day's open.
    pub(super) fn change(&self) -> (Decimal, Decimal) {
        let change = self.last.price - self.day.open;
        (change, change.checked_div(self.day.open).unwrap_or_default())
    }

    /// Gets the day's average price by volume, with the decimals of a price.
    pub(super) fn average(&self) -> Decimal {
        let average = self.day.quote_volume.checked_div(self.day.base_volume);
        average.unwrap_or(self.last.price).round_dp(self.decimals)
    }
}

impl Day {
    /// Counts a trade, and forgets what went by in the time since the one before.
    fn count(&mut self, trade: &Trade, since: TimeDelta) {
        let kept =
            Decimal::ONE - Decimal::new(since.num_milliseconds().max(0), 3) / Decimal::from(SECONDS_A_DAY);
        let kept = kept.max(Decimal::ZERO);
        self.base_volume = (self.base_volume * kept + trade.amount).round_dp(8);
        self.quote_volume = (self.quote_volume * kept + trade.amount * trade.price).round_dp(8);
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
    }
}
