//! Fills in candles that were missed, out of the venues' own history.
//!
//! What is missing is found in the store, asked of each venue a page at a time and written as it comes, so that whatever ends
//! it, the next one goes on from there. Pure are `pages` (what to ask), `rows` (what answers say), `reach` (whom to ask) and
//! [`composite`](crate::domain::candle::composite); `asker` asks, within its share of the venue's budget; `shelf` reads and
//! writes. [`service`] does it in the background for a running service, which [`watch`] tells of gaps.

mod asker;
mod metrics;
mod pages;
mod progress;
mod reach;
mod rows;
pub mod service;
mod shelf;
pub mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt as _, StreamExt as _, stream};
use rust_decimal::Decimal;
use tracing::{debug, info, warn};

pub use self::{asker::VenueClient, metrics::BackfillMetrics, progress::Progress};
use self::{
    pages::{Pages, Span},
    reach::Reach,
    shelf::Shelf,
};
use crate::{
    clock::Clock,
    domain::{
        candle::{Interval, builder::Series, gaps::joined, news::Teller},
        pair::Pair,
        venue::Venue,
    },
    feed::rest::RestError,
    store::{Store, StoreError},
};

/// How long after its end a candle is left to whoever makes it of trades, and to the venue, before it is asked for.
pub const SETTLED_AFTER: TimeDelta = TimeDelta::seconds(60);

/// How it is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Venues that are asked at the same time at most.
    pub max_concurrent: usize,
    /// The share of each venue's budget that it may use, above 0 and up to 1.
    pub share: Decimal,
    /// A candle that was listened to for less than this share of its time is missing.
    pub least_coverage: Decimal,
    /// How long a venue is waited for that wants to be left alone.
    pub patience: Duration,
    /// Half of how long to wait before a question that was not answered is asked again; it doubles each time.
    pub back_off: Duration,
}

/// What to fill in: candles of one pair at some venues.
#[derive(Debug, Clone)]
pub struct Job {
    /// The market, with canonical asset names.
    pub pair: Pair,
    /// The venues, and of what time.
    pub venues: Vec<(Venue, Range<DateTime<Utc>>)>,
    /// How long the candles are. What a venue has no candles of is made of shorter ones, and longer ones are made of these.
    pub interval: Interval,
    /// Whether what is there is asked for all the same, as messages are known to have been missed.
    pub doubted: bool,
}

/// What came of one venue.
#[derive(Debug)]
pub struct Outcome {
    /// The venue.
    pub venue: Venue,
    /// What was filled in, or why it was not; what had come before that is written.
    pub filled: Result<Filled, BackfillError>,
}

/// What was filled in of one venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filled {
    /// Candles that were missing.
    pub missing: u64,
    /// Candles of that interval that were written.
    pub written: u64,
    /// Longer ones that were made or restated.
    pub longer: u64,
    /// Pages that were asked for.
    pub requests: u64,
}

/// Why candles could not be filled in.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// The venue gave no answer, or refused.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody can ask it, or it has no candles as short as that.
    #[error("{venue} cannot be asked for candles of {interval}")]
    NotOffered {
        /// The venue.
        venue: Venue,
        /// How long they should be.
        interval: Interval,
    },
}

/// Fills in candles.
#[derive(Debug)]
pub struct Backfill {
    shelf: Shelf,
    clock: Clock,
    options: Options,
    reach: ArcSwap<Reach>,
    progress: Progress,
    metrics: BackfillMetrics,
}

impl BackfillError {
    /// Tells whether the same may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Rest(error) => {
                matches!(error, RestError::Refused(_) | RestError::TooOften(_) | RestError::Transport(_))
            }
            Self::Store(error) => error.is_passing(),
            Self::NotOffered { .. } => false,
        }
    }
}

impl Backfill {
    /// Makes one that writes into a store what these venues say. `markets` are all that make up the composite of a pair,
    /// whether they can be asked or not.
    pub fn new(
        store: Arc<Store>,
        venues: Vec<VenueClient>,
        markets: BTreeMap<Pair, BTreeSet<Venue>>,
        options: Options,
        metrics: BackfillMetrics,
        clock: Clock,
    ) -> Self {
        let progress = Progress::default();
        let reach = ArcSwap::from_pointee(Reach::new(venues, markets, &options));
        let shelf = Shelf::new(store, clock.clone(), progress.clone(), metrics.clone());
        Self { shelf, clock, options, reach, progress, metrics }
    }

    /// Takes in that other markets are listened to from now on. Venues that are not among those that are new are asked as
    /// before. Gives the markets of which nobody was asked until now.
    fn reach(&self, new: Vec<VenueClient>, markets: BTreeMap<Pair, BTreeSet<Venue>>) -> Vec<(Pair, Venue)> {
        let before = self.reach.load_full();
        let after = Arc::new(before.with(new, markets, &self.options));
        self.reach.store(Arc::clone(&after));
        after.asked().filter(|market| !before.asks(*market)).collect()
    }

