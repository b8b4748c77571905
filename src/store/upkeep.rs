//! For whoever looks after the store: whether it answers, how large it is, and a copy of it.

use std::path::Path;

use diesel::{
    RunQueryDsl as _,
    sql_types::{BigInt, Integer},
};

use super::{Engine, Location, Store, StoreError, statement::Statement};

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
