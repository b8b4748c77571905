//! What holds for any trades, in whatever order they come.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::candle::{roll_up::roll_up, trade_id::TradeId};

/// A trade at one of the venues, and how long it takes to come.
#[derive(Debug, Clone)]
struct Report {
    venue: Venue,
    trade: Trade,
    delay: i64,
}

/// Some trades in the ten seconds before the end of a week and in the two minutes after it.
fn reports(longest: i64) -> impl Strategy<Value = Vec<Report>> {
    let one = (0_usize..3, -10_000_i64..120_000, 1_i64..50, 1_i64..5_000, 0..=longest);
    prop::collection::vec(one, 1..60).prop_map(|reports| {
        let report = |(id, (venue, millis, price, amount, delay)): (usize, (usize, _, _, _, _))| {
            // Some at the same time, the ids in no order of time and of one or two digits.
            let (id, millis) =
                ((id * 37 % 60).to_string(), if id % 4 == 0 { millis / 1_000 * 1_000 } else { millis });
            Report { venue: VENUES[venue], trade: trade(&id, millis, price, amount), delay }
        };
        reports.into_iter().enumerate().map(report).collect()
    })
}

/// Lets the trades come one after the other by their delays, and waits until all is final that they touch, up to five
/// minutes.
fn run(reports: &[Report], delayed: bool) -> Run {
    let mut run = Run::new(&VENUES, -15_000);
    let delay = |report: &Report| if delayed { report.delay } else { 0 };
    let mut order: Vec<_> = reports.iter().collect();
    order.sort_by_key(|report| report.trade.time + TimeDelta::milliseconds(delay(report)));
    for report in order {
        run.trade(report.venue, &report.trade, delay(report));
    }
    run.tick(at(430_000));
    run
}

/// Makes a candle of trades as its definition says.
fn direct(reports: &[Report], (venue, interval, open): Place) -> Option<(Ohlc, Decimal, Decimal, u64, u32)> {
    let mut trades: Vec<_> = reports
        .iter()
        .filter(|report| venue.is_none_or(|venue| venue == report.venue))
        .filter(|report| (open..open + interval.span()).contains(&report.trade.time))
        .collect();
    let number = |report: &Report| report.trade.id.as_ref().unwrap().parse::<u64>().unwrap();
    trades.sort_by_key(|report| (report.trade.time, report.venue, number(report)));
    let prices = || trades.iter().map(|report| report.trade.price);
    let ohlc = Ohlc {
        open: prices().next()?,
        high: prices().max()?,
        low: prices().min()?,
        close: prices().next_back()?,
    };
    let base = trades.iter().map(|report| report.trade.amount).sum();
    let quote = trades.iter().map(|report| report.trade.amount * report.trade.price).sum();
    let venues = trades.iter().map(|report| report.venue).collect::<BTreeSet<_>>().len();
    Some((ohlc, base, quote, trades.len().try_into().unwrap(), venues.try_into().unwrap()))
}

/// Gets what a candle says of its trades.
fn said(candle: &Candle) -> Option<(Ohlc, Decimal, Decimal, u64, u32)> {
    let Candle { base_volume, quote_volume, trade_count, source_count, .. } = *candle;
    candle.prices.map(|prices| (prices, base_volume, quote_volume, trade_count, source_count))
}

