//! Where recorded data lies, for the tests that need it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Finds the folder of recorded data, or says that the test is skipped.
#[expect(
    clippy::disallowed_methods,
    reason = "where data lies is the environment of the tests, not of the service"
)]
pub(crate) fn folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CRYPTOPRICE_TEST_DATA");
    if folder.is_none() {
        skip(test, "CRYPTOPRICE_TEST_DATA is not set");
    }
    folder.map(PathBuf::from)
}

/// Says that a test is skipped, and why.
///
/// # Panics
/// If `CRYPTOPRICE_REQUIRE=all` says that nothing may be skipped.
#[expect(
    clippy::disallowed_methods,
    reason = "what must run is the environment of the tests, not of the service"
)]
pub(crate) fn skip(test: &str, why: &str) {
    let required = std::env::var("CRYPTOPRICE_REQUIRE").as_deref() == Ok("all");
    assert!(!required, "may not be skipped: {test}: {why}");
    // Straight to standard error: what a test prints by `eprintln!` is shown only when it fails.
    let line = format!("skipped: {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Reads a JSON file.
pub(crate) fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads a file of JSON lines compressed with zstd.
pub(crate) fn json_lines(path: &Path) -> Vec<Value> {
    let file = fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = std::io::read_to_string(zstd::Decoder::new(file).unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
