//! Random histories, against a plain model of what a store has to answer.

use std::collections::BTreeMap;

use cryptoprice::{domain::price::StatusReason, store::prices::StoredPrice};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::*;

/// What is known of a series: each revision of each candle, and when it was written.
type Model = BTreeMap<DateTime<Utc>, BTreeMap<u32, (DateTime<Utc>, Candle)>>;

#[tokio::test]
async fn any_history_is_read_as_it_was_written() {
    let mut rows = 0;
    for seed in 0..6 {
        each("store: histories", async |place| {
            let store = place.store().await;
            let mut random = SmallRng::seed_from_u64(seed);
            let models = history(&mut random, &store, 900, &Interval::ALL).await;
            for _ in 0..40 {
                let series = *random_of(&mut random, &models.keys().copied().collect::<Vec<_>>());
                let query = query(&mut random, series);
                let stored = store.list_candles(&query).await.unwrap();
                let expected = answer(&models[&series], &query);
                assert_eq!(stored.len(), expected.len(), "{query:?}");
                for (stored, (record_time, candle)) in stored.into_iter().zip(expected) {
                    assert_eq!((stored.record_time, stored.candle), (record_time, candle), "{query:?}");
                }
            }
        })
        .await;
        rows += 900;
    }
    eprintln!("{rows} rows were written and read");
}

#[tokio::test]
async fn pages_meet_without_gap_or_repetition_while_others_write() {
    each("store: pages", async |place| {
        let store = place.store().await;
        let mut random = SmallRng::seed_from_u64(11);
        for descending in [false, true] {
            let models = history(&mut random, &store, 700, &[Interval::Minute]).await;
            let (series, model) = models.iter().max_by_key(|(_, model)| model.len()).unwrap();
            let mut query =
                CandleQuery { descending, limit: 7, known_by: Some(written(700)), ..all(*series) };
            let mut pages = Vec::new();
            loop {
                let page = list(&store, &query).await;
                let Some(last) = page.last() else { break };
                query.after = Some(last.open_time);
                // Behind us, before us, and a restatement of what was read: all after what we know.
                for step in [-1, 1] {
                    let mut late = candle(*series, last.open_time + series.interval.span() * step, 1);
                    late.revision = 1_000;
                    store.write_candles(&[late], written(1_000)).await.unwrap();
                }
                pages.extend(page);
            }
            let expected: Vec<_> = answer(model, &CandleQuery { limit: u32::MAX, after: None, ..query })
                .into_iter()
                .map(|(_, candle)| candle)
                .collect();
            assert!(expected.len() > 40, "{}", expected.len());
            assert_eq!(pages, expected);
            // What is not bound to a time of knowledge sees what was written since.
            assert_ne!(list(&store, &CandleQuery { descending, ..all(*series) }).await, expected);
        }
    })
    .await;
}

/// When the nth row is written.
fn written(row: i32) -> DateTime<Utc> {
    start() + TimeDelta::seconds(row.into())
}

/// Writes candles of some series in random order and batches, some of them restated, and tells what they are.
async fn history(
    random: &mut SmallRng,
    store: &Store,
    rows: i32,
    intervals: &[Interval],
) -> BTreeMap<Series, Model> {
    let mut models = BTreeMap::<Series, Model>::new();
    let pairs = [Pair::literal("BTC", "USD"), Pair::literal("SHIB", "IDR"), Pair::literal("A1", "B")];
    // Another set of pairs for each history in the same database.
    let quote = format!("Q{}", random.random_range(0..1_000_000_000));
    let quote = cryptoprice::domain::pair::Asset::raw(&quote).unwrap();
    let venues = [None, Some(KRAKEN), Some(Venue::new("binanceus"))];
    let mut row = 0;
    while row < rows {
        let mut batch = Vec::new();
        for _ in 0..random.random_range(1..=150.min(rows - row)) {
            let interval = *random_of(random, intervals);
            let pair = Pair::new(random_of(random, &pairs).base, quote);
            let key = Series { pair, venue: *random_of(random, &venues), interval };
            // Few slots, so that candles are restated.
            let slot = random.random_range(0..60);
            let open_time = interval.open_time(start() + interval.span() * slot);
            let revisions = models.entry(key).or_default().entry(open_time).or_default();
            let mut candle = random_candle(random, key, open_time);
            candle.revision = u32::try_from(revisions.len()).unwrap();
            revisions.insert(candle.revision, (written(row), candle.clone()));
            batch.push(candle);
        }
        let record_time = written(row);
        for candle in &batch {
            let key = Series { pair: candle.pair, venue: candle.venue, interval: candle.interval };
            let entry = models.get_mut(&key).unwrap().get_mut(&candle.open_time).unwrap();
            entry.get_mut(&candle.revision).unwrap().0 = record_time;
        }
        assert_eq!(store.write_candles(&batch, record_time).await.unwrap(), batch.len() as u64);
        row += i32::try_from(batch.len()).unwrap();
    }
    models
}

