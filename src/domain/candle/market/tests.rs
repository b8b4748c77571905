use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::*;
use crate::domain::{
    candle::{CandleMaker, CandleState, Ohlc, listening::share},
    decimal::text,
    trade::Side,
};

mod examples;
mod properties;

const PAIR: Pair = Pair::literal("BTC", "USDT");
const VENUES: [Venue; 3] = [Venue::new("binance"), Venue::new("kraken"), Venue::new("okx")];
const KRAKEN: Venue = Venue::new("kraken");

/// A moment around the end of a week: 0 is Monday, 00:00.
fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_392_000_000 + millis).unwrap()
}

fn trade(id: &str, millis: i64, price: i64, amount: i64) -> Trade {
    Trade {
        id: Some(id.to_owned()).filter(|id| !id.is_empty()),
        count: 1,
        price: price.into(),
        amount: Decimal::new(amount, 3),
        side: Side::Buy,
        time: at(millis),
    }
}

/// Whose candle, how long it is, when it opened.
type Place = (Option<Venue>, Interval, DateTime<Utc>);

/// A market, and everything that it has told last.
struct Run {
    market: Market,
    now: DateTime<Utc>,
    last: BTreeMap<Place, Candle>,
}

impl Run {
    /// Begins at a moment, with venues that are connected to.
    fn new(venues: &[Venue], millis: i64) -> Self {
        let mut market = Market::new(PAIR, at(millis), Policy::default());
        for venue in venues {
            market.expect(*venue, at(millis));
            market.connected(*venue, at(millis));
        }
        Self { market, now: at(millis), last: BTreeMap::new() }
    }

    /// Takes in a trade that comes a while after it happened, live, and looks at the candles.
    fn trade(&mut self, venue: Venue, trade: &Trade, delay: i64) -> Intake {
        let received = (trade.time + TimeDelta::milliseconds(delay)).max(self.now);
        self.tick(received);
        self.market.trade(venue, trade, false, received)
    }

    /// Looks at the candles, and at whether they may change as they do.
    fn tick(&mut self, now: DateTime<Utc>) -> Vec<Candle> {
        let before = self.market.composite.closed_until();
        let mut told = Vec::new();
        // A second at a time, as a clock does.
        while self.now < now {
            self.now = (self.now + TimeDelta::seconds(1)).min(now);
            let now = self.now;
            self.market.tick(now, |_| now, &mut told);
        }
        assert!(self.market.composite.closed_until() >= before, "what is closed stays closed");
        for candle in &told {
            let place = (candle.venue, candle.interval, candle.open_time);
            let closed = candle.close_time() <= self.market.composite.closed_until();
            match self.last.insert(place, candle.clone()) {
                Some(last) if last.state != CandleState::Forming => {
                    assert_eq!(candle.revision, last.revision + 1, "{last:?} became {candle:?}");
                    assert!(matches!(candle.state, CandleState::Restated | CandleState::Gap), "{candle:?}");
                }
                _ => assert!(candle.revision == 0 && candle.state != CandleState::Restated, "{candle:?}"),
            }
            assert!(closed || candle.state == CandleState::Forming, "final before its time: {candle:?}");
        }
        told
    }

    /// Gets what was told last of a candle.
    fn last(&self, venue: Option<Venue>, interval: Interval, millis: i64) -> &Candle {
        &self.last[&(venue, interval, at(millis))]
    }
}

/// Writes what a candle says in a line.
fn line(candle: &Candle) -> String {
    let prices = candle
        .prices
        .map_or("-".to_owned(), |Ohlc { open, high, low, close }| format!("{open} {high} {low} {close}"));
    format!(
        "{:?} {} | {prices} | {} {} | {} of {} | {}",
        candle.state,
        candle.revision,
        text(candle.base_volume),
        text(candle.quote_volume),
        candle.trade_count,
        candle.source_count,
        candle.coverage,
    )
}
