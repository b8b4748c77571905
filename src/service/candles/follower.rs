//! A reader of what is said of the candles of one series.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{
    domain::candle::Candle,
    pipeline::candles::{
        hub::CandleHub,
        listeners::{FellBehind, Subscription, Word},
    },
    service::error::ServiceError,
    store::candles::Series,
};

/// Reads what is said of a series. Changes of what forms are left out where it is slow, last words never.
pub(super) struct Follower {
    series: Series,
    heard: Subscription,
    hub: CandleHub,
    /// What forms, as far as it was told.
    shown: Vec<Arc<Candle>>,
    pending: VecDeque<Arc<Candle>>,
    heartbeat: Duration,
    /// When the next heartbeat is due.
    due: Instant,
}

impl Follower {
    /// Begins with the candle that forms now.
    pub(super) fn new(hub: CandleHub, series: Series, heartbeat: Duration) -> Self {
        // Before the first is read, so that nothing is missed in between.
        let heard = hub.subscribe(series);
        let shown = hub.forming(series);
        // Where one that is over awaits its last trades beside it, its last word is still to come.
        let pending = shown.last().cloned().into_iter().collect();
        Self { series, heard, hub, shown, pending, heartbeat, due: Instant::now() + heartbeat }
    }

    /// Waits for what is said next; nothing is a heartbeat.
    pub(super) async fn next(&mut self) -> Result<Option<Arc<Candle>>, ServiceError> {
        while self.pending.is_empty() {
            match timeout_at(self.due, self.heard.next()).await {
                Ok(Ok(Word::Closed(candle))) => self.pending.push_back(candle),
                Ok(Ok(Word::Forming)) => {
                    let forming = self.hub.forming(self.series);
                    let changed = forming.iter().filter(|candle| !self.shown.contains(candle));
                    self.pending.extend(changed.cloned());
                    self.shown = forming;
                }
                Ok(Err(FellBehind)) => return Err(ServiceError::SlowReader { resume_after: None }),
                Err(_) => break,
            }
        }
        self.due = Instant::now() + self.heartbeat;
        Ok(self.pending.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use futures::FutureExt as _;
    use rust_decimal::Decimal;

    use super::*;
    use crate::{
        domain::{
            candle::{CandleMaker, CandleState, Interval},
            pair::Pair,
        },
        pipeline::candles::listeners::BACKLOG,
    };

    const HEARTBEAT: Duration = Duration::from_secs(10);

    fn candle(second: i64, state: CandleState, trade_count: u64) -> Candle {
        Candle {
            pair: Pair::literal("BTC", "USD"),
            venue: None,
            interval: Interval::Second,
            open_time: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(second),
            revision: 0,
            state,
            maker: CandleMaker::Service,
            prices: None,
            base_volume: Decimal::ZERO,
            quote_volume: Decimal::ZERO,
            trade_count,
            source_count: 0,
            coverage: Decimal::ONE,
        }
    }

    fn follow(hub: &CandleHub) -> Follower {
        Follower::new(hub.clone(), Series::of(&candle(0, CandleState::Final, 0)), HEARTBEAT)
    }

    /// Reads all that there is to read: seconds, states and trades.
    fn read(follower: &mut Follower) -> Vec<(i64, CandleState, u64)> {
        let next = || follower.next().now_or_never().map(|said| said.unwrap().unwrap());
        let told = |candle: Arc<Candle>| (candle.open_time.timestamp(), candle.state, candle.trade_count);
        std::iter::from_fn(next).map(told).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_misses_no_last_word_and_nothing_comes_after_it() {
        use CandleState::{Final, Forming, Restated};
        let hub = CandleHub::new(None);
        hub.publish(vec![candle(0, Forming, 1)]);
        let mut follower = follow(&hub);
        assert_eq!(read(&mut follower), [(0, Forming, 1)]);
        // The next one forms while the first awaits its last trades.
        hub.publish(vec![candle(1, Forming, 1)]);
        assert_eq!(read(&mut follower), [(1, Forming, 1)]);
        // More is said than any number of kept candles, and nobody reads.
        for second in 0..100 {
            hub.publish(vec![candle(second + 1, Forming, 2), candle(second, Final, 3)]);
        }
        hub.publish(vec![candle(3, Restated, 4)]);
        let finals = (0..100).map(|second| (second, Final, 3));
        let expected: Vec<_> = finals.chain([(3, Restated, 4), (100, Forming, 2)]).collect();
        assert_eq!(read(&mut follower), expected);
        assert_eq!(read(&mut follower), []);
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_miss_a_last_word_is_told_so() {
        let hub = CandleHub::new(None);
        let mut follower = follow(&hub);
        for second in 0..=i64::try_from(BACKLOG).unwrap() {
            hub.publish(vec![candle(second, CandleState::Final, 1)]);
        }
        assert_eq!(follower.next().await, Err(ServiceError::SlowReader { resume_after: None }));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_nothing_to_hear_hears_that() {
        let hub = CandleHub::new(None);
        let mut follower = follow(&hub);
        let begun = Instant::now();
        assert_eq!(follower.next().await, Ok(None));
        assert_eq!(follower.next().await, Ok(None));
        assert_eq!(begun.elapsed(), 2 * HEARTBEAT);
    }
}
