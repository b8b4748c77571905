//! What comes late, what is large, and what is not known.

use super::*;
use crate::{cache::server::COMMAND, harness::eventually};

#[tokio::test]
async fn a_state_that_is_not_known_is_left_out() {
    let Some(redis) = Redis::start("cache: mirror: states") else {
        return;
    };
    let pool = redis.pool();
    let (mut market, mut writer) = (Market::new(7), writer(&pool, 1, options()));
    let begun = writer.replace(&market.everything()).await.unwrap();
    let (mut follower, mut heard) = (follower(&pool), Heard::default());
    heard.until(&mut follower, begun).await;
    // A later version tells more than this one knows.
    let id = format!("1-{}", begun.entry + 1);
    let batch = market.change(0);
    let sequence = batch.sequence.to_string();
    let keys = keys().ingest();
    redis.ask(&[
        "XADD",
        &keys.updates,
        &id,
        "sequence",
        &sequence,
        "@weather",
        "fine",
        "@candle:S1:okx:1m",
        "7",
    ]);
    let position = Position { epoch: 1, entry: begun.entry + 1, sequence: batch.sequence };
    heard.until(&mut follower, position).await;
    assert_eq!(heard.resets, []);
    assert_eq!(heard.states.candles, [("S1:okx:1m".to_owned(), Bytes::from_static(b"7"))]);
}

#[tokio::test]
async fn who_comes_late_is_told_what_led_there_as_far_back_as_it_is_kept() {
    let Some(redis) = Redis::start("cache: mirror: before") else {
        return;
    };
    let pool = redis.pool();
    let (mut market, mut writer) = (Market::new(9), writer(&pool, 1, options()));
    writer.replace(&market.everything()).await.unwrap();
    let (mut all, mut position) = (Vec::new(), None);
    for _ in 0..150 {
        let batch = market.change(9);
        position = Some(mirrored(append(&mut writer, &batch).await));
        all.extend(batch.updates);
    }
    let position = position.unwrap();
    let looking_back = |updates| follower(&pool).looking_back(updates);
    let (mut late, mut heard) = (looking_back(1 << 14), Heard::default());
    heard.until(&mut late, position).await;
    assert_eq!(heard.before, all, "back to where everything was written");
    let (mut less, mut heard) = (looking_back(100), Heard::default());
    heard.until(&mut less, position).await;
    assert!(heard.before.len() >= 100 && heard.before.len() < all.len(), "{}", heard.before.len());
    assert_eq!(heard.before, all[all.len() - heard.before.len()..]);

    // One entry is gone: what lies before it leads nowhere.
    let hole = format!("1-{}", position.entry - 3);
    assert_eq!(redis.ask(&["XDEL", &keys().ingest().updates, &hole]), "1");
    let (mut late, mut heard) = (looking_back(1 << 14), Heard::default());
    heard.until(&mut late, position).await;
    let known = heard.before.len();
    assert!(known <= 27, "{known} updates of three entries");
    assert_eq!(heard.before, all[all.len() - known..]);
}

#[tokio::test]
async fn what_was_to_replace_everything_and_comes_late_replaces_nothing() {
    let Some(redis) = Redis::start("cache: mirror: late") else {
        return;
    };
    let proxy = Proxy::to(redis.port).await;
    let mut market = Market::new(8);
    let mut writer = writer(&server::pool(&proxy.url()), 1, options());
    writer.replace(&market.everything()).await.unwrap();
    let late = Duration::from_millis(600);
    proxy.delay(late);
    let given_up = timeout(Duration::from_millis(100), writer.replace(&market.everything())).await;
    assert!(given_up.is_err(), "{given_up:?}");
    proxy.delay(Duration::ZERO);
    writer.replace(&market.everything()).await.unwrap();
    let position = mirrored(append(&mut writer, &market.change(9)).await);
    let (mut follower, mut heard) = (follower(&redis.pool()), Heard::default());
    heard.until(&mut follower, position).await;
    tokio::time::sleep(late * 2).await;
    let position = mirrored(append(&mut writer, &market.change(9)).await);
    heard.until(&mut follower, position).await;
    assert_eq!((&heard.resets, &heard.pairs), (&vec![], &market.pairs));
}

#[tokio::test]
async fn more_than_fits_in_one_entry_is_written_and_heard_whole() {
    let Some(redis) = Redis::start("cache: mirror: large") else {
        return;
    };
    let pool = redis.pool();
    let all = |from: u64| Batch {
        sequence: from + 10_000,
        updates: (1..=10_000)
            .map(|at| Update {
                pair: format!("P{at}-USD"),
                sequence: from + at,
                price: Bytes::from_static(&[7; 160]),
                contributions: Bytes::from_static(&[9; 160]),
                last: from > 0 && at % 2 == 0,
            })
            .collect(),
        states: States {
            sources: Some(Bytes::from(from.to_string())),
            candles: (1_000..6_000)
                .map(|at| (format!("S{at}:okx:1m"), Bytes::from((from + at).to_string())))
                .collect(),
        },
    };
    // Over a way on which all of it takes longer than a command may.
    let proxy = Proxy::to(redis.port).await;
    let far = server::pool(&proxy.url());
    let mut writer = writer(&far, 1, options());
    proxy.delay(Duration::from_millis(20));
    let start = Instant::now();
    let begun = writer.replace(&all(0)).await.unwrap();
    assert!(start.elapsed() > COMMAND, "{:?}", start.elapsed());
    let (mut follower, mut heard) = (follower(&far), Heard::default());
    assert!(matches!(follower.next().await, Ok(Follow::Snapshot { .. })));
    proxy.delay(Duration::ZERO);
    let mut follower = self::follower(&pool);
    heard.until(&mut follower, begun).await;
    assert_eq!(heard.everything.as_ref(), Some(&all(0)));
    let position = mirrored(append(&mut writer, &all(10_000)).await);
    assert_eq!((position.entry, position.sequence), (begun.entry + 4 + 5, 20_000));
    heard.until(&mut follower, position).await;
    assert_eq!(heard.updates, all(10_000).updates);
    assert_eq!((heard.pairs.len(), &heard.states), (5_000, &all(10_000).states));
    eventually("who leaves is gone from the latest", async || {
        (redis.ask(&["HLEN", &keys().ingest().latest]) == "5000").then_some(())
    })
    .await;
}
