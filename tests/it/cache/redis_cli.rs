//! `cryptoprice redis-cli`.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::server::Redis;
use crate::program::command;

#[test]
fn it_is_opened_on_the_redis_of_the_settings_with_the_password_out_of_sight() {
    let Some(redis) = Redis::start_with("cache: redis-cli", &["--requirepass", "s@cret"]) else {
        return;
    };
    let url = format!("redis://:s%40cret@127.0.0.1:{}/3", redis.port);
    let output = command().args(["redis-cli", "SET", "a", "1"]).env("REDIS_URL", &url).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "OK\n", "{output:?}");
    let output = command().args(["redis-cli", "client", "list"]).env("REDIS_URL", &url).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(" db=3 "), "{output:?}");

    // What it is called with, seen by a program in its place.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("redis-cli");
    fs::write(&program, "#!/bin/sh\necho \"$@\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut called = command();
    called.args(["redis-cli", "--", "--bigkeys"]).env("CRYPTOPRICE__CACHE__URL", &url);
    let output = called.env("PATH", folder.path()).output().unwrap();
    let arguments = format!("-h 127.0.0.1 -p {} -n 3 --bigkeys\n", redis.port);
    assert_eq!(String::from_utf8_lossy(&output.stdout), arguments);
}

#[test]
fn where_it_cannot_be_opened_one_line_says_why() {
    for (url, path, expected) in [
        ("", "/usr/bin", "no Redis is configured: set cache.url, or REDIS_URL"),
        ("redis://:secret@localhost", "/nowhere", "redis-cli is not installed, or not on the PATH"),
        ("http://:secret@localhost", "/usr/bin", "cache.url: the address of Redis is not understood"),
    ] {
        let mut program = command();
        let output = program.arg("redis-cli").env("REDIS_URL", url).env("PATH", path).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("cryptoprice: {expected}")), "{said}");
        assert!(said.lines().count() == 1 && !said.contains("secret"), "{said}");
    }
}
