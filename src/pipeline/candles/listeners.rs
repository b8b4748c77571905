//! Who wants to hear of the candles of a series.
//!
//! The last words on candles wait in line for each listener; that a candle forms on is only hinted at, and whoever is slow
//! looks at what has become of it meanwhile. So nothing is told twice, out of turn or after its last word.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};

use crate::{
    domain::candle::{Candle, CandleState},
    store::candles::Series,
};

/// Last words that wait for a slow listener at most: some minutes of candles of a second.
pub const BACKLOG: usize = 512;

/// Tells listeners what they want to hear. A series that nobody listens to costs nothing.
#[derive(Debug, Default)]
pub(super) struct Listeners(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    channels: ArcSwap<HashMap<Series, Arc<Channel>>>,
    /// How many listen to each. Held by who comes or goes; whoever tells never waits for it.
    counts: Mutex<HashMap<Series, usize>>,
}

/// What goes to the listeners of one series.
#[derive(Debug)]
struct Channel {
    closed: broadcast::Sender<Arc<Candle>>,
    forming: watch::Sender<()>,
}

/// What is said of one series.
#[derive(Debug)]
pub struct Subscription {
    series: Series,
    shared: Arc<Shared>,
    closed: broadcast::Receiver<Arc<Candle>>,
    forming: watch::Receiver<()>,
}

/// What is said.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// The last word on a candle, up to a restatement.
    Closed(Arc<Candle>),
    /// What forms has changed.
    Forming,
}

/// More last words than [`BACKLOG`] have come since a listener took one: the oldest are lost to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FellBehind;

impl Listeners {
    /// Tells the listeners of a candle's series.
    pub(super) fn tell(&self, candle: &Arc<Candle>) {
        let channels = self.0.channels.load();
        let Some(channel) = channels.get(&Series::of(candle)) else { return };
        if candle.state == CandleState::Forming {
            channel.forming.send_replace(());
        } else {
            // Whoever has just left has left nobody to hear it.
            let _ = channel.closed.send(Arc::clone(candle));
        }
    }

    /// Subscribes to what is said of a series from now on.
    pub(super) fn subscribe(&self, series: Series) -> Subscription {
        let shared = Arc::clone(&self.0);
        let mut counts = shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(series).or_default() += 1;
        let known = shared.channels.load().get(&series).cloned();
        let channel = known.unwrap_or_else(|| {
            let channel = Arc::new(Channel {
                closed: broadcast::Sender::new(BACKLOG),
                forming: watch::Sender::default(),
            });
            shared.change(|channels| _ = channels.insert(series, Arc::clone(&channel)));
            channel
        });
        let (closed, forming) = (channel.closed.subscribe(), channel.forming.subscribe());
        Subscription { series, shared: Arc::clone(&self.0), closed, forming }
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut HashMap<Series, Arc<Channel>>)) {
        let mut channels = HashMap::clone(&self.channels.load());
        change(&mut channels);
        self.channels.store(Arc::new(channels));
    }
}

impl Subscription {
    /// Waits for what is said next, last words first. After an error it goes on with the oldest that is left.
    pub async fn next(&mut self) -> Result<Word, FellBehind> {
        tokio::select! {
            biased;
            closed = self.closed.recv() => match closed {
                Ok(candle) => return Ok(Word::Closed(candle)),
                Err(RecvError::Lagged(_)) => return Err(FellBehind),
                // The channel stays as long as somebody listens.
                Err(RecvError::Closed) => {}
            },
            Ok(()) = self.forming.changed() => return Ok(Word::Forming),
        }
        std::future::pending().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut counts = self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.series) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.series);
                self.shared.change(|channels| _ = channels.remove(&self.series));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::{super::sample, *};
    use crate::domain::candle::Interval;

    fn candle(second: i64, state: CandleState) -> Arc<Candle> {
        Arc::new(sample::candle(second, state))
    }

    fn words(subscription: &mut Subscription) -> Vec<Result<Word, FellBehind>> {
        std::iter::from_fn(|| subscription.next().now_or_never()).collect()
    }

    #[test]
    fn a_slow_listener_hears_every_last_word_in_its_order_and_of_what_forms_that_it_changed() {
        let listeners = Listeners::default();
        let mut slow = listeners.subscribe(Series::of(&candle(0, CandleState::Final)));
        for second in 0..100 {
            listeners.tell(&candle(second + 1, CandleState::Forming));
            listeners.tell(&candle(second, CandleState::Final));
        }
        let closed = (0..100).map(|second| Ok(Word::Closed(candle(second, CandleState::Final))));
        assert_eq!(words(&mut slow), closed.chain([Ok(Word::Forming)]).collect::<Vec<_>>());
    }

    #[test]
    fn who_falls_too_far_behind_is_told_and_holds_nobody_up() {
        let listeners = Listeners::default();
        let mut slow = listeners.subscribe(Series::of(&candle(0, CandleState::Final)));
        for second in 0..=i64::try_from(BACKLOG).unwrap() {
            listeners.tell(&candle(second, CandleState::Final));
        }
        let words = words(&mut slow);
        assert_eq!(words[0], Err(FellBehind));
        assert_eq!(words[1], Ok(Word::Closed(candle(1, CandleState::Final))));
        assert_eq!(words.len(), 1 + BACKLOG);
    }

    #[test]
    fn nobody_hears_of_another_series_and_nothing_is_left_of_those_who_went() {
        let listeners = Listeners::default();
        let series = Series::of(&candle(0, CandleState::Final));
        let mut one = listeners.subscribe(series);
        let two = listeners.subscribe(series);
        let mut other = listeners.subscribe(Series { interval: Interval::Minute, ..series });
        assert_eq!(listeners.0.channels.load().len(), 2);
        drop(two);
        listeners.tell(&candle(0, CandleState::Final));
        assert_eq!(words(&mut other), []);
        assert_eq!(words(&mut one).len(), 1);
        drop(one);
        assert_eq!(listeners.0.channels.load().len(), 1);
        drop(other);
        assert!(listeners.0.channels.load().is_empty());
    }
}
