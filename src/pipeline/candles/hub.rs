//! The newest candles of every series in memory, and who wants to hear of them.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
};

use arc_swap::ArcSwap;

use super::{
    listeners::{Listeners, Subscription},
    watch::{Watch, Watched},
};
use crate::{
    domain::candle::{Candle, CandleState, Interval},
    pipeline::historian::inbox::Inbox,
    store::candles::Series,
};

/// Closed candles of a series that are kept.
const KEPT: usize = 16;

/// Keeps the newest candles, tells those who listen, and hands closed ones on to the history. Clones are the same hub.
///
/// One task publishes; readers take no lock that it holds.
#[derive(Clone)]
pub struct CandleHub(Arc<Shared>);

struct Shared {
    series: ArcSwap<HashMap<Series, Arc<Newest>>>,
    listeners: Listeners,
    inbox: Option<Inbox>,
    watched: Watched,
}

/// The newest of one series.
#[derive(Default)]
struct Newest {
    /// From the oldest: one that is over awaits its last trades while the next one forms.
    forming: ArcSwap<VecDeque<Arc<Candle>>>,
    /// From the oldest.
    closed: ArcSwap<VecDeque<Arc<Candle>>>,
}

impl CandleHub {
    /// Begins empty. Closed candles go on to an inbox, if history is kept.
    pub fn new(inbox: Option<Inbox>) -> Self {
        Self(Arc::new(Shared {
            series: ArcSwap::default(),
            listeners: Listeners::default(),
            inbox,
            watched: Watched::default(),
        }))
    }

    /// Takes in all that a tick gave, forming candles too.
    pub fn publish(&self, candles: Vec<Candle>) {
        if candles.is_empty() {
            return;
        }
        self.make_room(&candles);
        let series = self.0.series.load();
        if let Some(inbox) = &self.0.inbox {
            inbox.put_candles(candles.iter().filter(|candle| is_kept(candle)).cloned());
        }
        for candle in candles {
            let candle = Arc::new(candle);
            if let Some(newest) = series.get(&Series::of(&candle)) {
                newest.take(&candle);
            }
            self.0.watched.note(&candle);
            self.0.listeners.tell(&candle);
        }
    }

    /// Watches all series, for whoever passes on what is said of them. There is one that does.
    pub(in crate::pipeline) fn watch(&self) -> Watch {
        Watch::new(self.0.watched.clone())
    }

    /// Lists the series of which something is known.
    pub(in crate::pipeline) fn series(&self) -> Vec<Series> {
        self.0.series.load().keys().copied().collect()
    }

    /// Gets the candle of a series that forms now, if something is known of it.
    pub fn get(&self, series: Series) -> Option<Arc<Candle>> {
        self.forming(series).pop()
    }

    /// Lists the candles of a series that are not closed yet, from the oldest.
    pub fn forming(&self, series: Series) -> Vec<Arc<Candle>> {
        let known = self.0.series.load();
        known.get(&series).map(|newest| newest.forming.load().iter().cloned().collect()).unwrap_or_default()
    }

    /// Lists the last closed candles of a series, a few, from the oldest, each as it was last told.
    pub fn recent(&self, series: Series) -> Vec<Arc<Candle>> {
        let known = self.0.series.load();
        known.get(&series).map(|newest| newest.closed.load().iter().cloned().collect()).unwrap_or_default()
    }

    /// Subscribes to what is said of a series from now on.
    pub fn subscribe(&self, series: Series) -> Subscription {
        self.0.listeners.subscribe(series)
    }

    /// Forgets the series that do not go on.
    pub fn retain(&self, goes_on: impl Fn(Series) -> bool) {
        let mut series = HashMap::clone(&self.0.series.load());
        series.retain(|series, _| {
            let goes_on = goes_on(*series);
            if !goes_on {
                self.0.watched.forget(*series);
            }
            goes_on
        });
        self.0.series.store(Arc::new(series));
    }

