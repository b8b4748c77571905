//! The keeping of history, as it is configured.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{delta, markets::Listened};
use crate::{
    clock::Clock,
    config::{self, Config},
    domain::{candle::market::Policy, price::Origin},
    pipeline::{
        board::Board,
        candles::{CandleBook, hub::CandleHub},
        chronicle::Chronicle,
        historian::{
            Historian, HistorianOptions,
            inbox::Inbox,
            points::{Cadence, Points},
            restore::restore,
            spool::SpoolOptions,
            status::{HistoryMetrics, HistoryStatus},
            upkeep::{Upkeep, UpkeepOptions},
        },
    },
    store::{Location, Store},
};

/// What keeps the history, and does not run yet.
#[derive(Debug)]
pub(super) struct History {
    store: Arc<Store>,
    historian: Historian,
    upkeep: Upkeep,
    restore_within: Duration,
}

/// What keeps the history, and runs.
#[derive(Debug)]
pub(super) struct Keeping {
    store: Arc<Store>,
    status: HistoryStatus,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
    restore_within: Duration,
}

impl History {
    /// Keeps it in a store, unless none is kept. Whether the database is there is seen when something is written.
    pub(super) fn open(
        config: &Config,
        origin: Origin,
        store: &Arc<Store>,
        clock: &Clock,
    ) -> anyhow::Result<Option<Self>> {
        let history = &config.history;
        if !history.enabled {
            return Ok(None);
        }
        let spool = spool(config, origin, store.location());
        let store = Arc::clone(store);
        let options = HistorianOptions {
            flush: history.flush,
            batch: history.batch,
            queue: history.queue,
            spool,
            grace: config.server.shutdown_grace,
        };
        let historian = Historian::new(options, Arc::clone(&store), clock.clone())?;
        let upkeep = Upkeep::new(upkeep(history), Arc::clone(&store), historian.status(), clock.clone());
        Ok(Some(Self { store, historian, upkeep, restore_within: history.restore_within }))
    }

    pub(super) fn inbox(&self) -> Inbox {
        self.historian.inbox()
    }

    pub(super) fn status(&self) -> HistoryStatus {
        self.historian.status()
    }

    pub(super) fn metrics(&self) -> prometheus::Result<HistoryMetrics> {
        HistoryMetrics::new(self.status())
    }

    /// Says where it is kept.
    pub(super) fn place(&self) -> String {
        self.store.location().to_string()
    }

    /// Begins to write.
    pub(super) fn start(self) -> Keeping {
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let status = self.historian.status();
        tasks.spawn(self.historian.run(shutdown.clone()));
        tasks.spawn(self.upkeep.run(shutdown.clone()));
        Keeping { store: self.store, status, tasks, shutdown, restore_within: self.restore_within }
    }
}

impl Keeping {
    /// Lets candles go on with what is stored.
    pub(super) async fn restore(&self, book: &mut CandleBook, now: DateTime<Utc>) {
        restore(&self.store, &self.status, book, now, self.restore_within).await;
    }

    /// Writes what is left, and ends.
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.join_all().await;
    }
}

/// Makes what hears of everything that is to be kept.
pub(super) fn chronicle(
    config: &Config,
    history: Option<&History>,
    listened: &Listened,
    board: &Board,
    candles: CandleHub,
    now: DateTime<Utc>,
) -> Chronicle {
    let kept = &config.history;
    let policy =
        Policy { lateness: delta(kept.lateness), restatable: delta(kept.restatable), ..Policy::default() };
    let cadence = Cadence { every: delta(kept.prices_every), repeat: delta(kept.prices_repeat) };
    let prices = history.map(|history| (Points::new(board.clone(), cadence), history.inbox()));
    Chronicle::new(policy, listened.markets(), listened.venues(), candles, prices, now)
}

/// Says where history waits while the store is away. What lies in memory is gone with the program, and so may its spool.
fn spool(config: &Config, origin: Origin, location: &Location) -> Option<SpoolOptions> {
    let name = Path::new(origin.name()).with_extension("spool");
    let (set, store) = (&config.history.spool_folder, &config.store.folder);
    let folder = match location {
        Location::Memory => return None,
        _ if !set.is_empty() => PathBuf::from(set).join(name),
        Location::File(file) => file.with_extension("spool"),
        Location::Postgres(_) if !store.is_empty() => PathBuf::from(store).join(name),
        Location::Postgres(_) => {
            warn!(
                "there is no data folder for the spool: while the store is away, history waits in memory alone"
            );
            return None;
        }
    };
    Some(SpoolOptions { folder, max_bytes: config.history.spool_max_bytes })
}

fn upkeep(history: &config::History) -> UpkeepOptions {
    let candles: BTreeMap<_, _> =
        history.keep.iter().filter_map(|(name, keep)| Some((name.parse().ok()?, delta(keep.0?)))).collect();
    UpkeepOptions {
        candles,
        prices: history.keep.get("prices").and_then(|keep| keep.0).map(delta),
        every: history.upkeep_every,
        batch: history.prune_batch,
    }
}
