//! Pulses on a clock that is moved by hand.

use super::*;
use crate::domain::{
    trade::{Side, Trade},
    venue::MarketKind,
};
use tokio::time::advance;

const MARKET: Pair = Pair::literal("BTC", "USD");
const OTHER: Pair = Pair::literal("ETH", "USD");

const OPTIONS: PulseOptions = PulseOptions {
    silent_after: Duration::from_secs(30),
    poll_after: Duration::from_secs(10),
    poll_every: Duration::from_secs(5),
};

fn pulses() -> Pulses {
    let pulses = Pulses::new(OPTIONS);
    pulses.expect(&[MARKET, OTHER].into(), Instant::now());
    pulses.hear(1, &DeliveryKind::Connected([MARKET, OTHER].into()), at(0));
    pulses
}

#[expect(clippy::unnecessary_wraps, reason = "that is how a ticker holds it")]
fn book(bid: i64) -> Option<TopOfBook> {
    Some(TopOfBook { bid: Some(bid.into()), ask: Some((bid + 1).into()) })
}

fn ticker(market: Pair, bid: i64) -> DeliveryKind {
    DeliveryKind::Ticker {
        market,
        kind: MarketKind::Spot,
        book: book(bid),
        last: None,
        base_volume_24h: None,
        quote_volume_24h: None,
        time: None,
    }
}

