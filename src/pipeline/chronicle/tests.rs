use futures::FutureExt as _;
use rust_decimal::Decimal;

use super::*;
use crate::{
    clock::Clock,
    domain::{
        candle::{Candle, Interval},
        price::{Origin, Price, Status, StatusReason, Value},
        trade::{Side, Trade},
        venue::MarketKind,
    },
    feed::delivery::DeliveryKind,
    pipeline::{
        board::{Board, Encoder, Publisher},
        candles::{listeners::Word, watch::Watch},
        historian::points::Cadence,
    },
    store::candles::Series,
};

const KRAKEN: Venue = Venue::new("kraken");
const BTC_USD: Pair = Pair::literal("BTC", "USD");
const ENCODER: Encoder = Encoder { price: |_, _| bytes::Bytes::new(), message: |_| bytes::Bytes::new() };

/// What is kept, by a service whose clock can be set. Times are seconds from a start.
struct Scene {
    chronicle: Chronicle,
    publisher: Publisher,
    inbox: Inbox,
    hub: CandleHub,
    told: Watch,
    traded: u32,
    /// What was closed and not asked for yet.
    closed: Vec<Candle>,
    /// Candles that were closed, of all series.
    counted: usize,
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_392_000 + second, 0).unwrap()
}

impl Scene {
    fn new(second: i64) -> Self {
        let (board, publisher) = Board::new(1, ENCODER);
        let inbox = Inbox::new(1_000_000, Clock::standing_at(at(0)));
        let hub = CandleHub::new(Some(inbox.clone()));
        let told = hub.watch();
        let cadence = Cadence { every: TimeDelta::seconds(1), repeat: TimeDelta::seconds(60) };
        let markets = Markets::Configured([BTC_USD].into());
        let prices = Some((Points::new(board, cadence), inbox.clone()));
        let venues = [(KRAKEN, vec![BTC_USD])];
        let chronicle = Chronicle::new(Policy::default(), markets, venues, hub.clone(), prices, at(second));
        let mut scene =
            Self { chronicle, publisher, inbox, hub, told, traded: 0, closed: Vec::new(), counted: 0 };
        scene.say(second, DeliveryKind::Connected([BTC_USD].into()));
        scene
    }

    fn say(&mut self, second: i64, kind: DeliveryKind) {
        self.chronicle.hear(&Delivery { venue: KRAKEN, connection: Some(1), receive_time: at(second), kind });
    }

    /// Lets seconds pass by our clock, in each of which there is a trade, which happens at another time by the venue's.
    fn trade(&mut self, seconds: std::ops::Range<i64>, true_seconds: std::ops::Range<i64>) {
        for (second, truth) in seconds.zip(true_seconds) {
            self.traded += 1;
            let trade = Trade {
                id: Some(self.traded.to_string()),
                count: 1,
                price: Decimal::from(60_000),
                amount: Decimal::ONE,
                side: Side::Buy,
                time: at(truth),
            };
            self.say(second, DeliveryKind::Message);
            let kind = MarketKind::Spot;
            self.say(second, DeliveryKind::Trade { market: BTC_USD, kind, trade, snapshot: false });
            let value = Value {
                price: Decimal::from(self.traded),
                bid: None,
                ask: None,
                dispersion_bps: Decimal::ZERO,
                observe_time: at(second),
                receive_time: at(second),
            };
            let unavailable =
                Price::unavailable(BTC_USD, StatusReason::NoFreshQuotes, Origin::Live, at(second));
            let price =
                Price { status: Status::Live, status_reason: None, value: Some(value), ..unavailable };
            self.publisher.publish(price, Vec::new(), at(second));
            self.chronicle.tick(at(second));
            self.drain();
        }
    }

    fn drain(&mut self) {
        for candle in self.told.take().into_values().flatten() {
            self.closed.push(Candle::clone(&candle));
            self.counted += 1;
        }
    }

    /// Lists the candles of Kraken that were closed: when each opened, how many trades it has, and what it covers.
    fn closed(&mut self, interval: Interval) -> Vec<(i64, u64, String)> {
        self.drain();
        let wanted = |candle: &Candle| (candle.interval, candle.venue) == (interval, Some(KRAKEN));
        let row = |candle: Candle| {
            let open = (candle.open_time - at(0)).num_seconds();
            (open, candle.trade_count, candle.coverage.to_string())
        };
        std::mem::take(&mut self.closed).into_iter().filter(wanted).map(row).collect()
    }
}

fn whole(seconds: std::ops::Range<i64>) -> Vec<(i64, u64, String)> {
    seconds.map(|second| (second, 1, "1".to_owned())).collect()
}

