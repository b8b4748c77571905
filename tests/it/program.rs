//! The program itself in a process of its own: what it holds in memory can be measured, and signals reach it.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use cryptoprice::client::v1::{
    Cursor, StreamPricesRequest, StreamPricesResponse, price_service_client::PriceServiceClient,
};
use tonic::transport::{Channel, Endpoint};

use crate::harness::{Metrics, eventually, frames, provide_crypto};

/// Makes the command, with nothing of the surroundings.
pub(crate) fn command() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cryptoprice"));
    program.env_remove("RUST_LOG").env_remove("REDIS_URL").env("CRYPTOPRICE__OPS__LISTEN", "127.0.0.1:0");
    // What one test keeps is none of another's business.
    program.env_remove("DATABASE_URL").env("CRYPTOPRICE__STORE__URL", "sqlite::memory:");
    program
}

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    ops: SocketAddr,
    log: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl Program {
    /// Plays the small recordings over and over, so many times as fast as they were made.
    pub(crate) async fn looping(speed: &str, settings: &[(&str, &str)]) -> Self {
        Self::start(&["--loop", "--speed", speed], settings).await
    }

    /// Plays the small recordings once: from then on nothing changes.
    pub(crate) async fn quiet(settings: &[(&str, &str)]) -> Self {
        Self::start(&["--speed", "max"], settings).await
    }

    /// Listens to the venues of a file of settings.
    pub(crate) async fn live(config: &Path) -> Self {
        let mut arguments = command();
        arguments.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(config);
        Self::spawn(arguments).await
    }

    /// Listens to the venues that settings in its surroundings name.
    pub(crate) async fn surrounded(settings: &[(String, String)]) -> Self {
        let mut program = command();
        program.args(["serve", "--listen", "127.0.0.1:0"]);
        program.envs(settings.iter().map(|(key, value)| (key, value)));
        Self::spawn(program).await
    }

    /// Listens to the simulated market, without its trouble.
    pub(crate) async fn demo(settings: &[(&str, &str)]) -> Self {
        let mut program = command();
        program.args(["demo", "--calm", "--listen", "127.0.0.1:0"]).envs(settings.iter().copied());
        Self::spawn(program).await
    }

    async fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut program = command();
        program.args(["serve", "--listen", "127.0.0.1:0", "--replay"]).args(frames()).args(arguments);
        // What is measured is what clients cost, and history in memory would grow meanwhile.
        program.env("CRYPTOPRICE__HISTORY__ENABLED", "false").envs(settings.iter().copied());
        let program = Self::spawn(program).await;
        eventually("there are prices", async || {
            let answer = reqwest::get(program.url("/v1/prices/EUR-USD")).await.unwrap();
            answer.status().is_success().then_some(())
        })
        .await;
        program
    }

    async fn spawn(mut program: Command) -> Self {
        provide_crypto();
        let mut child =
            program.env("CRYPTOPRICE__LOG__FORMAT", "json").stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        let keep = move |line: &str| {
            kept.lock().unwrap().push(serde_json::from_str(line).unwrap_or_default());
        };
        let (address, ops) = addresses(&mut child, keep).await;
        Self { child, address, ops, log }
    }

    /// Lists the lines of its log of which something holds, as they are written.
    pub(crate) fn logged(&self, holds: impl Fn(&serde_json::Value) -> bool) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| holds(line)).map(ToString::to_string).collect()
    }

    /// Tells it to read its settings again.
    pub(crate) fn hang_up(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Connects, with a window of so many bytes for each stream.
    pub(crate) async fn channel(&self, window: u32) -> Channel {
        let endpoint = Endpoint::from_shared(self.url("")).unwrap();
        endpoint.initial_stream_window_size(window).connect().await.unwrap()
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::of(self.ops).await
    }

    /// Measures its resident memory, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
    }

    /// Asks it to end; gives how it ended, and how long that took.
    pub(crate) fn terminate(mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < Duration::from_secs(30), "it must end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Reads the log of a program to its end, and waits until it says where it serves: its public address and that of ops.
pub(crate) async fn addresses(
    child: &mut Child,
    said: impl Fn(&str) + Send + 'static,
) -> (SocketAddr, SocketAddr) {
    let log = BufReader::new(child.stderr.take().unwrap());
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // Reads on to the end: a program whose log nobody reads would wait for that.
    std::thread::spawn(move || {
        let mut sender = Some(sender);
        for line in log.lines().map_while(Result::ok) {
            said(&line);
            let told: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            let address = |name: &str| told[name].as_str()?.parse::<SocketAddr>().ok();
            if let Some(addresses) = address("public").zip(address("ops"))
                && let Some(sender) = sender.take()
            {
                let _ = sender.send(addresses);
            }
        }
    });
    let told = tokio::time::timeout(Duration::from_secs(60), receiver).await;
    told.expect("it serves in time").expect("it says where it serves")
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a stream of all pairs, or of some, with every update.
pub(crate) async fn follow(
    channel: &Channel,
    pairs: &[&str],
    resume_after: Option<Cursor>,
) -> tonic::Streaming<StreamPricesResponse> {
    let request = StreamPricesRequest {
        pairs: pairs.iter().map(ToString::to_string).collect(),
        delivery: cryptoprice::client::v1::StreamDelivery::All.into(),
        resume_after,
        ..Default::default()
    };
    PriceServiceClient::new(channel.clone()).stream_prices(request).await.unwrap().into_inner()
}
