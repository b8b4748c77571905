//! How much may be asked of an upstream, by all replicas together.
//!
//! A bucket of tokens, kept as one number: the time at which it will be full again. What is asked for moves that time on
//! by its share; if it were to lie further ahead than the bucket is deep, there is too little in it. (This is the generic
//! cell rate algorithm of ITU-T I.371.)

use std::{
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use redis::Script;

use super::{CacheError, keys::Keys, pool::Pool};
use crate::clock::uptime;

/// Takes tokens. `KEYS`: the bucket. `ARGV`: microseconds for one token, the bucket's depth in microseconds, tokens.
/// Answers with the microseconds to wait, or 0 if they were taken. A clock that was set back empties no bucket for longer
/// than it takes to fill it.
const TAKE: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each, depth = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now), now + depth)
local after = full + each * tonumber(ARGV[3])
if after > now + depth then return string.format('%.0f', after - now - depth) end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1)
return '0'
";

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(TAKE));

/// How fast a bucket fills, and how deep it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The time for one token.
    pub each: Duration,
    /// Tokens that can be taken at once.
    pub burst: u32,
}

/// A budget. Clones share it; so do all replicas where there is Redis. While Redis is away each replica has it for itself.
#[derive(Debug, Clone)]
pub struct Budget {
    rate: Rate,
    shared: Option<(Pool, String)>,
    /// When the bucket of this process is full, in uptime.
    full: Arc<Mutex<Duration>>,
}

impl Budget {
    /// Makes the budget of an upstream.
    pub fn new(upstream: &str, rate: Rate, shared: Option<(&Pool, &Keys)>) -> Self {
        let shared = shared.map(|(pool, keys)| (pool.clone(), keys.budget(upstream)));
        Self { rate, shared, full: Arc::default() }
    }

    /// Takes tokens, or tells after which time there will be enough.
    pub async fn take(&self, tokens: u32) -> Result<(), Duration> {
        if let Some((pool, key)) = &self.shared
            && let Ok(wait) = self.take_shared(pool, key, tokens).await
        {
            return if wait.is_zero() { Ok(()) } else { Err(wait) };
        }
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        *full = self.rate.take(*full, uptime(), tokens)?;
        Ok(())
    }

    async fn take_shared(&self, pool: &Pool, key: &str, tokens: u32) -> Result<Duration, CacheError> {
        let (each, depth) = (self.rate.each, self.rate.depth());
        let numbers = [each.as_micros(), depth.as_micros(), tokens.into()].map(|number| number.to_string());
        let wait: String =
            pool.script("budget", &SCRIPT, &[key], &numbers.each_ref().map(String::as_bytes)).await?;
        wait.parse().map(Duration::from_micros).map_err(|_| CacheError::Foreign(format!("the wait `{wait}`")))
    }
}

impl Rate {
    fn depth(self) -> Duration {
        self.each.saturating_mul(self.burst)
    }

    /// Takes tokens out of a bucket that is full at some time: gives when it is full then, or how long to wait.
    fn take(self, full: Duration, now: Duration, tokens: u32) -> Result<Duration, Duration> {
        let after = full.max(now).saturating_add(self.each.saturating_mul(tokens));
        let limit = now.saturating_add(self.depth());
        match after.saturating_sub(limit) {
            Duration::ZERO => Ok(after),
            wait => Err(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_one_at_a_time() {
        let rate = Rate { each: Duration::from_millis(100), burst: 3 };
        let start = Duration::from_secs(1_000);
        let mut full = Duration::ZERO;
        for _ in 0..3 {
            full = rate.take(full, start, 1).unwrap();
        }
        assert_eq!(rate.take(full, start, 1), Err(Duration::from_millis(100)));
        assert_eq!(rate.take(full, start, 2), Err(Duration::from_millis(200)));
        let later = start + Duration::from_millis(100);
        full = rate.take(full, later, 1).unwrap();
        assert_eq!(rate.take(full, later, 1), Err(Duration::from_millis(100)));
        assert!(rate.take(full, later + Duration::from_secs(9), 3).is_ok());
        assert!(rate.take(Duration::ZERO, later, 4).is_err(), "more than there ever is");
    }

    #[tokio::test]
    async fn without_redis_a_process_keeps_its_own() {
        let budget = Budget::new("kraken", Rate { each: Duration::from_secs(60), burst: 2 }, None);
        let clone = budget.clone();
        assert_eq!((budget.take(1).await, clone.take(1).await), (Ok(()), Ok(())));
        assert!(budget.take(1).await.unwrap_err() <= Duration::from_secs(60));
    }
}
