//! What the doors offer, in the terms of the domain: one file per noun.
//!
//! What is asked of the present is answered at once, from memory; what is asked of the past waits for the store. [`error`] is the one closed list of what can go wrong.

pub mod amounts;
pub mod archive;
pub mod bar;
pub mod candles;
pub mod error;
pub mod history;
pub mod page;
pub mod prices;
pub mod sources;
pub mod streams;
