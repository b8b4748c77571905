//! Records what venues say instead of making prices of it: the same sockets, and a writer that listens to them.

use std::{
    collections::HashSet,
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
    feed::{
        delivery::{Delivery, DeliveryKind},
        listener,
        recording::{WriteError, Writer},
    },
};

/// How often the clock is brought closer to the system's.
const CORRECT_EVERY: Duration = Duration::from_secs(1);

/// The number of venues whose connection stands. Clones see the same.
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
    let mut standing = HashSet::new();
    while let Some(Delivery { venue, kind, .. }) = receiver.recv().await {
        match kind {
            DeliveryKind::Connected(_) => {
                info!(%venue, "connected to {venue}");
                standing.insert(venue);
            }
            // Told also of a connection that was not made.
            DeliveryKind::Disconnected { .. } => {
                standing.remove(&venue);
            }
            DeliveryKind::Refused { words, .. } => warn!(%venue, words, "a venue refuses something"),
            _ => {}
        }
        connected.0.store(standing.len(), Ordering::Relaxed);
    }
}

async fn correct(clock: Clock, stopping: CancellationToken) {
    let mut ticks = interval(CORRECT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        clock.correct();
    }
}
