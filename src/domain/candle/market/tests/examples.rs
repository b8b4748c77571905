//! Worked by hand.

use super::*;

fn check(run: &Run, venue: Option<Venue>, interval: Interval, millis: i64, expected: &str) {
    assert_eq!(line(run.last(venue, interval, millis)), expected, "{interval} {millis}");
}

#[test]
fn the_clock_closes_a_candle_and_not_the_next_trade() {
    let mut run = Run::new(&[KRAKEN], -5_000);
    run.trade(KRAKEN, &trade("7", -1_500, 100, 1_000), 0);
    run.trade(KRAKEN, &trade("8", -1_200, 90, 500), 0);
    run.tick(at(-1));
    check(&run, Some(KRAKEN), Interval::Second, -2_000, "Forming 0 | 100 100 90 90 | 1.5 145 | 2 of 1 | 1");
    run.tick(at(999));
    check(&run, Some(KRAKEN), Interval::Second, -2_000, "Forming 0 | 100 100 90 90 | 1.5 145 | 2 of 1 | 1");
    run.tick(at(1_000));
    check(&run, Some(KRAKEN), Interval::Second, -2_000, "Final 0 | 100 100 90 90 | 1.5 145 | 2 of 1 | 1");
    run.tick(at(2_000));
    for interval in Interval::ALL.into_iter().skip(1) {
        // Of the time before the start nothing is known.
        let millis = -interval.seconds() * 1_000;
        let coverage = share(TimeDelta::seconds(5), interval.span());
        let expected = format!("Final 0 | 100 100 90 90 | 1.5 145 | 2 of 1 | {coverage}");
        check(&run, Some(KRAKEN), interval, millis, &expected);
        check(&run, None, interval, millis, &expected);
    }
}

#[test]
fn no_trade_is_not_the_same_as_nothing_known() {
    let mut run = Run::new(&[KRAKEN], 0);
    run.tick(at(3_500));
    run.market.disconnected(KRAKEN, at(3_500));
    run.tick(at(70_000));
    check(&run, Some(KRAKEN), Interval::Second, 2_000, "Final 0 | - | 0 0 | 0 of 0 | 1");
    check(&run, Some(KRAKEN), Interval::Second, 3_000, "Final 0 | - | 0 0 | 0 of 0 | 0.5");
    check(&run, Some(KRAKEN), Interval::Second, 4_000, "Gap 0 | - | 0 0 | 0 of 0 | 0");
    check(&run, None, Interval::Minute, 0, "Final 0 | - | 0 0 | 0 of 0 | 0.058333");
}

#[test]
fn trades_that_are_told_as_one_are_counted_and_known_one_by_one() {
    let mut run = Run::new(&[KRAKEN], 0);
    let joined = Trade { count: 3, ..trade("474", 1_000, 5, 3_000) };
    assert_eq!(run.trade(KRAKEN, &joined, 0), Intake::Taken);
    for (id, expected) in [("472", Intake::Duplicate), ("474", Intake::Duplicate), ("471", Intake::Taken)] {
        assert_eq!(run.trade(KRAKEN, &trade(id, 1_000, 5, 1_000), 0), expected, "{id}");
    }
    run.tick(at(70_000));
    check(&run, Some(KRAKEN), Interval::Second, 1_000, "Final 0 | 5 5 5 5 | 4 20 | 4 of 1 | 1");
}

#[test]
fn a_late_trade_restates_its_second_and_all_that_is_over_around_it() {
    let mut run = Run::new(&[KRAKEN], 0);
    run.trade(KRAKEN, &trade("1", 10_000, 5, 1_000), 0);
    run.tick(at(70_000));
    check(&run, Some(KRAKEN), Interval::Minute, 0, "Final 0 | 5 5 5 5 | 1 5 | 1 of 1 | 1");
    for (id, price) in [("2", 9), ("3", 1)] {
        assert_eq!(run.trade(KRAKEN, &trade(id, 30_000, price, 1_000), 40_000), Intake::Taken);
    }
    let told = run.tick(at(71_000));
    let told = told.iter().map(|candle| (candle.venue, candle.interval, candle.state));
    for venue in [Some(KRAKEN), None] {
        for interval in [Interval::Second, Interval::Minute] {
            let restated = |told: &(_, _, _)| *told == (venue, interval, CandleState::Restated);
            assert_eq!(told.clone().filter(restated).count(), 1, "two trades at once are one restatement");
        }
    }
    check(&run, None, Interval::Second, 30_000, "Restated 1 | 9 9 1 1 | 2 10 | 2 of 1 | 1");
    check(&run, None, Interval::Minute, 0, "Restated 1 | 5 9 1 1 | 3 15 | 3 of 1 | 1");
    check(&run, None, Interval::FiveMinutes, 0, "Forming 0 | 5 9 1 1 | 3 15 | 3 of 1 | 0.236667");
    run.trade(KRAKEN, &trade("0", 9_000, 4, 1_000), 65_000);
    run.tick(at(75_000));
    check(&run, None, Interval::Minute, 0, "Restated 2 | 4 9 1 1 | 4 19 | 4 of 1 | 1");
}

