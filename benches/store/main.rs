//! The store beside the databases' own tools, in turns.
//!
//! ```text
//! cargo bench --bench store                       ten million candles in each database
//! cargo bench --bench store -- --rows 1000000     fewer
//! cargo bench --bench store -- --json FILE        the rows as JSON, too
//! ```
//!
//! New candles are written by the store, and by `psql \copy` (or `sqlite3 .import`) into a temporary table, from which they
//! are inserted where they are not there yet. A page of a thousand candles is read through the store, and by the same
//! SELECT through tokio-postgres alone (or by `sqlite3`). PostgreSQL is that of the tests: it syncs nothing, for both.
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

mod data;
mod tools;

#[path = "../../tests/it/store/server.rs"]
mod server;

use std::{path::PathBuf, time::Instant};

use cryptoprice::{
    domain::candle::Candle,
    store::{
        Location, Store,
        candles::{CandleQuery, StoredCandle},
    },
};
use serde_json::{Value, json};

use self::tools::Tool;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of one turn of writing.
const TURN: u64 = 100_000;

/// Turns of writing, and of reading.
const WRITES: usize = 5;
const READS: usize = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("run by `cargo bench --bench store`");
        return;
    }
    let value = |name: &str| {
        arguments.iter().position(|argument| argument == name).map(|at| arguments[at + 1].clone())
    };
    let rows = value("--rows").map_or(10_000_000, |rows| rows.parse().expect("--rows is a number"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    let mut report = Vec::new();
    println!("| measure | ratio | bound | cryptoprice | baseline |\n|---|---|---|---|---|");
    let sqlite = (Location::File(file.clone()), Tool::Sqlite(file));
    measure("SQLite", sqlite, rows, &mut report).await;
    if let Some(url) = server::database("store benchmark").await {
        let postgres = (Location::parse(&url).unwrap(), Tool::Postgres(url));
        measure("PostgreSQL", postgres, rows, &mut report).await;
    }
    if let Some(path) = value("--json").map(PathBuf::from) {
        std::fs::write(path, format!("{:#}\n", json!({ "rows": report }))).unwrap();
    }
    let held = report.iter().all(|row| row["holds"] != json!(false));
    std::process::exit(i32::from(!held));
}

async fn measure(name: &str, (location, tool): (Location, Tool), rows: u64, report: &mut Vec<Value>) {
    let store = Store::open(data::options(location));
    store.migrate().await.unwrap();
    // A tenth first, then the rest: what a table ten times as large costs.
    let mut next = 0;
    let mut grown = Vec::new();
    for size in [rows / 10, rows] {
        let from = next;
        let started = Instant::now();
        while next < size {
            store.keep_candles(&told(&data::candles(next..(next + 50_000).min(size)))).await.unwrap();
            next = (next + 50_000).min(size);
        }
        let written = (size - from) as f64 / started.elapsed().as_secs_f64();
        let mut reads = Vec::new();
        for turn in 0..READS {
            reads.push(read(&store, &data::page(turn, size)).await);
        }
        grown.push((size, written, median(&mut reads)));
    }
    let bytes = store.size().await.unwrap() as f64 / rows as f64;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..WRITES {
        let candles = told(&data::candles(next..next + TURN));
        let started = Instant::now();
        assert_eq!(store.keep_candles(&candles).await.unwrap(), TURN);
        ours.push(TURN as f64 / started.elapsed().as_secs_f64());
        let candles = data::candles(next + TURN..next + 2 * TURN);
        theirs.push(TURN as f64 / tool.write(&candles).as_secs_f64());
        next += 2 * TURN;
    }
    tell(report, &format!("{name}: candles written a second"), &mut ours, &mut theirs, Bound::AtLeast(0.7));

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut reader = tool.reader().await;
    for turn in 0..READS {
        let query = data::page(turn, rows);
        ours.push(read(&store, &query).await);
        theirs.push(reader.read(&query).await);
    }
    tell(
        report,
        &format!("{name}: µs for a page of 1,000 candles"),
        &mut ours,
        &mut theirs,
        Bound::AtMost(1.5),
    );

    for (size, written, page) in grown {
        println!(
            "| {name}: with {size} candles | | | {written:.0} written a second, {page:.0} µs for a page | |"
        );
        report.push(
            json!({ "measure": "growth", "what": name, "rows": size, "written": written, "page_us": page }),
        );
    }
    println!("| {name}: size | | | {bytes:.0} bytes for a candle | |");
    report.push(json!({ "measure": "size", "what": name, "bytes": bytes }));
}

/// Takes candles as the history is told them.
fn told(candles: &[Candle]) -> Vec<StoredCandle> {
    candles.iter().map(|candle| StoredCandle { candle: candle.clone(), record_time: data::start() }).collect()
}

/// Reads a page, and tells how many microseconds that took.
async fn read(store: &Store, query: &CandleQuery) -> f64 {
    let started = Instant::now();
    let page = store.list_candles(query).await.unwrap();
    let micros = started.elapsed().as_secs_f64() * 1e6;
    assert_eq!(page.len(), data::PAGE);
    micros
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

fn tell(report: &mut Vec<Value>, what: &str, ours: &mut [f64], theirs: &mut [f64], bound: Bound) {
    // Of each turn, so that what slows both down for a while cancels out.
    let mut ratios: Vec<_> = ours.iter().zip(&*theirs).map(|(ours, theirs)| ours / theirs).collect();
    let ratio = median(&mut ratios);
    let (shown, holds) = match bound {
        Bound::AtLeast(least) => (format!("≥ {least}"), ratio >= least),
        Bound::AtMost(most) => (format!("≤ {most}"), ratio <= most),
    };
    let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
    let (ours, theirs) = (median(ours), median(theirs));
    println!("| {what} | **{ratio:.2}** [{low:.2}, {high:.2}] | {shown} | {ours:.0} | {theirs:.0} |");
    report.push(json!({
        "measure": what, "ratio": ratio, "bound": shown, "holds": holds, "figures": ours, "baseline": theirs,
    }));
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
