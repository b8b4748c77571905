//! A PostgreSQL of a test's own, which may be killed and stopped.

use std::{io::Write as _, path::PathBuf, process::Child};

use rustix::process::{Pid, Signal, kill_process};

use super::server::{self, address, execute};
use crate::{data::skip, harness::eventually};

/// A server of a test's own, which may be killed and stopped.
pub(crate) struct Postgres {
    warden: Child,
    folder: PathBuf,
    pub(crate) port: u16,
}

impl Postgres {
    /// Starts one; or says why the test is skipped.
    pub(crate) async fn start(test: &str) -> Option<Self> {
        let Some((warden, folder, port)) = server::run(test).await else {
            skip(test, "PostgreSQL is not installed");
            return None;
        };
        Some(Self { warden, folder, port })
    }

    /// Kills it with all its processes, as a crash would.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Stops it in order: it waits for nobody.
    pub(crate) fn stop(&mut self) {
        self.tell("stop");
    }

    /// Starts it again after one of these.
    pub(crate) async fn restart(&mut self) {
        self.tell("start");
        eventually("PostgreSQL is back", async || execute(&address(self.port), "SELECT 1").await.ok()).await;
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.warden.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    /// Stops it where it is; it keeps its connections.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// The first of its processes comes first, so that it makes no others meanwhile.
    fn signal(&self, signal: Signal) {
        let first = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let first = first.lines().next().unwrap().to_owned();
        let children = format!("/proc/{first}/task/{first}/children");
        let send = |process: &str| {
            let process = Pid::from_raw(process.parse().unwrap()).unwrap();
            // One that has ended by itself needs none.
            let _ = kill_process(process, signal);
        };
        let known = std::fs::read_to_string(&children).unwrap();
        send(&first);
        let others = std::fs::read_to_string(&children).unwrap_or(known);
        others.split_whitespace().for_each(send);
    }
}
