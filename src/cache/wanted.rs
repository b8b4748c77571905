//! What replicas would like to have mirrored: names that whoever leads looks at.
//!
//! A name is wanted for a time, and has to be wanted again before that is over; so nobody need take back what a replica
//! has wanted that is gone. The times are those of the replicas' clocks, which may differ by a part of that.

use chrono::{DateTime, TimeDelta, Utc};
use redis::{cmd, pipe};

use super::{CacheError, keys::IngestKeys, pool::Pool};

/// Wants these for a time from now on.
pub async fn want(
    pool: &Pool,
    keys: &IngestKeys,
    names: &[String],
    lasting: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(), CacheError> {
    if names.is_empty() {
        return Ok(());
    }
    let until = (now + lasting).timestamp_millis();
    let mut want = cmd("ZADD");
    want.arg(&keys.wanted).arg("GT");
    for name in names {
        want.arg(until).arg(name);
    }
    pool.query("want", &want).await
}

/// Lists what is wanted, and forgets what is not any more.
pub async fn wanted(pool: &Pool, keys: &IngestKeys, now: DateTime<Utc>) -> Result<Vec<String>, CacheError> {
    let now = now.timestamp_millis();
    let mut ask = pipe();
    ask.cmd("ZREMRANGEBYSCORE").arg(&keys.wanted).arg("-inf").arg(now).ignore();
    ask.cmd("ZRANGE").arg(&keys.wanted).arg(0).arg(-1);
    let (names,): (Vec<String>,) = pool.pipeline("wanted", &ask).await?;
    Ok(names)
}
