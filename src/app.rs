//! Puts the house together: from settings to a running service, and back to nothing.
//!
//! Everything is built here and handed down; every task that is started here is waited for here.

pub mod check;

mod aggregation;
mod backfill;
mod cluster;
mod doors;
mod history;
mod input;
mod markets;
mod metrics;
mod pipeline;
mod record;
mod reload;
mod serving;
mod store;
mod told;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::TimeDelta;
use prometheus::Registry;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;
use tracing::{error, info};

pub use self::{
    backfill::Backfiller,
    record::{RecordOptions, Recorder, RecorderStatus},
    reload::Reloader,
    store::store_options,
};
use self::{
    cluster::{Cluster, Found, fetcher},
    doors::{Doors, Services},
    history::History as Keeper,
    input::{listened, simulate, sockets},
    metrics::Measured,
    pipeline::{Input, Pipeline},
    serving::{bind_ops, threads, transport, workers},
    store::open_store,
    told::Told,
};
use crate::{
    api::{
        front::Front,
        grpc, ops,
        ops::{Readiness, StatusOf},
        server::{self, Serving, Transport, stall::Watchdog},
        wire,
    },
    cache::fetch::Fetcher,
    clock::Clock,
    config::{self, Config, Role},
    pipeline::{
        aggregator::Aggregator,
        board::{Board, Encoder},
        candles::hub::CandleHub,
        fanout::Fanout,
        health::Sources as SourceHealth,
        replay::{Replay, ReplayOptions},
        standards::Standards,
    },
    service::{
        archive::Archive, candles::Candles, history::History, prices::Prices, sources::Sources,
        streams::Streams,
    },
    sim::Truth,
};

/// Where prices come from.
#[derive(Debug, Clone)]
pub enum Mode {
    /// The venues of the configuration, now.
    Live,
    /// Recordings.
    Replay(ReplayOptions),
    /// The simulated market, with its occasional trouble or without.
    Demo {
        /// What the market's course hangs on.
        seed: u64,
        /// Whether venues have trouble now and then.
        trouble: bool,
    },
}

/// A service that is built and has its ports, and does not run yet.
#[derive(Debug)]
pub struct Application {
    public: (TcpListener, SocketAddr),
    ops: (TcpListener, SocketAddr),
    fronts: Vec<Front>,
    calls: Vec<String>,
    services: Vec<String>,
    ops_router: axum::Router,
    transport: Transport,
    fanout: Fanout,
    health: HealthReporter,
    /// Nothing where it only follows.
    pipeline: Option<Pipeline>,
    cluster: Option<Cluster>,
    reloader: Option<Reloader>,
    fetcher: Fetcher,
    stopping: CancellationToken,
    streams: config::Streams,
}

