//! Puts the house together: from settings to a running service, and back to nothing.
//!
//! Everything is built here and handed down; every task that is started here is waited for here.

pub mod check;

mod backfill;
mod cluster;
mod doors;
mod history;
mod markets;
mod pipeline;
mod record;
mod reload;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use chrono::TimeDelta;
use prometheus::{Histogram, Registry, process_collector::ProcessCollector};
use rust_decimal::Decimal;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;
use tracing::{error, info, warn};

pub use self::{
    backfill::Backfiller,
    record::{RecordOptions, Recorder, RecorderStatus},
    reload::Reloader,
    store::store_options,
};
use self::{
    cluster::{Cluster, Found},
    doors::{Doors, Services},
    history::History as Keeper,
    markets::{Listened, Shared},
    pipeline::{Input, Pipeline},
};
use crate::{
    api::{
        front::Front,
        grpc, ops,
        ops::{Readiness, StatusOf},
        server::{self, Serving, Transport, stall::Watchdog, workers::Workers},
        wire,
    },
    cache::{
        fetch::{FetchOptions, Fetcher, metrics::FetchMetrics},
        keys::Keys,
        pool::Pool,
    },
    clock::Clock,
    config::{self, Config, Role},
    domain::pair::Pair,
    domain::{aggregate, cross::CrossPolicy, jump::JumpPolicy, peg::PegPolicy, price::Origin, venue::Venue},
    feed::venues,
    pipeline::{
        aggregator::{Aggregator, Options},
        board::{Board, Encoder},
        candles::{counts::CountMetrics, hub::CandleHub},
        crosses::Crosses,
        fanout::Fanout,
        health::{Reports, Sources as SourceHealth},
        metrics::{self, BoardMetrics, SourceMetrics},
        replay::{Replay, ReplayOptions},
        standards::Standards,
    },
    service::{
        archive::Archive, candles::Candles, history::History, prices::Prices, sources::Sources,
        streams::Streams,
    },
    sim::{SimOptions, Simulation, Truth},
    store::{Location, PoolMetrics, Store},
};

/// How often the simulated market moves in a second.
const SIMULATED_RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

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

        let options = options(&config, origin, &listened);
        let standards = Standards::new(&options);
        let health = SourceHealth::new(listened.venues(), origin, standards.clone(), now);
        // Rises at every start. In a replay it hangs on the recordings alone, so that two runs are the same.
        let epoch = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        let encoder = if redis.is_some() { Encoder::NONE } else { wire::ENCODER };
        let (found, publisher) = Board::new(epoch, encoder);
        let required: Arc<[_]> = config.health.required_pairs.iter().map(|pair| pair.0).collect();
        let (kept, crosses) = crosses(&config, origin, &required);
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
        let times = metrics::ingest_times()?;
        let board_metrics = BoardMetrics::new(board.clone(), clock.clone(), kept)?;
        let source_metrics = SourceMetrics::new(health.clone(), clock.clone())?;
        registry.register(Box::new(CountMetrics::new(chronicle.counts())?))?;
        register(&registry, board_metrics, source_metrics, times.clone(), (&store, keeper.as_ref()))?;
        let doors = Doors::new(services, health_service, readiness.clone(), &config.server, &registry)?;

        let (input, reloader) = match (replay, followed) {
            (_, Some(_)) => (None, None),
            (Some(replay), _) => (Some(Input::Replay(replay)), None),
            (None, None) => {
                let surroundings = (&store, &clock, &registry, standards);
                let (input, reloader) = sockets(&config, listened, origin, simulation, surroundings)?;
                (Some(input), reloader)
            }
        };
        let pipeline = aggregator.zip(input).map(|(aggregator, input)| Pipeline {
            aggregator,
            chronicle,
            history: keeper,
            sources: health,
            clock,
            times,
            input,
        });
        let status = StatusOf { readiness: readiness.clone(), role: role_name(config.role), origin };
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

