//! A running service for a test: the real program in process, on free ports, from settings to sockets.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use cryptoprice::{
    app::{Application, Mode},
    client::v1::{
        ListSourcesRequest, SourceState, price_service_client::PriceServiceClient,
        source_service_client::SourceServiceClient,
    },
    config::Config,
    pipeline::replay::ReplayOptions,
    sim::Truth,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// A running service. Stop it at the end of the test: that shows that it ends.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) ops: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Starts with these settings over the defaults.
    pub(crate) async fn start(mode: Mode, settings: &[(&str, &str)]) -> Self {
        Self::run(build(mode, settings).await)
    }

    fn run(application: Application) -> Self {
        let shutdown = CancellationToken::new();
        Self {
            address: application.address(),
            ops: application.ops_address(),
            task: tokio::spawn(application.run_until_stopped(shutdown.clone())),
            shutdown,
        }
    }

    /// Plays the small recordings beside this file to their end: from then on nothing changes.
    pub(crate) async fn replayed() -> Self {
        Self::replay(frames()).await
    }

    /// Plays recordings to their end.
    pub(crate) async fn replay(files: Vec<PathBuf>) -> Self {
        let options = ReplayOptions { files, speed: None, repeat: false };
        let running = Self::start(Mode::Replay(options), &[]).await;
        running.until_ended().await;
        running
    }

    /// Starts the simulated market.
    pub(crate) async fn demo(trouble: bool) -> Self {
        Self::start(Mode::Demo { seed: 7, trouble }, &[]).await
    }

    /// Starts the simulated market, and gives what tells its true prices.
    pub(crate) async fn demo_with_truth(trouble: bool) -> (Self, Truth) {
        let application = build(Mode::Demo { seed: 7, trouble }, &[]).await;
        let truth = application.truth().expect("a demo has a simulated market");
        (Self::run(application), truth)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(self.url("")).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn prices(&self) -> PriceServiceClient<Channel> {
        PriceServiceClient::new(self.channel().await)
    }

    pub(crate) async fn sources(&self) -> SourceServiceClient<Channel> {
        SourceServiceClient::new(self.channel().await)
    }

    /// Asks over REST: the status and the JSON of the body.
    pub(crate) async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        let answer = reqwest::get(self.url(path)).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.text().await.unwrap();
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
    }

    /// Reads its metrics.
    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::of(self.ops).await
    }

    /// Stops it, and fails if it does not end well.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(15), self.task).await;
        ended.expect("the service must end when told to").unwrap().unwrap();
    }

    /// Waits for the end of all recordings.
    pub(crate) async fn until_ended(&self) {
        let mut sources = self.sources().await;
        eventually("all recordings have ended", async || {
            let listed = sources.list_sources(ListSourcesRequest::default()).await.unwrap().into_inner();
            listed.sources.iter().all(|source| source.state() == SourceState::Ended).then_some(())
        })
        .await;
    }
}

/// What a service tells at `/metrics`, at one moment.
#[derive(Debug)]
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// Asks the ops listener.
    pub(crate) async fn of(ops: SocketAddr) -> Self {
        let answer = reqwest::get(format!("http://{ops}/metrics")).await.unwrap();
        Self(answer.error_for_status().unwrap().text().await.unwrap())
    }

    /// Gets what a series has counted, by its name and labels as they are written.
    pub(crate) fn get(&self, series: &str) -> u64 {
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        self.0.lines().find_map(value).unwrap_or_else(|| panic!("there is no {series}: {}", self.0))
    }

    /// Adds up what all series of a metric have counted.
    pub(crate) fn sum(&self, metric: &str) -> u64 {
        let value = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            (series.split('{').next() == Some(metric)).then(|| value.parse::<u64>().ok())?
        };
        self.0.lines().filter_map(value).sum()
    }

    /// Lists the series, without their values.
    pub(crate) fn series(&self) -> Vec<&str> {
        let lines = self.0.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.rsplit_once(' ').map(|(series, _)| series)).collect()
    }
}

async fn build(mode: Mode, settings: &[(&str, &str)]) -> Application {
    provide_crypto();
    let free = [
        ("CRYPTOPRICE__SERVER__LISTEN", "127.0.0.1:0"),
        ("CRYPTOPRICE__OPS__LISTEN", "127.0.0.1:0"),
        // Each has its own history.
        ("CRYPTOPRICE__STORE__URL", "sqlite::memory:"),
    ];
    let settings = free.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let config = Config::load(None, settings).unwrap();
    Application::build(config, mode).await.unwrap()
}

/// Names what does the cryptography in this process. The program does so as its first act.
pub(crate) fn provide_crypto() {
    // Refused if another test has done so.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Lists the small recordings of our own.
pub(crate) fn frames() -> Vec<PathBuf> {
    ["COINBASE", "KRAKEN", "BINANCE"].map(frame).to_vec()
}

/// Finds one of them.
pub(crate) fn frame(exchange: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/frames/{exchange}.jsonl"))
}

/// Asks again until there is an answer, for at most thirty seconds.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
