//! What the crate does, seen from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may panic and print"
)]

mod aggregation;
mod data;
mod gateway;
mod http_rules;
mod openapi;
mod protos;
mod recordings;
mod replies;