#[test]
fn what_is_too_late_too_early_or_worth_nothing_is_told_apart() {
    let mut run = Run::new(&[KRAKEN], 0);
    let mut take = |trade: &Trade, received: i64| {
        run.tick(at(received));
        run.market.trade(KRAKEN, trade, false, at(received))
    };
    assert_eq!(take(&trade("1", -1, 5, 1), 0), Intake::BeforeStart);
    assert_eq!(take(&trade("2", 5_000, 5, 1), 0), Intake::Taken);
    // From further ahead than that it happened when it came.
    assert_eq!(take(&trade("3", 5_001, 5, 1), 0), Intake::Taken);
    assert_eq!(take(&trade("4", 0, 0, 1), 0), Intake::Worthless);
    assert_eq!(take(&trade("5", 0, -1, 1), 0), Intake::Worthless);
    assert_eq!(take(&trade("6", 0, 1, 0), 0), Intake::Worthless);
    // A second that closed ten minutes ago can still be restated, and one before it cannot.
    let now = 602_999;
    assert_eq!(take(&trade("7", 0, 5, 1), now), Intake::Taken);
    assert_eq!(take(&trade("8", 0, 5, 1), now + 1), Intake::TooLate);
    let extreme = |time| Trade { time, ..trade("9", 0, 5, 1) };
    assert_eq!(take(&extreme(DateTime::<Utc>::MAX_UTC), now), Intake::Taken);
    assert_eq!(take(&extreme(DateTime::<Utc>::MIN_UTC), now), Intake::BeforeStart);
    let other = run.market.trade(Venue::new("okx"), &trade("9", 0, 5, 1), false, at(0));
    assert_eq!(other, Intake::Foreign);
}

#[test]
fn equal_trades_with_ids_of_their_own_are_two() {
    let mut run = Run::new(&[KRAKEN], 0);
    for (id, intake) in [
        ("1", Intake::Taken),
        ("2", Intake::Taken),
        ("1", Intake::Duplicate),
        ("", Intake::Taken),
        ("", Intake::Taken),
    ] {
        assert_eq!(run.trade(KRAKEN, &trade(id, 100, 5, 1_000), 0), intake);
    }
    // The same trade told by another channel that knows its time less well.
    assert_eq!(run.trade(KRAKEN, &trade("2", 0, 5, 1_000), 2_000), Intake::Duplicate);
    run.tick(at(4_000));
    check(&run, Some(KRAKEN), Interval::Second, 0, "Final 0 | 5 5 5 5 | 4 20 | 4 of 1 | 1");
}

#[test]
fn a_trade_whose_id_had_to_be_forgotten_is_not_counted_again() {
    let policy = Policy { max_ids: 32, ..Policy::default() };
    let mut run = Run::new(&[KRAKEN], 0);
    run.market = Market::new(PAIR, at(0), policy);
    run.market.expect(KRAKEN, at(0));
    let trades: Vec<_> = (0..100).map(|id| trade(&id.to_string(), id * 1_000, 5, 1_000)).collect();
    for trade in &trades {
        assert_eq!(run.trade(KRAKEN, trade, 0), Intake::Taken);
    }
    let again: Vec<_> = trades.iter().map(|trade| run.trade(KRAKEN, trade, 0)).collect();
    let lost = again.iter().take_while(|intake| **intake == Intake::TooLate).count();
    assert!((68..=70).contains(&lost), "{lost}");
    assert!(again[lost..].iter().all(|intake| *intake == Intake::Duplicate), "{again:?}");
    // One without an id restates all the same, as nothing has to be known of it.
    assert_eq!(run.trade(KRAKEN, &trade("", 0, 5, 1_000), 0), Intake::Taken);
    run.tick(at(125_000));
    let count = |minute: i64| run.last(Some(KRAKEN), Interval::Minute, minute * 60_000).trade_count;
    assert_eq!([count(0), count(1)], [61, 40]);
}

