//! What is done beside writing: partitions ahead, longer candles of shorter ones, and taking away what is old.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::status::HistoryStatus;
use crate::{
    clock::Clock,
    domain::candle::{Candle, Interval, news::Teller, roll_up::roll_up},
    feed::venues,
    pipeline::backfill::SETTLED_AFTER,
    store::{
        Store, StoreError,
        candles::{CandleQuery, Series},
        gaps::Range,
        retention::Retention,
    },
};

/// How far ahead partitions are made.
const AHEAD: TimeDelta = TimeDelta::days(2);

/// How many candles of each series are looked at for the first time, from the newest back.
const LOOKED_BACK: i32 = 20_000;

/// Since when that is kept of which nothing is taken away.
const FOREVER: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// Spans that are looked up in one go.
const SPANS: u32 = 100;

/// Rows that are read in one go.
const PAGE: u32 = 5_000;

/// What is kept, and how often that is looked after.
#[derive(Debug, Clone)]
pub struct UpkeepOptions {
    /// How long candles are kept, by interval; for ever where nothing is said.
    pub candles: BTreeMap<Interval, TimeDelta>,
    /// How long prices are kept; for ever if `None`.
    pub prices: Option<TimeDelta>,
    /// How often.
    pub every: Duration,
    /// Rows that are taken away in one go.
    pub batch: u32,
}

/// Looks after the store.
#[derive(Debug)]
pub struct Upkeep {
    options: UpkeepOptions,
    store: Arc<Store>,
    status: HistoryStatus,
    clock: Clock,
    /// Candles that closed before this are made by nobody else any more.
    started: DateTime<Utc>,
    /// Candles that closed before this were made of what was there.
    looked: Option<DateTime<Utc>>,
}

impl Upkeep {
    /// Begins to look after a store.
    pub fn new(options: UpkeepOptions, store: Arc<Store>, status: HistoryStatus, clock: Clock) -> Self {
        let started = clock.now();
        Self { options, store, status, clock, started, looked: None }
    }

    /// Looks after it now and then until told to stop. What fails is tried again the next time.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut rounds = interval(self.options.every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let work = async {
            loop {
                rounds.tick().await;
                if let Err(error) = self.round().await {
                    // Whether the store is away is told by those who write.
                    if error.is_passing() {
                        debug!(%error, "the store could not be looked after");
                    } else {
                        warn!(%error, "the store could not be looked after");
                    }
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn round(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store.make_partitions(now, AHEAD).await?;
        // Less than a round, so that who has it can have it again.
        let lease = TimeDelta::from_std(self.options.every * 9 / 10).unwrap_or(TimeDelta::MAX);
        // Several instances share a server: one at a time is enough.
        if !self.store.claim("upkeep", now, lease).await? {
            return Ok(());
        }
        // What still waits on the disk may be what seems to be missing.
        let rolled_up = if self.status.spool_rows() == 0 { self.roll_up(now).await? } else { 0 };
        let pruned = self.store.prune(&self.retention(now)).await?;
        self.status.kept_up(pruned.rows, rolled_up);
        Ok(())
    }

    fn retention(&self, now: DateTime<Utc>) -> Retention {
        let since = |keep: &TimeDelta| now.checked_sub_signed(*keep).unwrap_or(FOREVER);
        Retention {
            // One that is kept for ever may still have to be made of what is not.
            candles: Interval::ALL
                .map(|interval| (interval, self.options.candles.get(&interval).map_or(FOREVER, since)))
                .into(),
            prices: self.options.prices.as_ref().map(since),
            batch: self.options.batch,
        }
    }

    /// Makes the candles that closed since this was last done of the shorter ones, where those say more: a program that ended
    /// did not close them, or they closed before some part of them was filled in.
    ///
    /// What is filled in later is put into longer candles by whoever fills it in, if they were over for as long as that then.
    async fn roll_up(&mut self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let settled = now.checked_sub_signed(SETTLED_AFTER).unwrap_or(now);
        // The clock may have been set back.
        let until = self.started.min(now).max(settled);
        let mut made = 0;
        for (shorter, longer) in Interval::ALL.into_iter().zip(Interval::ALL.into_iter().skip(1)) {
            let from = self.looked.or_else(|| until.checked_sub_signed(longer.span() * LOOKED_BACK));
            let from = from.unwrap_or(settled).min(settled);
            let within = Range { from: longer.open_time(from), to: longer.open_time(until) };
            if within.from >= within.to {
                continue;
            }
            for (pair, venue) in self.store.markets(shorter).await? {
                let venue = match venue.as_str() {
                    "" => None,
                    // Of a venue that is not known any more nothing is made.
                    name => match venues::by_name(name) {
                        Some(protocol) => Some(protocol.venue()),
                        None => continue,
                    },
                };
                let series = Series { pair, venue, interval: longer };
                made += self.complete(series, shorter, within, now).await?;
            }
        }
        self.looked = Some(settled);
        Ok(made)
    }

    /// Makes the candles of a series that are missing or could say more.
    async fn complete(
        &self,
        series: Series,
        shorter: Interval,
        mut within: Range,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut made = 0;
        loop {
            let spans = self.store.incomplete(series, within, SPANS).await?;
            for span in &spans {
                made += self.fill(series, shorter, *span, now).await?;
            }
            match spans.last() {
                Some(last) if spans.len() == SPANS as usize => within.from = last.to,
                _ => return Ok(made),
            }
        }
    }

    /// Makes the candles of a span of which there are parts.
    async fn fill(
        &self,
        series: Series,
        shorter: Interval,
        span: Range,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut query = CandleQuery {
            series: Series { interval: shorter, ..series },
            from: span.from,
            to: span.to,
            descending: false,
            limit: PAGE,
            after: None,
            known_by: None,
        };
        let mut parts: Vec<Candle> = Vec::new();
        let mut made = 0;
        loop {
            let page = self.store.list_candles(&query).await?;
            query.after = page.last().map(|last| last.candle.open_time);
            let over = page.len() < PAGE as usize;
            parts.extend(page.into_iter().map(|stored| stored.candle));
            let whole = |candle: &Candle| series.interval.open_time(candle.open_time);
            // The last may have more parts on the next page.
            let unfinished = parts.last().map(whole).filter(|_| !over);
            let end = parts.partition_point(|part| unfinished.is_none_or(|open| whole(part) < open));
            let rest = parts.split_off(end);
            let of = parts.chunk_by(|one, next| whole(one) == whole(next));
            let candles: Vec<_> = of.filter_map(|parts| roll_up(parts, series.interval).ok()).collect();
            made += self.store.revise_candles(&candles, Teller::Maker, now).await?.len() as u64;
            if over {
                return Ok(made);
            }
            parts = rest;
        }
    }
}
