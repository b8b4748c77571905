//! `backfill` as a program: what it says, what it leaves behind, and how it ends.

use std::{path::Path, process::Output, time::Duration};

use chrono::{SecondsFormat, TimeDelta, Utc};
use cryptoprice::{domain::candle::Interval, feed::venues, store::Store};

use super::{
    PAIR, at, check,
    exchange::{Exchange, Fault},
    start, stored,
};
use crate::program;

/// Makes the command for a pair and these arguments: Binance and Coinbase have BTC-USD, and ETH-USD is Coinbase's alone.
fn command(exchange: &Exchange, folder: &Path, arguments: &str) -> std::process::Command {
    let mut program = program::command();
    for protocol in venues::ALL {
        let name = protocol.venue().as_str();
        let key = |setting: &str| format!("CRYPTOPRICE__VENUES__{}__{setting}", name.to_uppercase());
        let pairs = if name == "coinbase" { "BTC-USD,ETH-USD" } else { "BTC-USD" };
        program
            .env(key("ENABLED"), ["binance", "coinbase"].contains(&name).to_string())
            .env(key("PAIRS"), pairs)
            .env(key("REST_URL"), exchange.base(name));
    }
    program.env("CRYPTOPRICE__STORE__FOLDER", folder).env_remove("CRYPTOPRICE__STORE__URL").arg("backfill");
    program.args(arguments.split(' '));
    program
}

async fn run(exchange: &Exchange, folder: &Path, arguments: &str) -> (Option<i32>, String, String) {
    let mut program = command(exchange, folder, arguments);
    let output: Output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

async fn history(folder: &Path) -> Store {
    let url = format!("sqlite://{}", folder.join("live.db").display());
    let place = crate::store::Place::at(&url);
    place.store().await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_fills_in_what_is_missing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = Exchange::start(at(2_000)).await;
    let line = "BTC-USD --from 2023-11-20 --to 2023-11-20T10:00:00Z";
    let (code, out, err) = run(&exchange, folder.path(), line).await;
    assert_eq!(code, Some(0), "{err}");
    // Those of 5 and 15 minutes and of hours, and, as far as they are covered, three of 4 hours, the day and the week.
    insta::assert_snapshot!(out, @r"
    binance: 600 missing, 600 written, 175 longer ones made
    coinbase: 600 missing, 600 written, 175 longer ones made
    ");
    assert!(err.contains("filled in") && err.contains("settled=1200"), "{err}");
    let store = history(folder.path()).await;
    check("coinbase", &stored(&store, Some("coinbase"), Interval::Minute).await, 0..600);
    assert_eq!(stored(&store, None, Interval::Hour).await.len(), 10);

    let asked = (exchange.count("binance"), exchange.count("coinbase"));
    let (code, out, _) = run(&exchange, folder.path(), line).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("coinbase: 0 missing, 0 written, 0 longer ones made\n"), "{out}");
    assert_eq!((exchange.count("binance"), exchange.count("coinbase")), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_does_not_answer_makes_it_fail() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = Exchange::start(at(2_000)).await;
    exchange.fail("binance", 0, Fault::Page);
    let line = "BTC-USD --from 2023-11-20 --to 2023-11-20T01:00:00Z";
    let (code, out, err) = run(&exchange, folder.path(), line).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(out.starts_with("coinbase: 60 missing, 60 written"), "{out}");
    assert!(err.contains("cryptoprice: binance: the answer is not understood"), "{err}");
    let (code, _, err) = run(&exchange, folder.path(), line).await;
    assert_eq!(code, Some(0), "{err}");
    // One that is not enabled can be named.
    let (code, out, err) = run(&exchange, folder.path(), &format!("{line} --venue kraken")).await;
    assert_eq!(code, Some(0), "{err}");
    // It has the newest 720, which are later.
    assert!(out.ends_with("60 are not to be had\n") && out.starts_with("kraken: 60 missing"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_without_an_end_ends_now() {
    let folder = tempfile::tempdir().unwrap();
    let now = Utc::now();
    let exchange = Exchange::start(now).await;
    let from = (now - TimeDelta::hours(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let line = format!("ETH-USD --from {from} --interval 5m");
    let (code, out, err) = run(&exchange, folder.path(), &line).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("coinbase: 1"), "{out}");
    let asked = exchange.asked("coinbase");
    let newest = asked.last().unwrap().to.unwrap();
    assert!(newest >= now.timestamp() / 60 - 7, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = Exchange::start(start()).await;
    for (line, code, expected) in [
        ("BTC-USD --from 2023-11-02 --to 2023-11-01", 1, "is not before --to"),
        ("BTC-USD --from 2023-11-02 --to 2023-11-02", 1, "is not before --to"),
        ("BTC-USD --from 2999-01-01", 1, "--from 2999-01-01T00:00:00Z lies in the future"),
        ("BTC-USD --from 2023-11-01 --to 2999-01-01", 1, "--to 2999-01-01T00:00:00Z lies in the future"),
        ("NOPE-USD --from 2023-11-01", 1, "no venue that is enabled and has NOPE-USD"),
        ("ETH-USD --from 2023-11-01 --venue binance", 1, "do not name ETH-USD among the pairs of binance"),
        ("BTC-USD --from 2023-11-01 --venue nyse", 1, "no venue has the name nyse; there are binance, "),
        ("BTC-USD --from 2023-11-01 --config nowhere.toml", 1, "nowhere.toml"),
        ("BTC-USD", 2, "--from"),
        ("BTC --from 2023-11-01", 2, "BTC"),
        ("BTC-USD --from soon", 2, "expected a time"),
        ("BTC-USD --from 2h --to 3h", 1, "is not before --to"),
        ("BTC-USD --from 2023-11-01 --interval 2m", 2, "there are 1s, 1m, 5m"),
    ] {
        let (ended, out, err) = run(&exchange, folder.path(), line).await;
        assert_eq!(ended, Some(code), "{line}: {err}");
        assert!(err.contains(expected), "{line}: {err}");
        assert_eq!(out, "", "{line}");
        if code == 1 {
            assert_eq!(err.lines().count(), 1, "{line}: {err}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_told_to_and_keeps_what_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = Exchange::start(at(2_000)).await;
    exchange.fail("coinbase", 1, Fault::Hang);
    let mut program = command(
        &exchange,
        folder.path(),
        "BTC-USD --from 2023-11-20 --to 2023-11-20T10:00:00Z --venue coinbase",
    );
    let mut child =
        program.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    crate::harness::eventually("the second page is asked for", async || {
        (exchange.count("coinbase") == 2).then_some(())
    })
    .await;
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let status = tokio::time::timeout(
        Duration::from_secs(20),
        tokio::task::spawn_blocking(move || child.wait().unwrap()),
    );
    assert_eq!(status.await.expect("it ends").unwrap().code(), Some(1));
    let kept = stored(&history(folder.path()).await, Some("coinbase"), Interval::Minute).await;
    assert_eq!((kept.len(), kept[0].pair), (298, PAIR));
}
