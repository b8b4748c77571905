//! The settings of the history: where it is kept, and what of it for how long.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Address, Keep};

/// The history.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained in the default file")]
pub struct StoreConfig {
    pub url: Address,
    pub folder: String,
    pub max_connections: u32,
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub lock_timeout: Duration,
    pub max_bytes: u64,
}

/// What is written into the history, and how long that stays.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained in the default file")]
pub struct History {
    pub enabled: bool,
    #[serde(with = "humantime_serde")]
    pub flush: Duration,
    pub batch: usize,
    pub queue: usize,
    #[serde(with = "humantime_serde")]
    pub prices_every: Duration,
    #[serde(with = "humantime_serde")]
    pub prices_repeat: Duration,
    #[serde(with = "humantime_serde")]
    pub lateness: Duration,
    #[serde(with = "humantime_serde")]
    pub restatable: Duration,
    #[serde(with = "humantime_serde")]
    pub restore_within: Duration,
    #[serde(with = "humantime_serde")]
    pub upkeep_every: Duration,
    pub prune_batch: u32,
    pub spool_folder: String,
    pub spool_max_bytes: u64,
    pub keep: BTreeMap<String, Keep>,
}
