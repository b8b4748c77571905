//! The aggregator over time: what is published when quotes come, stop, jump, lose their peg.

use bytes::Bytes;

use super::*;
use crate::{
    domain::{cross::CrossPolicy, decimal, quote::TopOfBook, trade::Side, trade::Trade},
    pipeline::{
        board::{Board, Encoder, Update},
        standards::Standards,
    },
};

const KRAKEN: Venue = Venue::new("kraken");
const COINBASE: Venue = Venue::new("coinbase");
const BITFINEX: Venue = Venue::new("bitfinex");
const BINANCE: Venue = Venue::new("binance");
const BTC_USD: Pair = Pair::literal("BTC", "USD");
const BTC_USDT: Pair = Pair::literal("BTC", "USDT");
const USDT_USD: Pair = Pair::literal("USDT", "USD");
const EUR_USD: Pair = Pair::literal("EUR", "USD");
const BTC_EUR: Pair = Pair::literal("BTC", "EUR");

struct Bench {
    aggregator: Aggregator,
    board: Board,
    crosses: Crosses,
}

impl Bench {
    fn new(crosses: &[Pair]) -> Self {
        Self::with(crosses, Markets::Configured([BTC_USD, BTC_USDT, USDT_USD, EUR_USD].into()))
    }

    fn with(crosses: &[Pair], markets: Markets) -> Self {
        let options = Options {
            policy: Policy::default(),
            peg: PegPolicy::default(),
            coins: vec![(USDT_USD.base, USDT_USD.quote)],
            jump: JumpPolicy::default(),
            refresh: TimeDelta::seconds(1),
            origin: Origin::Simulated,
            markets,
        };
        let encoder =
            Encoder { price: |price, _| Bytes::from(price.pair.to_string()), message: |_| Bytes::new() };
        let (board, publisher) = Board::new(1, encoder);
        let crosses = Crosses::new(crosses.iter().copied(), 10, CrossPolicy::default());
        let venues = [KRAKEN, COINBASE, BITFINEX, BINANCE].map(|venue| (venue, Vec::new()));
        let sources = Sources::new(venues, Origin::Simulated, Standards::new(&options), at(0));
        let aggregator = Aggregator::new(options, crosses.clone(), sources, publisher, at(0));
        Self { aggregator, board, crosses }
    }

    /// Says bid and ask around a price, a tenth of a basis point to either side.
    fn say(&mut self, venue: Venue, market: Pair, price: &str, second: i64) {
        let price = decimal::parse(price).unwrap();
        let half = price * Decimal::new(1, 5);
        let book = TopOfBook { bid: Some(price - half), ask: Some(price + half) };
        let kind = DeliveryKind::Ticker {
            market,
            kind: MarketKind::Spot,
            book: Some(book),
            last: None,
            base_volume_24h: None,
            quote_volume_24h: None,
            time: None,
        };
        let source = self.aggregator.sources.get(venue);
        let delivery = Delivery { venue, connection: Some(1), receive_time: at(second), kind };
        self.aggregator.apply(delivery, source.as_deref());
        self.aggregator.settle(at(second));
    }

    fn tick(&mut self, second: i64) {
        self.aggregator.tick(at(second));
    }

    fn peg(&mut self, rate: &str, second: i64) {
        for venue in [KRAKEN, COINBASE, BITFINEX] {
            self.say(venue, USDT_USD, rate, second);
        }
    }

    fn update(&self, pair: Pair) -> std::sync::Arc<Update> {
        self.board.get(pair).unwrap()
    }

