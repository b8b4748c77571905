//! What the program does, seen from outside: through the public doors of a running service, and through its files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may panic, print, and look at its surroundings"
)]

mod aggregation;
mod backfill;
mod bad_input;
mod cache;
mod candle_streams;
mod candles;
mod clients;
mod data;
mod demo;
mod doors;
mod encode_once;
mod faults;
mod gateway;
mod harness;
mod health;
mod history;
mod http_rules;
mod layering;
mod limits;
mod listings;
mod messages;
mod metrics;
mod openapi;
mod parity;
mod past;
mod program;
mod protos;
mod record;
mod recordings;
mod replay;
mod replicas;
mod replies;
mod rest;
mod scorecard;
mod sources_check;
mod startup;
mod store;
mod stream_faults;
mod streams;
#[path = "../../benches/venues/venues.rs"]
#[allow(dead_code, reason = "the benchmark of feeds reads, too, and has prices wander")]
mod venues;