/// Lists what was told last, closed.
fn closed(run: &Run) -> impl Iterator<Item = (&Place, &Candle)> {
    run.last.iter().filter(|(_, candle)| candle.state != CandleState::Forming)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_comes_in_time_makes_the_same_candles_in_any_order(reports in reports(2_000)) {
        let (sorted, shuffled) = (run(&reports, false), run(&reports, true));
        let all = |run: &Run| closed(run).map(|(place, candle)| (*place, candle.clone())).collect::<Vec<_>>();
        prop_assert!(closed(&sorted).all(|(_, candle)| candle.revision == 0));
        prop_assert_eq!(all(&sorted), all(&shuffled));
    }

    #[test]
    fn candles_are_what_their_definition_says_also_after_restatement(reports in reports(200_000)) {
        let mut run = run(&reports, true);
        let mut seen = 0;
        for (place, candle) in closed(&run) {
            prop_assert_eq!(said(candle), direct(&reports, *place), "{:?}", place);
            prop_assert_eq!(candle.state == CandleState::Restated, candle.revision > 0);
            seen += candle.trade_count;
        }
        prop_assert!(seen >= 2 * reports.len() as u64, "each second is among them");
        // Those that take longer are still being formed, or were when the first trades came.
        for interval in Interval::ALL {
            for venue in [None, Some(VENUES[0])] {
                let now = run.now;
                let forming = run.market.forming(venue, interval, now).unwrap();
                let place = (venue, interval, forming.open_time);
                prop_assert_eq!(said(&forming), direct(&reports, place));
            }
        }
    }

    #[test]
    fn a_trade_that_comes_again_changes_nothing(
        reports in reports(2_000),
        again in prop::collection::vec((any::<prop::sample::Index>(), 0_i64..300_000), 1..20),
    ) {
        let once = run(&reports, true);
        let mut twice = Run::new(&VENUES, -15_000);
        let again = again.iter().map(|(index, late)| {
            let report = index.get(&reports);
            (report, report.delay + late, true)
        });
        let mut order: Vec<_> = reports.iter().map(|report| (report, report.delay, false)).chain(again).collect();
        order.sort_by_key(|(report, delay, again)| (report.trade.time + TimeDelta::milliseconds(*delay), *again));
        for (report, delay, again) in order {
            let intake = twice.trade(report.venue, &report.trade, delay);
            prop_assert_eq!(intake, if again { Intake::Duplicate } else { Intake::Taken });
        }
        twice.tick(at(430_000));
        prop_assert!(closed(&once).eq(closed(&twice)));
    }

    #[test]
    fn longer_candles_equal_the_roll_up_of_shorter_ones(reports in reports(200_000)) {
        let run = run(&reports, true);
        for (from, into) in [
            (Interval::Second, Interval::Minute),
            (Interval::Second, Interval::FiveMinutes),
            (Interval::Minute, Interval::FiveMinutes),
        ] {
            for (place, whole) in closed(&run).filter(|((_, interval, _), _)| *interval == into) {
                let (venue, _, open) = *place;
                let parts = run.last.range((venue, from, open)..(venue, from, whole.close_time()));
                let parts: Vec<_> = parts.map(|(_, candle)| candle.clone()).collect();
                let rolled = roll_up(&parts, into).unwrap();
                // Who traded in which part cannot be seen from counts, and restatements are each candle's own.
                let Candle { source_count, revision, state, .. } = rolled;
                prop_assert!(source_count <= whole.source_count);
                prop_assert_eq!(state == CandleState::Gap, whole.state == CandleState::Gap);
                let expected = Candle { revision, state, source_count, ..whole.clone() };
                prop_assert_eq!(rolled, expected);
            }
        }
    }

    #[test]
    fn coverage_is_the_share_that_was_listened_to(
        steps in prop::collection::vec((500_i64..40_000, 500_i64..40_000, 0_i64..40_000), 1..5),
        traded in any::<bool>(),
    ) {
        let mut run = Run::new(&[], 0);
        run.market.expect(VENUES[0], at(0));
        run.market.expect(KRAKEN, at(0));
        run.market.connected(VENUES[0], at(0));
        if traded {
            run.market.trade(KRAKEN, &trade("1", 100, 5, 5), true, at(100));
        }
        let (mut now, mut spans) = (0, Vec::new());
        for (away, there, unnoticed) in steps {
            let (from, to) = (now + away, now + away + there);
            // The end was earlier than it is noticed, but not before the beginning.
            let heard = (to - unnoticed).max(from);
            run.tick(at(from));
            run.market.connected(KRAKEN, at(from));
            run.tick(at(to));
            run.market.disconnected(KRAKEN, at(heard));
            spans.push((from, heard));
            now = to;
        }
        run.tick(at(now + 90_000));
        for ((venue, interval, open), candle) in closed(&run) {
            let (open, close) = ((*open - at(0)).num_milliseconds(), (candle.close_time() - at(0)).num_milliseconds());
            let heard: i64 = spans.iter().map(|(from, to)| (close.min(*to) - open.max(*from)).max(0)).sum();
            let (heard, listeners) = match venue {
                None => (heard + close - open.max(0), 2),
                Some(KRAKEN) => (heard, 1),
                Some(_) => (close - open.max(0), 1),
            };
            let span = interval.span();
            let expected = share(TimeDelta::milliseconds(heard), span * listeners);
            prop_assert_eq!(candle.coverage, expected, "{:?} {} {}", venue, interval, open);
            let gap = candle.prices.is_none() && expected.is_zero();
            prop_assert_eq!(candle.state == CandleState::Gap, gap);
        }
    }

    #[test]
    fn ids_that_are_no_numbers_have_one_order_too(
        ids in prop::collection::vec("[0-9]{1,3}|[0-9a-c]{1,3}", 3),
    ) {
        let [a, b, c] = [0, 1, 2].map(|at| TradeId::read(&ids[at]));
        prop_assert!(!(a < b && b < c) || a < c);
        prop_assert_eq!(a == b, ids[0] == ids[1]);
    }
}