/// Starts the simulated market, if that is what prices come from.
async fn simulate(mode: &Mode, clock: &Clock) -> anyhow::Result<Option<(Simulation, CancellationToken)>> {
    let Mode::Demo { seed, trouble } = *mode else { return Ok(None) };
    let (clock, shutdown) = (clock.clone(), CancellationToken::new());
    let now = Arc::new(move || clock.now());
    let options = SimOptions { seed, trouble, updates_per_second: SIMULATED_RATE, now };
    let simulation = Simulation::start(options, shutdown.clone());
    Ok(Some((simulation.await.context("cannot start the simulated market")?, shutdown)))
}

/// Says what is listened to, and where prices come from.
fn listened(
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

/// Says which derived pairs are kept on the board, and makes what keeps them.
fn crosses(config: &Config, origin: Origin, required: &[Pair]) -> (BTreeSet<Pair>, Crosses) {
    let policy = CrossPolicy { max_hops: config.cross.max_hops, max_skew: delta(config.cross.max_skew) };
    let configured = config.cross.pairs.iter().map(|pair| pair.0);
    // A recording holds what it holds: derived pairs come when they are asked for.
    let configured = configured.filter(|_| origin != Origin::Replay);
    let kept: BTreeSet<_> = configured.chain(required.iter().copied()).collect();
    let crosses = Crosses::new(kept.iter().copied(), config.cross.max_streamed, policy);
    (kept, crosses)
}

/// What callers are told: what this replica finds out, or where there are several, what all of them tell.
struct Told {
    board: Board,
    candles: CandleHub,
    crosses: Crosses,
    reports: Reports,
    cluster: Option<Cluster>,
}

impl Told {
    fn new(
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

/// Makes what keeps answers of upstreams, with the other replicas if there are any.
fn fetcher(
    config: &Config,
    redis: Option<&Pool>,
    origin: Origin,
    registry: &Registry,
) -> anyhow::Result<Fetcher> {
    let cache = &config.cache;
    let options = FetchOptions { memory: cache.memory, max_answer: cache.max_answer };
    let shared = redis.map(|pool| (pool.clone(), Keys::new(&cache.prefix, origin)));
    let fetcher = Fetcher::new(options, shared);
    registry.register(Box::new(FetchMetrics::new(fetcher.clone())?))?;
    Ok(fetcher)
}

/// Opens the store. Whoever only follows writes nothing into it, and reads what others have written.
fn open_store(config: &Config, origin: Origin, follows: bool) -> anyhow::Result<Store> {
    let store = Store::open(store_options(config, origin)?);
    if follows && !matches!(store.location(), Location::Postgres(_)) {
        warn!(
            "there is no shared history without PostgreSQL (store.url): only the newest candles are known here"
        );
    }
    Ok(store)
}

/// Says how venues are listened to, and what applies another configuration to that.
fn sockets(
    config: &Config,
    listened: Listened,
    origin: Origin,
    simulation: Option<(Simulation, CancellationToken)>,
    (store, clock, registry, standards): (&Arc<Store>, &Clock, &Registry, Standards),
) -> anyhow::Result<(Input, Option<Reloader>)> {
    let shared = Shared::new(config)?;
    let venues = listened.listeners(&config.feed, &shared);
    let (sender, changes) = mpsc::channel(1);
    let backfill = backfill::beside(config, &venues, store, clock, registry)?.map(Box::new);
    let live = origin == Origin::Live;
    let reloader = live.then(|| Reloader::new(config.clone(), shared, sender, standards));
    Ok((Input::Sockets { venues, queue: config.feed.queue, changes, simulation, backfill }, reloader))
}

/// Has all of this told at `/metrics`.
fn register(
    registry: &Registry,
    board: BoardMetrics,
    sources: SourceMetrics,
    times: Histogram,
    (store, keeper): (&Arc<Store>, Option<&Keeper>),
) -> anyhow::Result<()> {
    registry.register(Box::new(PoolMetrics::new(Arc::clone(store))?))?;
    registry.register(Box::new(board))?;
    registry.register(Box::new(sources))?;
    registry.register(Box::new(times))?;
    registry.register(Box::new(metrics::build_info()?))?;
    if let Some(keeper) = keeper {
        registry.register(Box::new(keeper.metrics()?))?;
    }
    Ok(registry.register(Box::new(ProcessCollector::for_self()))?)
}

/// Takes the ops address. The default one gives way where it is taken, so that two instances run side by side.
async fn bind_ops(config: &Config) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let wanted = config.ops.listen;
    match server::bind(wanted).await {
        Err(error)
            if error.kind() == std::io::ErrorKind::AddrInUse && wanted == Config::default_ops_address() =>
        {
            let free = server::bind(SocketAddr::new(wanted.ip(), 0)).await?;
            warn!(taken = %wanted, ops = %free.1, "the default ops address is taken, a free port is used");
            Ok(free)
        }
        outcome => Ok(outcome?),
    }
}

fn options(config: &Config, origin: Origin, listened: &Listened) -> Options {
    let aggregation = &config.aggregation;
    let replayed = origin == Origin::Replay;
    Options {
        policy: aggregate::Policy {
            max_spread_bps: aggregation.max_spread_bps.0,
            max_age: delta(aggregation.max_age),
            outlier_mads: aggregation.outlier_mads.0,
            outlier_floor_bps: aggregation.outlier_floor_bps.0,
            weight_cap: aggregation.weight_cap.0,
            min_sources: if replayed { aggregation.replay_min_sources } else { aggregation.min_sources },
            max_dispersion_bps: aggregation.max_dispersion_bps.0,
            frozen_after: delta(aggregation.frozen_after),
            frozen_move_bps: aggregation.frozen_move_bps.0,
            max_future: delta(aggregation.max_future),
            factors: factors(config),
        },
        peg: PegPolicy {
            anchors: config.peg.anchors,
            pegged_bps: config.peg.pegged_bps.0,
            depegged_bps: config.peg.depegged_bps.0,
        },
        coins: config.peg.coins.iter().map(|(coin, reference)| (coin.0, reference.0)).collect(),
        jump: JumpPolicy {
            jump: config.jump.threshold.0,
            sources: config.jump.sources,
            samples: config.jump.samples,
            span: delta(config.jump.span),
        },
        refresh: delta(aggregation.refresh),
        origin,
        markets: listened.markets(),
    }
}

/// Lists what the volumes of venues are multiplied by.
fn factors(config: &Config) -> BTreeMap<Venue, Decimal> {
    let named = config.venues.iter().filter_map(|(name, venue)| Some((name, venue.weight.as_ref()?.0)));
    named.filter_map(|(name, weight)| Some((venues::by_name(name)?.venue(), weight))).collect()
}

/// Starts the threads that serve connections, each with a front of its own.
fn workers(
    fronts: Vec<Front>,
    fanout: &Fanout,
    transport: Transport,
    watchdog: &Watchdog,
    stopping: &CancellationToken,
) -> std::io::Result<Workers> {
    Workers::start(fronts.into_iter().zip(1..), |(front, lane), sockets| {
        let serving = Serving::new(front, transport, watchdog.clone(), stopping.clone());
        let relay = fanout.on_lane(lane).relay(stopping.clone());
        async { tokio::join!(serving.take(sockets), relay).0 }
    })
}

/// Names a role as the configuration does.
const fn role_name(role: Role) -> &'static str {
    match role {
        Role::All => "all",
        Role::Ingest => "ingest",
        Role::Serve => "serve",
    }
}

/// Tells how many threads serve connections.
fn threads(config: &Config) -> usize {
    match config.server.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

fn transport(config: &Config) -> Transport {
    let server = &config.server;
    Transport {
        send_buffer: config.streams.send_buffer,
        max_streams: server.max_streams,
        max_head: server.max_header,
        keep_alive: server.keep_alive,
        keep_alive_timeout: server.keep_alive_timeout,
        // Longer than it takes until a reader is told why.
        patience: (server.keep_alive + server.keep_alive_timeout).max(3 * config.streams.stall_timeout),
        max_age: server.max_connection_age,
        max_idle: server.max_idle,
        grace: server.shutdown_grace,
    }
}

fn delta(span: Duration) -> TimeDelta {
    TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX)
}
