use rust_decimal::Decimal;

use super::*;
use crate::{
    domain::price::{Origin, Status, StatusReason, Value},
    pipeline::board::{Encoder, LOG, Publisher},
};

const PAIR: Pair = Pair::literal("BTC", "USD");
const ENCODER: Encoder = Encoder { price: |_, _| bytes::Bytes::new(), message: |_| bytes::Bytes::new() };

struct Scene {
    publisher: Publisher,
    points: Points,
    now: DateTime<Utc>,
}

impl Scene {
    fn new() -> Self {
        let (board, publisher) = Board::new(1, ENCODER);
        let cadence = Cadence { every: TimeDelta::seconds(1), repeat: TimeDelta::seconds(60) };
        Self {
            publisher,
            points: Points::new(board, cadence),
            now: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
        }
    }

    fn publish(&mut self, status: Status, price: i64) {
        let value = Value {
            price: Decimal::from(price),
            bid: None,
            ask: None,
            dispersion_bps: Decimal::ZERO,
            observe_time: self.now,
            receive_time: self.now,
        };
        let price = Price {
            status,
            status_reason: None,
            value: Some(value),
            source_count: 3,
            ..Price::unavailable(PAIR, StatusReason::NoFreshQuotes, Origin::Live, self.now)
        };
        self.publisher.publish(price, Vec::new(), self.now);
    }

    /// Lets time pass, and gives what is kept: status, price, and when it was computed, in milliseconds from the start.
    fn after(&mut self, millis: i64) -> Vec<(Status, String, i64)> {
        self.now += TimeDelta::milliseconds(millis);
        let points = self.points.look(self.now);
        let start = DateTime::<Utc>::from_timestamp(1_700_000_000, 0).unwrap();
        let told = |point: PricePoint| {
            let price = point.price;
            let number = price.value.map(|value| value.price.to_string()).unwrap_or_default();
            (price.status, number, (price.aggregate_time - start).num_milliseconds())
        };
        points.into_iter().map(told).collect()
    }
}

fn live(price: &str, at: i64) -> (Status, String, i64) {
    (Status::Live, price.to_owned(), at)
}

#[test]
fn what_changes_is_kept_at_the_cadence_and_a_status_at_once() {
    let mut scene = Scene::new();
    scene.publish(Status::Live, 100);
    assert_eq!(scene.after(100), [live("100", 0)]);
    scene.publish(Status::Live, 101);
    assert_eq!(scene.after(100), []);
    scene.publish(Status::Live, 102);
    // The last of what changed in a second.
    assert_eq!(scene.after(900), [live("102", 200)]);
    scene.publish(Status::Live, 103);
    assert_eq!(scene.after(100), []);
    scene.publish(Status::Degraded, 150);
    scene.publish(Status::Live, 104);
    // With what it was until then.
    let degraded = (Status::Degraded, "150".to_owned(), 1_200);
    assert_eq!(scene.after(100), [live("103", 1_100), degraded, live("104", 1_200)]);
}

#[test]
fn what_goes_on_as_it_is_is_kept_now_and_then() {
    let mut scene = Scene::new();
    scene.publish(Status::Live, 100);
    assert_eq!(scene.after(0).len(), 1);
    let mut kept = Vec::new();
    // Published again every second, as it is confirmed.
    for _ in 0..120 {
        kept.extend(scene.after(1_000));
        scene.publish(Status::Live, 100);
    }
    assert_eq!(kept, [live("100", 59_000), live("100", 119_000)]);
    // Not even that: it is not looked at any more.
    kept = (0..130).flat_map(|_| scene.after(1_000)).collect();
    assert_eq!(kept, [live("100", 120_000 + 60_000), live("100", 240_000)]);
}

#[test]
fn a_pair_that_leaves_is_kept_as_gone() {
    let mut scene = Scene::new();
    scene.publish(Status::Live, 100);
    scene.after(100);
    scene.publisher.remove(PAIR, scene.now);
    assert_eq!(scene.after(100), [(Status::Unavailable, String::new(), 100)]);
    assert_eq!(scene.after(120_000), []);
}

#[test]
fn who_comes_too_late_for_the_log_takes_what_is_on_the_board() {
    let mut scene = Scene::new();
    for price in 1..=i64::try_from(LOG).unwrap() + 5 {
        scene.publish(Status::Live, price);
    }
    assert_eq!(scene.after(0), [live("16389", 0)]);
}

#[test]
fn at_the_end_nothing_is_left_for_later() {
    let mut scene = Scene::new();
    scene.publish(Status::Live, 100);
    scene.after(100);
    scene.publish(Status::Live, 101);
    assert_eq!(scene.points.look(scene.now).len(), 0);
    assert_eq!(scene.points.last(scene.now).len(), 1);
}
