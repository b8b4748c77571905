//! What is told at `/metrics`.

use std::{collections::BTreeSet, sync::Arc};

use prometheus::{Histogram, Registry, process_collector::ProcessCollector};

use super::history::History as Keeper;
use crate::{
    clock::Clock,
    domain::pair::Pair,
    pipeline::{
        board::Board,
        candles::counts::CountMetrics,
        chronicle::Chronicle,
        health::Sources,
        metrics::{self, BoardMetrics, SourceMetrics},
    },
    store::{PoolMetrics, Store},
};

/// What is told of.
pub(super) struct Measured<'a> {
    pub(super) board: &'a Board,
    /// The derived pairs that are kept on it.
    pub(super) kept: BTreeSet<Pair>,
    pub(super) sources: &'a Sources,
    pub(super) chronicle: &'a Chronicle,
    pub(super) store: &'a Arc<Store>,
    /// Who keeps the history, if it is kept.
    pub(super) keeps: Option<&'a Keeper>,
}

impl Measured<'_> {
    /// Has all of this told; gives what measures how long quotes take.
    pub(super) fn register(self, clock: &Clock, registry: &Registry) -> anyhow::Result<Histogram> {
        let times = metrics::ingest_times()?;
        registry.register(Box::new(BoardMetrics::new(self.board.clone(), clock.clone(), self.kept)?))?;
        registry.register(Box::new(SourceMetrics::new(self.sources.clone(), clock.clone())?))?;
        registry.register(Box::new(CountMetrics::new(self.chronicle.counts())?))?;
        registry.register(Box::new(PoolMetrics::new(Arc::clone(self.store))?))?;
        registry.register(Box::new(times.clone()))?;
        registry.register(Box::new(metrics::build_info()?))?;
        if let Some(keeper) = self.keeps {
            registry.register(Box::new(keeper.metrics()?))?;
        }
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(times)
    }
}
