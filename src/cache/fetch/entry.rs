//! One answer as it is kept: in this process, and in Redis.

use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use moka::{Expiry, future::Cache};
use rand::Rng as _;

use super::{Answer, FetchError, Name, Policy};
use crate::clock::uptime;

/// What who asked is given.
pub(super) type Outcome = Result<Answer, FetchError>;

/// What an entry takes beside its name and its body, about.
const OVERHEAD: usize = 256;

/// What an upstream has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    /// This.
    Body(Bytes),
    /// That there is nothing.
    Missing,
    /// Nothing that can be used.
    Failed(String),
}

/// An answer and how long it is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stored: Stored,
    /// Until which uptime it is fresh.
    fresh_until: Duration,
    /// How long it may be used after that.
    stale: Duration,
    /// At which uptime to ask again.
    due: Duration,
}

/// Lets entries go when nobody may use them any more.
struct Lifetime;

impl Entry {
    /// Makes one that is fresh from now on.
    pub(super) fn new(stored: Stored, policy: &Policy) -> Self {
        let (fresh, stale) = match stored {
            Stored::Body(_) => (policy.fresh, policy.stale),
            Stored::Missing => (policy.missing, Duration::ZERO),
            Stored::Failed(_) => (policy.failed, Duration::ZERO),
        };
        let fresh = fresh.mul_f64(rand::rng().random_range(0.9..=1.0));
        let fresh_until = uptime() + fresh;
        Self { stored, fresh_until, stale, due: fresh_until }
    }

    /// Lets it be as it is, and asks again only when a failure is forgotten.
    pub(super) fn postponed(self, policy: &Policy) -> Self {
        Self { due: uptime() + policy.failed, ..self }
    }

    /// Tells whether it is time to ask again.
    pub(super) fn is_due(&self) -> bool {
        uptime() >= self.due
    }

    /// Tells whether it is as new as it should be.
    pub(super) fn is_fresh(&self) -> bool {
        uptime() < self.fresh_until
    }

    /// Gets how long it may be used, fresh or not.
    pub(super) fn remaining(&self) -> Duration {
        (self.fresh_until + self.stale).saturating_sub(uptime())
    }

    /// Gives what it says.
    pub(super) fn outcome(&self) -> Outcome {
        let stale = !self.is_fresh();
        match &self.stored {
            Stored::Body(body) => Ok(Answer { body: Some(body.clone()), stale }),
            Stored::Missing => Ok(Answer { body: None, stale }),
            Stored::Failed(why) => Err(FetchError::Upstream(why.clone())),
        }
    }

    /// Gets the length of what was answered.
    pub(super) const fn len(&self) -> usize {
        match &self.stored {
            Stored::Body(body) => body.len(),
            Stored::Missing => 0,
            Stored::Failed(why) => why.len(),
        }
    }

    /// Writes it as it stands in Redis: a letter for its kind, for how many milliseconds it may be used when it is no
    /// longer fresh (8 hexadecimal digits), and what was answered. Redis itself keeps the time that remains.
    pub(super) fn encode(&self) -> Bytes {
        let (kind, body) = match &self.stored {
            Stored::Body(body) => (b'b', body.as_ref()),
            Stored::Missing => (b'm', &[][..]),
            Stored::Failed(why) => (b'f', why.as_bytes()),
        };
        let stale = u32::try_from(self.stale.as_millis()).unwrap_or(u32::MAX);
        let mut encoded = BytesMut::with_capacity(9 + body.len());
        encoded.put_u8(kind);
        encoded.put_slice(format!("{stale:08x}").as_bytes());
        encoded.put_slice(body);
        encoded.freeze()
    }

    /// Reads what stands in Redis for that many milliseconds more; nothing if it is not ours.
    pub(super) fn decode(encoded: &Bytes, remaining: u64) -> Option<Self> {
        let (head, _) = encoded.split_first_chunk::<9>()?;
        let (&kind, stale) = head.split_first()?;
        let stale = u32::from_str_radix(str::from_utf8(stale).ok()?, 16).ok()?;
        let body = encoded.slice(9..);
        let stored = match kind {
            b'b' => Stored::Body(body),
            b'm' => Stored::Missing,
            b'f' => Stored::Failed(String::from_utf8(body.to_vec()).ok()?),
            _ => return None,
        };
        let stale = Duration::from_millis(stale.into());
        let fresh_until = (uptime() + Duration::from_millis(remaining)).saturating_sub(stale);
        Some(Self { stored, fresh_until, stale, due: fresh_until })
    }
}

/// Makes what keeps entries in this process.
pub(super) fn memory(bytes: u64) -> Cache<Name, Entry> {
    Cache::builder()
        .max_capacity(bytes)
        .weigher(|name: &Name, entry: &Entry| {
            let weight = name.upstream.len() + name.name.len() + entry.len() + OVERHEAD;
            u32::try_from(weight).unwrap_or(u32::MAX)
        })
        .expire_after(Lifetime)
        .build()
}

impl Expiry<Name, Entry> for Lifetime {
    fn expire_after_create(&self, _: &Name, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.remaining())
    }

    fn expire_after_update(
        &self,
        _: &Name,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.remaining())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        fresh: Duration::from_secs(100),
        stale: Duration::from_secs(1_000),
        missing: Duration::from_secs(30),
        failed: Duration::from_secs(3),
        patience: Duration::from_secs(1),
    };

    #[test]
    fn what_stands_in_redis_reads_back_with_what_remains_of_its_time() {
        for stored in [
            Stored::Body(Bytes::from_static(b"\0\xff{}")),
            Stored::Body(Bytes::new()),
            Stored::Missing,
            Stored::Failed("HTTP 503".to_owned()),
        ] {
            let entry = Entry::new(stored, &POLICY);
            assert!(entry.is_fresh());
            let read = Entry::decode(&entry.encode(), 900_000).unwrap();
            assert_eq!(read.stored, entry.stored);
            assert!(read.remaining() <= Duration::from_secs(900));
            assert_eq!(read.is_fresh(), !matches!(read.stored, Stored::Body(_)), "{read:?}");
        }
        for foreign in [&b""[..], b"b", b"bzzzzzzzz", b"x00000000", b"f00000000\xff"] {
            assert_eq!(Entry::decode(&Bytes::from_static(foreign), 1_000), None);
        }
    }

    #[test]
    fn times_to_live_differ_by_up_to_a_tenth() {
        let lives: Vec<_> = (0..200).map(|_| Entry::new(Stored::Missing, &POLICY).remaining()).collect();
        let (least, most) = (lives.iter().min().unwrap(), lives.iter().max().unwrap());
        assert!(*least >= Duration::from_millis(26_900) && *most <= Duration::from_secs(30));
        assert!(*most > *least + Duration::from_secs(1), "{least:?} {most:?}");
    }
}
