//! All venues at once, over sockets, to the board of the real program: how long quotes take, and whether any is lost.

use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    exchange::Exchange,
    metrics::Metrics,
    process::{self, Server, Usage},
    ratio::Ratio,
    report::{Bound, Figure, Row},
    venues,
};

/// How long the program runs before anything is measured.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long things may take that are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much is sent, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Frames a second, of all venues together.
    pub(crate) rate: f64,
    pub(crate) time: Duration,
}

/// What came of it.
struct Outcome {
    elapsed: Duration,
    /// Frames that were sent and those that the program counted.
    sent: u64,
    received: u64,
    /// Trades likewise.
    trades_sent: u64,
    trades_received: u64,
    duplicates: f64,
    out_of_order: f64,
    malformed: f64,
    updates: f64,
    p50: f64,
    p99: f64,
    /// At the start, half way and at the end.
    usage: [Usage; 3],
    own: [Usage; 2],
    shut_down: Duration,
}

/// Runs the load and reports it as one row.
pub(crate) async fn measure(program: &Path, folder: &Path, load: Load) -> anyhow::Result<Row> {
    let outcome = run(program, folder, load).await?;
    let what = format!(
        "{} venues on loopback at {} frames/s to the board for {} s: frames counted, of those sent",
        venues::ALL.len(),
        load.rate,
        load.time.as_secs()
    );
    let counted = outcome.received as f64 / outcome.sent as f64;
    let row = Row::new("end_to_end", what).ratio(Ratio::exactly(counted), Bound::AtLeast(1.0));
    Ok(row.figures(outcome.figures(), Vec::new()))
}

/// Runs the load and prints it as a table of its own.
pub(crate) async fn soak(program: &Path, folder: &Path, load: Load) -> anyhow::Result<Row> {
    let outcome = run(program, folder, load).await?;
    println!("\n| {} s at {} frames/s | |\n|---|---|", load.time.as_secs(), load.rate);
    let mebibytes = |usage: Usage| format!("{:.1} MiB", usage.resident as f64 / f64::from(1 << 20));
    let [start, half, end] = outcome.usage;
    for (name, value) in [
        ("frames sent", outcome.sent.to_string()),
        ("frames counted by the service", outcome.received.to_string()),
        ("frames lost", outcome.sent.saturating_sub(outcome.received).to_string()),
        ("trades sent", outcome.trades_sent.to_string()),
        ("trades counted by the service", outcome.trades_received.to_string()),
        ("trades counted twice", outcome.duplicates.to_string()),
        ("frames not understood", outcome.malformed.to_string()),
        ("updates of prices", outcome.updates.to_string()),
        ("socket to board, p50", format!("{:.2} ms", outcome.p50 * 1e3)),
        ("socket to board, p99", format!("{:.2} ms", outcome.p99 * 1e3)),
        ("CPU of the service", format!("{:.1} % of a core", outcome.cpu())),
        ("memory at the start", mebibytes(start)),
        ("memory half way", mebibytes(half)),
        ("memory at the end", mebibytes(end)),
        ("from SIGTERM to the end", format!("{:.1} ms", outcome.shut_down.as_secs_f64() * 1e3)),
    ] {
        println!("| {name} | {value} |");
    }
    Ok(Row::new("soak", "the same for longer").figures(outcome.figures(), Vec::new()))
}

