//! Puts together what fills in candles: beside a service, or by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use prometheus::Registry;
use rust_decimal::Decimal;

use super::{
    delta,
    markets::{Listened, Shared},
    store_options,
};
use crate::{
    clock::Clock,
    config::Config,
    domain::{candle::Interval, pair::Pair, price::Origin, venue::Venue},
    feed::venues,
    pipeline::{
        backfill::{
            Backfill, BackfillMetrics, Job, Options, Outcome, Progress, VenueClient,
            service::{Extender, Service, ServiceOptions},
            watch::Watch,
        },
        ingest::Listen,
    },
    store::Store,
};

/// How long a venue is waited for that wants to be left alone: beside a service, where others wait for their turn…
const PATIENCE: Duration = Duration::from_secs(90);

/// … and by itself, for as long as any venue may ask for.
const MORE_PATIENCE: Duration = Duration::from_secs(3_600);

/// Half of how long to wait before a question that was not answered is asked again for the first time.
const BACK_OFF: Duration = Duration::from_millis(500);

/// Fills in candles of one pair, by itself.
#[derive(Debug)]
pub struct Backfiller {
    backfill: Backfill,
    pair: Pair,
    venues: Vec<Venue>,
    clock: Clock,
}

impl Backfiller {
    /// Makes one that asks the venues that are named, enabled or not; all that are enabled and have the pair if none is. What
    /// cannot work fails here: a venue that does not exist, a pair that none of them has, a store that cannot be used.
    pub async fn build(mut config: Config, pair: Pair, names: &[String]) -> anyhow::Result<Self> {
        choose(&mut config, pair, names)?;
        let shared = Shared::new(&config)?;
        let clients = Listened::configured(&config)?.clients(&shared);
        let markets = markets(&config);
        let all = markets.get(&pair).cloned().unwrap_or_default();
        let is_named = |venue: &Venue| names.is_empty() || names.iter().any(|name| name == venue.as_str());
        let venues: Vec<Venue> = all.into_iter().filter(is_named).collect();
        let store = Arc::new(Store::open(store_options(&config, Origin::Live)?));
        store.check().await?;
        let options = options(&config, Decimal::ONE, MORE_PATIENCE);
        let (metrics, clock) = (BackfillMetrics::new()?, Clock::system());
        let backfill = Backfill::new(store, clients, markets, options, metrics, clock.clone());
        Ok(Self { backfill, pair, venues, clock })
    }

    /// Gets how it does.
    pub fn progress(&self) -> Progress {
        self.backfill.progress()
    }

    /// Gets the time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Fills in the candles of an interval that open in a range.
    pub async fn fill(
        &self,
        interval: Interval,
        range: Range<DateTime<Utc>>,
    ) -> anyhow::Result<Vec<Outcome>> {
        let venues = self.venues.iter().map(|venue| (*venue, range.clone())).collect();
        let job = Job { pair: self.pair, venues, interval, doubted: false };
        Ok(self.backfill.fill(&job).await?)
    }
}

/// Makes what fills in beside a service that listens to these venues, if it is wanted and any of them can be asked.
pub(super) fn beside(
    config: &Config,
    listens: &[Listen],
    store: &Arc<Store>,
    clock: &Clock,
    registry: &Registry,
) -> anyhow::Result<Option<(Service, Watch, Extender)>> {
    let clients = clients(listens);
    if !config.backfill.enabled || clients.is_empty() {
        return Ok(None);
    }
    let metrics = BackfillMetrics::new()?;
    metrics.register(registry)?;
    let options = options(config, config.backfill.share.0, PATIENCE);
    let store = Arc::clone(store);
    let backfill = Backfill::new(store, clients, markets(config), options, metrics, clock.clone());
    let options = ServiceOptions {
        look_back: delta(config.backfill.look_back),
        intervals: config.backfill.intervals.iter().map(|interval| interval.0).collect(),
    };
    let look_back = options.look_back;
    let (service, handle) = Service::new(backfill, options);
    let extender = service.extender(handle.clone());
    Ok(Some((service, Watch::new(handle, clock.now(), look_back), extender)))
}

/// Lists how venues are asked that are listened to.
pub(super) fn clients(listens: &[Listen]) -> Vec<VenueClient> {
    let client = |listen: &Listen| {
        Some(VenueClient { protocol: listen.protocol, client: listen.options.rest.clone()? })
    };
    listens.iter().filter_map(client).collect()
}

fn options(config: &Config, share: Decimal, patience: Duration) -> Options {
    Options {
        max_concurrent: config.backfill.max_concurrent,
        share,
        least_coverage: config.backfill.least_coverage.0,
        patience,
        back_off: BACK_OFF,
    }
}

/// Enables the venues that are named, and sees that each venue that is asked has the pair.
fn choose(config: &mut Config, pair: Pair, names: &[String]) -> anyhow::Result<()> {
    for name in names {
        let known: Vec<_> = config.venues.keys().cloned().collect();
        let venue = config
            .venues
            .get_mut(name)
            .with_context(|| format!("no venue has the name {name}; there are {}", known.join(", ")))?;
        anyhow::ensure!(
            venue.pairs.iter().any(|known| known.0 == pair),
            "the settings do not name {pair} among the pairs of {name}"
        );
        venue.enabled = true;
    }
    anyhow::ensure!(
        markets(config).contains_key(&pair),
        "the settings name no venue that is enabled and has {pair}"
    );
    Ok(())
}

/// Lists the pairs and the enabled venues that have them.
pub(super) fn markets(config: &Config) -> BTreeMap<Pair, BTreeSet<Venue>> {
    let mut markets: BTreeMap<Pair, BTreeSet<Venue>> = BTreeMap::new();
    for (name, venue) in config.venues.iter().filter(|(_, venue)| venue.enabled) {
        if let Some(protocol) = venues::by_name(name) {
            for pair in &venue.pairs {
                markets.entry(pair.0).or_default().insert(protocol.venue());
            }
        }
    }
    markets
}