#[test]
fn past_trades_fill_what_was_missed_and_nothing_else() {
    let mut run = Run::new(&[KRAKEN], 0);
    run.trade(KRAKEN, &trade("1", 1_000, 5, 1_000), 0);
    run.market.disconnected(KRAKEN, at(2_000));
    run.tick(at(60_000));
    check(&run, Some(KRAKEN), Interval::Second, 30_000, "Gap 0 | - | 0 0 | 0 of 0 | 0");
    run.market.connected(KRAKEN, at(60_000));
    for (id, millis, intake) in [
        ("0", -10_000, Intake::BeforeStart),
        ("1", 1_000, Intake::Duplicate),
        ("", 1_500, Intake::Past),
        ("2", 30_000, Intake::Taken),
        ("", 30_500, Intake::Taken),
        ("", 60_000, Intake::Past),
    ] {
        assert_eq!(
            run.market.trade(KRAKEN, &trade(id, millis, 7, 1_000), true, at(60_100)),
            intake,
            "{millis}"
        );
    }
    run.tick(at(62_000));
    // Whether these were all is not known.
    check(&run, Some(KRAKEN), Interval::Second, 30_000, "Restated 1 | 7 7 7 7 | 2 14 | 2 of 1 | 0");
    check(&run, Some(KRAKEN), Interval::Minute, 0, "Final 0 | 5 7 5 7 | 3 19 | 3 of 1 | 0.033333");
}

#[test]
fn an_end_that_is_noticed_late_restates_what_was_final() {
    let mut run = Run::new(&VENUES[..2], 0);
    run.trade(KRAKEN, &trade("1", 500, 5, 1_000), 0);
    run.tick(at(65_000));
    check(&run, Some(KRAKEN), Interval::Minute, 0, "Final 0 | 5 5 5 5 | 1 5 | 1 of 1 | 1");
    // Nothing was heard since: the other side had vanished.
    run.market.disconnected(KRAKEN, at(15_250));
    run.tick(at(66_000));
    check(&run, Some(KRAKEN), Interval::Second, 14_000, "Final 0 | - | 0 0 | 0 of 0 | 1");
    check(&run, Some(KRAKEN), Interval::Second, 15_000, "Restated 1 | - | 0 0 | 0 of 0 | 0.25");
    check(&run, Some(KRAKEN), Interval::Second, 16_000, "Gap 1 | - | 0 0 | 0 of 0 | 0");
    check(&run, Some(KRAKEN), Interval::Minute, 0, "Restated 1 | 5 5 5 5 | 1 5 | 1 of 1 | 0.254167");
    check(&run, None, Interval::Second, 16_000, "Restated 1 | - | 0 0 | 0 of 0 | 0.5");
    check(&run, None, Interval::Minute, 0, "Restated 1 | 5 5 5 5 | 1 5 | 1 of 1 | 0.627083");
    // The next candle was open already.
    run.tick(at(125_000));
    check(&run, Some(KRAKEN), Interval::Minute, 60_000, "Gap 0 | - | 0 0 | 0 of 0 | 0");
    check(&run, None, Interval::Minute, 60_000, "Final 0 | - | 0 0 | 0 of 0 | 0.5");
}

#[test]
fn the_composite_has_the_trades_of_all_in_their_order() {
    let mut run = Run::new(&VENUES, 0);
    run.trade(VENUES[1], &trade("5", 200, 20, 1_000), 0);
    run.trade(VENUES[0], &trade("900", 100, 10, 2_000), 300);
    run.trade(VENUES[0], &trade("901", 200, 30, 1_000), 300);
    run.tick(at(3_000));
    // Of the same time, that of the first venue by name is the first.
    check(&run, None, Interval::Second, 0, "Final 0 | 10 30 10 20 | 4 70 | 3 of 2 | 1");
    let vwap = run.last(None, Interval::Second, 0).vwap();
    assert_eq!(vwap, Some("17.5".parse().unwrap()));
    assert_eq!(run.last(Some(VENUES[2]), Interval::Second, 0).vwap(), None);
}

#[test]
fn a_candle_that_is_formed_is_told_once_a_second() {
    let mut run = Run::new(&[KRAKEN], 0);
    run.tick(at(10_000));
    let mut minutes = 0;
    for step in 0..40 {
        let millis = 10_100 + step * 100;
        run.market.trade(KRAKEN, &trade(&step.to_string(), millis, 5, 1), false, at(millis));
        let told = run.tick(at(millis));
        let minute = |candle: &&Candle| candle.venue.is_none() && candle.interval == Interval::Minute;
        minutes += told.iter().filter(minute).count();
    }
    assert_eq!(minutes, 4);
    let forming = run.market.forming(Some(KRAKEN), Interval::Minute, at(15_000)).unwrap();
    assert_eq!(line(&forming), "Forming 0 | 5 5 5 5 | 0.04 0.2 | 40 of 1 | 0.25");
    let none = run.market.forming(Some(Venue::new("okx")), Interval::Minute, at(14_000));
    assert_eq!(none, None);
    assert_eq!(run.market.forming(None, Interval::Minute, at(14_000)).unwrap().venue, None);
}

