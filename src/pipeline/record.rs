//! Records what venues say instead of making prices of it: the same sockets, and a writer that listens to them.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::ingest::Listen;
use crate::{
    clock::Clock,
    domain::venue::Venue,
    feed::{
        delivery::{Delivery, DeliveryKind},
        listener,
        recording::{WriteError, Writer},
    },
};

/// How often the clock is brought closer to the system's.
const CORRECT_EVERY: Duration = Duration::from_secs(1);

/// The number of venues to which a connection stands. Clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Connected(Arc<AtomicUsize>);

impl Connected {
    /// Gets the number.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a recording ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Files cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The writer has failed in a way that it must not.
    #[error("the writer of recordings has failed")]
    Failed(#[from] JoinError),
}

/// Records until told to stop, or until nothing can be written any more, and ends when the files are finished. The taps
/// of the writer are in the options of the venues.
pub async fn run(
    venues: Vec<Listen>,
    writer: Writer,
    connected: Connected,
    queue: usize,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<(), RecordError> {
    let stopping = shutdown.child_token();
    let (sender, receiver) = mpsc::channel(queue);
    let mut tasks = JoinSet::new();
    for Listen { protocol, options, wanted } in venues {
        // Nothing else will be wanted.
        let (_, wanted) = watch::channel(Arc::new(wanted));
        let (clock, out, stopping) = (clock.clone(), sender.clone(), stopping.clone());
        tasks.spawn(listener::run(protocol, options, wanted, clock, out, stopping));
    }
    drop(sender);
    tasks.spawn(watch_over(receiver, connected));
    tasks.spawn(correct(clock, stopping.clone()));
    // It ends by itself when the sockets have: they hold its taps.
    let written = spawn_blocking(move || writer.run()).await;
    stopping.cancel();
    tasks.join_all().await;
    Ok(written??)
}

/// Hears what the sockets make of the frames, and keeps of it only how the connections are.
async fn watch_over(mut receiver: mpsc::Receiver<Delivery>, connected: Connected) {
    let mut standing: HashMap<Venue, HashSet<Option<u64>>> = HashMap::new();
    while let Some(Delivery { venue, connection, kind, .. }) = receiver.recv().await {
        match kind {
            DeliveryKind::Connected(_) => {
                info!(%venue, "connected to {venue}");
                standing.entry(venue).or_default().insert(connection);
            }
            // One of several, it may be, or one that another has taken over from.
            DeliveryKind::Left(_) => {
                standing.entry(venue).or_default().remove(&connection);
            }
            DeliveryKind::Refused { words, .. } => warn!(%venue, words, "a venue refuses something"),
            _ => {}
        }
        let venues = standing.values().filter(|connections| !connections.is_empty()).count();
        connected.0.store(venues, Ordering::Relaxed);
    }
}

async fn correct(clock: Clock, stopping: CancellationToken) {
    let mut ticks = interval(CORRECT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        clock.correct();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_venue_counts_while_one_of_its_connections_stands() {
        let (sender, receiver) = mpsc::channel(1);
        let connected = Connected::default();
        let watching = tokio::spawn(watch_over(receiver, connected.clone()));
        let (stands, left) = (DeliveryKind::Connected([].into()), DeliveryKind::Left([].into()));
        for (connection, kind, expected) in [
            (1, &stands, 1),
            (2, &stands, 1),
            // Another takes over from the first.
            (3, &stands, 1),
            (1, &left, 1),
            (2, &left, 1),
            (3, &left, 0),
            (4, &stands, 1),
        ] {
            let delivery = Delivery {
                venue: Venue::new("kraken"),
                connection: Some(connection),
                receive_time: chrono::DateTime::UNIX_EPOCH,
                kind: kind.clone(),
            };
            sender.send(delivery).await.unwrap();
            // It was taken in once there is room for another.
            sender.reserve().await.unwrap();
            tokio::task::yield_now().await;
            assert_eq!(connected.count(), expected, "{connection} {kind:?}");
        }
        drop(sender);
        watching.await.unwrap();
    }
}
