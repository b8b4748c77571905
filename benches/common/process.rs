//! The servers under load: each its own process on a core of its own, and what it uses of processor and memory.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

/// The core that servers run on.
pub(crate) const SERVER: usize = 0;

/// The core that the clients run on, where there are two.
pub(crate) const CLIENT: usize = 1;

/// A server that is stopped when this goes.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where its public doors are.
    pub(crate) address: SocketAddr,
    /// Where it tells how it does.
    pub(crate) ops: SocketAddr,
    /// How long it took from the start of the process to the first answer that was asked for.
    pub(crate) started_in: Duration,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Time on a processor, of all threads.
    pub(crate) cpu: Duration,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
}

impl Usage {
    /// Tells how many seconds of a processor were used since.
    pub(crate) fn cpu_since(&self, earlier: Self) -> f64 {
        self.cpu.saturating_sub(earlier.cpu).as_secs_f64()
    }
}

/// Keeps this thread, and what it starts from here on, to one core.
pub(crate) fn pin(core: usize) {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let mut cores = CpuSet::new();
    cores.set(core);
    // On a machine with one core, or where it is forbidden, everything shares what there is.
    if let Err(error) = sched_setaffinity(None, &cores) {
        eprintln!("cannot pin to core {core} ({count} seen): {error}");
    }
}

/// Tells whether servers and clients have a core each.
pub(crate) fn cores_apart() -> bool {
    sched_getaffinity(None).is_ok_and(|cores| cores.is_set(SERVER) && cores.is_set(CLIENT))
}

impl Server {
    /// Starts a program on the servers' core and waits until `path` is answered with 200.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        settings: &[(&str, &str)],
        path: &str,
    ) -> anyhow::Result<Self> {
        Self::start_at(free_address()?, program, arguments, settings, path)
    }

    /// Does the same where the address is known beforehand.
    pub(crate) fn start_at(
        address: SocketAddr,
        program: &Path,
        arguments: &[&str],
        settings: &[(&str, &str)],
        path: &str,
    ) -> anyhow::Result<Self> {
        let ops = free_address()?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
            .env("CRYPTOPRICE__SERVER__LISTEN", address.to_string())
            .env("CRYPTOPRICE__OPS__LISTEN", ops.to_string())
            // Nothing is left behind.
            .env("CRYPTOPRICE__STORE__URL", "sqlite::memory:")
            .envs(settings.iter().copied());
        pin(SERVER);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()));
        pin(CLIENT);
        let mut server = Self { child: child?, address, ops, started_in: Duration::ZERO };
        let deadline = started + Duration::from_secs(60);
        while !answers(address, path) {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} ended: {status}", program.display());
            }
            ensure!(Instant::now() < deadline, "{} does not answer {path}", program.display());
            std::thread::sleep(Duration::from_millis(2));
        }
        server.started_in = started.elapsed();
        Ok(server)
    }

    /// Gets where its public doors are.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gets the number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Measures what the process has used.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.id())
    }

    /// Asks it to end as an operator would, and waits; gives how long that took.
    pub(crate) fn terminate(mut self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let id = Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(started.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures what a process has used: the scheduler's own count of nanoseconds, thread by thread.
pub(crate) fn usage(process: u32) -> anyhow::Result<Usage> {
    let mut cpu = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may have ended since.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
        cpu += Duration::from_nanos(nanos.unwrap_or_default());
    }
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let resident = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(Usage { cpu, resident: kilobytes.unwrap_or_default() * 1024 })
}

pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn answers(address: SocketAddr, path: &str) -> bool {
    use std::io::{Read as _, Write as _};
    let ask = || -> std::io::Result<bool> {
        let mut socket = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))?;
        if path.is_empty() {
            return Ok(true);
        }
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(socket, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        socket.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
