use chrono::TimeDelta;
use rust_decimal::Decimal;

use super::*;
use crate::domain::{
    candle::CandleState,
    trade::{Side, Trade},
};

const KRAKEN: Venue = Venue::new("kraken");
const OKX: Venue = Venue::new("okx");
const BTC_USD: Pair = Pair::literal("BTC", "USD");
const BTC_USDT: Pair = Pair::literal("BTC", "USDT");

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_392_000_000 + millis).unwrap()
}

fn book() -> CandleBook {
    let taken = Markets::Configured([BTC_USD, BTC_USDT].into());
    let mut book = CandleBook::new(Policy::default(), taken, at(0));
    book.expect(KRAKEN, BTC_USD, at(0));
    book.expect(OKX, BTC_USDT, at(0));
    book
}

fn say(book: &mut CandleBook, venue: Venue, received: i64, kind: DeliveryKind) -> Option<Intake> {
    book.hear(&Delivery { venue, connection: Some(1), receive_time: at(received), kind })
}

fn traded(market: Pair, id: &str, millis: i64) -> DeliveryKind {
    let trade = Trade {
        id: Some(id.into()),
        count: 1,
        price: 5.into(),
        amount: 1.into(),
        side: Side::Buy,
        time: at(millis),
    };
    DeliveryKind::Trade { market, kind: MarketKind::Spot, trade, snapshot: false }
}

fn connected() -> DeliveryKind {
    DeliveryKind::Connected([BTC_USD].into())
}

fn ended() -> DeliveryKind {
    DeliveryKind::Left([].into())
}

/// Gets the states of the seconds of a venue or of all, as they are told up to a time: when each opened, and its coverage.
fn seconds(book: &mut CandleBook, venue: Option<Venue>, until: i64) -> Vec<(i64, CandleState, Decimal)> {
    let mut told = book.tick(at(until));
    told.retain(|candle| candle.venue == venue && candle.interval == Interval::Second);
    let second = |candle: &Candle| ((candle.open_time - at(0)).num_seconds(), candle.state, candle.coverage);
    told.iter().map(second).collect()
}

#[test]
fn a_silent_market_closes_by_our_clock() {
    let mut book = book();
    say(&mut book, KRAKEN, 0, connected());
    let whole = |second| (second, CandleState::Final, Decimal::ONE);
    assert_eq!(seconds(&mut book, Some(KRAKEN), 2_999), []);
    assert_eq!(seconds(&mut book, Some(KRAKEN), 4_000), [whole(0), whole(1)]);
    assert_eq!(seconds(&mut book, Some(KRAKEN), 3_000), [], "time does not go back");
}

#[test]
fn a_venue_whose_clock_is_behind_is_waited_for() {
    let mut book = book();
    say(&mut book, KRAKEN, 0, connected());
    // Its trades come four seconds after it says that they happened.
    assert_eq!(say(&mut book, KRAKEN, 4_500, traded(BTC_USD, "1", 500)), Some(Intake::Taken));
    let [(0, CandleState::Forming, _)] = seconds(&mut book, Some(KRAKEN), 6_999)[..] else {
        panic!("closed before its time");
    };
    let [(0, CandleState::Final, _)] = seconds(&mut book, Some(KRAKEN), 7_000)[..] else {
        panic!("not closed in time");
    };
    // If they come later than that, they are waited for no longer than is set.
    assert_eq!(say(&mut book, KRAKEN, 40_000, traded(BTC_USD, "2", 2_500)), Some(Intake::Taken));
    let closed = seconds(&mut book, Some(KRAKEN), 40_000);
    let whole = |second| (second, CandleState::Final, Decimal::ONE);
    assert_eq!(closed, (1..28).map(whole).collect::<Vec<_>>());
}

#[test]
fn a_venue_that_is_ahead_closes_nothing_before_its_time() {
    let mut book = book();
    say(&mut book, KRAKEN, 0, connected());
    assert_eq!(say(&mut book, KRAKEN, 0, traded(BTC_USD, "1", 5_000)), Some(Intake::Taken));
    // Its clock is five seconds ahead, and its trades of this second are awaited for two.
    let closed = |book: &mut CandleBook, until| {
        seconds(book, Some(KRAKEN), until).iter().filter(|(_, state, _)| *state == CandleState::Final).count()
    };
    assert_eq!(closed(&mut book, 999), 0);
    assert_eq!(closed(&mut book, 1_000), 1);
    assert_eq!(book.counts().get(Intake::Taken), 1);
}

