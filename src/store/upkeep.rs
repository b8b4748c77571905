//! For whoever looks after the store: whether it answers, how large it is, and a copy of it.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    RunQueryDsl as _,
    sql_types::{BigInt, Integer},
};

use super::{Engine, Location, Store, StoreError, error::origin_name, statement::Statement};

impl Store {
    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.engine().await?.load::<Integer, i32>(Statement::new("SELECT 1", Vec::new())).await.map(|_| ())
    }

    /// Tells how many bytes the tables take with their indexes; of SQLite, the whole file.
    pub async fn size(&self) -> Result<u64, StoreError> {
        let engine = self.engine().await?;
        let text = match engine {
            Engine::Postgres(_) => {
                "SELECT CAST(sum(pg_total_relation_size(relid)) AS bigint) FROM (SELECT relid FROM \
                 pg_partition_tree('candles') UNION ALL SELECT relid FROM pg_partition_tree('prices')) AS parts"
            }
            Engine::Sqlite { .. } => {
                "SELECT page_count * page_size FROM pragma_page_count AS a, pragma_page_size AS b"
            }
        };
        let sizes: Vec<i64> = engine.load(Statement::<BigInt>::new(text, Vec::new())).await?;
        Ok(sizes.into_iter().filter_map(|size| u64::try_from(size).ok()).sum())
    }

    /// Claims a piece of work for a time, so that of those who share a server one does it. Whoever has an embedded database
    /// has it alone.
    pub async fn claim(&self, work: &str, now: DateTime<Utc>, lasts: TimeDelta) -> Result<bool, StoreError> {
        let engine = self.engine().await?;
        if let Engine::Sqlite { .. } = engine {
            return Ok(true);
        }
        let text = |time: DateTime<Utc>| format!("{:020}", time.timestamp_millis().max(0));
        let after = |span: TimeDelta| now.checked_add_signed(span).unwrap_or(now);
        let key = format!("claim {work} {}", origin_name(self.origin));
        let insert = "INSERT INTO meta (key, value) VALUES (?, '') ON CONFLICT DO NOTHING";
        engine.execute(Statement::new(insert, vec![key.clone().into()])).await?;
        // A claim from far ahead was made by a clock that was wrong.
        let update = "UPDATE meta SET value = ? WHERE key = ? AND (value <= ? OR value > ?)";
        let far = lasts.checked_mul(2).unwrap_or(lasts);
        let binds = vec![text(after(lasts)).into(), key.into(), text(now).into(), text(after(far)).into()];
        Ok(engine.execute(Statement::new(update, binds)).await? == 1)
    }

    /// Copies an embedded database into a file, as it is at one moment; others read and write meanwhile. The file must
    /// not be there yet.
    pub async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        let Engine::Sqlite { read, .. } = &self.engine else {
            return Err(StoreError::Unsupported(
                "PostgreSQL is backed up by its own programs, such as pg_dump",
            ));
        };
        if let Location::File(own) = &self.location
            && !own.exists()
        {
            return Err(StoreError::Refused {
                what: format!("a copy of {}, which is not there", self.location),
            });
        }
        let Some(path) = file.to_str() else {
            return Err(StoreError::Refused { what: "a backup under a name that is not UTF-8".to_owned() });
        };
        let statement = Statement::<()>::new("VACUUM INTO ?", vec![path.to_owned().into()]);
        read.run_long(move |connection| statement.execute(connection)).await.map(|_| ())
    }
}
