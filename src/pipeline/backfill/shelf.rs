//! What is stored, and what is put beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{
    BackfillMetrics, Progress,
    pages::{Span, pieces},
};
use crate::{
    clock::Clock,
    domain::{
        candle::{
            Candle, CandleState, Interval,
            builder::Series,
            composite::composite,
            gaps::{gaps, joined},
            news::Teller,
            roll_up,
        },
        pair::Pair,
        venue::Venue,
    },
    store::{
        Store, StoreError,
        candles::{CandleQuery, Series as StoredSeries},
    },
};

/// Candles that are looked at at once.
const PIECE: i32 = 5_000;

/// Reads and writes candles.
#[derive(Debug)]
pub(super) struct Shelf {
    store: Arc<Store>,
    clock: Clock,
    progress: Progress,
    metrics: BackfillMetrics,
}

impl Shelf {
    pub(super) const fn new(
        store: Arc<Store>,
        clock: Clock,
        progress: Progress,
        metrics: BackfillMetrics,
    ) -> Self {
        Self { store, clock, progress, metrics }
    }

    /// Lists the spans of which there are no candles, or gaps, or such as were listened to for too short a time.
    pub(super) async fn missing(
        &self,
        series: Series,
        interval: Interval,
        span: Span,
        least: Decimal,
    ) -> Result<Vec<Span>, StoreError> {
        let mut missing = Vec::new();
        for piece in pieces(span, interval, PIECE) {
            let stored = self.read(series, interval, piece.clone()).await?;
            missing.extend(gaps(&stored, interval, piece, least));
        }
        Ok(joined(missing))
    }

    /// Writes what is news of what was told, and counts it.
    pub(super) async fn put(&self, told: &[Candle], teller: Teller) -> Result<u64, StoreError> {
        let mut count = 0;
        for piece in told.chunks(usize::try_from(PIECE).unwrap_or(usize::MAX)) {
            let written = self.store.revise_candles(piece, teller, self.clock.now()).await?;
            self.metrics.write(&written);
            count += written.len() as u64;
        }
        self.progress.write(count);
        Ok(count)
    }

    /// Makes the longer candles of a span of shorter ones, where that says more than what is there. Counts them.
    pub(super) async fn roll_up(
        &self,
        series: Series,
        parts: Interval,
        into: Interval,
        span: Span,
    ) -> Result<u64, StoreError> {
        let mut made = 0;
        let ratio = i32::try_from(into.seconds() / parts.seconds()).unwrap_or(i32::MAX);
        for piece in pieces(span, into, PIECE / ratio.max(1)) {
            let mut groups: BTreeMap<DateTime<Utc>, Vec<Candle>> = BTreeMap::new();
            for part in self.read(series, parts, piece).await? {
                groups.entry(into.open_time(part.open_time)).or_default().push(part);
            }
            let rolled = groups.into_values().filter_map(|parts| roll_up::roll_up(&parts, into).ok());
            let known: Vec<_> = rolled.filter(|candle| candle.state != CandleState::Gap).collect();
            made += self.put(&known, Teller::Maker).await?;
        }
        Ok(made)
    }

    /// Makes the composite of all venues where it says more than what is there: of the times of which every venue's candle is
    /// there, or was asked for in vain. Counts them.
    pub(super) async fn compose(
        &self,
        pair: Pair,
        interval: Interval,
        span: Span,
        expected: &BTreeSet<Venue>,
        asked: &BTreeSet<Venue>,
    ) -> Result<u64, StoreError> {
        let mut made = 0;
        for piece in pieces(span, interval, PIECE) {
            let mut parts: BTreeMap<DateTime<Utc>, Vec<Candle>> = BTreeMap::new();
            for venue in expected {
                let series = Series { pair, venue: Some(*venue) };
                for candle in self.read(series, interval, piece.clone()).await? {
                    if candle.state != CandleState::Gap {
                        parts.entry(candle.open_time).or_default().push(candle);
                    }
                }
            }
            let decided = |parts: &Vec<Candle>| {
                expected
                    .iter()
                    .all(|venue| asked.contains(venue) || parts.iter().any(|part| part.venue == Some(*venue)))
            };
            let composites =
                parts.into_values().filter(decided).filter_map(|parts| composite(&parts, expected.len()));
            made += self.put(&composites.collect::<Vec<_>>(), Teller::Maker).await?;
        }
        Ok(made)
    }

    /// Lists what is known now of a span that is a piece.
    async fn read(
        &self,
        series: Series,
        interval: Interval,
        Range { start, end }: Span,
    ) -> Result<Vec<Candle>, StoreError> {
        let query = CandleQuery {
            series: StoredSeries { pair: series.pair, venue: series.venue, interval },
            from: start,
            to: end,
            descending: false,
            // There is no more than one at each time.
            limit: u32::MAX,
            after: None,
            known_by: None,
        };
        Ok(self.store.list_candles(&query).await?.into_iter().map(|stored| stored.candle).collect())
    }
}
