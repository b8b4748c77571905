//! The load benchmark: the real binary under an own client, beside the ordinary way to do the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark may panic, print, and look at its surroundings"
)]

mod http1;
mod http2;
mod market;
mod peer;
mod process;
mod report;
mod rounds;
mod unary;

use std::path::{Path, PathBuf};

use self::process::Server;

/// The allocator of the program that is measured, so that the peers have no worse one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What all measures share.
#[derive(Debug)]
pub struct Context {
    program: PathBuf,
    folder: tempfile::TempDir,
    rounds: usize,
}

impl Context {
    /// Starts a peer with these prices.
    fn peer(&self, kind: &str, prices: &Path) -> anyhow::Result<Server> {
        let me = std::env::current_exe()?;
        Server::start(&me, &["peer", kind, &prices.display().to_string()], &[], "")
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, kind, prices] = arguments.as_slice()
        && first == "peer"
    {
        return peer::serve(kind, Path::new(prices));
    }
    let context = Context {
        program: PathBuf::from(env!("CARGO_BIN_EXE_cryptoprice")),
        folder: tempfile::tempdir()?,
        rounds: 9,
    };
    process::pin(process::CLIENT);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let wanted =
            |name: &str| arguments.iter().all(|a| a.starts_with("--")) || arguments.iter().any(|a| a == name);
        let servers = unary::Servers::start(&context).await?;
        if wanted("grpc") {
            unary::grpc(&context, &servers).await?.print();
        }
        if wanted("web") {
            unary::grpc_web(&context, &servers).await?.print();
        }
        if wanted("rest") {
            unary::rest(&context, &servers).await?.print();
        }
        if wanted("list") {
            unary::rest_list(&context, &servers).await?.print();
        }
        Ok(())
    })
}
