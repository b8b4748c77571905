//! What is old goes, a little at a time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Nullable, Text};

use super::{
    Engine, Store, StoreError,
    moment::{Moment, Timestamp},
    partitions::Table,
    statement::{Bind, Statement},
};
use crate::domain::{candle::Interval, pair::Pair};

/// What is kept.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    /// For each interval that candles are kept of, when the oldest opens; 1970 for ever. Of others nothing is taken away, and
    /// nothing is kept for their sake.
    pub candles: BTreeMap<Interval, DateTime<Utc>>,
    /// When the oldest price was computed; all are kept if `None`.
    pub prices: Option<DateTime<Utc>>,
    /// How many rows are taken away in one go, about.
    pub batch: u32,
}

/// What was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Rows that were deleted.
    pub rows: u64,
    /// Partitions that were dropped with all their rows, in PostgreSQL.
    pub partitions: u64,
}

/// A part of a table by its key, within which rows have an order of time.
struct Strand {
    table: &'static str,
    time: &'static str,
    /// The columns of the key, but for time and what comes after.
    key: &'static str,
    binds: Vec<Bind>,
}

impl Store {
    /// Takes away what is older than the policy says.
    ///
    /// A candle stays for as long as the candle of the next longer interval of the policy that it is a part of is wanted
    /// and not there: without it, that could not be made any more.
    pub async fn prune(&self, retention: &Retention) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        let ends = retention.candles.iter().filter(|(_, keep_from)| **keep_from > DateTime::UNIX_EPOCH);
        for (interval, keep_from) in ends {
            let longer = retention
                .candles
                .range(*interval..)
                .nth(1)
                .map(|(interval, keep_from)| (*interval, *keep_from));
            let mut strands = Vec::new();
            for (pair, venue) in self.series_of(*interval).await? {
                let strand = Strand {
                    table: "candles",
                    time: "open_time",
                    key: "origin = ? AND interval = ? AND pair = ? AND venue = ?",
                    binds: vec![self.origin_bind(), interval.as_str().into(), pair.into(), venue.into()],
                };
                let needed = match longer {
                    Some((longer, wanted)) => self.needed_from(&strand, *keep_from, longer, wanted).await?,
                    None => None,
                };
                strands.push((strand, needed.map_or(*keep_from, |needed| needed.min(*keep_from))));
            }
            self.clear(Table::Candles(*interval), *keep_from, strands, retention.batch, &mut pruned).await?;
        }
        if let Some(keep_from) = retention.prices {
            let mut strands = Vec::new();
            for pair in self.priced_pairs().await? {
                let strand = Strand {
                    table: "prices",
                    time: "aggregate_time",
                    key: "origin = ? AND pair = ?",
                    binds: vec![self.origin_bind(), pair.into()],
                };
                strands.push((strand, keep_from));
            }
            self.clear(Table::Prices, keep_from, strands, retention.batch, &mut pruned).await?;
        }
        Ok(pruned)
    }

    /// Lists the pairs that have candles of an interval, each with the name of its venue, which is empty for the composite.
    pub async fn markets(&self, interval: Interval) -> Result<Vec<(Pair, String)>, StoreError> {
        let read = |(pair, venue): (String, String)| match Pair::split_at(&pair, '-') {
            Ok(pair) => Ok((pair, venue)),
            Err(_) => Err(StoreError::Unreadable { column: "candles.pair", value: pair }),
        };
        self.series_of(interval).await?.into_iter().map(read).collect()
    }

    /// Drops the partitions that are old as a whole, then takes what is left.
    async fn clear(
        &self,
        table: Table,
        keep_from: DateTime<Utc>,
        strands: Vec<(Strand, DateTime<Utc>)>,
        batch: u32,
        pruned: &mut Pruned,
    ) -> Result<(), StoreError> {
        if let Engine::Postgres(lines) = self.engine().await? {
            let before = strands.iter().map(|(_, before)| *before).min().unwrap_or(keep_from);
            pruned.partitions += self.drop_leaves(lines, table, before).await?;
        }
        for (strand, before) in strands {
            pruned.rows += self.thin(&strand, before, batch.max(1)).await?;
        }
        Ok(())
    }

    /// Deletes what is before a time, so many rows at a time; others get their turn in between.
    async fn thin(&self, strand: &Strand, before: DateTime<Utc>, batch: u32) -> Result<u64, StoreError> {
        let engine = self.engine().await?;
        let Strand { table, time, key, binds } = strand;
        let bounded = |end: DateTime<Utc>| binds.iter().cloned().chain([end.into()]).collect::<Vec<_>>();
        let mut deleted = 0;
        loop {
            let mut find = bounded(before);
            find.push(i64::from(batch).into());
            let text = format!(
                "SELECT {time} FROM {table} WHERE {key} AND {time} < ? ORDER BY {time} LIMIT 1 OFFSET ?"
            );
            let found: Vec<Moment> = engine.load(Statement::<Timestamp>::new(text, find)).await?;
            // The revisions of one candle, or the prices of one moment, are never parted.
            let end = found.first().map_or(before, |moment| moment.0);
            let text = format!(
                "DELETE FROM {table} WHERE {key} AND {time} {} ?",
                if found.is_empty() { "<" } else { "<=" }
            );
            deleted += engine.execute(Statement::new(text, bounded(end))).await?;
            if found.is_empty() {
                return Ok(deleted);
            }
        }
    }

    /// Finds the oldest candle that a longer one still has to be made of.
    async fn needed_from(
        &self,
        strand: &Strand,
        keep_from: DateTime<Utc>,
        longer: Interval,
        wanted: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let engine = self.engine().await?;
        // When the longer candle opens, counted from a Monday, as weeks are.
        let span = longer.seconds();
        let opens = match engine {
            Engine::Postgres(_) => {
                format!("date_bin('{span} seconds', part.open_time, timestamptz '1969-12-29 00:00:00+00')")
            }
            Engine::Sqlite { .. } => {
                let (span, monday) = (span * 1_000_000, -3 * 86_400_000_000_i64);
                format!("(part.open_time - (((part.open_time - ({monday})) % {span}) + {span}) % {span})")
            }
        };
        let text = format!(
            "SELECT min(part.open_time) FROM candles AS part WHERE part.origin = ? AND part.interval = ? \
             AND part.pair = ? AND part.venue = ? AND part.open_time < ? AND {opens} >= ? AND NOT EXISTS \
             (SELECT 1 FROM candles AS whole WHERE whole.origin = part.origin AND whole.interval = ? \
             AND whole.pair = part.pair AND whole.venue = part.venue AND whole.open_time = {opens})"
        );
        let mut binds = strand.binds.clone();
        binds.extend([keep_from.into(), wanted.into(), longer.as_str().into()]);
        let found: Vec<Option<Moment>> =
            engine.load(Statement::<Nullable<Timestamp>>::new(text, binds)).await?;
        Ok(found.into_iter().flatten().next().map(|moment| moment.0))
    }

    /// Lists pairs and venues that have candles of an interval, from one to the next by the primary key.
    async fn series_of(&self, interval: Interval) -> Result<Vec<(String, String)>, StoreError> {
        let engine = self.engine().await?;
        let mut all: Vec<(String, String)> = Vec::new();
        loop {
            let (pair, venue) = all.last().cloned().unwrap_or_default();
            let binds = vec![self.origin_bind(), interval.as_str().into(), pair.into(), venue.into()];
            let next: Vec<(String, String)> = engine
                .load(Statement::<(Text, Text)>::new(
                    "SELECT pair, venue FROM candles WHERE origin = ? AND interval = ? AND (pair, venue) > (?, ?) \
                     ORDER BY pair, venue LIMIT 1",
                    binds,
                ))
                .await?;
            if next.is_empty() {
                return Ok(all);
            }
            all.extend(next);
        }
    }

    /// Lists the pairs that have prices.
    async fn priced_pairs(&self) -> Result<Vec<String>, StoreError> {
        let engine = self.engine().await?;
        let mut all: Vec<String> = Vec::new();
        loop {
            let binds = vec![self.origin_bind(), all.last().cloned().unwrap_or_default().into()];
            let text = "SELECT pair FROM prices WHERE origin = ? AND pair > ? ORDER BY pair LIMIT 1";
            let next: Vec<String> = engine.load(Statement::<Text>::new(text, binds)).await?;
            if next.is_empty() {
                return Ok(all);
            }
            all.extend(next);
        }
    }
}
