//! What waits to be written, in memory.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;

use super::batch::{Batch, Row};
use crate::{
    clock::Clock,
    domain::candle::Candle,
    store::{
        candles::StoredCandle,
        prices::{PricePoint, StoredPrice},
    },
};

/// Takes in what is to be kept. Clones are the same inbox.
///
/// What is put in gets the time at which that was, whenever it is written: from then on it was known. Putting something in never
/// waits and never fails: where there is no room, the oldest gives way and is counted.
#[derive(Clone)]
pub struct Inbox(Arc<Shared>);

struct Shared {
    rows: Mutex<VecDeque<Row>>,
    clock: Clock,
    room: usize,
    dropped: AtomicU64,
    came: Notify,
}

impl Inbox {
    /// Makes an inbox for so many rows.
    pub fn new(room: usize, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            rows: Mutex::default(),
            clock,
            room: room.max(1),
            dropped: AtomicU64::new(0),
            came: Notify::new(),
        }))
    }

    /// Puts in candles that are closed.
    pub fn put_candles(&self, candles: impl IntoIterator<Item = Candle>) {
        let record_time = self.0.clock.now();
        self.put(candles.into_iter().map(|candle| Row::Candle(StoredCandle { candle, record_time })));
    }

    /// Puts in prices.
    pub fn put_prices(&self, points: impl IntoIterator<Item = PricePoint>) {
        let record_time = self.0.clock.now();
        self.put(points.into_iter().map(|point| Row::Price(StoredPrice { point, record_time })));
    }

    /// Gets the number of rows that wait.
    pub fn len(&self) -> usize {
        self.rows().len()
    }

    /// Tells whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gets how many rows had to give way.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// Tells whether so much waits that it should go elsewhere.
    pub(super) fn is_half_full(&self) -> bool {
        self.len() * 2 >= self.0.room
    }

    /// Takes out the oldest rows.
    pub(super) fn take(&self, most: usize) -> Batch {
        let mut rows = self.rows();
        let end = most.min(rows.len());
        rows.drain(..end).collect()
    }

    /// Puts back what was taken out, before all that came since. Where there is no room for it, its oldest rows give way.
    pub(super) fn put_back(&self, batch: Batch) {
        let mut rows = self.rows();
        let returned: Vec<Row> = batch.into_rows().collect();
        let lost = returned.len().saturating_sub(self.0.room.saturating_sub(rows.len()));
        returned.into_iter().skip(lost).rev().for_each(|row| rows.push_front(row));
        self.count(lost);
    }

    /// Waits until so many rows are there.
    pub(super) async fn has(&self, rows: usize) {
        loop {
            let came = self.0.came.notified();
            if self.len() >= rows.min(self.0.room) {
                return;
            }
            came.await;
        }
    }

    fn put(&self, new: impl Iterator<Item = Row>) {
        let mut rows = self.rows();
        rows.extend(new);
        let over = rows.len().saturating_sub(self.0.room);
        rows.drain(..over);
        drop(rows);
        self.count(over);
        self.0.came.notify_one();
    }

    fn count(&self, lost: usize) {
        self.0.dropped.fetch_add(lost as u64, Relaxed);
    }

    fn rows(&self) -> MutexGuard<'_, VecDeque<Row>> {
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("rows", &self.len()).field("room", &self.0.room).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{
        super::batch::sample::{candles, known, point},
        *,
    };

    fn clock() -> Clock {
        Clock::standing_at(known())
    }

    fn minutes(inbox: &Inbox) -> Vec<i64> {
        let batch = inbox.take(usize::MAX);
        batch.candles.iter().map(|row| row.candle.open_time.timestamp() / 60).collect()
    }

    #[test]
    fn the_oldest_give_way_and_are_counted() {
        let inbox = Inbox::new(4, clock());
        inbox.put_candles(candles(0..3));
        assert_eq!((inbox.len(), inbox.dropped(), inbox.is_half_full()), (3, 0, true));
        inbox.put_candles(candles(3..6));
        assert_eq!((inbox.dropped(), minutes(&inbox)), (2, vec![2, 3, 4, 5]));
    }

    #[test]
    fn what_is_put_back_stands_before_what_came_since() {
        let inbox = Inbox::new(4, clock());
        inbox.put_candles(candles(0..4));
        let batch = inbox.take(3);
        inbox.put_candles(candles(4..6));
        inbox.put_back(batch);
        assert_eq!((inbox.dropped(), minutes(&inbox)), (2, vec![2, 3, 4, 5]));
    }

    #[test]
    fn a_row_is_known_since_it_was_put_in() {
        let clock = clock();
        let inbox = Inbox::new(4, clock.clone());
        inbox.put_candles(candles(0..1));
        clock.advance_to(known() + TimeDelta::minutes(1));
        inbox.put_prices([point(1).point]);
        clock.advance_to(known() + TimeDelta::hours(1));
        let batch = inbox.take(4);
        inbox.put_back(batch);
        let batch = inbox.take(4);
        assert_eq!(batch.candles[0].record_time, known());
        assert_eq!(batch.prices[0].record_time, known() + TimeDelta::minutes(1));
    }

    #[tokio::test]
    async fn a_full_batch_is_waited_for() {
        let inbox = Inbox::new(10, clock());
        let waiting = tokio::spawn({
            let inbox = inbox.clone();
            async move { inbox.has(5).await }
        });
        inbox.put_candles(candles(0..3));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        inbox.put_candles(candles(3..5));
        waiting.await.unwrap();
    }
}
