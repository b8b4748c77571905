//! The program from the outside: how it starts, why it does not, how it ends, and its commands against a server.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::{
    harness::{Running, frame},
    program::command as program,
};

fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = program().args(arguments).envs(environment.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    said
}

#[test]
fn what_cannot_start_says_why_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let recording = frame("KRAKEN").display().to_string();
    for (arguments, environment, expected) in [
        (vec!["demo", "--listen", &taken], vec![], "cannot listen on 127.0.0.1"),
        (
            vec!["serve", "--config", "/nowhere.toml"],
            vec![],
            "cannot read the configuration file /nowhere.toml",
        ),
        (vec!["serve", "--replay", "/nowhere.jsonl.zst"], vec![], "/nowhere.jsonl.zst"),
        (
            vec!["demo"],
            vec![("CRYPTOPRICE__SERVER__LISTNE", "x")],
            "server.listne (CRYPTOPRICE__SERVER__LISTNE): unknown field",
        ),
        (
            vec!["serve", "--listen", "127.0.0.1:0", "--replay", &recording],
            vec![("CRYPTOPRICE__OPS__LISTEN", taken.as_str())],
            "cannot listen on 127.0.0.1",
        ),
    ] {
        // A port that was free a moment ago is taken again for as long as this lasts.
        let _held = TcpListener::bind(&taken);
        let said = refused(&arguments, &environment);
        let line = said.lines().last().unwrap();
        assert!(line.starts_with("cryptoprice: ") && line.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn the_settings_are_shown_without_secrets() {
    let output = program()
        .arg("config")
        .env("CRYPTOPRICE__VENUES__KRAKEN__URL", "wss://user:secret@proxy.example/")
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(shown.contains("wss://***@proxy.example/") && !shown.contains("secret"), "{shown}");
    let defaults = program().args(["config", "--defaults"]).output().unwrap();
    assert!(String::from_utf8(defaults.stdout).unwrap().contains("# Where all public doors listen"));
}

#[test]
fn a_signal_ends_it_cleanly() {
    for signal in ["-TERM", "-INT"] {
        let mut child = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--dev", "--replay"])
            .arg(frame("KRAKEN"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = until_serving(&mut child);
        for expected in [
            "setting: listen",
            "component: board",
            "call: GET /v1/prices/{pair=*}",
            "call: GET /readyz",
            "call: gRPC grpc.health.v1",
        ] {
            assert!(log.contains(expected), "{expected} is missing: {log}");
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "{signal} must end it");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{signal}: {status}");
    }
}

/// Reads the log until the service says that it serves.
fn until_serving(child: &mut Child) -> String {
    let mut log = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        log.push_str(&line);
        log.push('\n');
        if line.contains("serving on http://") {
            return log;
        }
    }
    panic!("it ended before it served: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_ask_a_running_server() {
    let running = Running::replayed().await;
    let server = running.url("");
    let run = |arguments: &[&str]| {
        let (arguments, server) =
            (arguments.iter().map(ToString::to_string).collect::<Vec<_>>(), server.clone());
        tokio::task::spawn_blocking(move || {
            program().args(arguments).args(["--server", &server]).output().unwrap()
        })
    };
    let text = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    let output = run(&["price", "BTC-USD", "ETH-EUR"]).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text(&output).contains("60010.005") && text(&output).contains("2778.119863885738"),
        "{}",
        text(&output)
    );
    let output = run(&["price", "BTC-USD", "NOPE-USD"]).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output).contains("60010.005"));
    assert!(String::from_utf8(output.stderr).unwrap().contains("NOPE-USD"));
    let output = run(&["price", "BTC-USD", "--json"]).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json, running.get("/v1/prices:batchGet?pairs=BTC-USD").await.1);
    let output = run(&["explain", "ETH-EUR"]).await.unwrap();
    for expected in ["ETH-USD", "EUR-USD", "coinbase", "kraken"] {
        assert!(text(&output).contains(expected), "{}", text(&output));
    }
    let output = run(&["convert", "1.5", "BTC", "EUR"]).await.unwrap();
    assert!(output.status.success() && text(&output).contains("EUR"), "{output:?}");
    let output = run(&["sources"]).await.unwrap();
    assert!(text(&output).contains("coinbase"), "{output:?}");
    running.stop().await;
    let output = run(&["price", "BTC-USD"]).await.unwrap();
    assert_eq!(output.status.code(), Some(3), "nobody answers: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_in_a_pipe_gives_lines() {
    let running = Running::replayed().await;
    let mut child = program()
        .args(["watch", "BTC-USD", "ETH-USD", "--server", &running.url("")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let lines =
        tokio::task::spawn_blocking(move || BufReader::new(output).lines().take(2).collect::<Vec<_>>());
    let lines: Vec<_> = lines.await.unwrap().into_iter().map(Result::unwrap).collect();
    assert!(lines.iter().any(|line| line.contains("BTC-USD") && line.contains("60010.005")), "{lines:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    running.stop().await;
}
