//! Every key that is used in Redis, and nothing else makes one.
//!
//! A key reads `prefix:{origin:group}:version:name`. What stands in braces is the hash tag: the keys of a group lie in
//! one slot of a Redis Cluster, so that one script may touch all of them. The origin is in every key, as what is live,
//! replayed and simulated must never mix. The version is that of the key's own format; another format gets another
//! version, and both can stand side by side.

use crate::domain::price::Origin;

/// The format of the lease and its epochs. All replicas must agree on it, or two of them may lead.
const LEASE: u32 = 1;

/// The format of the mirror: what is in which key, not what the mirrored bytes mean.
const MIRROR: u32 = 1;

/// The format of what replicas want of whoever leads.
const WANTED: u32 = 1;

/// The format of what is fetched.
const FETCH: u32 = 1;

/// The format of budgets.
const BUDGET: u32 = 1;

/// The longest name that a fetched answer may have, in bytes.
pub const MAX_NAME: usize = 512;

/// Makes keys.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
    origin: &'static str,
}

/// The keys of whoever listens to the venues for all: one group, as a write looks at the epoch in the same script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestKeys {
    /// Text: the epoch of the one that leads, a space, who that is. It is gone when the lease has run out.
    pub lease: String,
    /// Number: the highest epoch that was given or has written.
    pub epoch: String,
    /// Hash: `format`, `epoch`, `entry`, `sequence` of what is mirrored last.
    pub head: String,
    /// Hash: the latest record of each pair, by its name.
    pub latest: String,
    /// Hash: the states of sources, and candles by the names of what they are of, as they are.
    pub states: String,
    /// Stream: what has changed, with the ids `epoch-entry`.
    pub updates: String,
    /// Sorted set: derived pairs that are wanted, each by the time until which it is, in milliseconds.
    pub wanted: String,
}

/// The keys of one fetched answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchKeys {
    /// Text: the answer. It is gone when nobody may use it any more.
    pub answer: String,
    /// Text: who is fetching it.
    pub lock: String,
}

impl Keys {
    /// Makes keys that begin with this prefix.
    pub fn new(prefix: &str, origin: Origin) -> Self {
        Self { prefix: prefix.to_owned(), origin: origin.name() }
    }

    /// Gets the keys of the lease and of what is mirrored under it.
    pub fn ingest(&self) -> IngestKeys {
        let key = |version, name| self.key("ingest", version, name);
        IngestKeys {
            lease: key(LEASE, "lease"),
            epoch: key(LEASE, "epoch"),
            head: key(MIRROR, "mirror-head"),
            latest: key(MIRROR, "mirror-latest"),
            states: key(MIRROR, "mirror-states"),
            updates: key(MIRROR, "mirror-updates"),
            wanted: key(WANTED, "wanted"),
        }
    }

    /// Gets the keys of an upstream's answer.
    pub fn fetched(&self, upstream: &str, name: &str) -> FetchKeys {
        let group = format!("fetch:{}:{}", escaped(upstream), escaped(name));
        FetchKeys { answer: self.key(&group, FETCH, "answer"), lock: self.key(&group, FETCH, "lock") }
    }

    /// Gets the key of what may still be asked of an upstream.
    pub fn budget(&self, upstream: &str) -> String {
        self.key(&format!("budget:{}", escaped(upstream)), BUDGET, "tokens")
    }

    fn key(&self, group: &str, version: u32, name: &str) -> String {
        format!("{}:{{{}:{group}}}:{version}:{name}", self.prefix, self.origin)
    }
}

/// Tells whether keys may begin with this: braces would make a hash tag of their own.
pub fn is_prefix(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    !text.is_empty() && text.len() <= 64 && text.chars().all(plain)
}

/// Writes a name so that it can neither end a hash tag nor be taken for two names.
fn escaped(name: &str) -> String {
    // The percent sign first, as the others bring it.
    ['%', '{', '}', ':'].iter().fold(name.to_owned(), |text, special| {
        text.replace(*special, &format!("%{:02X}", u32::from(*special)))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Cuts out what decides the slot, as the specification of Redis Cluster has it.
    fn tag(key: &str) -> &str {
        let (_, rest) = key.split_once('{').unwrap();
        rest.split_once('}').unwrap().0
    }

    #[test]
    fn the_keys_of_a_group_have_one_hash_tag_and_those_of_origins_differ() {
        let mut tags = BTreeSet::new();
        for origin in [Origin::Live, Origin::Replay, Origin::Simulated] {
            let keys = Keys::new("cryptoprice", origin);
            let IngestKeys { lease, epoch, head, latest, states, updates, wanted } = keys.ingest();
            let ingest = [lease, epoch, head, latest, states, updates, wanted];
            assert_eq!(ingest.iter().map(|key| tag(key)).collect::<BTreeSet<_>>().len(), 1);
            assert_eq!(ingest.iter().collect::<BTreeSet<_>>().len(), ingest.len());
            let fetched = keys.fetched("kraken", "assets");
            assert_eq!(tag(&fetched.answer), tag(&fetched.lock));
            tags.extend([&ingest[0], &fetched.answer, &keys.budget("kraken")].map(|key| tag(key).to_owned()));
        }
        assert_eq!(tags.len(), 9);
        assert_eq!(
            Keys::new("cryptoprice", Origin::Live).ingest().lease,
            "cryptoprice:{live:ingest}:1:lease"
        );
    }

    #[test]
    fn names_cannot_end_a_hash_tag_or_pass_for_others() {
        let keys = Keys::new("cryptoprice", Origin::Live);
        let names = [("a:b", "c"), ("a", "b:c"), ("a}", "b"), ("a", "}b"), ("a%7D", "b"), ("a", "b")];
        let tags = names.map(|(upstream, name)| tag(&keys.fetched(upstream, name).answer).to_owned());
        assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), names.len(), "{tags:?}");
    }

    #[test]
    fn prefixes_with_braces_are_refused() {
        for (text, good) in
            [("cryptoprice", true), ("a:b-c_d.1", true), ("", false), ("a{b}", false), ("a b", false)]
        {
            assert_eq!(is_prefix(text), good, "{text}");
        }
    }
}
