//! What the use of the store tells whoever runs the service.

use std::{fmt, sync::Arc};

use prometheus::{
    IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::Store;

/// Reads the pools of a store when it is asked.
pub struct PoolMetrics {
    store: Arc<Store>,
    connections: IntGaugeVec,
}

impl PoolMetrics {
    /// Reads the pools of this store.
    pub fn new(store: Arc<Store>) -> prometheus::Result<Self> {
        let options = Opts::new(
            "cryptoprice_history_pool_connections",
            "Connections to the store that are open and that are idle, and calls that wait for one, by pool and state.",
        );
        Ok(Self { store, connections: IntGaugeVec::new(options, &["pool", "state"])? })
    }
}

impl Collector for PoolMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.connections.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for pool in self.store.pools() {
            let waiting = i64::try_from(pool.waiting).unwrap_or(i64::MAX);
            for (state, count) in
                [("open", pool.size.into()), ("idle", pool.idle.into()), ("waiting", waiting)]
            {
                self.connections.with_label_values(&[pool.name, state]).set(count);
            }
        }
        self.connections.collect()
    }
}

impl fmt::Debug for PoolMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolMetrics").field("store", &self.store).finish_non_exhaustive()
    }
}
