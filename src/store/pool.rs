//! Pools of connections, made when they are needed, and what is asked through them.

use std::{sync::Arc, time::Duration};

use bb8::ErrorSink;
use diesel::{QueryResult, SqliteConnection, query_dsl::methods::LoadQuery};
use diesel_async::{
    AsyncPgConnection,
    methods::LoadQuery as AsyncLoadQuery,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, PoolError, PoolableConnection, RecyclingMethod,
        bb8::Pool,
    },
};
use futures::FutureExt as _;
use tokio::sync::watch;

use super::{
    error::StoreError,
    location::Location,
    postgres,
    sqlite::{self, Link, Task},
    statement::{Bind, Statement},
};
use crate::clock::stopwatch;

/// How long a connection is used before another takes its place.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How long a connection may lie idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How much longer than its server a client waits, which otherwise says so itself.
const GRACE: Duration = Duration::from_millis(500);

/// The pool of what lies in memory.
const MEMORY: &str = "memory";

/// How long things may take, and how large they may be.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) connections: u32,
    pub(super) connect: Duration,
    pub(super) statement: Duration,
    pub(super) lock: Duration,
    pub(super) max_bytes: u64,
}

/// How the connections of a store do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// What they are for: `read`, `write`, `all`, or `memory`.
    pub name: &'static str,
    /// Connections that are open.
    pub size: u32,
    /// Those that nobody uses.
    pub idle: u32,
    /// Calls that wait for one.
    pub waiting: u64,
}

/// One of the two databases.
pub(super) enum Engine {
    Postgres(Lines<AsyncPgConnection>),
    /// SQLite has one writer at a time: it has a connection of its own, for which callers wait in turn. What lies in
    /// memory has that one alone.
    Sqlite {
        read: Lines<Link>,
        write: Lines<Link>,
    },
}

/// A pool, and what was last said when it could not connect.
pub(super) struct Lines<C: PoolableConnection + 'static>
where
    AsyncDieselConnectionManager<C>: bb8::ManageConnection,
{
    name: &'static str,
    place: String,
    limits: Limits,
    pool: Pool<C>,
    failures: watch::Receiver<String>,
}

/// Takes what the pool says of connections that it could not make.
#[derive(Debug, Clone)]
struct Sink(Arc<watch::Sender<String>>);

impl ErrorSink<PoolError> for Sink {
    fn sink(&self, error: PoolError) {
        let text = match error {
            PoolError::ConnectionError(error) => error.to_string(),
            PoolError::QueryError(error) => error.to_string(),
        };
        self.0.send_replace(text);
    }

    fn boxed_clone(&self) -> Box<dyn ErrorSink<PoolError>> {
        Box::new(self.clone())
    }
}

impl Engine {
    /// Makes the pools; nothing is connected to yet.
    pub(super) fn new(location: &Location, limits: &Limits) -> Self {
        let place = location.to_string();
        if let Location::Postgres(server) = location {
            let (server, own) = (server.clone(), limits.clone());
            let mut config = ManagerConfig::default();
            config.custom_setup = Box::new(move |_| {
                let (server, limits) = (server.clone(), own.clone());
                async move { postgres::connect(&server, &limits).await }.boxed()
            });
            // A connection that was closed meanwhile is noticed without asking the server.
            config.recycling_method = RecyclingMethod::CustomFunction(Box::new(|connection| {
                let closed = PoolableConnection::is_broken(connection);
                async move { if closed { Err(diesel::result::Error::BrokenTransactionManager) } else { Ok(()) } }.boxed()
            }));
            return Self::Postgres(Lines::new("all", &place, limits, limits.connections, config));
        }
        let config = |task| {
            let (location, limits) = (location.clone(), limits.clone());
            let mut config = ManagerConfig::default();
            config.custom_setup = Box::new(move |_| {
                let (location, limits) = (location.clone(), limits.clone());
                async move { sqlite::connect(&location, &limits, task).await }.boxed()
            });
            config.recycling_method = RecyclingMethod::Fast;
            config
        };
        if matches!(location, Location::Memory) {
            let only = Lines::new(MEMORY, &place, limits, 1, config(Task::Write));
            return Self::Sqlite { read: only.clone(), write: only };
        }
        Self::Sqlite {
            read: Lines::new("read", &place, limits, limits.connections, config(Task::Read)),
            write: Lines::new("write", &place, limits, 1, config(Task::Write)),
        }
    }

    /// Gets the rows that a statement selects.
    pub(super) async fn load<S, T>(&self, statement: Statement<S>) -> Result<Vec<T>, StoreError>
    where
        S: Send + 'static,
        T: Send + 'static,
        Statement<S>: AsyncLoadQuery<'static, AsyncPgConnection, T> + LoadQuery<'static, SqliteConnection, T>,
    {
        match self {
            Self::Postgres(lines) => {
                let mut connection = lines.get().await?;
                let loading = async { diesel_async::RunQueryDsl::load(statement, &mut connection).await };
                lines.bounded(loading).await
            }
            Self::Sqlite { read, .. } => {
                read.run(move |connection| diesel::RunQueryDsl::load(statement, connection)).await
            }
        }
    }

