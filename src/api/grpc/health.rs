//! `grpc.health.v1`: one entry for the server, for each service, and for each pair (`cryptoprice.v1/BTC-USD`).
//!
//! A pair is serving while its price is fresh, LIVE or DEGRADED.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    domain::{pair::Pair, price::Status},
    pipeline::board::Board,
};

/// The names of the services, beside the empty one for the server as a whole.
const SERVICES: [&str; 3] = ["", "cryptoprice.v1.PriceService", "cryptoprice.v1.SourceService"];

/// Follows the board and reports, until told to stop; then reports that nothing is served any more.
pub async fn report(reporter: HealthReporter, board: Board, stopping: CancellationToken) {
    for service in SERVICES {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let mut fresh_pairs = HashMap::new();
    // Subscribed before the board is read, so that nothing falls in between.
    let mut subscription = board.subscribe(None);
    for update in board.list(None).collect::<Vec<_>>() {
        set(&reporter, &mut fresh_pairs, update.price.pair, update.price.status).await;
    }
    while stopping.run_until_cancelled(subscription.changed()).await.is_some() {
        for update in subscription.take().updates {
            set(&reporter, &mut fresh_pairs, update.price.pair, update.price.status).await;
        }
        let gone: Vec<_> = fresh_pairs.keys().filter(|pair| !board.contains(**pair)).copied().collect();
        for pair in gone {
            fresh_pairs.remove(&pair);
            let mut reporter = reporter.clone();
            reporter.clear_service_status(&name(pair)).await;
        }
    }
    let services = SERVICES.into_iter().map(ToOwned::to_owned);
    for service in services.chain(fresh_pairs.into_keys().map(name)) {
        reporter.set_service_status(&service, ServingStatus::NotServing).await;
        // Whoever watches has heard the last word: the stream ends, and the service need not wait for it.
        reporter.clone().clear_service_status(&service).await;
    }
}

async fn set(reporter: &HealthReporter, fresh_pairs: &mut HashMap<Pair, bool>, pair: Pair, status: Status) {
    let fresh = matches!(status, Status::Live | Status::Degraded);
    if fresh_pairs.insert(pair, fresh) != Some(fresh) {
        let status = if fresh { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status(name(pair), status).await;
    }
}

fn name(pair: Pair) -> String {
    format!("cryptoprice.v1/{pair}")
}
