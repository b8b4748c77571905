//! What can go wrong with the store.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error};

use crate::domain::price::Origin;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or has gone away in the middle.
    #[error("the database {place} is not available: {cause}")]
    Unavailable {
        /// Which one, without credentials.
        place: String,
        /// What was said about it.
        cause: String,
    },
    /// The database did not answer in time, waits for a lock that another holds, or all connections were in use.
    #[error("the database {place} took longer than {}", humantime(*.after))]
    Timeout {
        /// Which one, without credentials.
        place: String,
        /// What was waited for at most.
        after: Duration,
    },
    /// There is no room for more: the disk is full, or the embedded file has its largest size.
    #[error("the database {place} is full: {cause}")]
    Full {
        /// Which one, without credentials.
        place: String,
        /// What the database said.
        cause: String,
    },
    /// The store holds prices of another origin.
    #[error("the database {place} holds {} prices, not {}", origin_name(*.found), origin_name(*.expected))]
    ForeignOrigin {
        /// Which one, without credentials.
        place: String,
        /// What it holds.
        found: Origin,
        /// What was to be stored.
        expected: Origin,
    },
    /// The schema is older than the program.
    #[error("the database {place} lacks the migrations {}: run `cryptoprice migrate up`", versions.join(", "))]
    NotMigrated {
        /// Which one, without credentials.
        place: String,
        /// What is missing.
        versions: Vec<String>,
    },
    /// The schema is newer than the program.
    #[error("the database {place} has migrations that this program does not know: {}", versions.join(", "))]
    TooNew {
        /// Which one, without credentials.
        place: String,
        /// What is there.
        versions: Vec<String>,
    },
    /// A migration failed. It left nothing behind: those before it are applied, and it is not.
    #[error("cannot migrate the database {place}: {cause}")]
    Migration {
        /// Which one, without credentials.
        place: String,
        /// What was said about it.
        cause: String,
    },
    /// What was given cannot be stored.
    #[error("cannot store {what}")]
    Refused {
        /// What, and why.
        what: String,
    },
    /// What lies in the database is none of ours.
    #[error("cannot read {column} `{value}` from the database")]
    Unreadable {
        /// The column.
        column: &'static str,
        /// What it holds.
        value: String,
    },
    /// This kind of database cannot do that.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The database refused a statement for a reason that none of the others tells.
    #[error("the database {place} refused a statement")]
    Query {
        /// Which one, without credentials.
        place: String,
        /// What it said.
        source: Error,
    },
}

impl StoreError {
    /// Tells whether the same may succeed later, without anybody doing anything about it.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Timeout { .. } | Self::Full { .. })
    }

    /// Says what an error of a statement means that took `elapsed`.
    ///
    /// The libraries pass on kinds of errors for broken constraints alone. What else happened is told by the message,
    /// and a message in another language still by the time it took.
    pub(super) fn of_query(place: &str, error: Error, elapsed: Duration, limit: Duration) -> Self {
        let place = place.to_owned();
        let (kind, message) = match &error {
            Error::DatabaseError(kind, information) => (kind, information.message().to_owned()),
            _ => return Self::Query { place, source: error },
        };
        let says = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
        match kind {
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                Self::Unavailable { place, cause: message }
            }
            DatabaseErrorKind::Unknown if says(&AWAY) => Self::Unavailable { place, cause: message },
            DatabaseErrorKind::Unknown if says(&FULL) => Self::Full { place, cause: message },
            DatabaseErrorKind::Unknown if says(&LATE) || elapsed >= limit => {
                Self::Timeout { place, after: limit.min(elapsed) }
            }
            _ => Self::Query { place, source: error },
        }
    }
}

/// What a server says that goes down or comes up, and SQLite of a file that it cannot open.
const AWAY: [&str; 5] = [
    "terminating connection",
    "the database system is",
    "unable to open database file",
    "disk I/O error",
    "connection closed",
];

/// What is said of a full disk.
const FULL: [&str; 3] = ["database or disk is full", "No space left on device", "out of disk space"];

/// What is said of waiting too long.
const LATE: [&str; 4] =
    ["due to lock timeout", "due to statement timeout", "database is locked", "table is locked"];

/// Names an origin as the database and the contract do.
pub(super) fn origin_name(origin: Origin) -> String {
    origin.name().to_ascii_uppercase()
}

fn humantime(span: Duration) -> String {
    format!("{} ms", span.as_millis())
}
