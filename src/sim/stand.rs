//! One market at one venue as it moves: what makes it differ from the same market elsewhere.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{
    catalogue::Listing,
    chance::{BASIS_POINT, Chance, fraction},
    market::Market,
    ticker::{Day, SECONDS_A_DAY, Ticker, Trade},
    trouble::Trouble,
};
use crate::domain::{pair::Pair, trade::Side};

/// How far bid and ask are apart, the wrong way round, in a crossed book.
const CROSSING: i64 = 20 * BASIS_POINT;

/// Past trades of a market when its floor opens.
const PAST: i64 = 5;

/// Dollars that a market turns over in a day if it trades once a second.
const TURNOVER_AT_ONE_A_SECOND: Decimal = Decimal::from_parts(400_000_000, 0, 0, false, 0);

/// A market with what makes it differ from the same market elsewhere.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) listing: Listing,
    pub(super) ticker: Arc<Ticker>,
    /// From bid to ask, in billionths.
    spread: i64,
    /// How far this venue's price is from the truth right now, in billionths.
    offset: i64,
}

/// What a market is worth right now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fair {
    /// The true price.
    price: Decimal,
    /// Dollars for a unit of base.
    dollars: Decimal,
}

impl Stand {
    /// Opens a market, with a few past trades.
    pub(super) fn new(
        listing: Listing,
        fair: Fair,
        spread: i64,
        now: DateTime<Utc>,
        chance: &mut Chance,
    ) -> Self {
        let start = now - TimeDelta::minutes(1);
        let open = fair.near(200, chance).round_dp(listing.decimals);
        let base_volume = listing.turnover.checked_div(fair.dollars).unwrap_or_default();
        let base_volume = base_volume * Decimal::new(chance.between(800, 1_200), 3);
        let last = Trade {
            id: chance.between(100_000_000, 900_000_000).unsigned_abs(),
            price: fair.near(2, chance).round_dp(listing.decimals),
            amount: fair.amount(Decimal::ONE_HUNDRED, chance),
            side: Side::Buy,
            time: start,
        };
        let day = Day {
            open,
            high: (open.max(last.price) * Decimal::new(1_004, 3)).round_dp(listing.decimals),
            low: (open.min(last.price) * Decimal::new(996, 3)).round_dp(listing.decimals),
            base_volume: base_volume.round_dp(8),
            quote_volume: (base_volume * fair.price).round_dp(8),
        };
        let ticker = Ticker {
            pair: listing.pair,
            decimals: listing.decimals,
            bid: fair.price,
            bid_amount: last.amount,
            ask: fair.price,
            ask_amount: last.amount,
            last,
            trades: VecDeque::from([last]),
            day,
            time: start,
            update: chance.between(1_000_000_000, 9_000_000_000).unsigned_abs(),
        };
        let mut stand = Self {
            listing,
            ticker: Arc::new(ticker),
            spread: spread * chance.between(10, 30) / 10,
            offset: 0,
        };
        for seconds in 1..=PAST {
            let time = start + TimeDelta::seconds(seconds);
            stand.quote(fair, time, None, chance);
            stand.deal(fair, Decimal::ONE_HUNDRED, time, chance);
        }
        stand
    }

    /// Takes a new best bid and ask around the truth as this venue sees it.
    pub(super) fn quote(
        &mut self,
        fair: Fair,
        time: DateTime<Utc>,
        trouble: Option<Trouble>,
        chance: &mut Chance,
    ) {
        let ticker = Arc::make_mut(&mut self.ticker);
        ticker.time = time;
        ticker.update += 1;
        // A fifth of the offset is forgotten each time: it stays within a few basis points.
        self.offset = self.offset * 4 / 5 + chance.bell() * BASIS_POINT / 1_500;
        let (spike, half) = match trouble {
            Some(Trouble::Frozen) => return,
            Some(Trouble::Crossed) => (0, -CROSSING / 2),
            Some(Trouble::Spike(size)) => (size, self.spread / 2),
            _ => (0, self.spread / 2),
        };
        let price = |apart: i64, rounding: RoundingStrategy| {
            let price = fair.price * (Decimal::ONE + fraction(self.offset + spike + apart));
            price.round_dp_with_strategy(ticker.decimals, rounding)
        };
        ticker.bid = price(-half, RoundingStrategy::ToZero);
        ticker.ask = price(half, RoundingStrategy::AwayFromZero);
        ticker.bid_amount = fair.amount(Decimal::from(2_000), chance);
        ticker.ask_amount = fair.amount(Decimal::from(2_000), chance);
    }

    /// Trades as often and as much as the turnover of a day asks for, and gives the trades as they are reported.
    pub(super) fn trade(
        &mut self,
        fair: Fair,
        lapse: Duration,
        time: DateTime<Utc>,
        trouble: Option<Trouble>,
        chance: &mut Chance,
    ) -> Vec<Trade> {
        let seconds = Decimal::new(i64::try_from(lapse.as_micros()).unwrap_or(i64::MAX), 6);
        let rate = self.listing.turnover / TURNOVER_AT_ONE_A_SECOND;
        let odds = (rate.clamp(Decimal::new(1, 1), Decimal::from(5)) * seconds).min(Decimal::ONE);
        let in_a_million = (odds * Decimal::from(1_000_000)).trunc();
        let trades = chance.happens(i64::try_from(in_a_million).unwrap_or(1_000_000));
        if !trades || trouble == Some(Trouble::Frozen) {
            return Vec::new();
        }
        let size = self.listing.turnover * seconds / Decimal::from(SECONDS_A_DAY) / odds;
        let first = self.deal(fair, size, time, chance);
        if trouble != Some(Trouble::Shuffled) {
            return vec![first];
        }
        let second = self.deal(fair, size, time, chance);
        vec![second, first, second]
    }

    /// Trades once, at the best bid or ask, for about so many dollars.
    fn deal(&mut self, fair: Fair, dollars: Decimal, time: DateTime<Utc>, chance: &mut Chance) -> Trade {
        let ticker = Arc::make_mut(&mut self.ticker);
        let (side, price) =
            if chance.happens(500_000) { (Side::Buy, ticker.ask) } else { (Side::Sell, ticker.bid) };
        let trade = Trade { id: ticker.last.id + 1, price, amount: fair.amount(dollars, chance), side, time };
        ticker.record(trade);
        trade
    }
}

impl Fair {
    /// Looks a pair up in the market.
    pub(super) fn of(market: &Market, pair: Pair) -> Option<Self> {
        Some(Self { price: market.truth(pair)?, dollars: market.value(pair.base)? })
    }

    /// Draws an amount of base worth about so many dollars, with five significant digits.
    fn amount(self, dollars: Decimal, chance: &mut Chance) -> Decimal {
        let worth = dollars * Decimal::new(chance.between(100, 1_900), 3);
        let amount = worth.checked_div(self.dollars).unwrap_or_default();
        amount.round_sf(5).unwrap_or(amount).round_dp(8).max(Decimal::new(1, 8))
    }

    /// Draws a price about so many basis points away.
    fn near(self, bps: i64, chance: &mut Chance) -> Decimal {
        self.price * (Decimal::ONE + fraction(chance.between(-bps, bps) * BASIS_POINT))
    }
}
