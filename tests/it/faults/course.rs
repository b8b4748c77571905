//! Where the prices of all venues of a stage go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::interval;

use super::{tongue::Quote, venue::Venue};
use crate::harness::eventually;

/// How often every market is quoted and traded.
const EVERY: Duration = Duration::from_millis(100);

/// Where prices go.
#[derive(Debug)]
pub(super) struct Course {
    /// The middle, in hundredths.
    pub(super) middle: AtomicI64,
    stopped: AtomicBool,
    halted: AtomicBool,
    /// Whether it has halted: nothing of before is under way.
    rests: AtomicBool,
}

impl Course {
    /// Has nothing traded any more; quotes go on.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Has nothing happen any more.
    pub(super) async fn halt(&self) {
        self.halted.store(true, Relaxed);
        eventually("nothing is under way", async || self.rests.load(Relaxed).then_some(())).await;
    }

    pub(super) fn begin() -> Arc<Self> {
        let middle = AtomicI64::new(6_000_000);
        let [stopped, halted, rests] = [false; 3].map(AtomicBool::new);
        Arc::new(Self { middle, stopped, halted, rests })
    }
}

/// Moves all prices a little, and has something traded, over and over.
pub(super) async fn drive(venues: Vec<Arc<Venue>>, course: Arc<Course>) {
    let mut ticks = interval(EVERY);
    let mut round = 0_i64;
    loop {
        ticks.tick().await;
        if course.halted.load(Relaxed) {
            course.rests.store(true, Relaxed);
            continue;
        }
        round += 1;
        for (place, venue) in (0_i64..).zip(&venues) {
            for market in venue.markets() {
                let bid = course.middle.load(Relaxed) + round % 7 + place * 10;
                venue.quote(market, Quote { bid, ask: bid + 100 });
                if !course.stopped.load(Relaxed) {
                    venue.deal(market, bid);
                }
            }
        }
    }
}