#[test]
fn trades_of_a_clock_that_is_far_ahead_count_when_they_come() {
    for ahead in [5_011, 30_000, 59_000, 61_000, 3_600_000] {
        let mut book = book();
        say(&mut book, KRAKEN, 0, connected());
        for second in 0..4 {
            let said = traded(BTC_USD, &second.to_string(), second * 1_000 + ahead);
            assert_eq!(say(&mut book, KRAKEN, second * 1_000 + 10, said), Some(Intake::Taken), "{ahead}");
        }
        let told = book.tick(at(5_100));
        let closed: Vec<_> = told
            .iter()
            .filter(|candle| candle.venue == Some(KRAKEN) && candle.interval == Interval::Second)
            .filter(|candle| candle.state == CandleState::Final)
            .map(|candle| ((candle.open_time - at(0)).num_seconds(), candle.trade_count))
            .collect();
        assert_eq!(closed, [(0, 1), (1, 1), (2, 1)], "{ahead}");
    }
}

#[test]
fn the_end_of_a_connection_is_when_it_was_last_heard() {
    let mut book = book();
    say(&mut book, KRAKEN, 0, connected());
    say(&mut book, KRAKEN, 2_500, DeliveryKind::Message);
    // Told before any message came, and by another venue: that is nothing to Kraken.
    say(&mut book, OKX, 3_000, ended());
    assert_eq!(seconds(&mut book, Some(KRAKEN), 6_000).len(), 4);
    say(&mut book, KRAKEN, 6_000, ended());
    say(&mut book, KRAKEN, 6_100, ended());
    let restated = |second, state, coverage: &str| (second, state, coverage.parse().unwrap());
    assert_eq!(
        seconds(&mut book, Some(KRAKEN), 7_000),
        [
            restated(2, CandleState::Restated, "0.5"),
            restated(3, CandleState::Gap, "0"),
            restated(4, CandleState::Gap, "0")
        ]
    );
    say(&mut book, KRAKEN, 7_250, connected());
    let closed = seconds(&mut book, Some(KRAKEN), 10_000);
    assert_eq!(closed.last(), Some(&restated(7, CandleState::Final, "0.75")));
}

#[test]
fn a_dead_stream_was_listened_to_up_to_its_last_word_and_is_again_from_its_next() {
    let mut book = book();
    let on = |book: &mut CandleBook, connection, received, kind| {
        book.hear(&Delivery {
            venue: KRAKEN,
            connection: Some(connection),
            receive_time: at(received),
            kind,
        });
    };
    on(&mut book, 1, 0, connected());
    on(&mut book, 1, 500, traded(BTC_USD, "1", 500));
    assert_eq!(seconds(&mut book, Some(KRAKEN), 6_000).len(), 4);
    on(&mut book, 1, 6_000, DeliveryKind::Unheard { market: BTC_USD, since: at(500) });
    // Another connection is asked for it and does not bring it either, while the first goes on with others.
    on(&mut book, 2, 6_500, connected());
    on(&mut book, 1, 6_900, DeliveryKind::Message);
    on(&mut book, 1, 7_000, ended());
    let told = |second, state, coverage: &str| (second, state, coverage.parse().unwrap());
    let gap = |second| told(second, CandleState::Gap, "0");
    let restated = [told(0, CandleState::Restated, "0.5"), gap(1), gap(2), gap(3)];
    assert_eq!(seconds(&mut book, Some(KRAKEN), 7_000), [&restated[..], &[gap(4)]].concat());
    on(&mut book, 2, 8_250, traded(BTC_USD, "9", 8_250));
    let closed = seconds(&mut book, Some(KRAKEN), 12_000);
    assert_eq!(closed[..2], [gap(5), gap(6)]);
    assert_eq!(closed[2..5], [gap(7), told(8, CandleState::Final, "0.75"), told(9, CandleState::Final, "1")]);
}

