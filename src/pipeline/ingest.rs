//! The live pipeline: one reconnecting socket for each venue, one aggregator that hears them all.

use std::time::Duration;

use prometheus::Histogram;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{aggregator::Aggregator, health::Sources};
use crate::{
    clock::Clock,
    feed::{
        delivery::{Delivery, DeliveryKind},
        socket::{self, SocketOptions},
        venue::Protocol,
    },
};

/// How often the aggregator looks whether something has grown old.
const TICK: Duration = Duration::from_millis(100);

/// Messages that are taken in before prices are computed again, at most.
const BATCH: usize = 256;

/// One venue to listen to.
#[derive(Debug)]
pub struct Listen {
    /// How it is spoken to.
    pub protocol: &'static dyn Protocol,
    /// What is asked of it, and how the connection is kept.
    pub options: SocketOptions,
}

/// Listens until told to stop, and ends when all that it started has ended.
pub async fn run(
    venues: Vec<Listen>,
    aggregator: Aggregator,
    sources: Sources,
    queue: usize,
    clock: Clock,
    times: Histogram,
    shutdown: CancellationToken,
) {
    let (sender, receiver) = mpsc::channel(queue);
    let mut tasks = JoinSet::new();
    for Listen { protocol, options } in venues {
        info!(venue = %protocol.venue(), pairs = options.pairs.len(), "listening to {}", protocol.venue());
        tasks.spawn(socket::run(protocol, options, sender.clone(), shutdown.clone()));
    }
    drop(sender);
    aggregate(aggregator, sources, receiver, clock, times, shutdown).await;
    tasks.join_all().await;
}

/// Takes in what the sockets hand over, as much as there is at once, then computes what changed.
async fn aggregate(
    mut aggregator: Aggregator,
    sources: Sources,
    mut receiver: mpsc::Receiver<Delivery>,
    clock: Clock,
    times: Histogram,
    shutdown: CancellationToken,
) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    let mut heard = Vec::with_capacity(BATCH);
    let mut since_correction = 0;
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {
                aggregator.tick(clock.now());
                since_correction += 1;
                if since_correction == 10 {
                    clock.correct();
                    since_correction = 0;
                }
            }
            taken = receiver.recv_many(&mut batch, BATCH) => {
                // Nobody is left who could say anything.
                if taken == 0 {
                    return;
                }
                for delivery in batch.drain(..) {
                    note(&sources, &delivery);
                    if matches!(delivery.kind, DeliveryKind::Ticker { .. } | DeliveryKind::Trade { .. }) {
                        heard.push(delivery.receive_time);
                    }
                    aggregator.apply(delivery);
                }
                aggregator.settle(clock.now());
                let settled = clock.now();
                heard.drain(..).for_each(|heard| times.observe((settled - heard).as_seconds_f64()));
            }
        }
    }
}

/// Counts what concerns the connection rather than a price.
fn note(sources: &Sources, delivery: &Delivery) {
    let Some(source) = sources.get(delivery.venue) else {
        return;
    };
    let now = delivery.receive_time;
    match &delivery.kind {
        DeliveryKind::Message => source.frame(now),
        DeliveryKind::Connected => source.connected(now),
        DeliveryKind::Disconnected { error, retry_time } => source.disconnected(error, *retry_time, now),
        DeliveryKind::Malformed { kind, error } => source.malformed(kind, error, now),
        DeliveryKind::Refused(message) => {
            warn!(venue = %delivery.venue, message, "a venue refuses something");
            source.error(message, now);
        }
        DeliveryKind::Ticker { .. }
        | DeliveryKind::Trade { .. }
        | DeliveryKind::Confirm(_)
        | DeliveryKind::Subscribed => {}
    }
}
