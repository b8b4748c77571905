//! Several speak of one candle, and the store numbers what they say.

use cryptoprice::{domain::candle::news::Teller, store::candles::StoredCandle};

use super::*;

/// What one who listens says, so many seconds after the start.
fn heard(candles: &[Candle], second: i64) -> Vec<StoredCandle> {
    let record_time = start() + TimeDelta::seconds(second);
    candles.iter().map(|candle| StoredCandle { candle: candle.clone(), record_time }).collect()
}

fn restated(candle: &Candle, revision: u32, coverage: i64, trades: u64) -> Candle {
    let (state, coverage) = (CandleState::Restated, Decimal::new(coverage, 1));
    Candle { revision, state, coverage, trade_count: trades, ..candle.clone() }
}

fn gap(candle: &Candle) -> Candle {
    let zero = Decimal::ZERO;
    Candle {
        state: CandleState::Gap,
        prices: None,
        base_volume: zero,
        quote_volume: zero,
        trade_count: 0,
        source_count: 0,
        coverage: zero,
        ..candle.clone()
    }
}

#[tokio::test]
async fn whoever_knows_more_is_believed_whichever_came_first() {
    each("store: several tell", async |place| {
        let (one, other) = (place.store().await, place.store().await);
        let whole = minutes(3);
        // One replica cannot reach the venue, one has begun in the middle of it.
        let poor = [gap(&whole[0]), restated(&whole[1], 0, 4, 1), whole[2].clone()];
        let poor = poor.map(|candle| Candle { revision: 0, ..candle });
        assert_eq!(one.keep_candles(&heard(&poor, 1)).await.unwrap(), 3);
        assert_eq!(other.keep_candles(&heard(&whole, 2)).await.unwrap(), 2);
        let now = list(&one, &all(MINUTES)).await;
        assert_eq!(now.iter().map(|candle| candle.revision).collect::<Vec<_>>(), [1, 1, 0]);
        for (stored, candle) in now.iter().zip(&whole) {
            assert_eq!((stored.prices, stored.coverage), (candle.prices, candle.coverage));
        }
        // Both write it all once more, in whatever order: nothing changes.
        for batch in [&poor[..], &whole, &poor] {
            assert_eq!(other.keep_candles(&heard(batch, 9)).await.unwrap(), 0);
        }
        assert_eq!(list(&one, &all(MINUTES)).await, now);
        let then = CandleQuery { known_by: Some(start() + TimeDelta::seconds(1)), ..all(MINUTES) };
        assert_eq!(list(&one, &then).await, poor);
    })
    .await;
}

#[tokio::test]
async fn what_a_venue_told_is_not_hidden_by_what_was_heard_in_part() {
    each("store: told and heard", async |place| {
        let store = place.store().await;
        let first = Candle { coverage: Decimal::new(5, 1), ..minutes(1).remove(0) };
        store.keep_candles(&heard(std::slice::from_ref(&first), 1)).await.unwrap();
        let told = Candle { maker: CandleMaker::Venue, trade_count: 20, ..minutes(1).remove(0) };
        let written =
            store.revise_candles(&[told.clone(), told.clone()], Teller::Maker, start()).await.unwrap();
        assert_eq!(written, [Candle { revision: 1, state: CandleState::Restated, ..told }]);
        // Late trades, the first of which has the number of what the venue told.
        for (revision, trades) in [(1, 4), (2, 5), (3, 6)] {
            let late = restated(&first, revision, 5, trades);
            assert_eq!(store.keep_candles(&heard(&[late], 2)).await.unwrap(), 0, "{revision}");
        }
        assert_eq!(list(&store, &all(MINUTES)).await, written);
        // Nor what one batch has of both.
        let second = candle(MINUTES, start() + TimeDelta::minutes(7), 1);
        let batch = [second.clone(), restated(&second, 1, 10, 4), restated(&second, 2, 9, 4)];
        assert_eq!(store.keep_candles(&heard(&batch, 3)).await.unwrap(), 3);
        assert_eq!(list(&store, &all(MINUTES)).await.last(), Some(&batch[2]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_write_at_once_lose_nothing_and_leave_the_best() {
    each("store: many at once", async |place| {
        let store = place.store().await;
        let writers = (1..=9).map(|coverage| {
            let candles: Vec<_> = minutes(40)
                .into_iter()
                .map(|candle| Candle { coverage: Decimal::new(coverage, 1), ..candle })
                .collect();
            let store = &store;
            async move {
                if coverage % 2 == 0 {
                    store.keep_candles(&heard(&candles, coverage)).await.unwrap();
                } else {
                    store.revise_candles(&candles, Teller::Maker, start()).await.unwrap();
                }
            }
        });
        futures::future::join_all(writers).await;
        let now = list(&store, &all(MINUTES)).await;
        assert_eq!(now.len(), 40);
        assert!(now.iter().all(|candle| candle.coverage == Decimal::new(9, 1)), "{now:?}");
    })
    .await;
}

#[tokio::test]
async fn what_still_forms_is_refused_whoever_tells_it() {
    let store = Place::memory().store().await;
    let forming = Candle { state: CandleState::Forming, ..minutes(1).remove(0) };
    store.keep_candles(&heard(std::slice::from_ref(&forming), 0)).await.unwrap_err();
    store.revise_candles(&[forming], Teller::Maker, start()).await.unwrap_err();
}
