//! Where prices come from: venues, recordings or the simulated market.

use std::{num::NonZeroU32, sync::Arc};

use anyhow::Context as _;
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Mode, backfill,
    markets::{Listened, Shared},
    pipeline::Input,
    reload::Reloader,
};
use crate::{
    clock::Clock,
    config::Config,
    domain::price::Origin,
    pipeline::{replay::Replay, standards::Standards},
    sim::{SimOptions, Simulation},
    store::Store,
};

/// How often the simulated market moves in a second.
const SIMULATED_RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// Starts the simulated market, if that is what prices come from.
pub(super) async fn simulate(
    mode: &Mode,
    clock: &Clock,
) -> anyhow::Result<Option<(Simulation, CancellationToken)>> {
    let Mode::Demo { seed, trouble } = *mode else { return Ok(None) };
    let (clock, shutdown) = (clock.clone(), CancellationToken::new());
    let now = Arc::new(move || clock.now());
    let options = SimOptions { seed, trouble, updates_per_second: SIMULATED_RATE, now };
    let simulation = Simulation::start(options, shutdown.clone());
    Ok(Some((simulation.await.context("cannot start the simulated market")?, shutdown)))
}

/// Says what is listened to, and where prices come from.
pub(super) fn listened(
    config: &Config,
    followed: Option<Origin>,
    replay: Option<&Replay>,
    simulation: Option<&(Simulation, CancellationToken)>,
) -> anyhow::Result<(Listened, Origin)> {
    Ok(match (replay, simulation, followed) {
        (_, _, Some(origin)) => (Listened::nothing(), origin),
        (Some(replay), ..) => (Listened::met(replay), Origin::Replay),
        (_, Some((simulation, _)), _) => (Listened::simulated(simulation, config)?, Origin::Simulated),
        _ => (Listened::configured(config)?, Origin::Live),
    })
}

/// Says how venues are listened to, and what applies another configuration to that.
pub(super) fn sockets(
    config: &Config,
    listened: Listened,
    origin: Origin,
    simulation: Option<(Simulation, CancellationToken)>,
    (store, clock, registry, standards): (&Arc<Store>, &Clock, &Registry, Standards),
) -> anyhow::Result<(Option<Input>, Option<Reloader>)> {
    let shared = Shared::new(config)?;
    let venues = listened.listeners(&config.feed, &shared);
    let (sender, changes) = mpsc::channel(1);
    let (backfill, extender) = match backfill::beside(config, &venues, store, clock, registry)? {
        Some((service, watch, extender)) => (Some(Box::new((service, watch))), Some(extender)),
        None => (None, None),
    };
    let live = origin == Origin::Live;
    let reloader = live.then(|| Reloader::new(config.clone(), shared, sender, standards, extender));
    let queue = config.feed.queue;
    Ok((Some(Input::Sockets { venues, queue, changes, simulation, backfill }), reloader))
}
