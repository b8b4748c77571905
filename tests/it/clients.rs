//! Other people's clients against a running service: grpcurl, Connect for the web, an OpenAPI validator.
//!
//! Each is installed below `target` when first used. Where the language it is written in is not there, a line says
//! that it is skipped.

use std::{ffi::OsStr, path::Path, process::Output, time::Duration};

use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::{data, harness::Running};

/// How long a program may run: the first time, it is also downloaded and compiled.
const PATIENCE: Duration = Duration::from_secs(300);

const GRPCURL: &str = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4";

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_lists_describes_and_calls_by_reflection() {
    if !is_there("go").await {
        return data::skip("grpcurl", "Go is not installed");
    }
    let bin = root().join("target/bin");
    run(Command::new("go").args(["install", GRPCURL]).env("GOBIN", &bin)).await;
    let running = Running::replayed().await;
    let address = running.address.to_string();
    let address = address.as_str();
    let call = async |arguments: &[&str]| {
        let mut command = Command::new(bin.join("grpcurl"));
        run(command.arg("-plaintext").args(arguments)).await
    };

    let services = call(&[address, "list"]).await;
    for service in ["cryptoprice.v1.PriceService", "cryptoprice.v1.SourceService", "grpc.health.v1.Health"] {
        assert!(services.lines().any(|line| line == service), "{service} is not listed: {services}");
    }
    let described = call(&[address, "describe", "cryptoprice.v1.PriceService.GetPrice"]).await;
    assert!(described.contains("// Gets the price of one pair, now"), "the comments are lost: {described}");

    let answer =
        call(&["-d", r#"{"pair": "btc/usd"}"#, address, "cryptoprice.v1.PriceService/GetPrice"]).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["price"]["pair"], "BTC-USD", "{answer}");
    assert!(answer["price"]["price"].is_string(), "{answer}");

    let health = call(&[address, "grpc.health.v1.Health/Check"]).await;
    let health: Value = serde_json::from_str(&health).unwrap();
    assert!(health["status"].is_string(), "{health}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_for_the_web_calls_and_follows_and_is_refused() {
    if !is_there("npm").await {
        return data::skip("Connect for the web", "Node is not installed");
    }
    run(&mut Command::new(root().join("tests/clients/install"))).await;
    let running = Running::replayed().await;
    let mut node = Command::new("node");
    node.arg(root().join("target/clients/grpc_web.mjs"));
    let seen = run(node.args([&running.url(""), "BTC-USD", "BTC-UDS"])).await;
    let seen: Value = serde_json::from_str(&seen).unwrap();

    let price = &seen["unary"]["price"];
    assert_eq!(price["pair"], "BTC-USD", "{seen}");
    assert!(price["price"].is_string(), "{seen}");
    let snapshot = &seen["stream"][0];
    assert_eq!(snapshot["kind"], "STREAM_PRICES_KIND_SNAPSHOT", "{seen}");
    assert_eq!(snapshot["prices"][0]["price"], price["price"], "{seen}");
    assert!(snapshot["cursor"].is_object(), "{seen}");
    assert_eq!(seen["error"]["code"], "NotFound", "{seen}");
    assert_eq!(seen["error"]["reason"], "PAIR_UNKNOWN", "{seen}");
    assert_eq!(seen["error"]["metadata"]["pair"], "BTC-UDS", "{seen}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_is_valid() {
    if !is_there("python3").await {
        return data::skip("the OpenAPI validator", "Python is not installed");
    }
    let environment = root().join("target/python");
    let python = environment.join("bin/python");
    if !is_there(&python).await {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment)).await;
    }
    let clients = root().join("tests/clients");
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(install.arg(clients.join("requirements.txt"))).await;

    let running = Running::replayed().await;
    let mut validate = Command::new(&python);
    let seen = run(validate.arg(clients.join("openapi.py")).arg(running.url("/v1/openapi.json"))).await;
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert!(seen["paths"].as_u64().unwrap() >= 8, "the document lacks calls: {seen}");
    running.stop().await;
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a program can be started.
async fn is_there(program: impl AsRef<OsStr>) -> bool {
    // Go alone has no `--version`, and says so; that will do.
    Command::new(program).arg("--version").output().await.is_ok()
}

/// Runs a program to its end, and gives what it wrote.
async fn run(command: &mut Command) -> String {
    let ended = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
    let Output { status, stdout, stderr } =
        ended.unwrap_or_else(|_| panic!("{command:?} does not end")).unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
    stdout
}
