//! The settings: the embedded defaults, then a file, then the environment; checked as one before anything starts.
//!
//! The reference is `config.default.toml`, which is also what the defaults are read from: there is no second place.

mod check;
mod environment;
mod history;
mod load;
mod plan;
mod redact;
mod scalar;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{
    history::{History, StoreConfig},
    load::ConfigError,
    plan::Plan,
    redact::Address,
    scalar::{AssetText, IntervalText, Keep, Number, PairText},
};

/// The defaults, with a comment for each.
pub const DEFAULTS: &str = include_str!("config.default.toml");

/// Reads the process's environment; variables that are not text cannot be ours.
#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What this replica does among several.
    pub role: Role,
    /// The public doors.
    pub server: Server,
    /// Streams of prices.
    pub streams: Streams,
    /// The listener for whoever runs the service.
    pub ops: Ops,
    /// What is logged, and how.
    pub log: Log,
    /// When the service is ready.
    pub health: Health,
    /// How quotes become a price.
    pub aggregation: Aggregation,
    /// When a sudden move is believed.
    pub jump: Jump,
    /// What stablecoins are worth.
    pub peg: Peg,
    /// Prices derived through other pairs.
    pub cross: Cross,
    /// Connections to venues.
    pub feed: Feed,
    /// The history.
    pub store: StoreConfig,
    /// What replicas share.
    pub cache: Cache,
    /// Filling in candles that were missed.
    pub backfill: BackfillConfig,
    /// What is written into it, and how long that stays.
    pub history: History,
    /// How replicas know each other.
    pub cluster: Cluster,
    /// The venues, by name.
    pub venues: BTreeMap<String, VenueConfig>,
}

/// What a replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Listens to venues and serves; alone, or in turn with others.
    All,
    /// The same, and never without the others' leave: it needs Redis.
    Ingest,
    /// Serves what another one mirrors.
    Serve,
}

impl Role {
    /// Names it as the settings do.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Ingest => "ingest",
            Self::Serve => "serve",
        }
    }
}

/// The public doors.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where they listen.
    pub listen: SocketAddr,
    /// Threads that serve connections; as many as there are cores if zero.
    pub threads: usize,
    /// Whether gRPC reflection tells the contract.
    pub reflection: bool,
    /// Origins that browsers may call from.
    pub cors_origins: Vec<String>,
    /// How long calls may take to end when the service or a connection ends.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    /// How long a call that does not stream may take.
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
    /// Bytes of a request's path and headers at most.
    pub max_header: usize,
    /// Bytes of a request's message at most.
    pub max_message: usize,
    /// Streams of prices or candles of one connection at most.
    pub max_streams: usize,
    /// After how long connections are asked to go.
    #[serde(with = "humantime_serde")]
    pub max_connection_age: Duration,
    /// How long a connection over HTTP/1.1 may stay without a request.
    #[serde(with = "humantime_serde")]
    pub max_idle: Duration,
    /// How often an idle HTTP/2 connection is asked whether it is still there.
    #[serde(with = "humantime_serde")]
    pub keep_alive: Duration,
    /// How long it may take to answer.
    #[serde(with = "humantime_serde")]
    pub keep_alive_timeout: Duration,
}

/// Streams of prices.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained in the default file")]
pub struct Streams {
    #[serde(with = "humantime_serde")]
    pub flush: Duration,
    #[serde(with = "humantime_serde")]
    pub stall_timeout: Duration,
    pub send_buffer: usize,
}

/// The listener for whoever runs the service.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ops {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// What is logged, and how.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The filter, in the syntax of tracing's `EnvFilter`.
    pub filter: String,
    /// The format of a line.
    pub format: LogFormat,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// When the service is ready.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Pairs whose price must be fresh.
    pub required_pairs: Vec<PairText>,
}

