//! What a venue's rows say, as candles. Pure.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::pages::Span;
use crate::{
    domain::{
        candle::{Candle, CandleMaker, CandleState, Interval, Ohlc, builder::Series},
        exact::Exact,
    },
    feed::rest::CandleReport,
};

/// Makes candles of rows in the order of time, as far as they lie within some spans.
///
/// A row without volume and trades is a candle without prices: venues fill such intervals with the last price. What is
/// left out between two rows of the same answer was not traded either. Before the first row and after the last one nothing is
/// known. A row that contradicts itself, or that opens when no candle of ours does, makes no candle.
pub(super) fn candles(
    series: Series,
    interval: Interval,
    rows: &[CandleReport],
    wanted: &[Span],
) -> Vec<Candle> {
    let mut candles = Vec::new();
    let mut told: Option<DateTime<Utc>> = None;
    for row in rows {
        if let Some(from) = told {
            for span in wanted.iter().filter(|span| span.start < row.open_time && from < span.end) {
                let mut at = from.max(span.start);
                while at < row.open_time.min(span.end) {
                    candles.push(candle(series, interval, at, None));
                    at = interval.close_time(at);
                }
            }
        }
        let known = told.is_some_and(|from| row.open_time < from);
        let aligned = interval.open_time(row.open_time) == row.open_time;
        if known || !aligned {
            continue;
        }
        told = Some(interval.close_time(row.open_time));
        if is_consistent(row) && wanted.iter().any(|span| span.contains(&row.open_time)) {
            candles.push(candle(series, interval, row.open_time, Some(row)));
        }
    }
    candles
}

/// Makes the candle of a row, or of an interval in which nothing was traded.
fn candle(
    series: Series,
    interval: Interval,
    open_time: DateTime<Utc>,
    row: Option<&CandleReport>,
) -> Candle {
    let traded = row.filter(|row| !(is_zero(row.base_volume) && row.trade_count.unwrap_or_default() == 0));
    let base_volume = traded.and_then(|row| row.base_volume).unwrap_or_default();
    Candle {
        pair: series.pair,
        venue: series.venue,
        interval,
        open_time,
        revision: 0,
        state: CandleState::Final,
        maker: CandleMaker::Venue,
        prices: traded.map(|row| Ohlc { open: row.open, high: row.high, low: row.low, close: row.close }),
        base_volume,
        quote_volume: traded.map(|row| quote_volume(row, base_volume)).unwrap_or_default(),
        // Where the venue does not count, there was one at least.
        trade_count: traded.map_or(0, |row| row.trade_count.unwrap_or(1)),
        source_count: traded.is_some().into(),
        coverage: Decimal::ONE,
    }
}

/// Gets what was traded in units of quote. Where the venue does not say, it is estimated: at the typical price, the mean of
/// highest, lowest and last, which lies between highest and lowest as the true mean price does.
fn quote_volume(row: &CandleReport, base_volume: Decimal) -> Decimal {
    row.quote_volume.unwrap_or_else(|| {
        let sum = Exact::of(row.high).plus(&Exact::of(row.low)).plus(&Exact::of(row.close));
        let volume = sum.times(base_volume).divided_by(Decimal::from(3)).and_then(|volume| volume.rounded());
        volume.unwrap_or_default()
    })
}

fn is_zero(volume: Option<Decimal>) -> bool {
    volume.is_some_and(|volume| volume.is_zero())
}

