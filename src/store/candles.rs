//! Candles, with everything that was ever said of an interval.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    Queryable,
    result::DatabaseErrorKind,
    sql_query,
    sql_types::{Array, BigInt, Integer, Nullable, Text},
};
use diesel_async::AsyncPgConnection;
use rust_decimal::Decimal;

use super::{
    Engine, Store, StoreError,
    error::origin_name,
    moment::{Moment, Timestamp},
    number::{Number, Numeric},
    partitions::Table,
    pool::Lines,
    revisions::refuse_forming,
    statement::{Bind, Statement},
    words::{name, named, natural, whole},
};
use crate::domain::{
    candle::{Candle, CandleMaker, CandleState, Interval, Ohlc},
    pair::Pair,
    venue::Venue,
};

/// Rows that are written in one go.
const BATCH: usize = 5_000;

/// A candle, and when it was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCandle {
    /// The candle.
    pub candle: Candle,
    /// When it was known to whoever wrote it, to the microsecond.
    pub record_time: DateTime<Utc>,
}

/// A row, and when it was known.
type Known<'a> = (&'a Candle, DateTime<Utc>);

/// The candles of one market and one interval: a venue's, or the composite of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The market.
    pub pair: Pair,
    /// The venue; `None` for the composite of all.
    pub venue: Option<Venue>,
    /// How long the candles are.
    pub interval: Interval,
}

impl Series {
    /// Gets the series that a candle belongs to.
    pub fn of(candle: &Candle) -> Self {
        Self { pair: candle.pair, venue: candle.venue, interval: candle.interval }
    }
}

/// Which candles are asked for.
#[derive(Debug, Clone)]
pub struct CandleQuery {
    /// Of what.
    pub series: Series,
    /// The earliest time at which one may open.
    pub from: DateTime<Utc>,
    /// All open before this.
    pub to: DateTime<Utc>,
    /// From the newest back.
    pub descending: bool,
    /// How many at most.
    pub limit: u32,
    /// When the last candle of the page before opened.
    pub after: Option<DateTime<Utc>>,
    /// As they were known at this time; as they are known now if `None`.
    pub known_by: Option<DateTime<Utc>>,
}

/// The columns of a row but for its key, in the order of [`COLUMNS`].
pub(super) type Columns = (
    Timestamp,
    Integer,
    Text,
    Text,
    Nullable<Numeric>,
    Nullable<Numeric>,
    Nullable<Numeric>,
    Nullable<Numeric>,
    Numeric,
    Numeric,
    BigInt,
    Integer,
    Numeric,
    Timestamp,
);

pub(super) const COLUMNS: &str = "open_time, revision, state, maker, open, high, low, close, base_volume, quote_volume, \
     trade_count, source_count, coverage, record_time";

/// A row but for its key.
#[derive(Queryable)]
pub(super) struct Row {
    open_time: Moment,
    revision: i32,
    state: String,
    maker: String,
    open: Option<Number>,
    high: Option<Number>,
    low: Option<Number>,
    close: Option<Number>,
    base_volume: Number,
    quote_volume: Number,
    trade_count: i64,
    source_count: i32,
    coverage: Number,
    record_time: Moment,
}

impl Store {
    /// Writes candles as they are, and counts those that were not there.
    ///
    /// What was written once stays as it is: a candle of a revision that is there changes nothing, so that writing twice
    /// does no harm. FORMING candles are refused, all others with them. Some thousands are written as a whole; of more, the
    /// first may be written and the rest not.
    pub async fn write_candles(
        &self,
        candles: &[Candle],
        record_time: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        refuse_forming(candles)?;
        self.insert_candles(candles.iter().map(|candle| (candle, record_time)).collect()).await
    }

    /// Writes rows, each with the time when it was known.
    pub(super) async fn insert_candles(&self, mut rows: Vec<Known<'_>>) -> Result<u64, StoreError> {
        let engine = self.engine().await?;
        // Two who write the same in another order would wait for each other.
        rows.sort_by_key(|(candle, _)| {
            (candle.interval, candle.pair, candle.venue, candle.open_time, candle.revision)
        });
        let mut written = 0;
        for batch in rows.chunks(BATCH) {
            written += match engine {
                Engine::Postgres(lines) => self.insert_postgres(lines, batch).await?,
                Engine::Sqlite { write, .. } => {
                    let rows = batch
                        .iter()
                        .map(|(candle, record_time)| self.binds(candle, *record_time))
                        .collect::<Result<Vec<_>, _>>()?;
                    write.insert("candles", rows).await?
                }
            };
        }
        Ok(written)
    }

