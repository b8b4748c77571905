//! What the doors offer, in the terms of the domain: one file per noun.
//!
//! Everything here reads memory and answers at once. [`error`] is the one closed list of what can go wrong.

pub mod amounts;
pub mod bar;
pub mod error;
pub mod page;
pub mod prices;
pub mod sources;
pub mod streams;
