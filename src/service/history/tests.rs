//! What was said of pairs that have no direct price.

use std::time::Duration;

use rust_decimal::Decimal;

use super::*;
use crate::{
    domain::{
        aggregate::Policy,
        cross::CrossPolicy,
        decimal,
        jump::JumpPolicy,
        peg::PegPolicy,
        price::{Cursor, Value},
    },
    pipeline::{
        aggregator::{Markets, Options},
        board::{Board, Encoder, Publisher},
        crosses::Crosses,
    },
    store::{self, Location, Store},
};

const BTC_USD: Pair = Pair::literal("BTC", "USD");
const XRP_USD: Pair = Pair::literal("XRP", "USD");
const BTC_XRP: Pair = Pair::literal("BTC", "XRP");
const USDT_USD: Pair = Pair::literal("USDT", "USD");
const USDT_EUR: Pair = Pair::literal("USDT", "EUR");
const USD_EUR: Pair = Pair::literal("USD", "EUR");

struct Scene {
    history: History,
    store: Arc<Store>,
    board: Publisher,
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1_000_000 + second)
}

fn price(pair: Pair, text: &str, second: i64) -> Price {
    let value = Value {
        price: decimal::parse(text).unwrap(),
        bid: None,
        ask: None,
        dispersion_bps: Decimal::ZERO,
        observe_time: at(second),
        receive_time: at(second),
    };
    let blank = Price::unavailable(pair, StatusReason::NoRoute, Origin::Live, at(second));
    Price { status: Status::Live, status_reason: None, value: Some(value), source_count: 3, ..blank }
}

impl Scene {
    fn new() -> Self {
        let options = Options {
            policy: Policy::default(),
            peg: PegPolicy::default(),
            coins: vec![(USDT_USD.base, USDT_USD.quote)],
            jump: JumpPolicy::default(),
            refresh: chrono::TimeDelta::seconds(1),
            origin: Origin::Live,
            markets: Markets::Met,
        };
        let (board, publisher) = Board::new(1, Encoder::NONE);
        let crosses = Crosses::new([], 10, CrossPolicy::default());
        let clock = Clock::standing_at(at(1_000));
        let span = Duration::from_secs(5);
        let store = Arc::new(Store::open(store::Options {
            location: Location::Memory,
            origin: Origin::Live,
            max_connections: 1,
            connect_timeout: span,
            statement_timeout: span,
            lock_timeout: span,
            max_bytes: 1 << 30,
        }));
        let prices = Prices::new(board, crosses, clock.clone());
        let archive = Archive::new(Arc::clone(&store));
        let history =
            History::new(archive, prices, clock, Standards::new(&options), chrono::TimeDelta::seconds(60));
        Self { history, store, board: publisher }
    }

    /// Records a price that was published when it was computed.
    async fn record(&self, sequence: u64, price: Price) {
        let stamp = Stamp { cursor: Cursor { epoch: 1, sequence }, publish_time: price.aggregate_time };
        self.store.write_prices(&[PricePoint { price, stamp }], at(900)).await.unwrap();
    }

    async fn ask(&self, pair: &str, second: i64) -> Result<Price, ServiceError> {
        let found = self.history.price_at(pair, at(second), None, &Bar::default()).await;
        found.map(|update| update.price.clone())
    }
}

#[tokio::test]
async fn what_nobody_kept_then_is_derived_as_it_was_then() {
    let mut scene = Scene::new();
    for (sequence, second) in [(1, 0), (3, 20), (6, 100)] {
        scene.record(sequence, price(BTC_USD, "100", second)).await;
        scene.record(sequence + 100, price(XRP_USD, "2", second)).await;
    }
    // It was streamed from 10 to 30, and again from 110 on.
    scene.record(2, Price { route: vec![BTC_USD, XRP_USD], ..price(BTC_XRP, "50.5", 10) }).await;
    scene.record(5, Price::unavailable(BTC_XRP, StatusReason::NotKept, Origin::Live, at(30))).await;
    for now in [false, true] {
        scene.board.publish(price(BTC_USD, "300", 120), Vec::new(), at(120));
        scene.board.publish(price(XRP_USD, "3", 120), Vec::new(), at(120));
        if now {
            let streamed = Price { route: vec![BTC_USD, XRP_USD], ..price(BTC_XRP, "100", 120) };
            scene.board.publish(streamed, Vec::new(), at(120));
        }
        for (second, expected) in [(5, "50"), (15, "50.5"), (35, "50"), (105, "50"), (125, "100")] {
            let found =
                scene.ask("BTC-XRP", second).await.unwrap_or_else(|error| panic!("{second}: {error}"));
            assert_eq!(found.value.unwrap().price, decimal::parse(expected).unwrap(), "{second} {now}");
            assert_eq!((found.status, found.route), (Status::Live, vec![BTC_USD, XRP_USD]), "{second} {now}");
        }
    }
    let before = scene.ask("BTC-XRP", -5).await;
    assert_eq!(before, Err(ServiceError::NotRecorded { pair: BTC_XRP, time: at(-5) }));
}

#[tokio::test]
async fn nothing_is_derived_through_a_coin_that_had_lost_its_peg_then() {
    let mut scene = Scene::new();
    for (sequence, second, rate) in [(1, 0, "1"), (2, 50, "0.9")] {
        scene.record(sequence, price(USDT_USD, rate, second)).await;
        scene.record(sequence + 100, price(USDT_EUR, "0.9", second)).await;
    }
    scene.board.publish(price(USDT_USD, "1", 200), Vec::new(), at(200));
    scene.board.publish(price(USDT_EUR, "0.9", 200), Vec::new(), at(200));
    assert_eq!(scene.ask("USD-EUR", 10).await.unwrap().value.unwrap().price, Decimal::new(9, 1));
    assert_eq!(scene.ask("USD-EUR", 60).await, Err(ServiceError::Depegged { pair: USD_EUR }));
}