/// Tells whether the prices can be those of one interval, and the volume one at all.
fn is_consistent(row: &CandleReport) -> bool {
    let inside = |price: Decimal| row.low <= price && price <= row.high;
    inside(row.open) && inside(row.close) && row.base_volume.is_none_or(|volume| volume >= Decimal::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{decimal, pair::Pair, venue::Venue};

    const SERIES: Series = Series { pair: Pair::literal("ETH", "BTC"), venue: Some(Venue::new("kraken")) };

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_392_000 + 60 * minute, 0).unwrap()
    }

    fn row(minute: i64, prices: [&str; 4], base: &str) -> CandleReport {
        let [open, high, low, close] = prices.map(|price| decimal::parse(price).unwrap());
        CandleReport {
            open_time: at(minute),
            open,
            high,
            low,
            close,
            base_volume: Some(decimal::parse(base).unwrap()),
            quote_volume: None,
            trade_count: None,
        }
    }

    fn made(rows: &[CandleReport], from: i64, to: i64) -> Vec<Candle> {
        candles(SERIES, Interval::Minute, rows, std::slice::from_ref(&(at(from)..at(to))))
    }

    /// Shows when candles open, and their last price.
    fn shown(candles: &[Candle]) -> Vec<(i64, Option<String>)> {
        let close = |candle: &Candle| candle.prices.map(|prices| decimal::text(prices.close));
        candles.iter().map(|candle| ((candle.open_time - at(0)).num_minutes(), close(candle))).collect()
    }

    const PRICES: [&str; 4] = ["2", "4", "1", "3"];

    #[test]
    fn what_is_left_out_between_rows_was_not_traded_and_around_them_nothing_is_known() {
        let rows = [row(2, PRICES, "1"), row(5, PRICES, "1")];
        let three = Some("3".to_owned());
        assert_eq!(shown(&made(&rows, 0, 9)), [(2, three.clone()), (3, None), (4, None), (5, three.clone())]);
        // Rows outside of what is wanted still tell what lies between them.
        assert_eq!(shown(&made(&rows, 4, 5)), [(4, None)]);
        assert_eq!(made(&rows, 6, 9), []);
        assert_eq!(made(&[], 0, 9), []);
        let spans = [at(0)..at(3), at(4)..at(6)];
        let two = candles(SERIES, Interval::Minute, &rows, &spans);
        assert_eq!(shown(&two), [(2, three.clone()), (4, None), (5, three)]);
    }

    #[test]
    fn a_flat_row_without_volume_has_no_prices() {
        let flat = ["2", "2", "2", "2"];
        let counted = CandleReport { trade_count: Some(0), ..row(1, flat, "0") };
        // So little was traded that the venue's volume is rounded to nothing.
        let little = CandleReport { trade_count: Some(1), ..row(2, flat, "0") };
        let made = made(&[row(0, flat, "0"), counted, little], 0, 3);
        assert_eq!(shown(&made), [(0, None), (1, None), (2, Some("2".to_owned()))]);
        assert_eq!((made[0].state, made[0].maker), (CandleState::Final, CandleMaker::Venue));
        assert_eq!((made[0].coverage, made[0].source_count, made[0].trade_count), (Decimal::ONE, 0, 0));
    }

    #[test]
    fn rows_that_cannot_be_make_no_candle_and_are_not_taken_for_empty() {
        let rows = [
            row(0, PRICES, "1"),
            row(1, ["2", "1", "4", "3"], "1"),
            row(2, ["9", "4", "1", "3"], "1"),
            row(3, PRICES, "-1"),
            row(4, PRICES, "1"),
            row(4, ["4", "4", "4", "4"], "1"),
        ];
        assert_eq!(shown(&made(&rows, 0, 9)), [(0, Some("3".to_owned())), (4, Some("3".to_owned()))]);
        let thursday = [row(3 * 24 * 60, PRICES, "1")];
        let all = [at(-100_000)..at(100_000)];
        assert_eq!(candles(SERIES, Interval::Week, &thursday, &all), []);
    }

    #[test]
    fn what_the_venue_does_not_say_is_estimated_or_the_least_that_it_can_be() {
        let estimated = &made(&[row(0, ["2", "4", "1", "3"], "1.5")], 0, 1)[0];
        assert_eq!((decimal::text(estimated.quote_volume).as_str(), estimated.trade_count), ("4", 1));
        let told = CandleReport {
            quote_volume: Some(Decimal::from(5)),
            trade_count: Some(9),
            ..row(0, PRICES, "1.5")
        };
        let told = &made(&[told], 0, 1)[0];
        assert_eq!((told.quote_volume, told.trade_count), (Decimal::from(5), 9));
    }
}