    /// Gets how it does.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Fills in what is missing, then makes the composite of all venues and longer candles. Whoever drops this half-way
    /// loses nothing that was written.
    pub async fn fill(&self, job: &Job) -> Result<Vec<Outcome>, StoreError> {
        let asked = job.venues.iter().map(|(venue, range)| {
            let filled = self.fill_venue(job, *venue, range);
            filled.map(|filled| Outcome { venue: *venue, filled }).boxed()
        });
        let asked = stream::iter(asked.collect::<Vec<_>>());
        let concurrent = self.options.max_concurrent.max(1);
        let mut outcomes: Vec<Outcome> = asked.buffer_unordered(concurrent).collect().await;
        outcomes.sort_by_key(|outcome| outcome.venue);
        for Outcome { venue, filled } in &outcomes {
            self.tell(job, *venue, filled);
        }
        let asked =
            outcomes.iter().filter(|outcome| outcome.filled.is_ok()).map(|outcome| outcome.venue).collect();
        let (reach, ranges) = (self.reach.load_full(), job.venues.iter().map(|(_, range)| range));
        if let (Some(from), Some(to), Some(expected)) = (
            ranges.clone().map(|range| range.start).min(),
            ranges.map(|range| range.end).max(),
            reach.expected(job.pair),
        ) {
            let span = self.closed(job.interval, &(from..to));
            self.shelf.compose(job.pair, job.interval, span.clone(), expected, &asked).await?;
            let series = Series { pair: job.pair, venue: None };
            self.lengthen(series, job.interval, &span).await?;
        }
        Ok(outcomes)
    }

    /// Fills in what is missing of one venue.
    async fn fill_venue(
        &self,
        job: &Job,
        venue: Venue,
        range: &Range<DateTime<Utc>>,
    ) -> Result<Filled, BackfillError> {
        let not_offered = || BackfillError::NotOffered { venue, interval: job.interval };
        let reach = self.reach.load_full();
        let asker = reach.asker(venue).ok_or_else(not_offered)?;
        let interval = asker.offered(job.pair, job.interval).ok_or_else(not_offered)?;
        let series = Series { pair: job.pair, venue: Some(venue) };
        // Whole candles of what is wanted, of whatever they are made.
        let span = self.closed(interval, &job.interval.widened(range));
        let missing = if job.doubted {
            joined([span.clone()].into_iter().filter(|span| span.start < span.end))
        } else {
            self.shelf.missing(series, interval, span.clone(), self.options.least_coverage).await?
        };
        let teller = if job.doubted { Teller::Witness } else { Teller::Maker };
        let mut pages = Pages::new(missing, interval, asker.max_candles());
        let mut filled = Filled { missing: pages.left(), ..Filled::default() };
        self.progress.miss(filled.missing);
        while let Some(page) = pages.next() {
            let rows = asker.rows(job.pair, interval, &page.asked).await?;
            filled.requests += 1;
            self.progress.answer();
            self.metrics.answer(venue);
            let wanted: Vec<Span> = pages.missing().cloned().collect();
            let told = rows::candles(series, interval, &rows, &wanted);
            filled.written += self.shelf.put(&told, teller).await?;
            let before = pages.left();
            pages.settle(&page, &rows);
            self.progress.settle(before - pages.left());
        }
        filled.longer = self.lengthen(series, interval, &span).await?;
        Ok(filled)
    }

    /// Makes the longer candles that contain a span, each of the next shorter ones, as far as they are over.
    async fn lengthen(&self, series: Series, interval: Interval, span: &Span) -> Result<u64, StoreError> {
        let (mut parts, mut made) = (interval, 0);
        if span.start >= span.end {
            return Ok(0);
        }
        for into in Interval::ALL.into_iter().filter(|longer| *longer > interval) {
            made += self.shelf.roll_up(series, parts, into, self.closed(into, span)).await?;
            parts = into;
        }
        Ok(made)
    }

    /// Widens a span to whole candles, of those that are over for long enough.
    fn closed(&self, interval: Interval, range: &Range<DateTime<Utc>>) -> Span {
        let now = self.clock.now();
        let until = interval.open_time(now.checked_sub_signed(SETTLED_AFTER).unwrap_or(now));
        let Range { start, end } = interval.widened(range);
        start..end.min(until)
    }

    /// Says what came of a venue: once, and only if there was something to do.
    fn tell(&self, job: &Job, venue: Venue, filled: &Result<Filled, BackfillError>) {
        let Job { pair, interval, .. } = job;
        match filled {
            Ok(Filled { missing, written, longer, requests }) if written + longer > 0 => info!(
                %pair, %venue, %interval, missing, written, longer, requests,
                "candles of {pair} at {venue} are filled in"
            ),
            Ok(Filled { missing: 0, .. }) => debug!(%pair, %venue, %interval, "no candles are missing"),
            Ok(Filled { missing, requests, .. }) => {
                debug!(%pair, %venue, %interval, missing, requests, "the venue has no candles that are missing");
            }
            Err(error) => {
                self.metrics.fail(venue);
                warn!(%pair, %venue, %interval, %error, "candles cannot be filled in");
            }
        }
    }
}
