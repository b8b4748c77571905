//! One price per pair that a caller can trust, out of what many exchanges say.

pub mod domain;
pub mod feed;
pub mod sim;