/// What a store has to answer.
fn answer(model: &Model, query: &CandleQuery) -> Vec<(DateTime<Utc>, Candle)> {
    let mut known: Vec<_> = model
        .range(query.from..query.to.max(query.from))
        .filter_map(|(_, revisions)| {
            let known = |time: &DateTime<Utc>| query.known_by.is_none_or(|by| *time <= by);
            revisions.values().rfind(|(time, _)| known(time)).cloned()
        })
        .collect();
    if query.descending {
        known.reverse();
    }
    known.retain(|(_, candle)| match query.after {
        Some(after) if query.descending => candle.open_time < after,
        Some(after) => candle.open_time > after,
        None => true,
    });
    known.truncate(query.limit as usize);
    known
}

fn query(random: &mut SmallRng, series: Series) -> CandleQuery {
    let slot = |random: &mut SmallRng| start() + series.interval.span() * random.random_range(-5..70);
    let (from, to) = (slot(random), slot(random));
    CandleQuery {
        series,
        from,
        to,
        descending: random.random(),
        limit: random.random_range(0..40),
        after: random.random_bool(0.5).then(|| slot(random)),
        known_by: random.random_bool(0.5).then(|| written(random.random_range(-10..1_000))),
    }
}

fn random_candle(random: &mut SmallRng, series: Series, open_time: DateTime<Utc>) -> Candle {
    let mut candle = candle(series, open_time, 0);
    candle.state = *random_of(random, &[CandleState::Final, CandleState::Restated, CandleState::Gap]);
    candle.maker = *random_of(random, &[CandleMaker::Service, CandleMaker::Venue]);
    candle.prices = random.random_bool(0.9).then(|| {
        let [open, high, low, close] = std::array::from_fn(|_| number(random));
        Ohlc { open, high, low, close }
    });
    (candle.base_volume, candle.quote_volume) = (number(random), number(random));
    candle.trade_count = random.random_range(0..=i64::MAX.unsigned_abs());
    candle.source_count = random.random_range(0..=i32::MAX.unsigned_abs());
    candle.coverage = number(random);
    candle
}

/// A decimal of up to 28 digits, of which up to 28 are behind the point; often a tiny one, or a large one.
fn number(random: &mut SmallRng) -> Decimal {
    let digits = random.random_range(0..=28);
    let mantissa = random.random_range(0..10_i128.pow(digits));
    let scale = *random_of(random, &[0, 2, 8, 12, 18, 27, 28]);
    Decimal::from_i128_with_scale(mantissa, scale)
}

fn random_of<'a, T>(random: &mut SmallRng, all: &'a [T]) -> &'a T {
    &all[random.random_range(0..all.len())]
}

