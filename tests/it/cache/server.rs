//! A Redis of a test's own.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use cryptoprice::{
    cache::{
        keys::Keys,
        pool::{Pool, PoolOptions},
    },
    domain::price::Origin,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{data::skip, harness::provide_crypto};

/// How long commands may take in tests.
pub(crate) const COMMAND: Duration = Duration::from_millis(400);

/// How long connections may take in tests.
pub(crate) const CONNECT: Duration = Duration::from_millis(600);

/// A running Redis in a process and a folder of its own. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Redis {
    process: Child,
    folder: TempDir,
    arguments: Vec<String>,
    pub(crate) port: u16,
}

impl Redis {
    /// Starts one, or says that the test is skipped.
    pub(crate) fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &[])
    }

    /// Starts one with options.
    pub(crate) fn start_with(test: &str, arguments: &[&str]) -> Option<Self> {
        provide_crypto();
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip(test, "redis-server is not installed");
            return None;
        }
        // Not below TMPDIR, which may be too long for the path of a socket.
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(process) = run(port, folder.path(), &arguments) {
                return Some(Self { process, folder, arguments, port });
            }
        }
        panic!("no Redis could be started");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Makes a pool of connections to it.
    pub(crate) fn pool(&self) -> Pool {
        pool(&self.url())
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again after it was killed. It has forgotten everything.
    pub(crate) fn restart(&mut self) {
        let began = Instant::now();
        self.process = loop {
            if let Some(process) = run(self.port, self.folder.path(), &self.arguments) {
                break process;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "its port stays taken");
        };
    }

    /// Stops it where it is; it keeps its connections.
    pub(crate) fn pause(&self) {
        signal(&self.process, Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        signal(&self.process, Signal::CONT);
    }

    /// Asks it something by its own client.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.folder.path().join("socket"))
            .args(command)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Makes a pool of connections to an address.
pub(crate) fn pool(url: &str) -> Pool {
    let options = PoolOptions {
        url: url.to_owned().into(),
        size: 8,
        connect_timeout: CONNECT,
        command_timeout: COMMAND,
    };
    Pool::new(&options).unwrap()
}

pub(crate) fn keys() -> Keys {
    Keys::new("test", Origin::Simulated)
}

pub(crate) fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).unwrap();
}

/// Starts a Redis, if the port is free.
fn run(port: u16, folder: &Path, arguments: &[String]) -> Option<Child> {
    let socket = folder.join("socket");
    let mut process = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--enable-debug-command", "yes"])
        .arg("--port")
        .arg(port.to_string())
        .arg("--unixsocket")
        .arg(&socket)
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        // It is asked through its own socket: at the port another server might answer.
        let asked = Command::new("redis-cli").arg("-s").arg(&socket).arg("ping").output().unwrap();
        let said = String::from_utf8_lossy(&asked.stdout);
        if said.starts_with("PONG") || said.starts_with("NOAUTH") {
            return Some(process);
        }
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    None
}
