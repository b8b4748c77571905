//! Other people's clients against a running service: grpcurl, Connect for the web, an OpenAPI validator.
//!
//! Each is installed below `target` when first used. Where the language it is written in is not there, a line says
//! that it is skipped.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::Value;
use tokio::process::Command;

use crate::data;

const GRPCURL: &str = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4";

/// Lists and describes the contract by reflection, and makes a call with what reflection says.
///
/// The address is `HOST:PORT`.
pub(crate) async fn grpcurl_lists_describes_and_calls(address: &str) {
    let bin = folder("target/bin");
    let mut install = Command::new("go");
    install.args(["install", GRPCURL]).env("GOBIN", &bin);
    if !is_there("go").await {
        return data::skip("grpcurl", "Go is not installed");
    }
    run(&mut install).await;

    let call = async |arguments: &[&str]| {
        let mut command = Command::new(bin.join("grpcurl"));
        run(command.arg("-plaintext").args(arguments)).await
    };
    let services = call(&[address, "list"]).await;
    for service in [
        "cryptoprice.v1.PriceService",
        "cryptoprice.v1.SourceService",
        "grpc.health.v1.Health",
    ] {
        assert!(services.lines().any(|line| line == service), "{service} is not listed: {services}");
    }
    let described = call(&[address, "describe", "cryptoprice.v1.PriceService.GetPrice"]).await;
    assert!(described.contains("// Gets the price of one pair."), "the comments are lost: {described}");

    let answer = call(&["-d", r#"{"pair": "btc/usd"}"#, address, "cryptoprice.v1.PriceService/GetPrice"]).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["price"]["pair"], "BTC-USD", "{answer}");
    assert!(answer["price"]["price"].is_string(), "{answer}");

    let health = call(&[address, "grpc.health.v1.Health/Check"]).await;
    assert!(health.contains("SERVING"), "{health}");
}

/// Calls once, follows a stream and is refused, as a page in a browser would over gRPC-Web.
///
/// The address is `HOST:PORT`.
pub(crate) async fn connect_web_calls(address: &str) {
    if !is_there("npm").await {
        return data::skip("Connect for the web", "Node is not installed");
    }
    run(&mut Command::new(root().join("tests/clients/install"))).await;
    let mut node = Command::new("node");
    node.arg(folder("target/clients").join("grpc_web.mjs"));
    node.args([&format!("http://{address}"), "BTC-USD", "BTC-UDS"]);
    let seen: Value = serde_json::from_str(&run(&mut node).await).unwrap();

    let price = &seen["unary"]["price"];
    assert_eq!(price["pair"], "BTC-USD", "{seen}");
    assert!(price["price"].is_string(), "{seen}");
    assert_eq!(seen["stream"][0]["kind"], "STREAM_PRICES_KIND_SNAPSHOT", "{seen}");
    assert_eq!(seen["stream"][0]["prices"][0]["pair"], "BTC-USD", "{seen}");
    assert!(seen["stream"][1]["cursor"].is_object(), "{seen}");
    assert_eq!(seen["error"]["code"], "NotFound", "{seen}");
    assert_eq!(seen["error"]["reason"], "PAIR_UNKNOWN", "{seen}");
    assert_eq!(seen["error"]["metadata"]["pair"], "BTC-UDS", "{seen}");
}

/// Checks the OpenAPI document against the specification of OpenAPI.
///
/// The address is `HOST:PORT`.
pub(crate) async fn openapi_is_valid(address: &str) {
    if !is_there("python3").await {
        return data::skip("the OpenAPI validator", "Python is not installed");
    }
    let environment = folder("target/python");
    let python = environment.join("bin/python");
    if !is_there(&python.to_string_lossy()).await {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment)).await;
    }
    let clients = root().join("tests/clients");
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(install.arg(clients.join("requirements.txt"))).await;

    let mut validate = Command::new(&python);
    validate.arg(clients.join("openapi.py")).arg(format!("http://{address}/v1/openapi.json"));
    let seen: Value = serde_json::from_str(&run(&mut validate).await).unwrap();
    assert!(seen["paths"].as_u64().unwrap() >= 8, "the document lacks calls: {seen}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder(path: &str) -> PathBuf {
    root().join(path)
}

/// Whether a program can be started.
async fn is_there(program: &str) -> bool {
    // Go alone has no `--version`, and says so; that will do.
    Command::new(program).arg("--version").output().await.is_ok()
}

/// Runs a program to its end, and gives what it wrote.
async fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.kill_on_drop(true).output().await.unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
    stdout
}