#[test]
fn a_refused_market_is_not_listened_to_unless_another_connection_brings_it() {
    let refused = || DeliveryKind::Refused { market: Some(BTC_USD), words: "no".to_owned() };
    let mut book = book();
    say(&mut book, KRAKEN, 0, connected());
    say(&mut book, KRAKEN, 1_500, refused());
    let told = |second, state, coverage: &str| (second, state, coverage.parse().unwrap());
    let gap = |second| told(second, CandleState::Gap, "0");
    assert_eq!(seconds(&mut book, Some(KRAKEN), 4_000), [gap(0), gap(1)]);
    say(&mut book, KRAKEN, 4_500, traded(BTC_USD, "1", 4_500));
    let on_another =
        |kind, received| Delivery { venue: KRAKEN, connection: Some(2), receive_time: at(received), kind };
    book.hear(&on_another(connected(), 5_000));
    book.hear(&on_another(refused(), 5_000));
    assert_eq!(
        seconds(&mut book, Some(KRAKEN), 8_000)[2..],
        [told(4, CandleState::Final, "0.5"), told(5, CandleState::Final, "1")]
    );
    // It is brought on both, and goes on with the second.
    book.hear(&on_another(traded(BTC_USD, "2", 8_000), 8_000));
    say(&mut book, KRAKEN, 8_000, ended());
    let second = |second| told(second, CandleState::Final, "1");
    assert_eq!(seconds(&mut book, Some(KRAKEN), 11_000), [6, 7, 8].map(second));
}

#[test]
fn one_market_may_be_lost_while_the_venue_stays() {
    let mut book = book();
    book.expect(OKX, BTC_USD, at(0));
    book.connected(KRAKEN, BTC_USD, at(0));
    book.connected(OKX, BTC_USD, at(0));
    book.connected(OKX, BTC_USDT, at(0));
    book.disconnected(OKX, BTC_USD, at(500));
    let half = |second, coverage: &str| (second, CandleState::Final, coverage.parse().unwrap());
    let composite = book.tick(at(4_000));
    let of = |pair: Pair, venue: Option<Venue>| {
        let seconds = composite.iter().filter(move |candle| {
            (candle.pair, candle.venue, candle.interval) == (pair, venue, Interval::Second)
        });
        seconds.enumerate().map(|(at, candle)| (at, candle.state, candle.coverage)).collect::<Vec<_>>()
    };
    assert_eq!(of(BTC_USD, None), [half(0, "0.75"), half(1, "0.5")]);
    assert_eq!(of(BTC_USD, Some(OKX)), [half(0, "0.5"), (1, CandleState::Gap, Decimal::ZERO)]);
    assert_eq!(of(BTC_USDT, None), [half(0, "1"), half(1, "1")]);
}

#[test]
fn a_market_is_listened_to_as_long_as_one_connection_brings_it() {
    let mut book = book();
    let mut hear = |connection, millis, kind| {
        book.hear(&Delivery { venue: KRAKEN, connection: Some(connection), receive_time: at(millis), kind })
    };
    hear(1, 0, connected());
    // Another takes over, and the first is left.
    hear(2, 1_000, connected());
    hear(1, 1_500, DeliveryKind::Left([BTC_USD].into()));
    hear(2, 2_500, DeliveryKind::Message);
    hear(2, 3_500, DeliveryKind::Left([BTC_USD].into()));
    let row = |second, state, coverage: &str| (second, state, coverage.parse().unwrap());
    assert_eq!(
        seconds(&mut book, Some(KRAKEN), 6_000),
        [
            row(0, CandleState::Final, "1"),
            row(1, CandleState::Final, "1"),
            row(2, CandleState::Final, "0.5"),
            row(3, CandleState::Gap, "0"),
        ]
    );
}

