//! One price per pair that a caller can trust, out of what many exchanges say.

pub mod api;
pub mod domain;
pub mod feed;