/// How quotes become a price.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained in the default file")]
pub struct Aggregation {
    pub max_spread_bps: Number,
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    pub outlier_mads: Number,
    pub outlier_floor_bps: Number,
    pub weight_cap: Number,
    pub min_sources: u32,
    pub replay_min_sources: u32,
    pub max_dispersion_bps: Number,
    #[serde(with = "humantime_serde")]
    pub frozen_after: Duration,
    pub frozen_move_bps: Number,
    #[serde(with = "humantime_serde")]
    pub max_future: Duration,
    #[serde(with = "humantime_serde")]
    pub refresh: Duration,
}

/// When a sudden move is believed.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained in the default file")]
pub struct Jump {
    pub threshold: Number,
    pub sources: u32,
    pub samples: u32,
    #[serde(with = "humantime_serde")]
    pub span: Duration,
}

/// What stablecoins are worth.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained in the default file")]
pub struct Peg {
    pub coins: BTreeMap<AssetText, AssetText>,
    pub anchors: u32,
    pub pegged_bps: Number,
    pub depegged_bps: Number,
}

/// Prices derived through other pairs.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained in the default file")]
pub struct Cross {
    pub pairs: Vec<PairText>,
    pub max_hops: usize,
    #[serde(with = "humantime_serde")]
    pub max_skew: Duration,
    pub max_streamed: usize,
}

/// Connections to venues.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained in the default file")]
pub struct Feed {
    #[serde(with = "humantime_serde")]
    pub backoff: Duration,
    #[serde(with = "humantime_serde")]
    pub max_backoff: Duration,
    #[serde(with = "humantime_serde")]
    pub stable_after: Duration,
    #[serde(with = "humantime_serde")]
    pub silent_after: Duration,
    #[serde(with = "humantime_serde")]
    pub market_silent_after: Duration,
    #[serde(with = "humantime_serde")]
    pub poll_after: Duration,
    #[serde(with = "humantime_serde")]
    pub poll_every: Duration,
    #[serde(with = "humantime_serde")]
    pub refresh_markets: Duration,
    pub penalty_after: u32,
    #[serde(with = "humantime_serde")]
    pub penalty: Duration,
    #[serde(with = "humantime_serde")]
    pub rotate_after: Duration,
    pub max_connecting: usize,
    pub max_frame: usize,
    pub queue: usize,
}

/// What replicas share through Redis.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained in the default file")]
pub struct Cache {
    pub url: Address,
    pub pool_size: u32,
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub command_timeout: Duration,
    pub prefix: String,
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    #[serde(with = "humantime_serde")]
    pub renew_lease: Duration,
    #[serde(with = "humantime_serde")]
    pub keep_changes: Duration,
    pub max_changes: usize,
    pub memory: u64,
    pub max_answer: usize,
}

/// Filling in candles that were missed.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained in the default file")]
pub struct BackfillConfig {
    pub enabled: bool,
    #[serde(with = "humantime_serde")]
    pub look_back: Duration,
    pub intervals: Vec<IntervalText>,
    pub least_coverage: Number,
    pub max_concurrent: usize,
    pub share: Number,
}

/// How replicas know each other.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained in the default file")]
pub struct Cluster {
    pub name: String,
    pub origin: String,
    #[serde(with = "humantime_serde")]
    pub max_silence: Duration,
}

/// One venue.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VenueConfig {
    /// Whether to listen to it.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What to ask of it.
    #[serde(default)]
    pub pairs: Vec<PairText>,
    /// Another address than its own; credentials in it are never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Address>,
    /// Another address for REST than its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest_url: Option<Address>,
    /// What its volume is multiplied by where it weighs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Number>,
    /// Markets on one connection at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_markets: Option<usize>,
    /// What may be asked of it over REST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
}

impl Config {
    /// Takes back the settings that take effect at a start only.
    pub(crate) fn keep_until_restart(&mut self, old: Self) {
        let Self { aggregation, jump, peg, venues, .. } = std::mem::replace(self, old);
        (self.aggregation, self.jump, self.peg, self.venues) = (aggregation, jump, peg, venues);
    }

    /// Gets the ops address of the defaults.
    pub fn default_ops_address() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9090))
    }

    /// Writes the effective settings as TOML. Credentials are hidden.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;