#[test]
fn only_spot_markets_that_are_taken_in_have_candles() {
    let mut book = book();
    say(&mut book, KRAKEN, 0, connected());
    let DeliveryKind::Trade { trade, .. } = traded(BTC_USD, "1", 0) else { unreachable!() };
    for kind in [MarketKind::Perpetual, MarketKind::Dated] {
        let said = DeliveryKind::Trade { market: BTC_USD, kind, trade: trade.clone(), snapshot: false };
        assert_eq!(say(&mut book, KRAKEN, 0, said), Some(Intake::Foreign));
    }
    let other = Pair::literal("ETH", "USD");
    assert_eq!(say(&mut book, KRAKEN, 0, traded(other, "1", 0)), Some(Intake::Foreign));
    // A pair that is taken in, at a venue that was not expected to have it.
    assert_eq!(say(&mut book, KRAKEN, 0, traded(BTC_USDT, "1", 0)), Some(Intake::Taken));
    assert_eq!(book.forming(other, None, Interval::Minute), None);
    // Tether is not the dollar.
    assert_eq!(book.forming(BTC_USD, None, Interval::Minute).unwrap().trade_count, 0);
    assert_eq!(book.forming(BTC_USDT, None, Interval::Minute).unwrap().trade_count, 1);
    let told = book.tick(at(3_000));
    let kraken: Vec<_> = told
        .iter()
        .filter(|candle| candle.pair == BTC_USDT && candle.interval == Interval::Second)
        .map(|candle| (candle.venue.map(Venue::as_str), candle.source_count, candle.coverage.to_string()))
        .collect();
    // OKX is expected to have it too, and was not heard.
    let row = |venue, sources, coverage: &str| (venue, sources, coverage.to_owned());
    assert_eq!(kraken, [row(Some("okx"), 0, "0"), row(Some("kraken"), 1, "1"), row(None, 1, "0.5")]);
}

#[test]
fn in_a_recording_markets_are_met() {
    let mut book = CandleBook::new(Policy::default(), Markets::Met, at(0));
    say(&mut book, KRAKEN, 0, DeliveryKind::Connected([].into()));
    let ticker = DeliveryKind::Ticker {
        market: BTC_USD,
        kind: MarketKind::Spot,
        book: None,
        last: None,
        base_volume_24h: None,
        quote_volume_24h: None,
        time: None,
    };
    say(&mut book, KRAKEN, 1_500, ticker);
    say(&mut book, OKX, 1_600, traded(BTC_USDT, "1", 1_600));
    let row = |second, coverage: &str| (second, CandleState::Final, coverage.parse().unwrap());
    assert_eq!(seconds(&mut book, Some(KRAKEN), 5_000), [row(1, "0.5"), row(2, "1")]);
    // Nothing says that there is a connection, but there is a trade.
    assert_eq!(book.forming(BTC_USDT, Some(OKX), Interval::Minute).unwrap().trade_count, 1);
    assert_eq!(book.forming(BTC_USDT, Some(OKX), Interval::Minute).unwrap().coverage, Decimal::ZERO);
}

#[test]
fn past_trades_do_not_move_the_time() {
    let mut book = book();
    say(&mut book, KRAKEN, 0, connected());
    let mut past = traded(BTC_USD, "1", 100);
    if let DeliveryKind::Trade { snapshot, .. } = &mut past {
        *snapshot = true;
    }
    assert_eq!(say(&mut book, KRAKEN, 5_000, past), Some(Intake::Taken));
    let closed = seconds(&mut book, Some(KRAKEN), 5_000);
    assert_eq!(closed.len(), 3);
    assert_eq!(book.forming(BTC_USD, None, Interval::Hour).unwrap().trade_count, 1);
}

#[test]
fn the_mark_never_goes_back() {
    let policy = Policy::default();
    let mut progress = Progress::new(at(0));
    let mut mark = progress.mark();
    for (time, received, now) in [
        (5_000, 5_000, 5_000),
        (1_000, 6_000, 6_000),
        (5_001, 20_000, 3_000),
        (i64::MAX, 21_000, 22_000),
        (90_000_000, 21_000, 23_000),
        (0, 0, 24_000),
    ] {
        let time = if time == i64::MAX { DateTime::<Utc>::MAX_UTC } else { at(time) };
        progress.reach(time, at(received));
        progress.tick(at(now), &policy);
        assert!(progress.mark() >= mark && progress.mark() <= at(now.max(5_000)) + TimeDelta::seconds(5));
        mark = progress.mark();
    }
    assert_eq!(mark, at(29_000));
}