#[test]
fn a_long_sleep_is_caught_up_with_in_steps() {
    let mut market = Market::new(PAIR, at(0), Policy::default());
    market.expect(KRAKEN, at(0));
    let woken = at(3_600_000);
    let mut told = Vec::new();
    market.tick(woken, |_| woken, &mut told);
    assert_eq!(told.len(), 2 * (600 + 10 + 2));
    (0..10).for_each(|_| market.tick(woken, |_| woken, &mut told));
    assert_eq!(told.len(), 2 * (3_598 + 59 + 11 + 3));
    assert!(told.iter().all(|candle| candle.state == CandleState::Gap));
}

#[test]
fn what_was_stored_before_a_restart_goes_on() {
    let trades = [(1, 1_000, 7), (2, 61_000, 9), (3, 62_000, 3), (4, 130_000, 5)]
        .map(|(id, millis, price)| trade(&id.to_string(), millis, price, 1_000));
    let mut before = Run::new(&VENUES[..2], 0);
    for trade in &trades[..3] {
        before.trade(KRAKEN, trade, 0);
    }
    before.tick(at(122_500));
    let mut after = Run::new(&VENUES[..2], 125_000);
    for venue in [None, Some(KRAKEN), Some(VENUES[0])] {
        for millis in [60_000, 0] {
            after.market.restore(before.last(venue, Interval::Minute, millis));
        }
        // What is not over, or not before the start, or in an interval that is over too, is passed over.
        let minute = before.last(venue, Interval::Minute, 60_000);
        after.market.restore(&Candle { state: CandleState::Forming, open_time: at(0), ..minute.clone() });
        after.market.restore(&Candle { open_time: at(120_000), ..minute.clone() });
        after.market.restore(&Candle { open_time: at(-60_000), ..minute.clone() });
    }
    after.market.restore(&Candle {
        venue: Some(Venue::new("okx")),
        ..before.last(None, Interval::Minute, 0).clone()
    });
    after.trade(KRAKEN, &trades[3], 0);
    after.tick(at(310_000));
    let known = "7 9 3 5 | 4 24 | 4 of 1 | 0.983333";
    check(&after, Some(KRAKEN), Interval::FiveMinutes, 0, &format!("Final 0 | {known}"));
    check(&after, None, Interval::FiveMinutes, 0, &format!("Final 0 | {known}"));
    check(&after, Some(VENUES[0]), Interval::FiveMinutes, 0, "Final 0 | - | 0 0 | 0 of 0 | 0.983333");
    check(&after, Some(KRAKEN), Interval::Minute, 120_000, "Final 0 | 5 5 5 5 | 1 5 | 1 of 1 | 0.916667");
    assert_eq!(after.last(None, Interval::FiveMinutes, 0).maker, CandleMaker::Service);
}

#[test]
fn what_a_venue_told_is_said_to_be_of_the_venue() {
    let mut run = Run::new(&[KRAKEN], 0);
    run.trade(KRAKEN, &trade("1", 1_000, 7, 1_000), 0);
    run.tick(at(63_000));
    let told = Candle { maker: CandleMaker::Venue, ..run.last(Some(KRAKEN), Interval::Minute, 0).clone() };
    let mut run = Run::new(&[KRAKEN], 63_000);
    run.market.restore(&told);
    run.trade(KRAKEN, &trade("2", 64_000, 7, 1_000), 0);
    run.tick(at(310_000));
    let maker = |interval, millis| run.last(Some(KRAKEN), interval, millis).maker;
    assert_eq!(maker(Interval::FiveMinutes, 0), CandleMaker::Venue);
    assert_eq!(maker(Interval::Minute, 60_000), CandleMaker::Service);
}

#[test]
fn absurd_numbers_do_no_harm() {
    let mut run = Run::new(&[KRAKEN], 0);
    for (id, price, amount) in [
        ("1", Decimal::MAX, Decimal::MAX),
        ("2", Decimal::MAX, Decimal::new(1, 28)),
        ("3", Decimal::ONE, Decimal::MAX),
    ] {
        run.trade(KRAKEN, &Trade { price, amount, ..trade(id, 0, 1, 1) }, 0);
    }
    run.tick(at(3_000));
    let candle = run.last(Some(KRAKEN), Interval::Second, 0);
    let largest = "79228162514264337593543950330";
    assert_eq!((text(candle.base_volume), text(candle.quote_volume)), (largest.into(), largest.into()));
    assert_eq!(candle.vwap(), Some(Decimal::ONE));
}
