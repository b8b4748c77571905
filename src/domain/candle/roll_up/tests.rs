use proptest::{option, prelude::*};

use super::*;
use crate::domain::{
    candle::sample::{at, candle, gap},
    venue::Venue,
};

const MINUTE: Interval = Interval::Minute;
const FIVE: Interval = Interval::FiveMinutes;

#[test]
fn first_highest_lowest_last_and_sums() {
    let parts = [
        candle(MINUTE, 120, Some([4, 9, 4, 5]), 3),
        candle(MINUTE, 0, None, 0),
        candle(MINUTE, 60, Some([3, 6, 2, 4]), 2),
        candle(MINUTE, 180, Some([5, 7, 5, 6]), 1),
        candle(MINUTE, 240, None, 0),
    ];
    assert_eq!(roll_up(&parts, FIVE), Ok(candle(FIVE, 0, Some([3, 9, 2, 6]), 6)));
    // Of several lengths.
    let hour =
        roll_up(&[candle(FIVE, 300, Some([8, 8, 1, 8]), 1), parts[2].clone()], Interval::Hour).unwrap();
    let expected = candle(Interval::Hour, 0, Some([3, 8, 1, 8]), 3);
    assert_eq!(hour, Candle { coverage: "0.1".parse().unwrap(), ..expected });
}

#[test]
fn what_is_unknown_lessens_the_coverage() {
    let known = |coverage: &str| Candle {
        coverage: coverage.parse().unwrap(),
        ..candle(MINUTE, 0, Some([1, 1, 1, 1]), 1)
    };
    for (parts, state, coverage) in [
        (vec![gap(MINUTE, 0), gap(MINUTE, 60)], CandleState::Gap, "0"),
        (vec![gap(MINUTE, 60), candle(MINUTE, 0, None, 0)], CandleState::Final, "0.2"),
        (vec![known("0.5"), gap(MINUTE, 60)], CandleState::Final, "0.1"),
        (vec![known("0")], CandleState::Final, "0"),
        (vec![known("0.000001")], CandleState::Final, "0.000001"),
    ] {
        let whole = roll_up(&parts, FIVE).unwrap();
        assert_eq!((whole.state, whole.coverage.to_string()), (state, coverage.to_owned()), "{parts:?}");
    }
    let mut all = [0, 60, 120, 180, 240].map(|open| candle(MINUTE, open, None, 0));
    all[3].coverage = "0.999999".parse().unwrap();
    assert_eq!(roll_up(&all, FIVE).unwrap().coverage.to_string(), "0.999999");
}

#[test]
fn a_part_that_may_change_makes_the_whole_so() {
    let part = |open, state, revision, maker| Candle {
        revision,
        state,
        maker,
        ..candle(MINUTE, open, Some([1, 1, 1, 1]), 1)
    };
    for (parts, expected) in [
        (
            [(CandleState::Final, 0, CandleMaker::Service), (CandleState::Forming, 0, CandleMaker::Service)],
            (CandleState::Forming, 0, CandleMaker::Service),
        ),
        (
            [
                (CandleState::Restated, 2, CandleMaker::Service),
                (CandleState::Forming, 0, CandleMaker::Service),
            ],
            (CandleState::Forming, 2, CandleMaker::Service),
        ),
        (
            [
                (CandleState::Restated, 2, CandleMaker::Service),
                (CandleState::Restated, 1, CandleMaker::Venue),
            ],
            (CandleState::Restated, 3, CandleMaker::Venue),
        ),
        (
            [
                (CandleState::Restated, u32::MAX, CandleMaker::Service),
                (CandleState::Restated, 1, CandleMaker::Service),
            ],
            (CandleState::Restated, u32::MAX, CandleMaker::Service),
        ),
    ] {
        let opens = [0, 60].into_iter();
        let parts =
            opens.zip(parts).map(|(open, (state, revision, maker))| part(open, state, revision, maker));
        let whole = roll_up(&parts.collect::<Vec<_>>(), FIVE).unwrap();
        assert_eq!((whole.state, whole.revision, whole.maker), expected);
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let one = candle(MINUTE, 0, None, 0);
    let elsewhere = Candle { venue: Some(Venue::new("okx")), ..candle(MINUTE, 60, None, 0) };
    let outside = |interval, open| RollUpError::Outside { interval, open_time: at(open), into: FIVE };
    for (parts, error) in [
        (vec![], RollUpError::Empty),
        (vec![one.clone(), elsewhere], RollUpError::Mixed),
        (vec![one.clone(), candle(MINUTE, 300, None, 0)], outside(MINUTE, 300)),
        (vec![candle(Interval::Hour, 0, None, 0)], outside(Interval::Hour, 0)),
        (vec![one.clone(), one.clone()], RollUpError::Overlapping(at(0))),
        (vec![candle(Interval::Second, 59, None, 0), one], RollUpError::Overlapping(at(59))),
    ] {
        assert_eq!(roll_up(&parts, FIVE), Err(error));
    }
}

prop_compose! {
    /// A candle of five minutes, of which a quarter are missing and others are not known, or in part.
    fn any_part()(
        prices in option::weighted(0.8, prop::array::uniform4(1_i64..100)),
        trade_count in 1_u32..1_000,
        coverage in prop_oneof![Just(1_000_000_i64), 0_i64..1_000_000],
        revision in prop_oneof![3 => Just(0_u32), 1 => 1_u32..5],
    ) -> Candle {
        let prices = prices.map(|[open, high, low, close]| {
            let [first, .., last] = { let mut all = [open, high, low, close]; all.sort_unstable(); all };
            [open, last, first, close]
        });
        let coverage = Decimal::new(coverage, 6).normalize();
        let candle = candle(FIVE, 0, prices, if prices.is_some() { trade_count } else { 0 });
        let state = match revision {
            _ if prices.is_none() && coverage.is_zero() => CandleState::Gap,
            0 => CandleState::Final,
            _ => CandleState::Restated,
        };
        Candle { revision, state, coverage, ..candle }
    }
}

proptest! {
    #[test]
    fn in_one_step_or_in_several_it_is_the_same(
        parts in prop::collection::vec(option::weighted(0.75, any_part()), 12),
        shift in 0_usize..12,
    ) {
        let hour = (0..).step_by(300).zip(parts);
        let mut parts: Vec<_> = hour
            .filter_map(|(open, part)| part.map(|part| Candle { open_time: at(open), ..part }))
            .collect();
        prop_assume!(!parts.is_empty());
        let quarters: Vec<_> = parts
            .chunk_by(|one, next| {
                let quarter = |part: &Candle| Interval::QuarterHour.open_time(part.open_time);
                quarter(one) == quarter(next)
            })
            .map(|parts| roll_up(parts, Interval::QuarterHour).unwrap())
            .collect();
        let turn = shift % parts.len();
        parts.rotate_left(turn);
        let whole = roll_up(&parts, Interval::Hour).unwrap();
        let stepwise = roll_up(&quarters, Interval::Hour).unwrap();
        // Coverage is rounded at each step.
        prop_assert!((whole.coverage - stepwise.coverage).abs() <= Decimal::new(2, 6));
        prop_assert_eq!(whole.coverage == Decimal::ONE, stepwise.coverage == Decimal::ONE);
        prop_assert_eq!(Candle { coverage: whole.coverage, ..stepwise }, whole);
    }
}
