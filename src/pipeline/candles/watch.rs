//! What was said of candles since it was last asked, for one that passes all of it on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    domain::candle::{Candle, CandleState},
    store::candles::Series,
};

/// The series of which something was said, and the closed candles among it. One of which nothing is said any more has
/// none, and none is known of it.
pub(in crate::pipeline) type Said = BTreeMap<Series, Vec<Arc<Candle>>>;

/// Where it is noted. Nothing is while nobody watches.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    said: Mutex<Option<Said>>,
    changed: Notify,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(in crate::pipeline) struct Watch(Watched);

impl Watched {
    /// Notes what is said.
    pub(super) fn note(&self, candle: &Arc<Candle>) {
        if let Some(said) = &mut *self.said() {
            let closed = said.entry(Series::of(candle)).or_default();
            if candle.state != CandleState::Forming {
                closed.push(Arc::clone(candle));
            }
            self.0.changed.notify_one();
        }
    }

    /// Notes that nothing is said of a series any more.
    pub(super) fn forget(&self, series: Series) {
        if let Some(said) = &mut *self.said() {
            said.insert(series, Vec::new());
            self.0.changed.notify_one();
        }
    }

    fn said(&self) -> MutexGuard<'_, Option<Said>> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    pub(super) fn new(watched: Watched) -> Self {
        *watched.said() = Some(Said::new());
        Self(watched)
    }

    /// Waits until something was said.
    pub(in crate::pipeline) async fn changed(&self) {
        self.0.0.changed.notified().await;
    }

    /// Takes what was said since the last time.
    pub(in crate::pipeline) fn take(&self) -> Said {
        self.0.said().as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.0.said() = None;
    }
}
