//! A replica among several: what it shares with the others, what it follows, and which part it plays.

use std::{os::fd::AsFd as _, time::Duration};

use anyhow::Context as _;
use prometheus::Registry;
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Mode;
use crate::{
    api::{ops, wire},
    cache::{
        fetch::{FetchOptions, Fetcher, metrics::FetchMetrics},
        keys::Keys,
        lease::{self, Lease, LeaseOptions},
        metrics::PoolMetrics,
        mirror::WriterOptions,
        origins,
        pool::{Pool, PoolOptions},
    },
    clock::{Clock, uptime},
    config::{Config, Role},
    domain::price::Origin,
    pipeline::{
        board::{Applier, Board},
        candles::hub::CandleHub,
        crosses::Crosses,
        health::{Sources, Told},
        lead::{
            FORMAT, Own, Replica, Standing,
            metrics::{ReplicaMetrics, mirror_times},
        },
        standards::Standards,
    },
};

/// How often it is looked for something to follow.
const LOOK: Duration = Duration::from_millis(250);

/// For how long nobody may lead before what is mirrored is followed all the same.
const MOMENT: Duration = Duration::from_secs(5);

/// A replica that is built and does not run yet.
#[derive(Debug)]
pub(super) struct Cluster {
    replica: Replica,
    lease: Option<Lease>,
}

/// What a replica finds out itself.
pub(super) struct Found {
    /// The prices.
    pub(super) board: Board,
    /// The candles.
    pub(super) candles: CandleHub,
    /// The sources.
    pub(super) sources: Sources,
    /// The derived pairs.
    pub(super) crosses: Crosses,
}

/// Makes the way to Redis, if there is one and it is used.
pub(super) fn redis(config: &Config, mode: &Mode) -> anyhow::Result<Option<Pool>> {
    if config.role != Role::All && matches!(mode, Mode::Replay(_)) {
        anyhow::bail!("role: recordings are played by one replica alone, whose role is `all`");
    }
    if config.role == Role::Serve && !matches!(mode, Mode::Live) {
        anyhow::bail!("role: a replica whose role is `serve` has no market of its own: start it by `serve`");
    }
    let cache = &config.cache;
    // A recording runs on a clock of its own.
    if cache.url.is_empty() || matches!(mode, Mode::Replay(_)) {
        return Ok(None);
    }
    let options = PoolOptions {
        url: cache.url.expose().to_owned().into(),
        size: cache.pool_size,
        connect_timeout: cache.connect_timeout,
        command_timeout: cache.command_timeout,
    };
    Ok(Some(Pool::new(&options).context("cache.url")?))
}

/// Finds out which prices a replica that only serves is to follow, and waits until there are any. Meanwhile it says on the
/// ops listener that it is not ready.
pub(super) async fn origin(pool: &Pool, config: &Config, ops: &TcpListener) -> anyhow::Result<Origin> {
    let configured = origins::ALL.into_iter().find(|origin| config.cluster.origin == origin.name());
    if let Some(origin) = configured {
        return Ok(origin);
    }
    // The same socket for a while: the listener itself goes to whoever serves it then.
    let again = ops.as_fd().try_clone_to_owned().context("cannot share the ops listener")?;
    let again = TcpListener::from_std(again.into())?;
    let origin = tokio::select! {
        origin = look_for_origin(pool, config) => origin,
        ended = axum::serve(again, ops::waiting()) => {
            ended?;
            anyhow::bail!("the ops listener has ended");
        }
    };
    info!(origin = origin.name(), "these prices are followed");
    Ok(origin)
}

async fn look_for_origin(pool: &Pool, config: &Config) -> Origin {
    let (began, mut told) = (uptime(), false);
    loop {
        let for_a_moment = uptime().saturating_sub(began) < MOMENT;
        match origins::find(pool, &config.cache.prefix).await {
            Ok(found) => {
                if found.iter().filter(|found| found.led).count() > 1 {
                    warn!("there are prices of several origins: cluster.origin says which to follow");
                }
                if let Some(origin) = origins::choose(&found, for_a_moment) {
                    return origin;
                }
            }
            Err(error) if !told => warn!(%error, "it cannot be found out what to follow"),
            Err(_) => {}
        }
        if !std::mem::replace(&mut told, true) {
            info!("waiting for a replica that leads");
        }
        sleep(LOOK).await;
    }
}

impl Cluster {
    /// Puts together what a replica needs for its part. It asks to lead if it finds out something itself.
    pub(super) fn new(
        config: &Config,
        pool: Pool,
        applier: Applier,
        (crosses, candles): (Crosses, CandleHub),
        found: Option<Found>,
        (origin, clock, standards): (Origin, Clock, Standards),
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let cache = &config.cache;
        let keys = Keys::new(&cache.prefix, origin).ingest();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = if config.cluster.name.is_empty() { &host } else { &config.cluster.name };
        let holder = lease::holder(name);
        let board = applier.board().clone();
        let standing = Standing::new(holder.clone(), board, config.cluster.max_silence, mirror_times()?);
        registry.register(Box::new(PoolMetrics::new(pool.clone())?))?;
        registry.register(Box::new(ReplicaMetrics::new(standing.clone())?))?;
        let options = LeaseOptions { holder, span: cache.lease, renew_every: cache.renew_lease };
        let (lease, role) = Lease::new(&pool, keys.clone(), options, clock.clone());
        let own = found.map(|Found { board, candles, sources, crosses }| {
            let epochs = lease.epochs();
            let patience = cache.lease + cache.connect_timeout + cache.command_timeout;
            Own { board, candles, sources, crosses, role, epochs, patience }
        });
        let lease = own.is_some().then_some(lease);
        let options =
            WriterOptions { format: FORMAT, keep_for: cache.keep_changes, keep_bytes: cache.max_changes };
        let replica = Replica {
            pool,
            keys,
            origin,
            applier,
            decode: wire::decode_price,
            told: Told::default(),
            candles,
            crosses,
            options,
            standards,
            clock,
            own,
            standing,
        };
        Ok(Self { replica, lease })
    }

    /// Gets what callers are told of the sources.
    pub(super) fn told(&self) -> Told {
        self.replica.told.clone()
    }

    /// Gets what tells how it stands.
    pub(super) fn standing(&self) -> Standing {
        self.replica.standing.clone()
    }

    /// Plays its part until told to stop. A lease is given up at once, so that another one need not wait for its end.
    pub(super) async fn run(self, stopping: CancellationToken) {
        let lease = async {
            if let Some(lease) = self.lease {
                lease.run(stopping.clone()).await;
            }
        };
        tokio::join!(lease, self.replica.run(stopping.clone()));
    }
}

/// Makes what keeps answers of upstreams, with the other replicas if there are any.
pub(super) fn fetcher(
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
