//! The benchmark of the exchange side: how fast frames are understood, and how long they take to the board.
//!
//! ```text
//! cargo bench --bench feeds                       all measures
//! cargo bench --bench feeds -- --filter parse     those whose names contain this
//! cargo bench --bench feeds -- --json FILE        the rows as JSON, too
//! cargo bench --bench feeds -- --rounds 25        more rounds than nine
//! cargo bench --bench feeds -- --filter end_to_end --rate 30000 --duration 60
//! cargo bench --bench feeds -- --soak             ten minutes of the end to end measure, alone
//! ```
//!
//! Frames are made here, in each venue's own words, with prices that wander over forty markets a venue. Parsers are held
//! against reading the same fields out of `serde_json::Value`, whose results are the same: that is checked first. End to end, fifteen servers on loopback speak to the real program,
//! which has the first core, and they the second.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    clippy::needless_for_each,
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    clippy::struct_field_names,
    reason = "a benchmark may panic, print, look at its surroundings, and count in floats"
)]

mod end_to_end;
mod exchange;
mod metrics;
mod parse;
#[path = "../common/process.rs"]
#[allow(dead_code, reason = "the other benchmark asks more of its servers")]
mod process;
#[path = "../common/ratio.rs"]
mod ratio;
#[path = "../common/report.rs"]
#[allow(dead_code, reason = "the other benchmark has more to report")]
mod report;
#[path = "../venues/venues.rs"]
#[allow(dead_code, reason = "the tests ask of a language what a benchmark does not")]
mod venues;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use cryptoprice_peers::counting::Counting;
use tokio::task::LocalSet;

use self::{end_to_end::Load, report::Row};

/// The allocator of the program, counted.
#[global_allocator]
static ALLOCATOR: Counting<mimalloc::MiMalloc> = Counting(mimalloc::MiMalloc);

/// How long a soak lasts, unless it is said.
const SOAK: Duration = Duration::from_secs(600);

/// What is asked for.
#[derive(Debug)]
struct Asked {
    bench: bool,
    soak: bool,
    filter: String,
    rounds: usize,
    rate: f64,
    duration: Option<Duration>,
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let asked = read(std::env::args().skip(1))?;
    if !asked.bench {
        // As a test of `cargo test`, which builds without optimization: nothing worth timing.
        for language in venues::ALL {
            parse::check(language)?;
        }
        println!("both ways understand the same; `cargo bench --bench feeds` measures them");
        return Ok(());
    }
    process::pin(process::CLIENT);
    let rows = take(&asked)?;
    if let Some(path) = &asked.json {
        report::write(path, &rows)?;
    }
    Ok(())
}

/// Takes the measures.
fn take(asked: &Asked) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut told = |row: Row| {
        println!("{}", row.line());
        rows.push(row);
    };
    if asked.soak {
        let load = Load { rate: asked.rate, time: asked.duration.unwrap_or(SOAK) };
        rows.push(over_sockets(async |program, folder| end_to_end::soak(program, folder, load).await)?);
        return Ok(rows);
    }
    report::head();
    let mut ratios = Vec::new();
    for language in venues::ALL {
        if format!("parse_{}", language.protocol().venue()).contains(&asked.filter) {
            let (row, ratio) = parse::venue(language, asked.rounds)?;
            told(row);
            ratios.push(ratio);
        }
    }
    if ratios.len() == venues::ALL.len() {
        told(parse::together(&ratios));
    }
    if "end_to_end".contains(&asked.filter) {
        let load = Load { rate: asked.rate, time: asked.duration.unwrap_or(Duration::from_secs(20)) };
        told(over_sockets(async |program, folder| end_to_end::measure(program, folder, load).await)?);
    }
    Ok(rows)
}

/// Runs a measure that needs sockets, the program, and a place for its settings.
fn over_sockets(measure: impl AsyncFnOnce(&Path, &Path) -> anyhow::Result<Row>) -> anyhow::Result<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let program = Path::new(env!("CARGO_BIN_EXE_cryptoprice"));
    LocalSet::new().block_on(&runtime, measure(program, folder.path()))
}

/// Reads the command line. `cargo bench` adds `--bench`, and `cargo test` does not.
fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Asked> {
    let mut asked = Asked {
        bench: false,
        soak: false,
        filter: String::new(),
        rounds: 9,
        rate: 20_000.0,
        duration: None,
        json: None,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--bench" => asked.bench = true,
            "--soak" => asked.soak = true,
            "--filter" => asked.filter = value()?,
            "--json" => asked.json = Some(value()?.into()),
            "--rounds" => asked.rounds = value()?.parse()?,
            "--rate" => asked.rate = value()?.parse()?,
            "--duration" => asked.duration = Some(Duration::from_secs(value()?.parse()?)),
            other => anyhow::bail!("{other} is not known"),
        }
    }
    Ok(asked)
}