#[tokio::test]
async fn a_candle_that_was_restated_more_often_than_a_page_is_long_is_one_candle() {
    each("store: many revisions", async |place| {
        let store = place.store().await;
        let mut candles = minutes(5);
        for revision in 1..200 {
            let mut restated = candles[2].clone();
            restated.revision = revision;
            restated.trade_count = revision.into();
            candles.push(restated);
        }
        store.write_candles(&candles, start()).await.unwrap();
        for descending in [false, true] {
            for limit in [1, 2, 3, 4, 5, 9] {
                let page = list(&store, &CandleQuery { limit, descending, ..all(MINUTES) }).await;
                let opened: Vec<_> =
                    page.iter().map(|candle| (candle.open_time - start()).num_minutes()).collect();
                let expected = if descending { [4, 3, 2, 1, 0] } else { [0, 1, 2, 3, 4] };
                assert_eq!(opened, expected[..page.len()]);
                assert_eq!(page.len(), (limit as usize).min(5));
                let restated = page.iter().find(|candle| candle.open_time == candles[2].open_time);
                assert!(restated.is_none_or(|candle| candle.revision == 199));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn random_prices_are_read_back_to_the_last_digit_as_they_were_known() {
    let mut rows = 0;
    for seed in 0..4 {
        each("store: random prices", async |place| {
            let store = place.store().await;
            let mut random = SmallRng::seed_from_u64(seed);
            let pairs = [BTC_USD, Pair::literal("ETH", "BTC"), Pair::literal("SHIB", "USDT")];
            let mut all: Vec<StoredPrice> = Vec::new();
            for batch in 0..30 {
                let known: Vec<_> = (0..20)
                    .map(|at| {
                        let pair = *random_of(&mut random, &pairs);
                        random_price(&mut random, pair, batch * 20 + at)
                    })
                    .collect();
                assert_eq!(store.keep_prices(&known).await.unwrap(), 20);
                assert_eq!(store.keep_prices(&known).await.unwrap(), 0);
                all.extend(known);
            }
            for _ in 0..200 {
                let pair = *random_of(&mut random, &pairs);
                let time = start() + TimeDelta::milliseconds(random.random_range(-1_000..62_000));
                let known_by = random.random_bool(0.5).then(|| written(random.random_range(-10..700)));
                let known = |row: &&StoredPrice| {
                    let price = &row.point.price;
                    price.pair == pair
                        && price.aggregate_time <= time
                        && known_by.is_none_or(|by| row.record_time <= by)
                };
                let place = |row: &&StoredPrice| (row.point.price.aggregate_time, row.point.stamp.cursor);
                let expected = all.iter().filter(known).max_by_key(place);
                let found = store.price_at(pair, time, known_by).await.unwrap();
                assert_eq!(found.as_ref(), expected, "{pair} {time} {known_by:?}");
            }
        })
        .await;
        rows += 600;
    }
    eprintln!("{rows} prices were written and read");
}

fn random_price(random: &mut SmallRng, pair: Pair, row: i32) -> StoredPrice {
    let time = |random: &mut SmallRng| start() + TimeDelta::microseconds(random.random_range(0..60_000_000));
    let value = random.random_bool(0.9).then(|| Value {
        price: number(random),
        bid: random.random_bool(0.5).then(|| number(random)),
        ask: random.random_bool(0.5).then(|| number(random)),
        dispersion_bps: number(random),
        observe_time: time(random),
        receive_time: time(random),
    });
    let route = [Pair::literal("ETH", "USD"), Pair::literal("EUR", "USD")];
    let price = Price {
        pair,
        status: *random_of(random, &[Status::Live, Status::Degraded, Status::Stale, Status::Unavailable]),
        status_reason: *random_of(random, &[None, Some(StatusReason::Depegged), Some(StatusReason::LegSkew)]),
        value,
        source_count: random.random_range(0..=i32::MAX.unsigned_abs()),
        // Few moments, so that some have several prices.
        aggregate_time: start() + TimeDelta::milliseconds(250 * random.random_range(0..240)),
        route: route[..random.random_range(0..=2)].to_vec(),
        origin: Origin::Live,
    };
    let cursor = Cursor { epoch: random.random_range(0..3), sequence: row.unsigned_abs().into() };
    let point = PricePoint { price, stamp: Stamp { cursor, publish_time: time(random) } };
    StoredPrice { point, record_time: written(row) }
}