async fn run(program: &Path, folder: &Path, load: Load) -> anyhow::Result<Outcome> {
    let mut exchanges = Vec::new();
    for language in venues::ALL {
        exchanges.push(Exchange::open(language).await?);
    }
    let config = folder.join("feeds.toml");
    std::fs::write(&config, settings(&exchanges)?)?;
    let server = start(program, &config).await?;
    until("all venues are subscribed to", async || Ok(exchanges.iter().all(|e| e.sent.greeted.get())))
        .await?;
    pace(&exchanges, load.rate);
    sleep(WARM_UP).await;

    let before = Metrics::read(server.ops).await?;
    let (usage, own, began) = (server.usage()?, process::usage(std::process::id())?, Instant::now());
    sleep(load.time / 2).await;
    let half = server.usage()?;
    sleep(load.time / 2).await;
    let after = Metrics::read(server.ops).await?;
    let (usage, own) = ([usage, half, server.usage()?], [own, process::usage(std::process::id())?]);
    let elapsed = began.elapsed();

    pace(&exchanges, 0.0);
    let total = |of: fn(&Exchange) -> u64| exchanges.iter().map(of).sum::<u64>();
    let arrived = async || {
        // What was due may still be on its way out.
        let sent = total(|exchange| exchange.sent.frames.get());
        Ok(Metrics::read(server.ops).await?.over_sources("frames") >= sent as f64)
    };
    // Where some are lost, that is told below.
    let _ = until("all frames have arrived", arrived).await;
    let sent = total(|exchange| exchange.sent.frames.get());
    let end = Metrics::read(server.ops).await?;
    for exchange in &exchanges {
        let (name, sent) = (exchange.venue.as_str(), &exchange.sent);
        let counted = ["frames", "trades"].map(|what| whole(end.of_source(what, name)));
        let said = [sent.frames.get(), sent.trades.get()];
        if counted != said {
            eprintln!("{name}: sent {said:?} frames and trades, counted {counted:?}");
        }
    }
    Ok(Outcome {
        elapsed,
        sent,
        received: whole(end.over_sources("frames")),
        trades_sent: total(|exchange| exchange.sent.trades.get()),
        trades_received: whole(end.over_sources("trades")),
        duplicates: end.over_sources("duplicates"),
        out_of_order: end.over_sources("out_of_order"),
        malformed: end.over_sources("malformed"),
        updates: after.get("cryptoprice_board_updates_total") - before.get("cryptoprice_board_updates_total"),
        p50: after.ingest(&before, 0.5)?,
        p99: after.ingest(&before, 0.99)?,
        usage,
        own,
        shut_down: spawn_blocking(move || server.terminate()).await??,
    })
}

impl Outcome {
    /// Tells how much of a core the program used.
    fn cpu(&self) -> f64 {
        let [start, _, end] = self.usage;
        end.cpu_since(start) / self.elapsed.as_secs_f64() * 100.0
    }

    fn figures(&self) -> Vec<Figure> {
        let [start, half, end] = self.usage;
        let [own_start, own_end] = self.own;
        let seconds = self.elapsed.as_secs_f64();
        let mebibytes = |usage: Usage| usage.resident as f64 / f64::from(1 << 20);
        vec![
            ("frames sent", self.sent as f64),
            ("frames lost", self.sent as f64 - self.received as f64),
            ("trades sent", self.trades_sent as f64),
            ("trades lost", self.trades_sent as f64 - self.trades_received as f64),
            ("trades counted twice", self.duplicates),
            ("out of order", self.out_of_order),
            ("not understood", self.malformed),
            ("updates/s", self.updates / seconds),
            ("ms p50", self.p50 * 1e3),
            ("ms p99", self.p99 * 1e3),
            ("% of a core", self.cpu()),
            ("% of a core for the venues", own_end.cpu_since(own_start) / seconds * 100.0),
            ("MiB at the start", mebibytes(start)),
            ("MiB half way", mebibytes(half)),
            ("MiB at the end", mebibytes(end)),
            ("ms from SIGTERM to the end", self.shut_down.as_secs_f64() * 1e3),
        ]
    }
}

/// Writes settings that listen to these venues alone.
fn settings(exchanges: &[Exchange]) -> anyhow::Result<String> {
    let mut text = "[cross]\npairs = [\"ETH-BTC\", \"SOL-BTC\"]\n".to_owned();
    for Exchange { venue, address, pairs, .. } in exchanges {
        let pairs: Vec<String> = pairs.iter().map(|pair| format!("\"{pair}\"")).collect();
        let pairs = pairs.join(", ");
        writeln!(text, "[venues.{venue}]\nenabled = true\nurl = \"ws://{address}\"\npairs = [{pairs}]")?;
    }
    Ok(text)
}

async fn start(program: &Path, config: &Path) -> anyhow::Result<Server> {
    let (program, config) = (program.to_owned(), config.to_string_lossy().into_owned());
    spawn_blocking(move || Server::start(&program, &["serve", "--config", &config], &[], "")).await?
}

/// Shares a rate out.
fn pace(exchanges: &[Exchange], rate: f64) {
    for exchange in exchanges {
        exchange.sent.rate.set(rate / exchanges.len() as f64);
    }
}

/// Waits for something.
async fn until(what: &str, is_so: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await? {
        anyhow::ensure!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count below 2⁵³")]
fn whole(count: f64) -> u64 {
    count as u64
}
