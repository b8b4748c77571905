//! Of which origins there is anything in Redis: a replica that only serves follows what it finds.

use redis::pipe;

use super::{CacheError, keys::Keys, pool::Pool};
use crate::domain::price::Origin;

/// The origins of what may be mirrored, those first that are looked for first. Recordings are played for one replica alone.
pub const ALL: [Origin; 2] = [Origin::Live, Origin::Simulated];

/// What there is of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The origin.
    pub origin: Origin,
    /// Whether somebody leads.
    pub led: bool,
    /// Whether something is mirrored.
    pub mirrored: bool,
}

/// Looks for all of them.
pub async fn find(pool: &Pool, prefix: &str) -> Result<[Found; 2], CacheError> {
    let mut found = ALL.map(|origin| Found { origin, led: false, mirrored: false });
    for found in &mut found {
        let keys = Keys::new(prefix, found.origin).ingest();
        // One origin at a time: each lies in a slot of its own.
        let mut ask = pipe();
        ask.cmd("EXISTS").arg(&keys.lease).cmd("EXISTS").arg(&keys.head);
        (found.led, found.mirrored) = pool.pipeline("origins", &ask).await?;
    }
    Ok(found)
}

/// Chooses the one to follow: one that somebody leads, the first if there are several. If nobody leads, and not just for a
/// moment, the only one that is mirrored.
pub fn choose(found: &[Found], for_a_moment: bool) -> Option<Origin> {
    if let Some(led) = found.iter().find(|found| found.led) {
        return Some(led.origin);
    }
    let mut mirrored = found.iter().filter(|found| found.mirrored);
    let only = mirrored.next().filter(|_| mirrored.next().is_none() && !for_a_moment);
    only.map(|found| found.origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_led_is_followed_and_else_the_only_one_that_there_is() {
        let of = |led: [bool; 2], mirrored: [bool; 2]| {
            let parts = ALL.into_iter().zip(led).zip(mirrored);
            let found = parts.map(|((origin, led), mirrored)| Found { origin, led, mirrored });
            let found: Vec<_> = found.collect();
            (choose(&found, true), choose(&found, false))
        };
        let (none, live, simulated) = (None, Some(Origin::Live), Some(Origin::Simulated));
        for (led, mirrored, expected) in [
            ([false, false], [false, false], (none, none)),
            ([false, true], [true, true], (simulated, simulated)),
            ([true, true], [true, true], (live, live)),
            ([false, false], [false, true], (none, simulated)),
            ([false, false], [true, true], (none, none)),
        ] {
            assert_eq!(of(led, mirrored), expected, "{led:?} {mirrored:?}");
        }
    }
}