impl Application {
    /// Builds the service. What cannot work fails here: an address that is taken, a recording that is missing.
    pub async fn build(config: Config, mode: Mode) -> anyhow::Result<Self> {
        let stopping = CancellationToken::new();
        let redis = cluster::redis(&config, &mode)?;
        let ops = bind_ops(&config).await?;
        let followed = match redis.as_ref().filter(|_| config.role == Role::Serve) {
            Some(pool) => Some(cluster::origin(pool, &config, &ops.0).await?),
            None => None,
        };
        let public = server::bind(config.server.listen).await?;

        let replay = match &mode {
            Mode::Replay(options) => Some(Replay::open(options.clone())?),
            _ => None,
        };
        let clock = replay.as_ref().map_or_else(Clock::system, |replay| Clock::standing_at(replay.start()));
        let now = clock.now();
        let simulation = simulate(&mode, &clock).await?;
        let (listened, origin) = listened(&config, followed, replay.as_ref(), simulation.as_ref())?;

        let options = aggregation::options(&config, origin, &listened);
        let standards = Standards::new(&options);
        let health = SourceHealth::new(listened.venues(), origin, standards.clone(), now);
        // Rises at every start. In a replay it hangs on the recordings alone, so that two runs are the same.
        let epoch = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        let encoder = if redis.is_some() { Encoder::NONE } else { wire::ENCODER };
        let (found, publisher) = Board::new(epoch, encoder);
        let required: Arc<[_]> = config.health.required_pairs.iter().map(|pair| pair.0).collect();
        let (kept, crosses) = aggregation::crosses(&config, origin, &required);
        let store = Arc::new(open_store(&config, origin, followed.is_some())?);
        // Whoever only follows finds out nothing that could be kept.
        let keeper = if followed.is_none() { Keeper::open(&config, origin, &store, &clock)? } else { None };
        let own = CandleHub::new(keeper.as_ref().map(Keeper::inbox));
        let aggregator = followed
            .is_none()
            .then(|| Aggregator::new(options, crosses.clone(), health.clone(), publisher, now));
        let registry = Registry::new();
        let fetcher = fetcher(&config, redis.as_ref(), origin, &registry)?;
        let found = Found { board: found, candles: own.clone(), sources: health.clone(), crosses };
        let surroundings = (origin, clock.clone(), standards.clone());
        let Told { board, candles: hub, crosses, reports, cluster } =
            Told::new(&config, redis, found, followed.is_some(), surroundings, &registry)?;
        // What is kept is what callers were told.
        let chronicle = history::chronicle(&config, keeper.as_ref(), &listened, &board, own, now);

        let (reporter, health_service) = tonic_health::server::health_reporter();
        let readiness = Readiness {
            board: board.clone(),
            sources: reports.clone(),
            history: keeper.as_ref().map(Keeper::status),
            standing: cluster.as_ref().map(Cluster::standing),
            required,
            stopping: stopping.clone(),
        };
        let threads = threads(&config);
        // The first lane is this thread's: of what reads prices within the house.
        let fanout = Fanout::new(board.clone(), 1 + threads);
        let prices = Prices::new(board.clone(), crosses, clock.clone());
        let streams = Streams::new(prices.clone(), fanout.clone());
        let archive = Archive::new(Arc::clone(&store));
        let repeat = delta(config.history.prices_repeat);
        let services = Services {
            history: History::new(archive.clone(), prices.clone(), clock.clone(), standards.clone(), repeat),
            candles: Candles::new(archive, hub, prices.clone(), clock.clone()),
            sources: Sources::new(reports, clock.clone()),
            prices,
            streams,
        };
        let (sources, keeps) = (&health, keeper.as_ref());
        let measured = Measured { board: &board, kept, sources, chronicle: &chronicle, store: &store, keeps };
        let times = measured.register(&clock, &registry)?;
        let doors = Doors::new(services, health_service, readiness.clone(), &config.server, &registry)?;

        let surroundings = (&store, &clock, &registry, standards);
        let (input, reloader) = match replay {
            _ if followed.is_some() => (None, None),
            Some(replay) => (Some(Input::Replay(replay)), None),
            None => sockets(&config, listened, origin, simulation, surroundings)?,
        };
        let (history, sources) = (keeper, health);
        let pipeline = aggregator.zip(input).map(|(aggregator, input)| Pipeline {
            aggregator,
            chronicle,
            history,
            sources,
            clock,
            times,
            input,
        });
        let status = StatusOf { readiness: readiness.clone(), role: config.role.name(), origin };
        Ok(Self {
            public,
            ops,
            fronts: (1..=threads).map(|lane| doors.front(lane)).collect::<anyhow::Result<_>>()?,
            calls: doors.listed().to_vec(),
            services: doors.names().to_vec(),
            ops_router: ops::routes(readiness).merge(ops::status(status)).merge(ops::metrics(registry)),
            transport: transport(&config),
            fanout,
            health: reporter,
            pipeline,
            cluster,
            reloader,
            fetcher,
            stopping,
            streams: config.streams,
        })
    }

    /// Gets the address of the public doors.
    pub fn address(&self) -> SocketAddr {
        self.public.1
    }

