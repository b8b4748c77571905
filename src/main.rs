//! Parses the command line and runs it.

use std::process::ExitCode;

use clap::Parser;
use cryptoprice::cli::Cli;
use mimalloc::MiMalloc;

/// Chosen by measurement: see `ARCHITECTURE.md`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

// The doors have threads of their own: what is left is one flow, from the venues to the board.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Two crypto providers could be linked in some day; this is the one that is meant.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    Cli::parse().command.run().await
}
