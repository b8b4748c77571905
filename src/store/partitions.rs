//! The parts of PostgreSQL's tables by time: made before they are needed, and dropped as a whole when all in them is old.
//! SQLite has none, and needs none.
//!
//! A leaf spans a fixed number of weeks, counted from Monday, 29 December 1969, or one day; it is named for its first
//! day: `candles_1m_20261116`.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{QueryResult, sql_types::Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::{Engine, Store, StoreError, pool::Lines, statement::Statement};
use crate::domain::candle::Interval;

/// What is waited for by those who make or drop leaves, so that they do not do it twice.
const LOCK: i64 = 0x6372_7970_746f_6c66;

const DAY: i64 = 86_400;

/// The Monday that leaves are counted from, in seconds before 1970.
const ORIGIN: i64 = -3 * DAY;

/// A table that is divided by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Table {
    /// The candles of an interval.
    Candles(Interval),
    /// The prices.
    Prices,
}

/// A part of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Leaf {
    table: Table,
    /// Its first second.
    start: i64,
}

impl Table {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Interval::ALL.into_iter().map(Self::Candles).chain([Self::Prices])
    }

    fn name(self) -> String {
        match self {
            Self::Candles(interval) => format!("candles_{interval}"),
            Self::Prices => "prices".to_owned(),
        }
    }

    /// How many seconds a leaf spans: some millions of rows for a service of a hundred markets.
    const fn span(self) -> i64 {
        match self {
            Self::Candles(Interval::Second) | Self::Prices => DAY,
            Self::Candles(Interval::Minute) => 28 * DAY,
            Self::Candles(Interval::FiveMinutes | Interval::QuarterHour) => 364 * DAY,
            Self::Candles(Interval::Hour | Interval::FourHours | Interval::Day | Interval::Week) => {
                3_640 * DAY
            }
        }
    }

    /// Gets the leaf that a time falls into.
    pub(super) fn leaf(self, time: DateTime<Utc>) -> Leaf {
        let seconds = time.timestamp();
        Leaf { table: self, start: seconds - (seconds - ORIGIN).rem_euclid(self.span()) }
    }
}

impl Leaf {
    fn name(self) -> String {
        let day = DateTime::from_timestamp(self.start, 0).unwrap_or_default();
        format!("{}_{}", self.table.name(), day.format("%Y%m%d"))
    }

    fn end(self) -> i64 {
        self.start + self.table.span()
    }

    /// Made beside the table and then attached: that lets others read and write it meanwhile.
    fn ddl(self) -> String {
        let (leaf, table) = (self.name(), self.table.name());
        let (start, end) = (self.start, self.end());
        format!(
            "CREATE TABLE \"{leaf}\" (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES); \
             DO $$ BEGIN EXECUTE format('ALTER TABLE {table} ATTACH PARTITION \"{leaf}\" FOR VALUES FROM (%L) TO (%L)', \
             to_timestamp({start}), to_timestamp({end})); END $$"
        )
    }
}

impl Store {
    /// Makes the leaves that are needed now and in the given time from now, so that no write has to wait for it. Does
    /// nothing in SQLite.
    pub async fn make_partitions(&self, now: DateTime<Utc>, ahead: TimeDelta) -> Result<(), StoreError> {
        let mut leaves = Vec::new();
        for table in Table::all() {
            let mut leaf = table.leaf(now);
            leaves.push(leaf);
            while leaf.end() <= (now + ahead).timestamp() {
                leaf = Leaf { table, start: leaf.end() };
                leaves.push(leaf);
            }
        }
        if let Engine::Postgres(lines) = self.engine().await? {
            self.ensure(lines, leaves).await?;
        }
        Ok(())
    }

    /// Makes those of these leaves that are not there.
    pub(super) async fn ensure(
        &self,
        lines: &Lines<AsyncPgConnection>,
        leaves: Vec<Leaf>,
    ) -> Result<(), StoreError> {
        let mut missing: Vec<_> = {
            let known = self.known_leaves();
            leaves.into_iter().filter(|leaf| !known.contains(leaf)).collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_by_key(|leaf| leaf.name());
        missing.dedup();
        for leaf in missing {
            let mut connection = lines.get().await?;
            lines.bounded(make(&mut connection, leaf)).await?;
            self.known_leaves().insert(leaf);
        }
        Ok(())
    }

    /// Forgets which leaves are there: another has dropped some.
    pub(super) fn forget_leaves(&self) {
        self.known_leaves().clear();
    }

    /// Drops the leaves of a table that end at or before a time, and counts them.
    pub(super) async fn drop_leaves(
        &self,
        lines: &Lines<AsyncPgConnection>,
        table: Table,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut connection = lines.get().await?;
        let names = lines.bounded(leaves_of(&mut connection, table)).await?;
        let mut dropped = 0;
        for name in names {
            let Some(leaf) = table.parse(&name) else { continue };
            if leaf.end() <= before.timestamp() {
                // Waits for those who read from it, and lets others wait, for as long as the lock's timeout at most.
                let drop = connection.transaction(async |connection| {
                    connection.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
                    connection.batch_execute(&format!("DROP TABLE IF EXISTS \"{name}\"")).await
                });
                lines.bounded(drop).await?;
                self.known_leaves().remove(&leaf);
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    fn known_leaves(&self) -> std::sync::MutexGuard<'_, std::collections::HashSet<Leaf>> {
        self.leaves.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Table {
    /// Reads the name of a leaf.
    fn parse(self, name: &str) -> Option<Leaf> {
        let day = name.strip_prefix(&self.name())?.strip_prefix('_')?;
        let day = chrono::NaiveDate::parse_from_str(day, "%Y%m%d").ok()?;
        Some(Leaf { table: self, start: day.and_hms_opt(0, 0, 0)?.and_utc().timestamp() })
    }
}

async fn make(connection: &mut AsyncPgConnection, leaf: Leaf) -> QueryResult<()> {
    connection
        .transaction(async |connection| {
            connection.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
            if leaves_of(connection, leaf.table).await?.contains(&leaf.name()) {
                return Ok(());
            }
            connection.batch_execute(&leaf.ddl()).await
        })
        .await
}

async fn leaves_of(connection: &mut AsyncPgConnection, table: Table) -> QueryResult<Vec<String>> {
    let statement = Statement::<Text>::new(
        "SELECT child.relname::text FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid \
         WHERE inhparent = CAST(? AS text)::regclass ORDER BY 1",
        vec![table.name().into()],
    );
    statement.load(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_falls_into_one_leaf_whose_name_is_read_back() {
        for table in Table::all() {
            for seconds in [-1, 0, ORIGIN, ORIGIN - 1, 1_794_700_800, 1_794_700_799, 4_000_000_000] {
                let leaf = table.leaf(DateTime::from_timestamp(seconds, 0).unwrap());
                assert!(leaf.start <= seconds && seconds < leaf.end(), "{leaf:?} {seconds}");
                assert_eq!(table.parse(&leaf.name()), Some(leaf));
            }
        }
        let minute = Table::Candles(Interval::Minute).leaf("2026-11-22T10:00:00Z".parse().unwrap());
        assert_eq!(minute.name(), "candles_1m_20261116");
    }
}
