//! The load benchmark: the real program under a client of our own, beside the ordinary way to do the same, in turns.
//!
//! ```text
//! cargo bench --bench load                        all measures
//! cargo bench --bench load -- fan_out board       some of them
//! cargo bench --bench load -- --json FILE         the rows as JSON, too
//! cargo bench --bench load -- --rounds 25         more rounds than nine
//! ```
//!
//! Servers run on the first core and clients on the second. What is compared answers the same, field by field: that is
//! checked first. Ratios are medians over rounds in which both sides have their turn, with an interval of 95 %.
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

mod check;
mod envoy;
mod exchange;
mod fan_out;
mod growth;
mod http1;
mod http2;
mod market;
mod micro;
mod peer;
#[path = "../common/process.rs"]
#[allow(dead_code, reason = "the other benchmark asks more of its servers")]
mod process;
#[path = "../common/ratio.rs"]
mod ratio;
#[path = "../common/report.rs"]
mod report;
mod rounds;
mod subscribers;
mod unary;

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::task::{LocalSet, spawn_blocking};

use self::{process::Server, report::Row, unary::Servers};

/// The allocator of the program that is measured, so that the peers have no worse one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The measures, in the order in which they are taken.
const MEASURES: [&str; 11] = [
    "grpc_get_price",
    "grpc_web_get_price",
    "rest_get_price",
    "rest_list_1000",
    "transcode",
    "encode",
    "rest_vs_envoy",
    "fan_out",
    "board",
    "growth",
    "start",
];

/// What all measures share.
#[derive(Debug)]
pub(crate) struct Context {
    program: PathBuf,
    folder: tempfile::TempDir,
    rounds: usize,
}

/// What is asked for.
#[derive(Debug)]
struct Asked {
    bench: bool,
    measures: Vec<String>,
    rounds: usize,
    json: Option<PathBuf>,
}

impl Context {
    /// Starts the program beside what goes on here.
    async fn start(&self, arguments: Vec<String>, path: String) -> anyhow::Result<Server> {
        let program = self.program.clone();
        spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Server::start(&program, &arguments, &[], &path)
        })
        .await?
    }

    /// Starts a peer beside what goes on here.
    async fn start_peer(&self, arguments: Vec<String>) -> anyhow::Result<Server> {
        let program = std::env::current_exe()?;
        spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Server::start(&program, &arguments, &[], "")
        })
        .await?
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = arguments.as_slice()
        && first == "peer"
    {
        return peer::serve(rest);
    }
    let asked = read(&arguments)?;
    let context = Context {
        program: PathBuf::from(env!("CARGO_BIN_EXE_cryptoprice")),
        folder: tempfile::tempdir()?,
        rounds: asked.rounds,
    };
    if !process::cores_apart() {
        eprintln!("servers and clients share what cores there are: ratios are worth less");
    }
    process::pin(process::CLIENT);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if !asked.bench {
        // As a test of `cargo test`, which builds without optimization: nothing worth timing.
        LocalSet::new().block_on(&runtime, unary::Servers::start(&context))?;
        println!("all servers answer the same; `cargo bench --bench load` measures them");
        return Ok(());
    }
    let rows = LocalSet::new().block_on(&runtime, take(&asked, &context))?;
    if let Some(path) = &asked.json {
        report::write(path, &rows)?;
    }
    Ok(())
}

/// Takes the measures.
async fn take(asked: &Asked, context: &Context) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut told = |new: Vec<Row>| {
        for row in new {
            println!("{}", row.line());
            rows.push(row);
        }
    };
    let wanted = |name: &str| asked.measures.iter().any(|measure| measure == name);
    report::head();
    let of_calls =
        ["grpc_get_price", "grpc_web_get_price", "rest_get_price", "rest_list_1000", "rest_vs_envoy"];
    let servers = if of_calls.iter().any(|name| wanted(name)) || wanted("start") {
        Some(Servers::start(context).await?)
    } else {
        None
    };
    if let Some(servers) = &servers {
        if wanted("grpc_get_price") {
            told(vec![unary::grpc(context, servers).await?]);
        }
        if wanted("grpc_web_get_price") {
            told(vec![unary::grpc_web(context, servers).await?]);
        }
        if wanted("rest_get_price") {
            told(vec![unary::rest(context, servers).await?]);
        }
        if wanted("rest_list_1000") {
            told(vec![unary::rest_list(context, servers).await?]);
        }
    }
    if wanted("transcode") {
        told(micro::transcode(context.rounds)?);
    }
    if wanted("encode") {
        told(micro::encode(context.rounds)?);
    }
    if let Some(servers) = servers.as_ref().filter(|_| wanted("rest_vs_envoy")) {
        told(envoy::rest(context, servers).await?);
    }
    let resident = servers.as_ref().map(|servers| servers.ours.usage()).transpose()?;
    drop(servers);
    if wanted("fan_out") {
        told(vec![fan_out::all_pairs(context).await?]);
        told(fan_out::one_pair(context).await?.into());
        told(fan_out::highest(context).await?.into());
    }
    if wanted("board") {
        told(micro::board(context.rounds));
    }
    if wanted("growth") {
        told(growth::pairs(context).await?);
        told(growth::streams(context).await?);
    }
    if wanted("start") {
        told(vec![growth::start(context, resident.map(|usage| usage.resident as f64)).await?]);
    }
    Ok(rows)
}

/// Reads the command line. `cargo bench` adds `--bench`, and `cargo test` does not.
fn read(arguments: &[String]) -> anyhow::Result<Asked> {
    let mut asked = Asked { bench: false, measures: Vec::new(), rounds: 9, json: None };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => asked.bench = true,
            "--json" => asked.json = Some(arguments.next().context("--json needs a file")?.into()),
            "--rounds" => asked.rounds = arguments.next().context("--rounds needs a number")?.parse()?,
            name if MEASURES.contains(&name) => asked.measures.push(name.to_owned()),
            other => anyhow::bail!("{other} is none of {}", MEASURES.join(", ")),
        }
    }
    if asked.measures.is_empty() {
        asked.measures = MEASURES.map(ToOwned::to_owned).to_vec();
    }
    Ok(asked)
}