#[test]
fn a_clock_that_is_set_back_by_hours_stops_nothing() {
    // It is eight hours ahead at first, as after a start with a wrong one.
    const AHEAD: i64 = 8 * 3_600;
    let mut scene = Scene::new(AHEAD);
    scene.trade(AHEAD..AHEAD + 10, 0..10);
    scene.closed(Interval::Second);
    let mut told =
        scene.hub.subscribe(Series { pair: BTC_USD, venue: Some(KRAKEN), interval: Interval::Second });
    scene.chronicle.tick(at(10));
    let mut last = None;
    while let Some(Ok(word)) = told.next().now_or_never() {
        if let Word::Closed(candle) = word {
            last = Some(candle.open_time);
        }
    }
    assert_eq!(last, Some(at(AHEAD + 8)), "the last word of the clock that was");
    scene.drain();
    let (rows, closed) = (scene.inbox.len(), scene.counted);
    scene.trade(10..30, 10..30);
    assert_eq!(scene.closed(Interval::Second), whole(10..27), "it begins when the clock is seen to be set");
    assert_eq!(
        scene.inbox.len() - rows,
        19 + scene.counted - closed,
        "the last price of each second, and the candles"
    );
}

#[test]
fn what_a_clock_leaves_out_was_not_listened_to() {
    for jump in [90, 3_600, 8 * 3_600] {
        let mut scene = Scene::new(0);
        scene.trade(0..20, 0..20);
        scene.trade(20 + jump..60 + jump, 20 + jump..60 + jump);
        let mut closed = scene.closed(Interval::Second);
        // A long time is closed a part at a time.
        for _ in 0..100 {
            scene.chronicle.look(at(60 + jump));
            closed.extend(scene.closed(Interval::Second));
        }
        let known: Vec<_> = closed.iter().filter(|(_, _, covered)| covered != "0").cloned().collect();
        let mut expected = whole(0..19);
        expected.extend(whole(20 + jump..58 + jump));
        let of_19 = closed.iter().find(|(open, ..)| *open == 19).unwrap();
        assert_eq!(*of_19, (19, 1, "0".to_owned()), "it was last heard when that began");
        assert_eq!(known, expected, "{jump}");
        let nothing = closed.iter().filter(|(open, trades, _)| *open > 19 && *trades == 0).count();
        assert_eq!(nothing, usize::try_from(jump).unwrap());
    }
}

#[test]
fn messages_that_come_before_the_clock_is_looked_at_tell_the_same() {
    let mut scene = Scene::new(0);
    scene.trade(0..20, 0..20);
    scene.say(3_620, DeliveryKind::Message);
    scene.say(3_620, DeliveryKind::Left([BTC_USD].into()));
    (0..100).for_each(|_| scene.chronicle.look(at(3_630)));
    let closed = scene.closed(Interval::Second);
    assert_eq!(closed.len(), 3_628);
    assert!(closed.iter().skip(19).all(|(_, _, covered)| covered == "0"), "{closed:?}");
}

#[test]
fn an_end_closes_all_that_is_over_and_says_what_was_heard_of_it() {
    let mut scene = Scene::new(0);
    scene.trade(0..10, 0..10);
    assert_eq!(scene.closed(Interval::Second), whole(0..7));
    scene.chronicle.end(at(10) + TimeDelta::milliseconds(300));
    assert_eq!(scene.closed(Interval::Second), whole(7..10));
    // A venue that is behind has told nothing of the last moments.
    let mut scene = Scene::new(0);
    scene.trade(4..10, 2..8);
    scene.closed(Interval::Second);
    scene.chronicle.end(at(10));
    let closed = scene.closed(Interval::Second);
    let nothing = [(8, 0, "0".to_owned()), (9, 0, "0".to_owned())];
    assert_eq!(closed[closed.len() - 3..], [whole(7..8), nothing.to_vec()].concat());
}

#[test]
fn what_was_missed_in_between_is_not_covered() {
    let mut scene = Scene::new(0);
    scene.trade(0..10, 0..10);
    scene.say(14, DeliveryKind::Message);
    scene.say(14, DeliveryKind::Gap(None));
    scene.trade(14..70, 14..70);
    let minutes = scene.closed(Interval::Minute);
    // Five of sixty seconds: from the last message before it.
    assert_eq!(minutes, [(0, 56, "0.916667".to_owned())]);
    // A gap of another market is nothing to this one.
    scene.say(100, DeliveryKind::Gap(Some(Pair::literal("ETH", "USD"))));
    scene.trade(70..130, 70..130);
    assert_eq!(scene.closed(Interval::Minute), [(60, 60, "1".to_owned())]);
}
