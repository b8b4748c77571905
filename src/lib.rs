//! One price per pair that a caller can trust, out of what many exchanges say.
//!
//! # The flow
//!
//! ```text
//! exchange socket ─ feed (events) ─ pipeline: aggregator ─ board ─┬─ service ─ api (gRPC, gRPC-Web, REST)
//! recording ──────── the same parsers ──────┘                     └─ health
//! ```
//!
//! Data goes one way. The board is the only place where a current price lives; everything above it only reads.
//!
//! # The floors
//!
//! Imports point down and never sideways; a test holds it. In reading order, from the ground up:
//!
//! 1. [`domain`]: what a price is and how it comes about, as pure functions that are given the time;
//! 2. [`feed`]: how venues are spoken to and understood, live or recorded;
//! 3. [`sim`]: a simulated market behind venues that speak real wire formats; knows [`domain`] and nothing else;
//! 4. [`store`]: the history, in PostgreSQL or SQLite; knows [`domain`] and nothing else;
//! 5. [`pipeline`]: from what venues say to the board, live ([`pipeline::ingest`]) or replayed ([`pipeline::replay`]);
//!    or to recordings instead ([`pipeline::record`]); and into the store ([`pipeline::historian`]);
//! 6. [`service`]: what can be asked, and the one closed list of what can go wrong;
//! 7. [`api`]: the doors, the only floor that names a protobuf type or a gRPC code;
//! 8. [`app`]: puts the house together and takes it down; [`config`], [`clock`] and [`telemetry`] stand beside it;
//! 9. [`cli`]: the command line, whose client commands know the generated [`client`] and nothing else.
//!
//! # What always holds
//!
//! - No float touches a price; arithmetic is checked, and rounded once.
//! - Time is an argument: the system's clock is read in [`clock`], the environment in [`config`].
//! - One sequence runs over the updates of all pairs; readers take no lock that the writer holds.
//! - A price is encoded once, when it is published.
//! - Every task has an owner that stops it and waits for it; every channel is bounded.

pub mod api;
pub mod app;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod domain;
pub mod feed;
pub mod pipeline;
pub mod service;
pub mod sim;
pub mod store;
pub mod telemetry;
