//! `grpc.health.v1`: one entry for the server, for each service, and for each pair (`cryptoprice.v1/BTC-USD`).
//!
//! A pair is serving while its price is fresh, LIVE or DEGRADED.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    domain::{
        pair::Pair,
        price::{Price, Status},
    },
    pipeline::{
        board::Update,
        fanout::{Fanout, News, Subscription},
        message::Batch,
    },
};

/// The name of the server as a whole.
const SERVER: &str = "";

/// How often it is looked, where nothing changes, whether prices have grown old.
const AGEING: Duration = Duration::from_secs(1);

/// What was heard of prices.
struct Heard {
    updates: Vec<Arc<Update>>,
    /// Whether these are all there are.
    everything: bool,
}

/// Follows the prices and reports on them and on these services, until told to stop; then reports that nothing is served
/// any more.
pub async fn report(
    reporter: HealthReporter,
    services: Vec<String>,
    fanout: Fanout,
    stopping: CancellationToken,
) {
    let services: Vec<String> = std::iter::once(SERVER.to_owned()).chain(services).collect();
    for service in &services {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let mut fresh_pairs = HashMap::new();
    let mut subscription = fanout.subscribe(None);
    let mut news = Heard { updates: all(&subscription.snapshot()), everything: true };
    loop {
        if news.everything {
            let listed: HashSet<Pair> = news.updates.iter().map(|update| update.price.pair).collect();
            let gone: Vec<_> = fresh_pairs.extract_if(|pair, _| !listed.contains(pair)).collect();
            for (pair, _) in gone {
                reporter.clone().clear_service_status(&name(pair)).await;
            }
        }
        for update in news.updates {
            set(&reporter, &mut fresh_pairs, &update.price).await;
        }
        match stopping.run_until_cancelled(next(&mut subscription)).await {
            Some(heard) => news = heard,
            None => break,
        }
    }
    for service in services.into_iter().chain(fresh_pairs.into_keys().map(name)) {
        reporter.set_service_status(&service, ServingStatus::NotServing).await;
        // Whoever watches has heard the last word: the stream ends, and the service need not wait for it.
        reporter.clone().clear_service_status(&service).await;
    }
}

/// Waits for news.
async fn next(subscription: &mut Subscription) -> Heard {
    loop {
        if timeout(AGEING, subscription.changed()).await.is_err() {
            // No flush tells of what has grown old in its place.
            let updates = subscription.aged();
            if updates.is_empty() {
                continue;
            }
            return Heard { updates, everything: false };
        }
        match subscription.take() {
            News::Nothing => {}
            News::Batch(batch) => return Heard { updates: all(&batch), everything: false },
            News::Turned => return Heard { updates: all(&subscription.snapshot()), everything: true },
        }
    }
}

fn all(batch: &Batch) -> Vec<Arc<Update>> {
    batch.iter().flat_map(|message| &message.updates).cloned().collect()
}

async fn set(reporter: &HealthReporter, fresh_pairs: &mut HashMap<Pair, bool>, price: &Price) {
    let pair = price.pair;
    if price.is_gone() {
        if fresh_pairs.remove(&pair).is_some() {
            reporter.clone().clear_service_status(&name(pair)).await;
        }
        return;
    }
    let fresh = matches!(price.status, Status::Live | Status::Degraded);
    if fresh_pairs.insert(pair, fresh) != Some(fresh) {
        let status = if fresh { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status(name(pair), status).await;
    }
}

fn name(pair: Pair) -> String {
    format!("cryptoprice.v1/{pair}")
}
