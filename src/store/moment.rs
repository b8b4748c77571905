//! Times in the database: `timestamptz` in PostgreSQL, microseconds since 1970 in SQLite. Both hold microseconds, and what
//! is finer is cut off alike.

use chrono::{DateTime, Utc};
use diesel::{
    backend::Backend,
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    query_builder::QueryId,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{BigInt, SqlType},
    sqlite::Sqlite,
};

/// Microseconds from 1970 to 2000, which PostgreSQL counts from.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// The type of a time in the database.
#[derive(Debug, Clone, Copy, SqlType, QueryId)]
#[diesel(postgres_type(oid = 1184, array_oid = 1185))]
#[diesel(sqlite_type(name = "Long"))]
pub(super) struct Timestamp;

/// A time, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, AsExpression, FromSqlRow)]
#[diesel(sql_type = Timestamp)]
pub(super) struct Moment(pub(super) DateTime<Utc>);

/// A time in the database that no calendar of ours reaches.
#[derive(Debug, thiserror::Error)]
#[error("{0} µs is a time out of reach")]
struct OutOfReach(i64);

impl Moment {
    fn of_micros(micros: i64) -> deserialize::Result<Self> {
        Ok(Self(DateTime::from_timestamp_micros(micros).ok_or(OutOfReach(micros))?))
    }
}

impl ToSql<Timestamp, Pg> for Moment {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let micros = self.0.timestamp_micros().saturating_sub(POSTGRES_EPOCH);
        ToSql::<BigInt, Pg>::to_sql(&micros, &mut out.reborrow())
    }
}

impl FromSql<Timestamp, Pg> for Moment {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        let micros = <i64 as FromSql<BigInt, Pg>>::from_sql(bytes)?;
        Self::of_micros(micros.checked_add(POSTGRES_EPOCH).ok_or(OutOfReach(micros))?)
    }
}

impl ToSql<Timestamp, Sqlite> for Moment {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.timestamp_micros());
        Ok(IsNull::No)
    }
}

impl FromSql<Timestamp, Sqlite> for Moment {
    fn from_sql(bytes: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        Self::of_micros(<i64 as FromSql<BigInt, Sqlite>>::from_sql(bytes)?)
    }
}
