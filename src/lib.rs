//! One price per pair that a caller can trust, out of what many exchanges say.

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
pub mod telemetry;