    /// Runs a statement that changes rows, and counts them.
    pub(super) async fn execute(&self, statement: Statement) -> Result<u64, StoreError> {
        let changed = match self {
            Self::Postgres(lines) => {
                let mut connection = lines.get().await?;
                lines
                    .bounded(async { diesel_async::RunQueryDsl::execute(statement, &mut connection).await })
                    .await?
            }
            Self::Sqlite { write, .. } => {
                write.write(move |connection| diesel::RunQueryDsl::execute(statement, connection)).await?
            }
        };
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    /// Tells how the pools do.
    pub(super) fn status(&self) -> Vec<PoolStatus> {
        match self {
            Self::Postgres(lines) => vec![lines.status()],
            Self::Sqlite { write, .. } if write.name == MEMORY => vec![write.status()],
            Self::Sqlite { read, write } => vec![read.status(), write.status()],
        }
    }
}

impl<C> Lines<C>
where
    C: PoolableConnection + 'static,
    AsyncDieselConnectionManager<C>: bb8::ManageConnection<Connection = C, Error = PoolError>,
{
    fn new(name: &'static str, place: &str, limits: &Limits, size: u32, config: ManagerConfig<C>) -> Self {
        let (sender, failures) = watch::channel(String::new());
        let pool = Pool::builder()
            .max_size(size)
            .connection_timeout(limits.connect)
            .retry_connection(false)
            // What lies in memory would be gone with its connection.
            .max_lifetime(Some(MAX_LIFETIME).filter(|_| name != MEMORY))
            .idle_timeout(Some(IDLE_TIMEOUT).filter(|_| name != MEMORY))
            .error_sink(Box::new(Sink(Arc::new(sender))))
            .build_unchecked(AsyncDieselConnectionManager::new_with_config(String::new(), config));
        Self { name, place: place.to_owned(), limits: limits.clone(), pool, failures }
    }

    /// Gets a connection, or says why there is none as soon as that is known: the pool itself would go on waiting.
    pub(super) async fn get(
        &self,
    ) -> Result<bb8::PooledConnection<'static, AsyncDieselConnectionManager<C>>, StoreError> {
        let mut failures = self.failures.clone();
        failures.mark_unchanged();
        let getting = self.pool.get_owned();
        tokio::pin!(getting);
        loop {
            tokio::select! {
                connection = &mut getting => return connection.map_err(|error| self.unconnected(error)),
                failed = failures.changed() => {
                    // Where others are open, one of them will come free.
                    if failed.is_err() || self.pool.state().connections == 0 {
                        let cause = failures.borrow().clone();
                        return Err(StoreError::Unavailable { place: self.place.clone(), cause });
                    }
                }
            }
        }
    }

    fn unconnected(&self, error: bb8::RunError<PoolError>) -> StoreError {
        match error {
            bb8::RunError::TimedOut if self.pool.state().connections > 0 => self.late(self.limits.connect),
            bb8::RunError::TimedOut => {
                StoreError::Unavailable { place: self.place.clone(), cause: "no answer".to_owned() }
            }
            bb8::RunError::User(error) => {
                StoreError::Unavailable { place: self.place.clone(), cause: error.to_string() }
            }
        }
    }

    /// Waits for a statement, but not for ever: a server that is frozen cannot say that it is late.
    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = QueryResult<T>>,
    ) -> Result<T, StoreError> {
        let elapsed = stopwatch();
        match tokio::time::timeout(self.limits.statement + GRACE, work).await {
            Ok(result) => result.map_err(|error| self.failed(error, elapsed())),
            Err(_) => Err(self.late(self.limits.statement)),
        }
    }

    pub(super) fn failed(&self, error: diesel::result::Error, elapsed: Duration) -> StoreError {
        StoreError::of_query(&self.place, error, elapsed, self.limits.statement.min(self.limits.lock))
    }

    fn late(&self, after: Duration) -> StoreError {
        StoreError::Timeout { place: self.place.clone(), after }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn status(&self) -> PoolStatus {
        let state = self.pool.state();
        PoolStatus {
            name: self.name,
            size: state.connections,
            idle: state.idle_connections,
            waiting: state.statistics.pending_gets(),
        }
    }
}

impl Lines<Link> {
    /// Runs work on a thread that may block, and waits for it as long as a statement may take.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.bounded(self.start(work).await?).await
    }

    /// Runs work that writes, all of it or nothing.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(move |connection| connection.immediate_transaction(work)).await
    }

    /// Inserts rows, all of them or none, and counts those that were not there.
    pub(super) async fn insert(&self, table: &'static str, rows: Vec<Vec<Bind>>) -> Result<u64, StoreError> {
        let written = self.write(move |connection| {
            Statement::insert(table, rows)
                .into_iter()
                .map(|statement| diesel::RunQueryDsl::execute(statement, connection))
                .sum::<QueryResult<usize>>()
        });
        Ok(u64::try_from(written.await?).unwrap_or(u64::MAX))
    }

    /// Runs work for as long as it takes.
    pub(super) async fn run_long<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let elapsed = stopwatch();
        self.start(work).await?.await.map_err(|error| self.failed(error, elapsed()))
    }

    /// Begins work. The task keeps the connection until the thread has done with it, also where nobody waits for it any
    /// more: the pool must not get it back before. It ends with its statement.
    async fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<impl Future<Output = QueryResult<T>>, StoreError> {
        let mut connection = self.get().await?;
        let task = tokio::spawn(async move { connection.spawn_blocking(work).await });
        Ok(async move {
            task.await.unwrap_or_else(|error| Err(diesel::result::Error::QueryBuilderError(Box::new(error))))
        })
    }
}

impl<C> Clone for Lines<C>
where
    C: PoolableConnection + 'static,
    AsyncDieselConnectionManager<C>: bb8::ManageConnection<Connection = C, Error = PoolError>,
{
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            place: self.place.clone(),
            limits: self.limits.clone(),
            pool: self.pool.clone(),
            failures: self.failures.clone(),
        }
    }
}
