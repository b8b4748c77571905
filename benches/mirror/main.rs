//! The benchmark of the mirror: a Redis of its own, the writer beside a minimal client that has the same done, and a
//! follower.
//!
//! ```text
//! cargo bench --bench mirror                      all measures
//! cargo bench --bench mirror -- --json FILE       the rows as JSON, too
//! cargo bench --bench mirror -- --rounds 25       more rounds than nine
//! ```
//!
//! Ratios are medians over rounds in which both sides have their turn, with an interval of 95 %.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark may panic, print, look at its surroundings, and count in floats"
)]

mod measures;
mod minimal;
#[path = "../common/ratio.rs"]
#[allow(dead_code, reason = "the other benchmarks compare more")]
mod ratio;
#[path = "../common/report.rs"]
#[allow(dead_code, reason = "the other benchmarks have more to report")]
mod report;
mod server;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;

use self::{measures::Bench, server::Redis};

/// The allocator of the program that is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is asked for.
#[derive(Debug)]
struct Asked {
    bench: bool,
    rounds: usize,
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let asked = read(std::env::args().skip(1))?;
    let Some(redis) = Redis::start()? else {
        eprintln!("skipped: the benchmark of the mirror: redis-server is not installed");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(&asked, &redis))
}

async fn run(asked: &Asked, redis: &Redis) -> anyhow::Result<()> {
    // As a test of `cargo test`, which builds without optimization, there is nothing worth timing: one short turn.
    let turn = Duration::from_millis(if asked.bench { 500 } else { 20 });
    let bench = Bench { port: redis.port, rounds: if asked.bench { asked.rounds } else { 1 }, turn };
    bench.check().await?;
    let mut rows = Vec::new();
    report::head();
    for row in [bench.throughput().await?, bench.latency().await?, bench.growth().await?] {
        println!("{}", row.line());
        rows.push(row);
    }
    if let Some(path) = &asked.json {
        report::write(path, &rows)?;
    }
    anyhow::ensure!(!asked.bench || rows.iter().all(report::Row::holds), "a bound is not met");
    Ok(())
}

fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Asked> {
    let mut asked = Asked { bench: false, rounds: 9, json: None };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => asked.bench = true,
            "--rounds" => {
                asked.rounds = arguments.next().context("--rounds takes a number")?.parse()?;
                anyhow::ensure!(asked.rounds > 0, "--rounds takes a number above zero");
            }
            "--json" => asked.json = Some(arguments.next().context("--json takes a file")?.into()),
            other => anyhow::bail!("`{other}` is not understood"),
        }
    }
    Ok(asked)
}
