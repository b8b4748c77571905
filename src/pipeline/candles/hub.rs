//! The newest candles, for whoever asks and whoever listens.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::broadcast;

use crate::{domain::candle::Candle, store::candles::Series};

/// Candles of a series that are kept: enough for those that are not stored yet.
const KEPT: usize = 64;

/// Candles that a listener may be behind.
const BEHIND: usize = 8_192;

/// Keeps the newest candles of each series and tells of them. Clones share them.
#[derive(Debug, Clone)]
pub struct CandleHub(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    newest: RwLock<HashMap<Series, VecDeque<Candle>>>,
    listeners: broadcast::Sender<Arc<Candle>>,
}

impl Default for CandleHub {
    fn default() -> Self {
        Self(Arc::new(Shared { newest: RwLock::default(), listeners: broadcast::Sender::new(BEHIND) }))
    }
}

impl CandleHub {
    /// Takes in candles that say something new.
    pub fn publish(&self, candles: Vec<Candle>) {
        {
            let mut newest = self.0.newest.write().unwrap_or_else(PoisonError::into_inner);
            for candle in &candles {
                let series = newest.entry(Series::of(candle)).or_default();
                match series.binary_search_by_key(&candle.open_time, |known| known.open_time) {
                    Ok(at) => {
                        if let Some(known) = series.get_mut(at) {
                            known.clone_from(candle);
                        }
                    }
                    Err(at) => series.insert(at, candle.clone()),
                }
                if series.len() > KEPT {
                    series.pop_front();
                }
            }
        }
        if self.0.listeners.receiver_count() > 0 {
            for candle in candles {
                // Whoever listened may have gone meanwhile.
                let _ = self.0.listeners.send(Arc::new(candle));
            }
        }
    }

    /// Lists the newest candles of a series in order of time; the last of them may be forming.
    pub fn recent(&self, series: Series) -> Vec<Candle> {
        let newest = self.0.newest.read().unwrap_or_else(PoisonError::into_inner);
        newest.get(&series).map(|candles| candles.iter().cloned().collect()).unwrap_or_default()
    }

    /// Listens to what is said from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Candle>> {
        self.0.listeners.subscribe()
    }
}
