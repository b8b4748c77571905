//! The candle of all venues, made of theirs where their trades are not known.

use rust_decimal::Decimal;

use super::{
    Candle, CandleMaker, CandleState, Ohlc,
    listening::{PLACES, within},
    roll_up::Totals,
};
use crate::domain::exact::Exact;

/// Makes the composite of venues' candles of one pair and interval, which stand in any order; `expected` is how many venues
/// there should be. There is none where nothing is known of any venue.
///
/// Volumes and counts are summed, and the extremes are those of all. Whose trade came first and whose last cannot be told of
/// candles: open and close are those of the venue with the largest volume, among equals of the one whose name comes first. The
/// coverage is the mean of the venues', of which what is not known has none.
pub fn composite(parts: &[Candle], expected: usize) -> Option<Candle> {
    let mut parts: Vec<&Candle> = parts.iter().filter(|part| part.state != CandleState::Gap).collect();
    parts.sort_by_key(|part| (std::cmp::Reverse(part.base_volume), part.venue));
    let first = *parts.first()?;
    let totals = Totals::of(parts.iter().copied());
    let largest = parts.iter().find_map(|part| part.prices);
    let prices = totals.prices.zip(largest).map(|(all, largest)| Ohlc {
        open: largest.open,
        high: all.high,
        low: all.low,
        close: largest.close,
    });
    let all_trades = parts.iter().all(|part| part.maker == CandleMaker::Service);
    let traded = parts.iter().filter(|part| part.prices.is_some()).count();
    Some(Candle {
        venue: None,
        revision: 0,
        state: CandleState::Final,
        maker: if all_trades { CandleMaker::Service } else { CandleMaker::Venue },
        prices,
        base_volume: totals.base_volume,
        quote_volume: totals.quote_volume,
        trade_count: totals.trade_count,
        source_count: u32::try_from(traded).unwrap_or(u32::MAX),
        coverage: mean_coverage(&parts, expected),
        ..first.clone()
    })
}

/// Gets the mean share of all that are expected.
fn mean_coverage(parts: &[&Candle], expected: usize) -> Decimal {
    let expected = expected.max(parts.len());
    if parts.len() == expected && parts.iter().all(|part| part.coverage == Decimal::ONE) {
        return Decimal::ONE;
    }
    if parts.iter().all(|part| part.coverage.is_zero()) {
        return Decimal::ZERO;
    }
    let sum = parts.iter().fold(Exact::of(Decimal::ZERO), |sum, part| sum.plus(&Exact::of(part.coverage)));
    let mean = sum.divided_by(Decimal::from(expected)).and_then(|mean| mean.to_places(PLACES));
    within(mean.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Interval, sample},
        *,
    };
    use crate::domain::venue::Venue;

    fn part(venue: &'static str, prices: Option<[i64; 4]>, trades: u32) -> Candle {
        let candle = sample::candle(Interval::Minute, 0, prices, trades);
        Candle { venue: Some(Venue::new(venue)), ..candle }
    }

    #[test]
    fn open_and_close_are_those_of_the_largest_volume() {
        let parts = [
            part("kraken", Some([5, 9, 4, 6]), 2),
            part("binance", Some([50, 80, 40, 60]), 7),
            part("okx", None, 0),
            Candle { state: CandleState::Gap, coverage: Decimal::ZERO, ..part("gate", None, 0) },
        ];
        let made = composite(&parts, 4).unwrap();
        let [open, high, low, close] = [50, 80, 4, 60].map(Decimal::from);
        assert_eq!(made.prices, Some(Ohlc { open, high, low, close }));
        assert_eq!((made.base_volume, made.quote_volume), (Decimal::from(9), Decimal::from(18)));
        assert_eq!((made.trade_count, made.source_count, made.venue), (9, 2, None));
        assert_eq!(made.coverage, Decimal::new(75, 2));
        let mut turned = parts.clone();
        turned.reverse();
        assert_eq!(composite(&turned, 4), Some(made));
    }

    #[test]
    fn among_equals_the_first_by_name_opens_and_closes() {
        let parts = [part("okx", Some([5, 5, 5, 5]), 2), part("gate", Some([6, 6, 6, 6]), 2)];
        assert_eq!(composite(&parts, 2).unwrap().prices.unwrap().open, Decimal::from(6));
    }

    #[test]
    fn of_nothing_known_there_is_nothing_and_of_no_trades_no_prices() {
        let quiet = part("okx", None, 0);
        assert_eq!(composite(&[], 3), None);
        assert_eq!(composite(&[Candle { state: CandleState::Gap, ..quiet.clone() }], 3), None);
        let made = composite(&[quiet], 3).unwrap();
        assert_eq!((made.prices, made.source_count), (None, 0));
        assert_eq!(made.coverage, Decimal::new(333_333, 6));
    }
}
