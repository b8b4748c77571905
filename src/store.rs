//! The history: candles, and prices as they were published, in PostgreSQL or in SQLite.
//!
//! A [`Store`] is made of [`Options`] and connects when it is first used. Both databases do the same and are held to it by
//! one suite of tests; statements are written out in SQL, and where the two need different words, they stand side by
//! side. Everything is kept with the time when it was written, so that what was known at some time can be asked for.
//!
//! In reading order: [`location`] says where a database lies; `pool`, `postgres` and `sqlite` connect to it; `statement`,
//! `number` and `moment` are what goes over the connection; [`migrate`] makes the tables, and `partitions` their parts by
//! time in PostgreSQL; [`candles`], [`prices`], [`stats`] and [`gaps`] are what is written and read, and
//! `revisions` numbers what several say of one candle; [`retention`] takes
//! away what is old, and `upkeep` is for whoever looks after it.

use std::{collections::HashSet, fmt, sync::Mutex, time::Duration};

use diesel::sql_types::Text;
use tokio::sync::OnceCell;

pub mod candles;
mod error;
pub mod gaps;
pub mod location;
mod metrics;
pub mod migrate;
mod moment;
mod number;
mod partitions;
mod pool;
mod postgres;
pub mod prices;
pub mod retention;
mod revisions;
mod sqlite;
mod statement;
pub mod stats;
mod upkeep;
mod words;

pub use self::{error::StoreError, location::Location, metrics::PoolMetrics, pool::PoolStatus};
use self::{
    error::origin_name,
    partitions::Leaf,
    pool::{Engine, Limits},
    statement::{Bind, Statement},
};
use crate::domain::price::Origin;

/// What a store is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the database lies.
    pub location: Location,
    /// Whose prices it holds: those of another origin are not mixed with them.
    pub origin: Origin,
    /// Connections that are open at the same time at most; to SQLite, one more that writes.
    pub max_connections: u32,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// How long a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// How large a file of SQLite may grow, in bytes.
    pub max_bytes: u64,
}

/// The history, in one database.
pub struct Store {
    location: Location,
    origin: Origin,
    engine: Engine,
    /// Set once the schema and the origin were seen to be right.
    checked: OnceCell<()>,
    /// Leaves that are known to be there.
    leaves: Mutex<HashSet<Leaf>>,
}

impl Store {
    /// Makes a store. Nothing is connected to until it is used; what is wrong with the database is told then, each time.
    pub fn open(options: Options) -> Self {
        let limits = Limits {
            connections: options.max_connections.max(1),
            connect: options.connect_timeout,
            statement: options.statement_timeout,
            lock: options.lock_timeout,
            max_bytes: options.max_bytes,
        };
        Self {
            engine: Engine::new(&options.location, &limits),
            location: options.location,
            origin: options.origin,
            checked: OnceCell::new(),
            leaves: Mutex::default(),
        }
    }

    /// Connects, and sees that the schema is that of this program and the origin the same. An embedded database is
    /// migrated first; a server is not, as others may be at work in it.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.checked.get_or_try_init(|| self.look()).await.copied()
    }

    /// Gets whose prices are in it.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Gets where it lies; credentials are not shown.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Tells how its connections do.
    pub fn pools(&self) -> Vec<PoolStatus> {
        self.engine.status()
    }

    async fn look(&self) -> Result<(), StoreError> {
        if let Engine::Sqlite { .. } = self.engine {
            self.migrate().await?;
        } else {
            self.migrations().await?.require_current(&self.location)?;
        }
        let own = origin_name(self.origin);
        self.engine
            .execute(Statement::new(
                "INSERT INTO meta (key, value) VALUES ('origin', ?) ON CONFLICT DO NOTHING",
                vec![own.clone().into()],
            ))
            .await?;
        let found: Vec<String> = self
            .engine
            .load(Statement::<Text>::new("SELECT value FROM meta WHERE key = 'origin'", Vec::new()))
            .await?;
        let found = found.into_iter().next().unwrap_or_default();
        if found == own {
            return Ok(());
        }
        let named =
            [Origin::Live, Origin::Replay, Origin::Simulated].into_iter().find(|o| origin_name(*o) == found);
        Err(match named {
            Some(origin) => StoreError::ForeignOrigin {
                place: self.location.to_string(),
                found: origin,
                expected: self.origin,
            },
            None => StoreError::Unreadable { column: "meta.value", value: found },
        })
    }

    /// The engine, once the database was seen to be right.
    async fn engine(&self) -> Result<&Engine, StoreError> {
        self.check().await?;
        Ok(&self.engine)
    }

    fn origin_bind(&self) -> Bind {
        origin_name(self.origin).into()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("location", &self.location)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
