//! What the benchmarks measure against: the contract as the ordinary tools make it, served the ordinary way.
//!
//! Nothing here is part of the product. [`v1`] is plain prost and tonic, with pbjson's serde; [`timestamp`] is a fast
//! `Timestamp` for it; [`servers`] are the servers that a good engineer would write in an afternoon. [`counting`] counts
//! allocations.

pub mod counting;
pub mod servers;
pub mod timestamp;

pub use timestamp::Timestamp;

/// `cryptoprice.v1`, generated without any trick.
#[allow(clippy::all, clippy::pedantic, missing_docs, reason = "generated")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/cryptoprice.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/cryptoprice.v1.serde.rs"));
}