#[test]
fn what_is_not_wanted_any_more_is_not_missed_by_the_others() {
    let mut book = CandleBook::new(Policy::default(), Markets::Configured([BTC_USD].into()), at(0));
    book.want(KRAKEN, [BTC_USD], at(0));
    book.want(OKX, [BTC_USD], at(0));
    say(&mut book, KRAKEN, 0, connected());
    // The other is never connected: half of what is expected is heard.
    let half = Decimal::new(5, 1);
    assert_eq!(
        seconds(&mut book, None, 4_000),
        [(0, CandleState::Final, half), (1, CandleState::Final, half)]
    );
    book.leave(OKX, at(4_000));
    assert!(book.expects(BTC_USD, Some(KRAKEN)) && !book.expects(BTC_USD, Some(OKX)));
    assert_eq!(seconds(&mut book, None, 5_000), [(2, CandleState::Final, Decimal::ONE)]);
    assert_eq!(seconds(&mut book, Some(OKX), 60_000), []);
    // What it still had to say is not heard.
    assert_eq!(say(&mut book, OKX, 60_000, traded(BTC_USD, "9", 60_000)), Some(Intake::Foreign));
    book.want(KRAKEN, [], at(60_000));
    assert!(!book.expects(BTC_USD, None));
    assert_eq!(book.tick(at(120_000)), []);
}

#[test]
fn a_minute_that_a_venue_leaves_in_counts_those_that_stay() {
    let mut book = CandleBook::new(Policy::default(), Markets::Configured([BTC_USD].into()), at(0));
    for venue in [KRAKEN, OKX] {
        book.want(venue, [BTC_USD], at(0));
        say(&mut book, venue, 0, connected());
    }
    book.tick(at(30_000));
    book.leave(OKX, at(30_000));
    let told = book.tick(at(62_000));
    let minute = told.iter().find(|candle| candle.interval == Interval::Minute && candle.venue.is_none());
    assert_eq!(minute.unwrap().coverage, Decimal::ONE);
}

#[test]
fn a_market_that_its_venue_does_not_trade_is_not_expected_until_it_does() {
    let mut book = CandleBook::new(Policy::default(), Markets::Configured([BTC_USD].into()), at(0));
    book.want(KRAKEN, [BTC_USD], at(0));
    let listening = |markets: &[Pair], absent: &[Pair]| DeliveryKind::Listening {
        markets: markets.to_vec(),
        absent: absent.iter().map(|pair| (*pair, "not traded".to_owned())).collect(),
        connections: 0,
    };
    say(&mut book, KRAKEN, 0, listening(&[], &[BTC_USD]));
    assert_eq!(book.tick(at(10_000)), []);
    say(&mut book, KRAKEN, 10_000, listening(&[BTC_USD], &[]));
    assert_eq!(book.series(), [(BTC_USD, Some(KRAKEN)), (BTC_USD, None)]);
}

#[test]
fn a_recorded_connection_that_falls_silent_has_ended_when_it_was_last_heard() {
    let mut book = CandleBook::new(Policy::default(), Markets::Met, at(0));
    // Nothing tells that it was made.
    say(&mut book, KRAKEN, 0, DeliveryKind::Message);
    say(&mut book, KRAKEN, 0, traded(BTC_USD, "1", 0));
    say(&mut book, KRAKEN, 1_500, DeliveryKind::Message);
    book.tick(at(4_000));
    book.tick(at(62_000));
    book.lapse(TimeDelta::seconds(60));
    let told = book.tick(at(62_000));
    let second = |open: i64| {
        let of = |candle: &&Candle| candle.venue.is_some() && candle.interval == Interval::Second;
        told.iter().filter(of).find(|candle| candle.open_time == at(open)).cloned().unwrap()
    };
    // Two seconds had been told before it was noticed.
    let restated = second(1_000);
    assert_eq!(
        (restated.state, restated.revision, restated.coverage),
        (CandleState::Restated, 1, Decimal::new(5, 1))
    );
    assert_eq!(second(2_000).state, CandleState::Gap);
}