fn missed_between(market: Pair, second: i64, back: i64) -> Missed {
    Missed::between(market, at(second), at(back))
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn trade(market: Pair, second: i64) -> DeliveryKind {
    let trade =
        Trade { id: None, count: 1, price: 5.into(), amount: 1.into(), side: Side::Buy, time: at(second) };
    DeliveryKind::Trade { market, kind: MarketKind::Spot, trade, snapshot: false }
}

fn late(pulses: &Pulses, now: Instant) -> Vec<Pair> {
    pulses.late(now).into_iter().map(|late| late.market).collect()
}

async fn pass(seconds: u64) -> Instant {
    advance(Duration::from_secs(seconds)).await;
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_market_is_late_by_its_own_measure() {
    let pulses = pulses();
    // One speaks every second, the other every ten.
    for second in 0..100 {
        pass(1).await;
        pulses.hear(1, &ticker(MARKET, 1), at(second));
        if second % 10 == 0 {
            pulses.hear(1, &ticker(OTHER, 1), at(second));
        }
    }
    assert_eq!(late(&pulses, pass(29).await), []);
    assert_eq!(late(&pulses, pass(1).await), [MARKET]);
    assert_eq!(late(&pulses, pass(45).await), [OTHER, MARKET]);
}

#[tokio::test(start_paused = true)]
async fn quiet_is_not_dead_and_dead_is_confirmed_twice() {
    let pulses = pulses();
    pulses.hear(1, &ticker(MARKET, 7), at(0));
    let now = pass(30).await;
    pulses.asked(MARKET, now);
    assert_eq!(late(&pulses, now), [OTHER]);
    assert_eq!(pulses.answered(MARKET, book(7), None, now, (now, at(90))), Finding::Expected);
    assert_eq!(pulses.polled(), 0);
    // Asked again, but later and later.
    assert!(!late(&pulses, pass(59).await).contains(&MARKET));
    let now = pass(1).await;
    assert!(late(&pulses, now).contains(&MARKET));

    assert_eq!(pulses.answered(MARKET, book(8), None, now, (now, at(90))), Finding::Expected);
    let now = pass(5).await;
    assert!(late(&pulses, now).contains(&MARKET));
    assert_eq!(
        pulses.answered(MARKET, book(8), None, now, (now, at(90))),
        Finding::Dead { since: at(90 - 95) }
    );
    assert_eq!(pulses.polled(), 1);
    pulses.hear(1, &ticker(MARKET, 8), at(99));
    assert_eq!(pulses.polled(), 0);
    assert!(!late(&pulses, pass(5).await).contains(&MARKET));
}

#[tokio::test(start_paused = true)]
async fn what_never_came_is_dead_and_what_is_down_is_polled() {
    let pulses = pulses();
    pulses.hear(1, &ticker(MARKET, 7), at(0));
    pulses.hear(1, &DeliveryKind::Left([].into()), at(1));
    assert_eq!(late(&pulses, pass(9).await), []);
    let now = pass(1).await;
    assert_eq!(late(&pulses, now), [MARKET, OTHER]);
    for market in [MARKET, OTHER, MARKET, OTHER] {
        // The connection is known to be down: no need to call the stream dead.
        assert_eq!(pulses.answered(market, book(9), None, now, (now, at(90))), Finding::Expected);
    }
    assert_eq!(pulses.polled(), 2);
    // Another one stands, and does not bring them.
    pulses.hear(2, &DeliveryKind::Connected([MARKET, OTHER].into()), at(0));
    let now = pass(30).await;
    assert_eq!(late(&pulses, now), [MARKET, OTHER]);
    assert_eq!(
        pulses.answered(MARKET, book(10), None, now, (now, at(90))),
        Finding::Dead { since: at(90 - 30 - 10) }
    );
    assert_eq!(
        pulses.answered(OTHER, book(9), None, now, (now, at(90))),
        Finding::Dead { since: at(90 - 30 - 10) }
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_traded_while_a_stream_was_dead_is_asked_for_when_another_brings_it() {
    let pulses = pulses();
    pulses.hear(1, &trade(MARKET, 3), at(4));
    pulses.hear(1, &ticker(MARKET, 7), at(4));
    for _ in 0..2 {
        let now = pass(30).await;
        pulses.answered(MARKET, book(8), None, now, (now, at(64)));
    }
    assert_eq!(pulses.missed(9, Instant::now()), [], "not while it says nothing");
    // Another connection takes over, and brings the market before the first one is left.
    pulses.hear(2, &DeliveryKind::Connected([MARKET, OTHER].into()), at(70));
    pulses.hear(2, &ticker(MARKET, 8), at(71));
    pulses.hear(1, &DeliveryKind::Left([].into()), at(72));
    assert_eq!(pulses.missed(9, Instant::now()), [missed_between(MARKET, 3, 71)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_stream_has_overtaken_says_nothing() {
    let pulses = pulses();
    pulses.hear(1, &ticker(MARKET, 7), at(0));
    let asked = pass(30).await;
    pulses.asked(MARKET, asked);
    pass(1).await;
    pulses.hear(1, &ticker(MARKET, 9), at(31));
    let now = pass(1).await;
    assert_eq!(pulses.answered(MARKET, book(8), None, asked, (now, at(32))), Finding::Overtaken);
    assert_eq!(pulses.polled(), 0);
    // Late again by its own measure, which is eight times 31 seconds now, as if it had not been asked for.
    assert!(!late(&pulses, pass(246).await).contains(&MARKET));
    let now = pass(1).await;
    assert!(late(&pulses, now).contains(&MARKET));
    assert_eq!(pulses.answered(MARKET, book(8), None, now, (now, at(279))), Finding::Expected);
    assert_eq!(pulses.polled(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_polled_and_not_called_dead() {
    let pulses = pulses();
    let refused = DeliveryKind::Refused { market: Some(MARKET), words: "no".to_owned() };
    assert_eq!(pulses.hear(1, &refused, at(0)), None);
    let now = pass(30).await;
    for price in 1..5 {
        assert_eq!(pulses.answered(MARKET, book(price), None, now, (now, at(90))), Finding::Expected);
    }
    assert_eq!(pulses.polled(), 1);
    assert_eq!(pulses.hear(1, &ticker(MARKET, 7), at(1)), Some(MARKET), "it speaks after all");
    assert_eq!(pulses.hear(1, &ticker(MARKET, 7), at(2)), None);
    assert_eq!(pulses.polled(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_is_asked_again_as_soon_as_an_answer_would_be_due() {
    let pulses = pulses();
    pulses.hear(1, &DeliveryKind::Left([].into()), at(1));
    let now = pass(10).await;
    pulses.asked(MARKET, now);
    pulses.asked(OTHER, now);
    pulses.unanswered(MARKET, false, now);
    assert_eq!(late(&pulses, pass(4).await), []);
    assert_eq!(late(&pulses, pass(1).await), [MARKET]);
    assert_eq!(pulses.polled(), 0, "REST says nothing either");
}

#[tokio::test(start_paused = true)]
async fn trades_are_missed_from_the_last_one_to_the_return_of_the_stream() {
    let pulses = pulses();
    pulses.hear(1, &trade(MARKET, 3), at(4));
    pulses.hear(1, &ticker(OTHER, 3), at(4));
    pulses.hear(1, &DeliveryKind::Left([].into()), at(5));
    assert_eq!(pulses.missed(9, Instant::now()), []);
    pulses.hear(2, &trade(MARKET, 50), at(51));
    pulses.hear(2, &ticker(OTHER, 3), at(51));
    let mut missed = pulses.missed(9, Instant::now());
    missed.sort_unstable_by_key(|missed| missed.market);
    assert_eq!(missed, [missed_between(MARKET, 3, 51), missed_between(OTHER, 5, 51)]);
    assert_eq!(pulses.missed(9, Instant::now()), []);
    // A gap in the middle is asked for at once. What was missed may be from before the last that came.
    pulses.hear(2, &DeliveryKind::Gap(Some(MARKET)), at(60));
    assert_eq!(pulses.missed(9, Instant::now()), [missed_between(MARKET, 45, 60)]);
    // Another, while the answer is awaited that does not come: both are asked for, when that may be.
    pulses.hear(2, &DeliveryKind::Gap(Some(MARKET)), at(61));
    pulses.still_missed(missed[0], None, Instant::now());
    assert_eq!(pulses.missed(9, Instant::now()), []);
    pulses.hear(2, &DeliveryKind::Gap(Some(MARKET)), at(62));
    assert_eq!(pulses.missed(9, pass(4).await), []);
    assert_eq!(pulses.missed(9, pass(1).await), [missed_between(MARKET, 3, 62)]);
}

#[tokio::test(start_paused = true)]
async fn missed_trades_are_asked_for_again_ever_later_and_not_for_ever() {
    let pulses = pulses();
    let next = |room| pulses.missed(room, Instant::now());
    for market in [MARKET, OTHER] {
        pulses.hear(1, &trade(market, 3), at(4));
        pulses.hear(1, &DeliveryKind::Gap(Some(market)), at(60));
    }
    // One has no room yet, and keeps its turn.
    let [missed] = next(1)[..] else { panic!("not one") };
    let [other] = next(9)[..] else { panic!("not the other") };
    assert_ne!(missed.market, other.market);
    // The venue wants to be left alone: that was no try.
    assert!(pulses.still_missed(missed, Some(Duration::from_secs(70)), Instant::now()));
    pass(69).await;
    assert_eq!(next(9), []);
    pass(1).await;
    assert_eq!(next(9), [missed]);
    let (mut missed, mut waits) = (missed, Vec::new());
    while pulses.still_missed(missed, None, Instant::now()) {
        let failed = Instant::now();
        missed = loop {
            pass(1).await;
            if let Some(missed) = next(9).pop() {
                break missed;
            }
        };
        waits.push(failed.elapsed().as_secs());
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    pass(10_000).await;
    assert_eq!(next(9), []);
    // Another gap is another matter.
    pulses.hear(1, &DeliveryKind::Gap(Some(missed.market)), at(90));
    assert_eq!(next(9).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_expected_any_more_is_forgotten() {
    let pulses = pulses();
    pulses.expect(&[OTHER].into(), Instant::now());
    assert_eq!(pulses.hear(1, &ticker(MARKET, 7), at(0)), None);
    assert_eq!(late(&pulses, pass(1_000).await), [OTHER]);
}

#[tokio::test(start_paused = true)]
async fn all_markets_get_their_turn_however_few_may_be_asked() {
    let markets: Vec<Pair> =
        (0..16).map(|number| Pair::new(format!("A{number}").parse().unwrap(), MARKET.quote)).collect();
    let pulses = Pulses::new(OPTIONS);
    pulses.expect(&markets.iter().copied().collect(), Instant::now());
    // The connection of most is down; one is up and silent, and one is refused.
    pulses.hear(1, &DeliveryKind::Connected(markets[..2].into()), at(0));
    let refused = DeliveryKind::Refused { market: Some(markets[1]), words: "no".to_owned() };
    pulses.hear(1, &refused, at(0));
    pass(30).await;
    let mut asked = std::collections::BTreeMap::<Pair, u32>::new();
    // One may be asked every two seconds, and what it tells has moved. One does not answer.
    for round in 0..200 {
        let now = pass(2).await;
        let Some(market) = late(&pulses, now).first().copied() else { continue };
        pulses.asked(market, now);
        *asked.entry(market).or_default() += 1;
        if market == markets[5] {
            pulses.unanswered(market, true, now);
        } else {
            pulses.answered(market, book(round), None, now, (now, at(round)));
        }
        let counts = markets.iter().map(|market| asked.get(market).copied().unwrap_or_default());
        let (least, most) = (counts.clone().min().unwrap(), counts.max().unwrap());
        assert!(most - least <= 1, "{asked:?}");
    }
    assert_eq!(asked.values().sum::<u32>(), 200);
    let alone: Vec<_> = pulses.late(pass(60).await).into_iter().filter(|late| late.alone).collect();
    assert_eq!(alone, [Late { market: markets[5], alone: true }]);
    pulses.answered(markets[5], book(1), None, Instant::now(), (Instant::now(), at(0)));
    assert!(!pulses.late(pass(60).await).iter().any(|late| late.alone));
}

fn with_volume(market: Pair) -> DeliveryKind {
    DeliveryKind::Ticker {
        market,
        kind: MarketKind::Spot,
        book: None,
        last: None,
        base_volume_24h: Some(5.into()),
        quote_volume_24h: None,
        time: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_the_stream_does_not_tell_is_asked_for_every_few_minutes() {
    let pulses = Pulses::new(OPTIONS).without_volumes();
    pulses.expect(&[MARKET, OTHER].into(), Instant::now());
    let next = |now| pulses.unmeasured(Duration::ZERO, now);
    let now = Instant::now();
    // Each once, whatever the stream says beside it.
    assert_eq!([next(now), next(now), next(now)], [Some(MARKET), Some(OTHER), None]);
    pulses.measured(OTHER, now);
    pulses.hear(1, &ticker(MARKET, 7), at(0));
    // The first has no answer, and is asked again soon.
    assert_eq!(next(pass(59).await), None);
    assert_eq!(next(pass(1).await), Some(MARKET));
    pulses.measured(MARKET, Instant::now());
    let now = pass(240).await;
    // Where there is much to do, it waits.
    assert_eq!(pulses.unmeasured(Duration::from_secs(1), now), None);
    assert_eq!([next(now), next(now)], [Some(OTHER), None]);
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_the_stream_tells_is_not_asked_for_before_it_has_not_been_told_for_long() {
    let pulses = pulses();
    let next = |now| pulses.unmeasured(Duration::ZERO, now);
    assert_eq!(next(pass(3_000).await), None);
    pulses.hear(1, &with_volume(MARKET), at(0));
    let now = pass(600).await;
    assert_eq!([next(now), next(now)], [Some(OTHER), None]);
    assert_eq!(next(pass(3_000).await), Some(OTHER));
    assert_eq!(next(Instant::now()), Some(MARKET));
}

#[tokio::test(start_paused = true)]
async fn a_question_for_a_volume_says_nothing_of_the_stream() {
    let pulses = pulses();
    pulses.hear(1, &ticker(MARKET, 7), at(0));
    let now = pass(30).await;
    pulses.answered(MARKET, book(8), None, now, (now, at(30)));
    pulses.unmeasured(Duration::ZERO, pass(3_600).await);
    pulses.measured(MARKET, Instant::now());
    // It is under suspicion as before, and found dead by the next answer.
    let now = Instant::now();
    assert!(late(&pulses, now).contains(&MARKET));
    let found = pulses.answered(MARKET, book(8), None, now, (now, at(3_630)));
    assert_eq!(found, Finding::Dead { since: at(0) });
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_one_answer_does_not_close_is_asked_for_on_after_those_of_others() {
    let pulses = pulses();
    let next = |room| pulses.missed(room, Instant::now());
    for market in [MARKET, OTHER] {
        pulses.hear(1, &trade(market, 3), at(4));
    }
    pulses.hear(1, &DeliveryKind::Left([].into()), at(5));
    for market in [MARKET, OTHER] {
        pulses.hear(2, &trade(market, 100), at(101));
    }
    let [first] = next(1)[..] else { panic!("not one") };
    let now = pass(1).await;
    pulses.missed_after(first, at(40), now);
    let others = next(1);
    assert!(others[0].market != first.market && others[0].since == at(3), "{others:?}");
    assert_eq!(next(9), [missed_between(first.market, 40, 101)]);
    assert!(!first.is_closed_by(at(105)) && first.is_closed_by(at(106)));
}

#[tokio::test(start_paused = true)]
async fn what_was_traded_before_the_first_that_was_told_is_not_missed() {
    let pulses = pulses();
    pulses.hear(1, &trade(MARKET, 10), at(10));
    pulses.hear(1, &trade(MARKET, 12), at(12));
    pulses.hear(1, &DeliveryKind::Gap(Some(MARKET)), at(13));
    assert_eq!(pulses.missed(9, Instant::now()), [missed_between(MARKET, 10, 13)]);
}

#[tokio::test(start_paused = true)]
async fn a_hole_ends_by_the_venues_clock_where_that_is_ahead() {
    let pulses = pulses();
    pulses.hear(1, &trade(MARKET, 33), at(3));
    pulses.hear(1, &DeliveryKind::Left([].into()), at(5));
    pulses.hear(2, &ticker(MARKET, 7), at(10));
    pulses.hear(2, &trade(MARKET, 41), at(11));
    pulses.hear(2, &trade(MARKET, 50), at(20));
    assert_eq!(pulses.missed(9, Instant::now()), [missed_between(MARKET, 33, 41)]);
}
