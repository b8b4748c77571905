//! Connections to SQLite.

use std::{fs, path::Path, time::Duration};

use diesel::{
    Connection as _, ConnectionError, ConnectionResult, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _, deserialize::QueryableByName, sql_query, sql_types::BigInt,
};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;

use super::{location::Location, pool::Limits};

/// A connection whose work is done on a thread that may block.
pub(super) type Link = SyncConnectionWrapper<SqliteConnection>;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// One of many.
    Read,
    /// The only one.
    Write,
}

#[derive(QueryableByName)]
struct PageSize {
    #[diesel(sql_type = BigInt)]
    page_size: i64,
}

/// Opens the file, and makes it and its folder if they are not there.
pub(super) async fn connect(location: &Location, limits: &Limits, task: Task) -> ConnectionResult<Link> {
    let (location, limits) = (location.clone(), limits.clone());
    let connection = tokio::task::spawn_blocking(move || open(&location, &limits, task))
        .await
        .map_err(|error| ConnectionError::BadConnection(error.to_string()))??;
    Ok(Link::new(connection))
}

fn open(location: &Location, limits: &Limits, task: Task) -> ConnectionResult<SqliteConnection> {
    let path = match location {
        Location::File(path) => {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                make_folder(folder)?;
            }
            path.to_string_lossy().into_owned()
        }
        _ => ":memory:".to_owned(),
    };
    let mut connection = SqliteConnection::establish(&path)?;
    set_up(&mut connection, limits, task).map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

fn make_folder(folder: &Path) -> ConnectionResult<()> {
    fs::create_dir_all(folder)
        .map_err(|error| ConnectionError::BadConnection(format!("cannot make {}: {error}", folder.display())))
}

/// Readers do not wait for the writer (WAL). A power cut may lose what was written last, but breaks nothing.
fn set_up(connection: &mut SqliteConnection, limits: &Limits, task: Task) -> diesel::QueryResult<()> {
    // A row that is written may belong anywhere. Rows that are read lie together, and what one page needed the next one does
    // not: the system keeps that as well, once for all readers.
    let cache = match task {
        Task::Read => 2_048,
        Task::Write => 16_384,
    };
    let wait = limits.lock.max(Duration::from_millis(1)).as_millis();
    connection.batch_execute(&format!(
        "PRAGMA busy_timeout = {wait}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{cache}; PRAGMA journal_size_limit = 67108864",
    ))?;
    let page =
        sql_query("SELECT page_size FROM pragma_page_size").get_result::<PageSize>(connection)?.page_size;
    let pages = i64::try_from(limits.max_bytes).unwrap_or(i64::MAX) / page.max(1);
    // The largest count that SQLite knows.
    let pages = pages.clamp(1, 4_294_967_294);
    connection.batch_execute(&format!("PRAGMA max_page_count = {pages}"))
}
