//! What callers are told.

use prometheus::Registry;

use super::cluster::{Cluster, Found};
use crate::{
    api::wire,
    cache::pool::Pool,
    clock::Clock,
    config::Config,
    domain::price::Origin,
    pipeline::{
        board::Board, candles::hub::CandleHub, crosses::Crosses, health::Reports, standards::Standards,
    },
};

/// What callers are told: what this replica finds out, or where there are several, what all of them tell.
pub(super) struct Told {
    pub(super) board: Board,
    pub(super) candles: CandleHub,
    pub(super) crosses: Crosses,
    pub(super) reports: Reports,
    pub(super) cluster: Option<Cluster>,
}

impl Told {
    pub(super) fn new(
        config: &Config,
        redis: Option<Pool>,
        found: Found,
        follows: bool,
        surroundings: (Origin, Clock, Standards),
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let Some(pool) = redis else {
            let Found { board, candles, sources, crosses } = found;
            return Ok(Self { board, candles, crosses, reports: Reports::Own(sources), cluster: None });
        };
        let (board, applier) = Board::mirrored(wire::ENCODER);
        let (crosses, candles) = (found.crosses.elsewhere(), CandleHub::new(None));
        let found = (!follows).then_some(found);
        let told = (crosses.clone(), candles.clone());
        let cluster = Cluster::new(config, pool, applier, told, found, surroundings, registry)?;
        Ok(Self { board, candles, crosses, reports: Reports::Told(cluster.told()), cluster: Some(cluster) })
    }
}