    /// Gets the address of the ops listener.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops.1
    }

    /// Lists what the service is made of.
    pub fn components(&self) -> Vec<String> {
        let input = match self.pipeline.as_ref().map(|pipeline| &pipeline.input) {
            None => "input: what another replica mirrors".to_owned(),
            Some(Input::Replay(replay)) => format!("input: {} recordings", replay.recordings()),
            Some(Input::Sockets { venues, simulation, .. }) => {
                let kind = if simulation.is_some() { "simulated venues" } else { "venues" };
                format!("input: WebSockets to {} {kind}", venues.len())
            }
        };
        let board = format!("board: {} pairs in memory", self.fanout.board().len());
        let doors =
            format!("doors: gRPC, gRPC-Web and REST on {}, health on {} too", self.public.1, self.ops.1);
        let history = match self.pipeline.as_ref().and_then(|pipeline| pipeline.history.as_ref()) {
            Some(history) => format!("history: {}", history.place()),
            None => "history: not kept".to_owned(),
        };
        vec![input, board, history, doors]
    }

    /// Lists what is served: the calls, each with its route, and what stands beside the contract.
    pub fn calls(&self) -> &[String] {
        &self.calls
    }

    /// Takes out what applies another configuration while the service runs; where it listens to the venues of one.
    pub fn reloader(&mut self) -> Option<Reloader> {
        self.reloader.take()
    }

    /// Gets what keeps answers of upstreams, for all that asks them.
    pub fn fetcher(&self) -> Fetcher {
        self.fetcher.clone()
    }

    /// Gets what tells the true prices of the simulated market, if there is one.
    pub fn truth(&self) -> Option<Truth> {
        match self.pipeline.as_ref().map(|pipeline| &pipeline.input) {
            Some(Input::Sockets { simulation: Some((simulation, _)), .. }) => Some(simulation.truth()),
            _ => None,
        }
    }

    /// Runs until `shutdown`, then stops in order: not ready any more, no new calls, streams told, calls ended, feeds
    /// ended.
    pub async fn run_until_stopped(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let feeds = CancellationToken::new();
        let (stopping, transport) = (self.stopping, self.transport);
        let watchdog = Watchdog::default();
        let mut tasks = JoinSet::new();
        let workers = workers(self.fronts, &self.fanout, transport, &watchdog, &stopping)?;
        tasks.spawn(server::distribute(self.public.0, workers, stopping.clone()));
        let ops = Serving::new(self.ops_router, transport, watchdog.clone(), stopping.clone());
        tasks.spawn(ops.accept(self.ops.0));
        tasks.spawn(watchdog.run(self.streams.stall_timeout, stopping.clone()));
        tasks.spawn(grpc::health::report(self.health, self.services, self.fanout.clone(), stopping.clone()));
        tasks.spawn(self.fanout.run(self.streams.flush, stopping.clone()));
        if let Some(cluster) = self.cluster {
            tasks.spawn(cluster.run(stopping.clone()));
        }
        let (pipeline, ending) = (self.pipeline, feeds.clone());
        let mut pipeline = tokio::spawn(async move {
            if let Some(pipeline) = pipeline {
                pipeline.run(ending).await
            } else {
                ending.cancelled().await;
                Ok(())
            }
        });
        info!(public = %self.public.1, ops = %self.ops.1, "serving on http://{}", self.public.1);

        let mut ended = None;
        tokio::select! {
            () = shutdown.cancelled() => info!("stopping"),
            outcome = &mut pipeline => ended = Some(outcome),
        }
        if let Some(outcome) = &ended {
            match outcome {
                // A recording that has been played stays on the board.
                Ok(Ok(())) => shutdown.cancelled().await,
                Ok(Err(error)) => error!(%error, "the input has failed"),
                Err(error) => error!(%error, "the pipeline has failed"),
            }
        }
        stopping.cancel();
        tasks.join_all().await;
        self.fetcher.close().await;
        feeds.cancel();
        let outcome = match ended {
            Some(outcome) => outcome,
            None => pipeline.await,
        };
        info!("stopped");
        outcome.context("the pipeline has failed")?
    }
}

fn delta(span: Duration) -> TimeDelta {
    TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX)
}
