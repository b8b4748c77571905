//! What replicas tell each other about what they fetch.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use redis::Script;

use super::{Entry, Name};
use crate::cache::{CacheError, keys::Keys, pool::Pool};

/// Gets the answer; if it is not fresh, tries to become the one that fetches it. `KEYS`: answer, lock. `ARGV`: who asks,
/// for how long the lock holds, in ms.
const LOOK: &str = "\
local answer = redis.call('GET', KEYS[1])
local remaining = redis.call('PTTL', KEYS[1])
local stale = answer and tonumber(string.sub(answer, 2, 9), 16)
if stale and remaining > stale then return {answer, remaining, 0} end
local locked = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
return {answer or '', math.max(remaining, 0), locked}
";

/// Keeps an answer, if it was fetched under the lock, and unlocks. `KEYS`: answer, lock. `ARGV`: who has fetched it, the
/// answer or nothing, for how long it is kept, in ms.
const KEEP: &str = "\
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if ARGV[3] ~= '0' then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return redis.call('DEL', KEYS[2])
";

static LOOK_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(LOOK));
static KEEP_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(KEEP));

/// The answers that replicas share.
#[derive(Debug)]
pub(super) struct Shared {
    pool: Pool,
    keys: Keys,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Look {
    /// What is known, fresh or not.
    pub(super) entry: Option<Entry>,
    /// Whether who looked is the one that fetches.
    pub(super) locked: bool,
}

impl Shared {
    pub(super) const fn new(pool: Pool, keys: Keys) -> Self {
        Self { pool, keys }
    }

    /// Gets what is known; if that is not fresh, tries to lock it for a fetch.
    pub(super) async fn look(&self, name: &Name, token: &str, lock: Duration) -> Result<Look, CacheError> {
        let keys = self.keys.fetched(&name.upstream, &name.name);
        let lock = lock.as_millis().max(1).to_string();
        let (answer, remaining, locked): (Bytes, u64, bool) = self
            .pool
            .script(
                "fetch_look",
                &LOOK_SCRIPT,
                &[&keys.answer, &keys.lock],
                &[token.as_bytes(), lock.as_bytes()],
            )
            .await?;
        Ok(Look { entry: Entry::decode(&answer, remaining), locked })
    }

    /// Gives others what was fetched under the lock, or the lock alone.
    pub(super) async fn keep(
        &self,
        name: &Name,
        token: &str,
        entry: Option<&Entry>,
    ) -> Result<(), CacheError> {
        let keys = self.keys.fetched(&name.upstream, &name.name);
        let answer = entry.map(Entry::encode).unwrap_or_default();
        let life = entry.map_or(0, |entry| entry.remaining().as_millis()).to_string();
        let arguments = [token.as_bytes(), &answer, life.as_bytes()];
        let _: i64 =
            self.pool.script("fetch_keep", &KEEP_SCRIPT, &[&keys.answer, &keys.lock], &arguments).await?;
        Ok(())
    }
}
