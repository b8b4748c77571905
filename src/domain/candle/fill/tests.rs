use super::*;
use crate::domain::candle::{
    CandleState,
    sample::{SERIES, at, candle, gap},
};

const MINUTE: Interval = Interval::Minute;

/// Writes rows as open and close, state, and whether they are filled.
fn rows(candles: &[Candle], (from, to): (i64, i64), how: Fill, previous: Option<i64>) -> Vec<String> {
    let previous = previous.map(Decimal::from);
    fill(candles, (SERIES, MINUTE), at(from)..at(to), how, previous)
        .map(|Row { candle, filled }| {
            let prices = candle.prices.map_or("-".to_owned(), |prices| {
                format!("{} {} {} {}", prices.open, prices.high, prices.low, prices.close)
            });
            assert_eq!(candle.trade_count == 0, candle.base_volume.is_zero());
            let second = (candle.open_time - at(0)).num_seconds();
            format!("{second}: {prices} {:?}{}", candle.state, if filled { " filled" } else { "" })
        })
        .collect()
}

fn some() -> Vec<Candle> {
    vec![
        candle(MINUTE, 60, Some([3, 6, 2, 4]), 2),
        candle(MINUTE, 120, None, 0),
        gap(MINUTE, 180),
        candle(Interval::Hour, 240, Some([9, 9, 9, 9]), 1),
        Candle { state: CandleState::Forming, ..candle(MINUTE, 300, Some([5, 5, 5, 5]), 1) },
    ]
}

#[test]
fn every_interval_is_shown_where_it_is_asked_for() {
    assert_eq!(
        rows(&some(), (0, 400), Fill::Null, Some(1)),
        [
            "0: - Gap filled",
            "60: 3 6 2 4 Final",
            "120: - Final",
            "180: - Gap",
            "240: - Gap filled",
            "300: 5 5 5 5 Forming",
            "360: - Gap filled",
        ]
    );
}

#[test]
fn the_last_price_goes_on_and_says_that_it_was_filled_in() {
    let expected = [
        "60: 3 6 2 4 Final",
        "120: 4 4 4 4 Final filled",
        "180: 4 4 4 4 Gap filled",
        "240: 4 4 4 4 Gap filled",
        "300: 5 5 5 5 Forming",
        "360: 5 5 5 5 Gap filled",
    ];
    let all = rows(&some(), (0, 400), Fill::Previous, None);
    assert_eq!((all[0].as_str(), &all[1..]), ("0: - Gap filled", &expected.map(str::to_owned)[..]));
    assert_eq!(rows(&some(), (0, 60), Fill::Previous, Some(1)), ["0: 1 1 1 1 Gap filled"]);
}

#[test]
fn a_range_has_the_intervals_that_open_in_it() {
    for (range, expected) in [((0, 0), 0), ((1, 60), 0), ((1, 61), 1), ((0, 120), 2), ((120, 0), 0)] {
        assert_eq!(rows(&[], range, Fill::Null, None).len(), expected, "{range:?}");
    }
    let last = DateTime::<Utc>::MAX_UTC;
    let endless = fill(&[], (SERIES, MINUTE), last - chrono::TimeDelta::seconds(90)..last, Fill::Null, None);
    assert!(endless.take(5).count() <= 2);
}
