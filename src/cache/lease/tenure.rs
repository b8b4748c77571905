//! The time for which a replica leads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::CacheError;
use crate::clock::uptime;

/// One time as the leader, under one epoch. Clones are of the same.
#[derive(Debug, Clone)]
pub struct Tenure {
    epoch: u64,
    /// Milliseconds of uptime; zero once it is over for good.
    until: Arc<AtomicU64>,
}

impl Tenure {
    /// Starts one that ends at this uptime unless it is extended. A [`super::Lease`] does so; so does who writes where
    /// nobody else can.
    pub fn new(epoch: u64, until: Duration) -> Self {
        Self { epoch, until: Arc::new(AtomicU64::new(millis(until))) }
    }

    /// Gets its epoch.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Gets the uptime at which it ends; zero if it is over for good.
    pub fn until(&self) -> Duration {
        Duration::from_millis(self.until.load(Ordering::Acquire))
    }

    /// Gets how long it lasts from now on.
    pub fn remaining(&self) -> Duration {
        self.until().saturating_sub(uptime())
    }

    /// Checks that it lasts: to be asked directly before anything is done in its name.
    ///
    /// # Errors
    /// [`CacheError::Lapsed`] if it is over, also if the process or the machine has only just woken up.
    pub fn guard(&self) -> Result<(), CacheError> {
        if self.remaining().is_zero() { Err(CacheError::Lapsed { epoch: self.epoch }) } else { Ok(()) }
    }

    /// Lets it last until a later uptime, unless it is over already.
    pub(super) fn extend(&self, until: Duration) -> bool {
        let now = millis(uptime());
        let extended = self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, |current| {
            (current > now).then_some(current.max(millis(until)))
        });
        extended.is_ok()
    }

    /// Ends it for good.
    pub(super) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }
}

/// Tenures are the same if one ends with the other.
impl PartialEq for Tenure {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.until, &other.until)
    }
}

impl Eq for Tenure {}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_not_taken_up_again() {
        let tenure = Tenure::new(7, uptime() + Duration::from_secs(60));
        assert!(tenure.guard().is_ok());
        assert!(tenure.extend(uptime() + Duration::from_secs(90)));
        assert!(tenure.remaining() > Duration::from_secs(60));
        assert!(tenure.extend(uptime()), "an earlier end changes nothing");
        assert!(tenure.remaining() > Duration::from_secs(60));
        let clone = tenure.clone();
        tenure.end();
        assert!(matches!(clone.guard(), Err(CacheError::Lapsed { epoch: 7 })));
        assert!(!clone.extend(uptime() + Duration::from_secs(60)));
        assert!(Tenure::new(7, uptime()).guard().is_err());
    }
}
