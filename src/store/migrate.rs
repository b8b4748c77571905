//! The schema: made, taken back, and compared with what the program knows.

use std::{collections::BTreeSet, error::Error};

use diesel::{
    SqliteConnection,
    backend::Backend,
    connection::SimpleConnection as _,
    migration::{MigrationSource, MigrationVersion},
};
use diesel_async::{AsyncPgConnection, async_connection_wrapper::AsyncConnectionWrapper};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Engine, Location, Store, StoreError, location::Server, pool::Limits, postgres};

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// What two programs that migrate at the same time wait for, in PostgreSQL: any number that nobody else uses.
const LOCK: i64 = 0x6372_7970_746f_7072;

/// Which migrations there are, from the oldest, and which of them were applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    /// Applied, and known to this program.
    pub applied: Vec<String>,
    /// Known to this program, and not applied.
    pub pending: Vec<String>,
    /// Applied by a later program, and not known to this one.
    pub unknown: Vec<String>,
}

/// What is to be done with migrations.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Apply all that are pending.
    Up,
    /// Take back the newest.
    Down,
    /// Change nothing.
    Look,
}

type Outcome = Result<(Vec<String>, Migrations), Box<dyn Error + Send + Sync>>;

impl Migrations {
    /// Refuses a schema that is older or newer than the program.
    pub(super) fn require_current(self, place: &Location) -> Result<(), StoreError> {
        let place = place.to_string();
        if !self.pending.is_empty() {
            return Err(StoreError::NotMigrated { place, versions: self.pending });
        }
        if !self.unknown.is_empty() {
            return Err(StoreError::TooNew { place, versions: self.unknown });
        }
        Ok(())
    }
}

impl Store {
    /// Applies what is pending, and names it. Whoever else does the same at the same time is waited for. Each migration
    /// is applied as a whole or not at all.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.step(Step::Up).await?.0)
    }

    /// Takes back the newest migration with all that is stored in what it made, and names it; `None` if there is none.
    pub async fn migrate_down(&self) -> Result<Option<String>, StoreError> {
        Ok(self.step(Step::Down).await?.0.into_iter().next())
    }

    /// Tells which migrations there are, and which were applied.
    pub async fn migrations(&self) -> Result<Migrations, StoreError> {
        Ok(self.step(Step::Look).await?.1)
    }

    async fn step(&self, step: Step) -> Result<(Vec<String>, Migrations), StoreError> {
        let place = self.location.to_string();
        let done = match (&self.engine, &self.location) {
            (Engine::Postgres(lines), Location::Postgres(server)) => {
                self.step_postgres(server, lines.limits(), step).await?
            }
            (Engine::Sqlite { write, .. }, _) => {
                write.run_long(move |connection| Ok(step_sqlite(connection, step))).await?
            }
            (Engine::Postgres(_), _) => Err("no server".into()),
        };
        done.map_err(|error| StoreError::Migration { place, cause: error.to_string() })
    }

    /// On a connection of its own, as migrations may take longer than other statements.
    async fn step_postgres(
        &self,
        server: &Server,
        limits: &Limits,
        step: Step,
    ) -> Result<Outcome, StoreError> {
        let unavailable = |cause: String| StoreError::Unavailable { place: self.location.to_string(), cause };
        let connection =
            postgres::connect(server, limits).await.map_err(|error| unavailable(error.to_string()))?;
        tokio::task::spawn_blocking(move || with_lock(AsyncConnectionWrapper::from(connection), step))
            .await
            .map_err(|error| unavailable(error.to_string()))
    }
}

/// Holds an advisory lock meanwhile; it ends with the connection, whatever happens.
fn with_lock(mut connection: AsyncConnectionWrapper<AsyncPgConnection>, step: Step) -> Outcome {
    connection.batch_execute("SET statement_timeout = 0; SET lock_timeout = '60s'")?;
    if !matches!(step, Step::Look) {
        connection.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
    }
    take(&mut connection, || POSTGRES, step)
}

/// Holds the file's write lock meanwhile.
fn step_sqlite(connection: &mut SqliteConnection, step: Step) -> Outcome {
    let mut outcome = None;
    let done = connection.immediate_transaction(|connection| {
        let failed = match take(connection, || SQLITE, step) {
            Ok(done) => {
                outcome = Some(Ok(done));
                return Ok(());
            }
            Err(error) => error,
        };
        outcome = Some(Err(failed));
        Err(diesel::result::Error::RollbackTransaction)
    });
    match (outcome, done) {
        (Some(Ok(done)), Ok(())) => Ok(done),
        (Some(Err(error)), _) => Err(error),
        (_, Err(error)) => Err(error.into()),
        (None, Ok(())) => Err("nothing was done".into()),
    }
}

fn take<DB, C>(connection: &mut C, known: fn() -> EmbeddedMigrations, step: Step) -> Outcome
where
    DB: Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let before = compare::<DB, C>(connection, &known())?;
    let done = match step {
        Step::Look => return Ok((Vec::new(), before)),
        Step::Up if !before.unknown.is_empty() => {
            return Err(format!(
                "it has migrations that this program does not know: {}",
                before.unknown.join(", ")
            )
            .into());
        }
        Step::Up => names(&connection.run_pending_migrations(known())?),
        Step::Down if before.applied.is_empty() => Vec::new(),
        Step::Down => vec![connection.revert_last_migration(known())?.to_string()],
    };
    let after = compare::<DB, C>(connection, &known())?;
    Ok((done, after))
}

fn compare<DB, C>(
    connection: &mut C,
    known: &EmbeddedMigrations,
) -> Result<Migrations, Box<dyn Error + Send + Sync>>
where
    DB: Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known: BTreeSet<String> =
        known.migrations()?.iter().map(|migration| migration.name().version().to_string()).collect();
    let applied: BTreeSet<String> = names(&connection.applied_migrations()?).into_iter().collect();
    Ok(Migrations {
        applied: applied.intersection(&known).cloned().collect(),
        pending: known.difference(&applied).cloned().collect(),
        unknown: applied.difference(&known).cloned().collect(),
    })
}

fn names(versions: &[MigrationVersion<'_>]) -> Vec<String> {
    versions.iter().map(ToString::to_string).collect()
}