    /// Makes places for the series that were not met before.
    fn make_room(&self, candles: &[Candle]) {
        let known = self.0.series.load();
        let mut new = candles.iter().map(Series::of).filter(|series| !known.contains_key(series)).peekable();
        if new.peek().is_some() {
            let mut series = HashMap::clone(&known);
            new.for_each(|new| _ = series.entry(new).or_default());
            self.0.series.store(Arc::new(series));
        }
    }
}

impl Newest {
    fn take(&self, candle: &Arc<Candle>) {
        if candle.state == CandleState::Forming {
            place(&self.forming, candle);
            return;
        }
        if self.forming.load().front().is_some_and(|forming| forming.open_time <= candle.open_time) {
            let mut forming = VecDeque::clone(&self.forming.load());
            forming.retain(|forming| forming.open_time > candle.open_time);
            self.forming.store(Arc::new(forming));
        }
        place(&self.closed, candle);
    }
}

/// Puts a candle in its place, or in that of what was said of the same time.
fn place(candles: &ArcSwap<VecDeque<Arc<Candle>>>, candle: &Arc<Candle>) {
    let mut placed = VecDeque::clone(&candles.load());
    match placed.binary_search_by_key(&candle.open_time, |known| known.open_time) {
        Ok(at) => {
            if let Some(known) = placed.get_mut(at) {
                *known = Arc::clone(candle);
            }
        }
        Err(at) => placed.insert(at, Arc::clone(candle)),
    }
    if placed.len() > KEPT {
        placed.pop_front();
    }
    candles.store(Arc::new(placed));
}

impl fmt::Debug for CandleHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CandleHub").field("series", &self.0.series.load().len()).finish_non_exhaustive()
    }
}

/// Tells whether a candle is stored. A second of which nothing is known is not: that there is no row says the same, and a
/// venue that is away would write one each second. A restatement always is, as it takes back what was said.
fn is_kept(candle: &Candle) -> bool {
    match candle.state {
        CandleState::Forming => false,
        CandleState::Gap => candle.interval != Interval::Second || candle.revision > 0,
        CandleState::Final | CandleState::Restated => true,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{super::sample::candle, *};
    use crate::clock::Clock;

    #[test]
    fn the_newest_are_kept_and_a_restated_one_takes_its_own_place() {
        let inbox = Inbox::new(1_000, Clock::standing_at(DateTime::UNIX_EPOCH));
        let hub = CandleHub::new(Some(inbox.clone()));
        let series = Series::of(&candle(0, CandleState::Final));
        for second in 0..40 {
            hub.publish(vec![candle(second, CandleState::Final), candle(second + 1, CandleState::Forming)]);
        }
        let restated = Candle { revision: 1, ..candle(38, CandleState::Restated) };
        hub.publish(vec![restated.clone()]);
        let recent = hub.recent(series);
        assert_eq!(recent.len(), KEPT);
        assert_eq!((*recent[KEPT - 2]).clone(), restated);
        assert_eq!(*recent[KEPT - 1], candle(39, CandleState::Final));
        assert_eq!(*hub.get(series).unwrap(), candle(40, CandleState::Forming));
        hub.publish(vec![candle(40, CandleState::Final)]);
        assert_eq!(hub.get(series), None);
        // Forming ones are not stored.
        assert_eq!(inbox.len(), 42);
        hub.retain(|_| false);
        assert!(hub.recent(series).is_empty());
    }

    #[test]
    fn unknown_seconds_are_not_stored_unless_they_take_something_back() {
        let gap = candle(0, CandleState::Gap);
        assert!(!is_kept(&gap));
        assert!(is_kept(&Candle { revision: 1, ..gap.clone() }));
        assert!(is_kept(&Candle { interval: Interval::Minute, ..gap }));
        assert!(is_kept(&candle(0, CandleState::Final)));
    }
}
