use super::*;
use crate::domain::candle::sample::{at, candle, gap};

const MINUTE: Interval = Interval::Minute;

fn check(candles: &[Candle], (from, to): (i64, i64), least: &str, expected: &[(i64, i64)]) {
    let expected: Vec<_> = expected.iter().map(|(from, to)| at(*from)..at(*to)).collect();
    assert_eq!(gaps(candles, MINUTE, at(from)..at(to), least.parse().unwrap()), expected, "{from} {to}");
}

#[test]
fn what_is_missing_or_unknown_is_a_gap() {
    let part = |open, coverage: &str| Candle {
        coverage: coverage.parse().unwrap(),
        ..candle(MINUTE, open, Some([1, 1, 1, 1]), 1)
    };
    let candles = [
        candle(MINUTE, 240, Some([1, 1, 1, 1]), 1),
        candle(MINUTE, 60, None, 0),
        gap(MINUTE, 120),
        part(300, "0.5"),
        // Those of another interval say nothing.
        candle(Interval::FiveMinutes, 0, None, 0),
    ];
    check(&candles, (60, 360), "0", &[(120, 240)]);
    check(&candles, (60, 360), "0.5", &[(120, 240)]);
    check(&candles, (60, 360), "0.51", &[(120, 240), (300, 360)]);
    check(&candles, (0, 480), "0", &[(0, 60), (120, 240), (360, 480)]);
    check(&candles, (59, 361), "0", &[(0, 60), (120, 240), (360, 420)]);
    check(&candles, (61, 62), "0", &[]);
    check(&candles, (60, 60), "0", &[]);
    check(&candles, (360, 0), "0", &[]);
    check(&[], (0, 60), "0", &[(0, 60)]);
}
