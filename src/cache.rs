//! What replicas share through Redis, and what stands in for it where there is none.
//!
//! - [`pool`]: connections, of which no call hangs;
//! - [`keys`]: every key there is;
//! - [`lease`]: which replica listens to the venues, with an epoch that only rises;
//! - [`fence`]: writes that are refused once there is a newer epoch;
//! - [`mirror`]: the latest of every pair and the updates since, for replicas that do not listen themselves;
//! - [`wanted`]: what these would like to have mirrored beside;
//! - [`origins`]: of which origins anything is mirrored;
//! - [`fetch`]: answers of upstreams, fetched once for all, within a [`budget`] that all share;
//! - [`metrics`]: what of this is measured.
//!
//! What is mirrored or fetched is bytes to this floor.

use std::time::Duration;

pub mod budget;
pub mod fence;
pub mod fetch;
pub mod keys;
pub mod lease;
pub mod metrics;
pub mod mirror;
pub mod origins;
pub mod pool;
pub mod wanted;

/// Why Redis did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CacheError {
    /// The address is not one of Redis. It may hold a password and is not shown.
    #[error("the address of Redis is not understood: {0}")]
    Address(String),
    /// It is not reachable, or the connection was lost. What was asked for last may have been done.
    #[error("Redis is not reachable: {0}")]
    Unavailable(String),
    /// It has not answered in time. What was asked for may have been done, or may yet be.
    #[error("Redis has not answered within {0:?}")]
    TimedOut(Duration),
    /// It answered with an error.
    #[error("Redis refused: {0}")]
    Refused(String),
    /// What it holds was not written by us, or by a version that is not understood.
    #[error("Redis holds something else than expected: {0}")]
    Foreign(String),
    /// There is a newer epoch: another replica has taken over.
    #[error("epoch {epoch} is over: {newest} has taken over")]
    Deposed {
        /// The epoch of the write.
        epoch: u64,
        /// The newest epoch that Redis has seen.
        newest: u64,
    },
    /// The lease has run out, and nothing was sent.
    #[error("the lease of epoch {epoch} has run out")]
    Lapsed {
        /// The epoch of the lease.
        epoch: u64,
    },
}

impl CacheError {
    /// Tells whether it is unknown if what was asked for was done.
    pub const fn is_uncertain(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::TimedOut(_))
    }

    /// Gets a word for it, as metrics have it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Unavailable(_) => "unavailable",
            Self::TimedOut(_) => "timed_out",
            Self::Refused(_) => "refused",
            Self::Foreign(_) => "foreign",
            Self::Deposed { .. } => "deposed",
            Self::Lapsed { .. } => "lapsed",
        }
    }
}
