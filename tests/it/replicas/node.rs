//! One replica.

use std::{
    net::SocketAddr,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use cryptoprice::client::v1::{
    Candle, ExplainPriceRequest, ExplainPriceResponse, GetPriceRequest, ListCandlesRequest,
    ListPricesRequest, ListSourcesRequest, Price, Source, candle_service_client::CandleServiceClient,
    price_service_client::PriceServiceClient, source_service_client::SourceServiceClient,
};
use rustix::process::Signal;
use serde_json::Value;
use tonic::transport::Channel;

use crate::{
    cache::server::signal,
    harness::{eventually, provide_crypto},
    program::{addresses, command},
};

/// Venues that the nodes leave out: three are enough, and several nodes share a machine.
const LEFT_OUT: [&str; 3] = ["OKX", "BITFINEX", "CRYPTOCOM"];

/// Settings under which nobody loses the lease because the machine is busy.
pub(super) const CALM: [(&str, &str); 1] = [("CRYPTOPRICE__CACHE__LEASE", "20s")];

/// Settings under which a lease ends soon, but not because the machine is busy for a moment.
pub(super) const BRISK: [(&str, &str); 1] = [("CRYPTOPRICE__CACHE__LEASE", "3s")];

/// How long a call may take, whatever has happened to Redis.
pub(super) const SOON: Duration = Duration::from_secs(3);

/// A running replica. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Node {
    child: Child,
    pub(super) address: SocketAddr,
    pub(super) ops: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Node {
    /// Starts one that has a market of its own, and may lead.
    pub(super) async fn demo(redis: &str, settings: &[(&str, &str)]) -> Self {
        Self::start(&["demo", "--calm"], redis, settings).await
    }

    /// Starts one that only serves.
    pub(super) async fn serve(redis: &str, settings: &[(&str, &str)]) -> Self {
        let role = [("CRYPTOPRICE__ROLE", "serve")];
        Self::start(&["serve"], redis, &[&role, settings].concat()).await
    }

    async fn start(arguments: &[&str], redis: &str, settings: &[(&str, &str)]) -> Self {
        provide_crypto();
        let venues = LEFT_OUT.map(|venue| (format!("CRYPTOPRICE__VENUES__{venue}__ENABLED"), "false"));
        let mut child = command()
            .args(arguments)
            .args(["--listen", "127.0.0.1:0"])
            .env("REDIS_URL", redis)
            .env("CRYPTOPRICE__LOG__FORMAT", "json")
            .envs(venues)
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let (address, ops) =
            addresses(&mut child, move |line| lines.lock().unwrap().push(line.to_owned())).await;
        Self { child, address, ops, log }
    }

    /// Waits until it plays this part, and is ready.
    pub(super) async fn becomes(&self, part: &str) -> Value {
        eventually(&format!("a node is {part} and ready"), async || {
            let status = self.status().await;
            (status["part"] == part && status["ready"] == true).then_some(status)
        })
        .await
    }

    pub(super) async fn status(&self) -> Value {
        let answer = reqwest::Client::new().get(format!("http://{}/status", self.ops)).timeout(SOON).send();
        answer.await.unwrap().json().await.unwrap()
    }

    /// Gets the epoch and the sequence that it has reached.
    pub(super) async fn reached(&self) -> (u64, u64) {
        let status = self.status().await;
        (status["epoch"].as_u64().unwrap(), status["sequence"].as_u64().unwrap())
    }

    /// Asks whether it is ready.
    pub(super) async fn readiness(&self) -> Value {
        reqwest::get(format!("http://{}/readyz", self.address)).await.unwrap().json().await.unwrap()
    }

    /// Lists the reasons why it is not ready.
    pub(super) async fn reasons(&self) -> Vec<String> {
        self.told("reasons").await
    }

    /// Lists what is amiss although it is ready.
    pub(super) async fn warnings(&self) -> Vec<String> {
        self.told("warnings").await
    }

    async fn told(&self, of: &str) -> Vec<String> {
        let report = self.readiness().await;
        let all = report[of].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        all.map(|reason| reason["reason"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) async fn channel(&self) -> Channel {
        channel(self.address).await.unwrap()
    }

    pub(super) async fn prices(&self) -> PriceServiceClient<Channel> {
        PriceServiceClient::new(self.channel().await)
    }

    /// Gets a price; the call may not hang.
    pub(super) async fn price(&self, pair: &str) -> Option<Price> {
        let request = GetPriceRequest { pair: pair.to_owned(), ..Default::default() };
        let mut prices = self.prices().await;
        let answer = tokio::time::timeout(SOON, prices.get_price(request)).await;
        answer.expect("no call hangs").ok()?.into_inner().price
    }

    pub(super) async fn all_prices(&self) -> Vec<Price> {
        let request = ListPricesRequest { page_size: 1_000, ..Default::default() };
        self.prices().await.list_prices(request).await.unwrap().into_inner().prices
    }

    pub(super) async fn explained(&self, pair: &str) -> ExplainPriceResponse {
        let request = ExplainPriceRequest { pair: pair.to_owned(), ..Default::default() };
        self.prices().await.explain_price(request).await.unwrap().into_inner()
    }

    pub(super) async fn candles(&self) -> CandleServiceClient<Channel> {
        CandleServiceClient::new(self.channel().await)
    }

    /// Lists the last candles, from the newest: those of a minute, and those that form.
    pub(super) async fn last_candles(&self, pair: &str, source: &str, interval: &str) -> Vec<Candle> {
        let request = ListCandlesRequest {
            pair: pair.to_owned(),
            interval: interval.to_owned(),
            source: source.to_owned(),
            order_by: "open_time desc".to_owned(),
            page_size: 60,
            ..Default::default()
        };
        self.candles().await.list_candles(request).await.unwrap().into_inner().candles
    }

    pub(super) async fn sources(&self) -> Vec<Source> {
        let mut sources = SourceServiceClient::new(self.channel().await);
        sources.list_sources(ListSourcesRequest::default()).await.unwrap().into_inner().sources
    }

    /// Kills it, as a crash would.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(super) async fn terminate(mut self) {
        signal(&self.child, Signal::TERM);
        eventually("it ends", async || self.child.try_wait().unwrap()).await;
    }

    /// Stops it where it is.
    pub(super) fn pause(&self) {
        signal(&self.child, Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn go_on(&self) {
        signal(&self.child, Signal::CONT);
    }
}

/// Where a test fails, what the node has said may tell why.
impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for line in self.log.lock().unwrap().iter() {
                eprintln!("{}: {line}", self.address);
            }
        }
    }
}

/// Takes out the one of them that leads.
pub(super) async fn take_leader(nodes: &mut Vec<Node>) -> Node {
    let at = eventually("one of them leads", async || {
        for (at, node) in nodes.iter().enumerate() {
            let status = node.status().await;
            if status["part"] == "leader" && status["ready"] == true {
                return Some(at);
            }
        }
        None
    })
    .await;
    nodes.remove(at)
}

/// Connects to an address.
pub(super) async fn channel(address: SocketAddr) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect_timeout(Duration::from_secs(2)).connect().await
}

/// Waits until all of them have reached the same epoch, and says which.
pub(super) async fn agree(nodes: &[&Node]) -> u64 {
    eventually("all are in one epoch", async || {
        let mut epochs = Vec::new();
        for node in nodes {
            epochs.push(node.reached().await.0);
        }
        let first = *epochs.first()?;
        (first > 0 && epochs.iter().all(|epoch| *epoch == first)).then_some(first)
    })
    .await
}