    /// Lists candles in the order of time, each in the last revision that was known. What is after the page is got by the
    /// same query with `after` set to when the last candle of the page opened; what is written in between neither moves
    /// nor repeats anything.
    pub async fn list_candles(&self, query: &CandleQuery) -> Result<Vec<StoredCandle>, StoreError> {
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let mut query = query.clone();
        let mut found: Vec<StoredCandle> = Vec::new();
        // All revisions come, in the order of the primary key: any other way to the newest of each has to read, and sort,
        // what is far beyond the page. Few candles are restated, so one look is mostly enough.
        let mut rows = limit + limit / 32 + 8;
        while found.len() < limit {
            let read = self.revisions(&query, rows).await?;
            let all = read.len() < rows;
            let before = found.len();
            for stored in read {
                match found.last_mut().filter(|last| last.candle.open_time == stored.candle.open_time) {
                    // Upwards, the newest revision is the last one; downwards it came first.
                    Some(last) if !query.descending => *last = stored,
                    Some(_) => {}
                    None => found.push(stored),
                }
            }
            if all {
                break;
            }
            // Upwards, more revisions of the last candle may follow.
            if !query.descending {
                found.pop();
            }
            if found.len() == before {
                rows = rows.saturating_mul(2);
            }
            query.after = found.last().map(|last| last.candle.open_time).or(query.after);
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Gets the first rows of a query, of all revisions that were known.
    async fn revisions(&self, query: &CandleQuery, rows: usize) -> Result<Vec<StoredCandle>, StoreError> {
        let (mut from, mut to) = (query.from, query.to);
        match query.after {
            Some(after) if query.descending => to = to.min(after),
            Some(after) => from = from.max(after + TimeDelta::microseconds(1)),
            None => {}
        }
        let order = if query.descending { "DESC" } else { "ASC" };
        let text = format!(
            "SELECT {COLUMNS} FROM candles WHERE origin = ? AND interval = ? AND pair = ? AND venue = ? \
             AND open_time >= ? AND open_time < ? AND record_time <= ? ORDER BY open_time {order}, revision {order} LIMIT ?"
        );
        let mut binds = self.series_binds(query.series);
        let known_by = query.known_by.unwrap_or(DateTime::<Utc>::MAX_UTC);
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        binds.extend([from.into(), to.into(), known_by.into(), rows.into()]);
        let rows: Vec<Row> = self.engine().await?.load(Statement::<Columns>::new(text, binds)).await?;
        rows.into_iter().map(|row| row.read(query.series)).collect()
    }

    /// The key of a series, in the order of the primary key.
    pub(super) fn series_binds(&self, series: Series) -> Vec<Bind> {
        vec![
            self.origin_bind(),
            series.interval.as_str().into(),
            series.pair.to_string().into(),
            venue_text(series.venue).into(),
        ]
    }

    fn binds(&self, candle: &Candle, record_time: DateTime<Utc>) -> Result<Vec<Bind>, StoreError> {
        let mut binds =
            self.series_binds(Series { pair: candle.pair, venue: candle.venue, interval: candle.interval });
        let price = |of: fn(&Ohlc) -> Decimal| candle.prices.as_ref().map(of).into();
        binds.extend([
            candle.open_time.into(),
            whole::<_, i32>("revision", candle.revision)?.into(),
            name(&STATES, candle.state).into(),
            name(&MAKERS, candle.maker).into(),
            price(|prices| prices.open),
            price(|prices| prices.high),
            price(|prices| prices.low),
            price(|prices| prices.close),
            candle.base_volume.into(),
            candle.quote_volume.into(),
            whole::<_, i64>("trade_count", candle.trade_count)?.into(),
            whole::<_, i32>("source_count", candle.source_count)?.into(),
            candle.coverage.into(),
            record_time.into(),
        ]);
        Ok(binds)
    }

    async fn insert_postgres(
        &self,
        lines: &Lines<AsyncPgConnection>,
        batch: &[Known<'_>],
    ) -> Result<u64, StoreError> {
        let leaves: BTreeSet<_> =
            batch.iter().map(|(candle, _)| Table::Candles(candle.interval).leaf(candle.open_time)).collect();
        let leaves: Vec<_> = leaves.into_iter().collect();
        self.ensure(lines, leaves.clone()).await?;
        let arrays = Arrays::of(batch)?;
        match arrays.insert(self, lines).await {
            // The leaves that were known to be there have been dropped by another.
            Err(StoreError::Query {
                source: diesel::result::Error::DatabaseError(DatabaseErrorKind::CheckViolation, _),
                ..
            }) => {
                self.forget_leaves();
                self.ensure(lines, leaves).await?;
                arrays.insert(self, lines).await
            }
            result => result,
        }
    }
}

/// The columns of many rows: one list each is sent, however many rows there are.
#[derive(Default)]
struct Arrays {
    interval: Vec<&'static str>,
    pair: Vec<String>,
    venue: Vec<&'static str>,
    open_time: Vec<Moment>,
    revision: Vec<i32>,
    state: Vec<&'static str>,
    maker: Vec<&'static str>,
    prices: [Vec<Option<Number>>; 4],
    base_volume: Vec<Number>,
    quote_volume: Vec<Number>,
    trade_count: Vec<i64>,
    source_count: Vec<i32>,
    coverage: Vec<Number>,
    record_time: Vec<Moment>,
}

impl Arrays {
    fn of(batch: &[Known<'_>]) -> Result<Self, StoreError> {
        let mut arrays = Self::default();
        for (candle, record_time) in batch {
            arrays.record_time.push(Moment(*record_time));
            arrays.interval.push(candle.interval.as_str());
            arrays.pair.push(candle.pair.to_string());
            arrays.venue.push(venue_text(candle.venue));
            arrays.open_time.push(Moment(candle.open_time));
            arrays.revision.push(whole("revision", candle.revision)?);
            arrays.state.push(name(&STATES, candle.state));
            arrays.maker.push(name(&MAKERS, candle.maker));
            let [open, high, low, close] = &mut arrays.prices;
            open.push(candle.prices.map(|prices| Number(prices.open)));
            high.push(candle.prices.map(|prices| Number(prices.high)));
            low.push(candle.prices.map(|prices| Number(prices.low)));
            close.push(candle.prices.map(|prices| Number(prices.close)));
            arrays.base_volume.push(Number(candle.base_volume));
            arrays.quote_volume.push(Number(candle.quote_volume));
            arrays.trade_count.push(whole("trade_count", candle.trade_count)?);
            arrays.source_count.push(whole("source_count", candle.source_count)?);
            arrays.coverage.push(Number(candle.coverage));
        }
        Ok(arrays)
    }

    async fn insert(&self, store: &Store, lines: &Lines<AsyncPgConnection>) -> Result<u64, StoreError> {
        let [open, high, low, close] = &self.prices;
        let statement = sql_query(
            "INSERT INTO candles SELECT $1, interval, pair, venue, open_time, revision, state, maker, open, high, low, \
             close, base_volume, quote_volume, trade_count, source_count, coverage, record_time \
             FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
             AS given (interval, pair, venue, open_time, revision, state, maker, open, high, low, close, base_volume, \
             quote_volume, trade_count, source_count, coverage, record_time) ON CONFLICT DO NOTHING",
        )
        .bind::<Text, _>(origin_name(store.origin()))
        .bind::<Array<Text>, _>(&self.interval)
        .bind::<Array<Text>, _>(&self.pair)
        .bind::<Array<Text>, _>(&self.venue)
        .bind::<Array<Timestamp>, _>(&self.open_time)
        .bind::<Array<Integer>, _>(&self.revision)
        .bind::<Array<Text>, _>(&self.state)
        .bind::<Array<Text>, _>(&self.maker)
        .bind::<Array<Nullable<Numeric>>, _>(open)
        .bind::<Array<Nullable<Numeric>>, _>(high)
        .bind::<Array<Nullable<Numeric>>, _>(low)
        .bind::<Array<Nullable<Numeric>>, _>(close)
        .bind::<Array<Numeric>, _>(&self.base_volume)
        .bind::<Array<Numeric>, _>(&self.quote_volume)
        .bind::<Array<BigInt>, _>(&self.trade_count)
        .bind::<Array<Integer>, _>(&self.source_count)
        .bind::<Array<Numeric>, _>(&self.coverage)
        .bind::<Array<Timestamp>, _>(&self.record_time);
        let mut connection = lines.get().await?;
        let rows = lines
            .bounded(async { diesel_async::RunQueryDsl::execute(statement, &mut connection).await })
            .await?;
        Ok(u64::try_from(rows).unwrap_or(u64::MAX))
    }
}

impl Row {
    pub(super) fn read(self, series: Series) -> Result<StoredCandle, StoreError> {
        let prices = match (self.open, self.high, self.low, self.close) {
            (Some(open), Some(high), Some(low), Some(close)) => {
                Some(Ohlc { open: open.0, high: high.0, low: low.0, close: close.0 })
            }
            _ => None,
        };
        let candle = Candle {
            pair: series.pair,
            venue: series.venue,
            interval: series.interval,
            open_time: self.open_time.0,
            revision: natural("revision", self.revision)?,
            state: named(&STATES, "candles.state", &self.state)?,
            maker: named(&MAKERS, "candles.maker", &self.maker)?,
            prices,
            base_volume: self.base_volume.0,
            quote_volume: self.quote_volume.0,
            trade_count: natural("trade_count", self.trade_count)?,
            source_count: natural("source_count", self.source_count)?,
            coverage: self.coverage.0,
        };
        Ok(StoredCandle { candle, record_time: self.record_time.0 })
    }
}

/// The venue of a key; empty for the composite, as a key has no NULL.
pub(super) fn venue_text(venue: Option<Venue>) -> &'static str {
    venue.map_or("", Venue::as_str)
}

const STATES: [(CandleState, &str); 3] =
    [(CandleState::Final, "FINAL"), (CandleState::Restated, "RESTATED"), (CandleState::Gap, "GAP")];

const MAKERS: [(CandleMaker, &str); 2] = [(CandleMaker::Service, "SERVICE"), (CandleMaker::Venue, "VENUE")];