    #[track_caller]
    fn check(&self, pair: Pair, expected: &str) {
        let price = &self.update(pair).price;
        let number = price.value.map_or("nothing".into(), |value| decimal::text(value.price));
        let reason = price.status_reason.map(|reason| format!(" {reason:?}")).unwrap_or_default();
        assert_eq!(format!("{number} {:?}{reason} {}", price.status, price.source_count), expected);
    }
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

#[test]
fn known_pairs_are_on_the_board_before_they_have_a_price() {
    let bench = Bench::new(&[BTC_EUR]);
    bench.check(BTC_USD, "nothing Unavailable NoFreshQuotes 0");
    // BTC-USD is known because its market in USDT is asked for.
    assert!(bench.board.contains(BTC_USD) && !bench.board.contains(Pair::literal("ETH", "USD")));
}

#[test]
fn going_stale_is_an_update_and_keeps_the_real_age() {
    let mut bench = Bench::new(&[]);
    bench.say(KRAKEN, BTC_USD, "60000", 0);
    bench.check(BTC_USD, "60000 Degraded TooFewSources 1");
    bench.say(COINBASE, BTC_USD, "60000", 1);
    bench.check(BTC_USD, "60000 Live 2");
    let before = bench.update(BTC_USD).stamp.cursor;
    bench.tick(31);
    bench.check(BTC_USD, "60000 Degraded TooFewSources 1");
    bench.tick(32);
    bench.check(BTC_USD, "60000 Stale NoFreshQuotes 1");
    let stale = bench.update(BTC_USD);
    assert!(stale.stamp.cursor > before);
    assert_eq!(stale.price.value.unwrap().observe_time, at(1));
    bench.tick(40);
    assert_eq!(bench.update(BTC_USD).stamp, stale.stamp, "nothing new is said of it");
}

#[test]
fn what_comes_as_late_as_the_trades_beside_it_is_that_old() {
    let mut bench = Bench::new(&[]);
    let trade = |bench: &mut Bench, second: i64, late: i64| {
        let trade = Trade {
            id: None,
            count: 1,
            price: 60_000.into(),
            amount: 1.into(),
            side: Side::Buy,
            time: at(second - late),
        };
        let kind = DeliveryKind::Trade { market: BTC_USD, kind: MarketKind::Spot, trade, snapshot: false };
        let delivery = Delivery { venue: BITFINEX, connection: Some(1), receive_time: at(second), kind };
        bench.aggregator.apply(delivery, None);
    };
    let say = |bench: &mut Bench, second: i64| {
        for (venue, price) in [(KRAKEN, "60000"), (COINBASE, "60001"), (BITFINEX, "60002")] {
            bench.say(venue, BTC_USD, price, second);
        }
        bench.tick(second);
    };
    for (second, late, expected) in [
        (0, 0, "60001 Live 3"),
        // A little late: it counts, and is as old as it is.
        (60, 25, "60001 Live 3"),
        // Later than a quote may be old.
        (200, 90, "60000.5 Live 2"),
        (330, 0, "60001 Live 3"),
    ] {
        (0..9).for_each(|_| trade(&mut bench, second, late));
        say(&mut bench, second);
        bench.check(BTC_USD, expected);
        // What only confirms is no younger.
        let kind = DeliveryKind::Confirm(None);
        let delivery = Delivery { venue: BITFINEX, connection: Some(1), receive_time: at(second), kind };
        bench.aggregator.apply(delivery, None);
        bench.tick(second + 2);
        bench.check(BTC_USD, expected);
        let quotes = bench.aggregator.quotes.of(&[BTC_USD]);
        let quote = quotes.iter().find(|quote| quote.venue == BITFINEX).unwrap();
        assert_eq!(quote.confirm_time, at(second - late));
    }
    // Another connection is in time as long as nothing else is known of it.
    (0..9).for_each(|_| trade(&mut bench, 400, 90));
    let left = DeliveryKind::Left([BTC_USD].into());
    bench
        .aggregator
        .apply(Delivery { venue: BITFINEX, connection: Some(1), receive_time: at(400), kind: left }, None);
    say(&mut bench, 400);
    bench.check(BTC_USD, "60001 Live 3");
}

#[test]
fn a_confirmation_keeps_a_quiet_price_fresh() {
    let mut bench = Bench::new(&[]);
    bench.say(KRAKEN, BTC_USD, "60000", 0);
    bench.say(COINBASE, BTC_USD, "60000", 0);
    for second in 1..=100 {
        for venue in [KRAKEN, COINBASE] {
            let kind = DeliveryKind::Confirm(None);
            let delivery = Delivery { venue, connection: Some(1), receive_time: at(second), kind };
            bench.aggregator.apply(delivery, None);
        }
        bench.tick(second);
    }
    bench.check(BTC_USD, "60000 Live 2");
    assert_eq!(bench.update(BTC_USD).price.value.unwrap().observe_time, at(100));
}

#[test]
fn a_jump_of_one_source_waits_for_samples_and_is_then_believed() {
    let mut bench = Bench::new(&[]);
    bench.say(KRAKEN, BTC_USD, "60000", 0);
    bench.say(KRAKEN, BTC_USD, "70000", 1);
    bench.check(BTC_USD, "60000 Degraded JumpUnconfirmed 1");
    // Looking again is no further sample.
    for second in 2..=5 {
        bench.tick(second);
    }
    bench.check(BTC_USD, "60000 Degraded JumpUnconfirmed 1");
    bench.say(KRAKEN, BTC_USD, "70001", 6);
    bench.check(BTC_USD, "60000 Degraded JumpUnconfirmed 1");
    bench.say(KRAKEN, BTC_USD, "70002", 7);
    bench.check(BTC_USD, "70002 Degraded TooFewSources 1");
}

#[test]
fn a_price_that_waits_for_a_jump_grows_old_too() {
    let mut bench = Bench::new(&[]);
    bench.say(KRAKEN, BTC_USD, "60000", 0);
    bench.tick(31);
    bench.check(BTC_USD, "60000 Stale NoFreshQuotes 1");
    bench.say(KRAKEN, BTC_USD, "70000", 40);
    bench.check(BTC_USD, "60000 Stale JumpUnconfirmed 1");
}

#[test]
fn what_is_not_priced_is_explained_all_the_same() {
    let mut bench = Bench::new(&[]);
    let before = bench.update(BTC_USD).stamp;
    bench.say(BINANCE, BTC_USDT, "60000", 1);
    bench.check(BTC_USD, "nothing Unavailable NoFreshQuotes 0");
    let explained = bench.board.explain(BTC_USD).unwrap();
    let [made] = explained.contributions.as_slice() else { panic!("{explained:?}") };
    assert_eq!((made.verdict, explained.time), (aggregate::Verdict::PegUnknown, at(1)));
    assert_eq!(explained.update.stamp, before, "to explain is no update");
}

#[test]
fn stablecoin_markets_count_at_the_live_rate_or_not_at_all() {
    let mut bench = Bench::new(&[]);
    bench.say(BINANCE, BTC_USDT, "60000", 0);
    bench.check(BTC_USDT, "60000 Degraded TooFewSources 1");
    bench.check(BTC_USD, "nothing Unavailable NoFreshQuotes 0");
    bench.say(KRAKEN, USDT_USD, "0.999", 0);
    bench.say(COINBASE, USDT_USD, "0.999", 0);
    bench.check(BTC_USD, "nothing Unavailable NoFreshQuotes 0");
    // The third anchor makes a peg, and the pair that waits for it is looked at again.
    bench.say(BITFINEX, USDT_USD, "0.999", 0);
    bench.check(BTC_USD, "59940 Degraded TooFewSources 1");
    // The rate moves: so does the price, though the market has said nothing new.
    bench.peg("0.998", 1);
    bench.check(BTC_USD, "59880 Degraded TooFewSources 1");
}

#[test]
fn what_only_a_depegged_coin_prices_has_no_price() {
    let mut bench = Bench::new(&[]);
    bench.peg("1", 0);
    bench.say(BINANCE, BTC_USDT, "60000", 0);
    bench.check(BTC_USD, "60000 Degraded TooFewSources 1");
    bench.peg("0.97", 1);
    bench.check(BTC_USD, "nothing Unavailable Depegged 0");
    bench.check(USDT_USD, "0.97 Live 3");
    bench.check(BTC_USDT, "60000 Degraded TooFewSources 1");
    // Nor does the price from before come back when nobody tells the coin's worth any more.
    bench.tick(40);
    bench.check(USDT_USD, "0.97 Stale NoFreshQuotes 3");
    bench.check(BTC_USD, "nothing Unavailable NoFreshQuotes 0");
    bench.say(KRAKEN, BTC_USD, "58200", 41);
    bench.check(BTC_USD, "58200 Degraded TooFewSources 1");
}

#[test]
fn a_venue_that_stands_still_while_the_others_move_loses_its_vote() {
    let mut bench = Bench::new(&[]);
    for venue in [KRAKEN, COINBASE, BITFINEX] {
        bench.say(venue, BTC_USD, "60000", 0);
    }
    for second in 1..=70 {
        for (venue, price) in
            [(KRAKEN, 60_000 + 4 * second), (COINBASE, 60_000 + 4 * second), (BITFINEX, 60_000)]
        {
            bench.say(venue, BTC_USD, &price.to_string(), second);
        }
    }
    bench.check(BTC_USD, "60280 Live 2");
    let explained = bench.board.explain(BTC_USD).unwrap();
    let frozen = explained.contributions.iter().find(|made| made.quote.venue == BITFINEX).unwrap();
    assert_eq!(frozen.verdict, aggregate::Verdict::Frozen);
    // It moves again, and has its vote again.
    bench.say(BITFINEX, BTC_USD, "60281", 71);
    bench.check(BTC_USD, "60280 Live 3");
}

#[test]
fn kept_crosses_follow_their_legs() {
    let mut bench = Bench::new(&[BTC_EUR]);
    bench.tick(0);
    bench.check(BTC_EUR, "nothing Unavailable NoFreshQuotes 0");
    for venue in [KRAKEN, COINBASE] {
        bench.say(venue, BTC_USD, "60000", 0);
        bench.say(venue, EUR_USD, "1.2", 0);
    }
    bench.check(BTC_EUR, "50000 Live 2");
    assert_eq!(bench.update(BTC_EUR).price.route, [BTC_USD, EUR_USD]);
    for venue in [KRAKEN, COINBASE] {
        bench.say(venue, BTC_USD, "60600", 1);
    }
    bench.check(BTC_EUR, "50500 Live 2");
    bench.tick(40);
    bench.check(BTC_EUR, "50500 Stale NoFreshQuotes 2");
}

#[test]
fn a_cross_has_no_price_when_its_legs_have_none() {
    let nowhere = Pair::literal("BTC", "CHF");
    let mut bench = Bench::new(&[BTC_EUR, nowhere]);
    bench.peg("1", 0);
    bench.say(BINANCE, BTC_USDT, "60000", 0);
    bench.say(KRAKEN, EUR_USD, "1.2", 0);
    bench.check(BTC_EUR, "50000 Degraded TooFewSources 1");
    bench.check(nowhere, "nothing Unavailable NoRoute 0");
    bench.peg("0.97", 1);
    bench.check(BTC_USD, "nothing Unavailable Depegged 0");
    bench.check(BTC_EUR, "nothing Unavailable Depegged 0");
    bench.peg("1", 2);
    bench.check(BTC_EUR, "50000 Degraded TooFewSources 1");
}

#[test]
fn a_cross_whose_own_market_is_met_is_derived_no_more() {
    let mut bench = Bench::with(&[BTC_EUR], Markets::Met);
    bench.say(KRAKEN, BTC_USD, "60000", 0);
    bench.say(KRAKEN, EUR_USD, "1.2", 0);
    bench.check(BTC_EUR, "50000 Degraded TooFewSources 1");
    bench.say(KRAKEN, BTC_EUR, "50100", 1);
    bench.say(KRAKEN, BTC_USD, "60060", 2);
    bench.check(BTC_EUR, "50100 Degraded TooFewSources 1");
    assert_eq!(bench.update(BTC_EUR).price.route, []);
}

#[test]
fn a_cross_that_somebody_wants_comes_and_goes() {
    let mut bench = Bench::new(&[]);
    for venue in [KRAKEN, COINBASE] {
        bench.say(venue, BTC_USD, "60000", 0);
        bench.say(venue, EUR_USD, "1.2", 0);
    }
    assert!(!bench.board.contains(BTC_EUR));
    let kept = bench.crosses.keep(BTC_EUR);
    bench.tick(1);
    bench.check(BTC_EUR, "50000 Live 2");
    drop(kept);
    bench.tick(2);
    assert!(!bench.board.contains(BTC_EUR));
}

#[test]
fn what_is_not_spot_or_not_asked_for_changes_nothing() {
    let mut bench = Bench::new(&[]);
    let trade = |market, kind| DeliveryKind::Trade {
        market,
        kind,
        trade: Trade { id: None, count: 1, price: 1.into(), amount: 1.into(), side: Side::Buy, time: at(1) },
        snapshot: false,
    };
    for kind in [
        trade(BTC_USD, MarketKind::Perpetual),
        trade(BTC_USD, MarketKind::Dated),
        trade(Pair::literal("ETH", "USD"), MarketKind::Spot),
    ] {
        let delivery = Delivery { venue: KRAKEN, connection: Some(1), receive_time: at(1), kind };
        bench.aggregator.apply(delivery, None);
    }
    bench.aggregator.settle(at(1));
    bench.check(BTC_USD, "nothing Unavailable NoFreshQuotes 0");
    assert!(!bench.board.contains(Pair::literal("ETH", "USD")));
}
