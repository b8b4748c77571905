//! Streams of prices: a snapshot, then what changes.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{bar::Bar, error::ServiceError, prices::Prices};
use crate::{
    domain::{pair::Pair, price::Cursor},
    pipeline::{
        board::Update,
        crosses::Kept,
        subscription::{Changes, Subscription},
    },
};

/// Pairs of a stream at most.
pub const MAX_PAIRS: usize = 1_000;

/// Updates are collected this long before they go out as one message.
const FLUSH: Duration = Duration::from_millis(10);

/// A stream that has nothing to say says so this often.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Prices of one message of a snapshot at most.
const SNAPSHOT_CHUNK: usize = 500;

/// What a message of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// The state of the pairs asked for, or a part of it.
    Snapshot,
    /// What has changed.
    Update,
    /// Nothing has changed.
    Heartbeat,
}

/// One message of a stream.
#[derive(Debug)]
pub struct Message {
    /// What it is.
    pub kind: MessageKind,
    /// The prices, at most one of each pair.
    pub updates: Vec<Arc<Update>>,
    /// All matching updates up to here were delivered or superseded.
    pub cursor: Cursor,
    /// Updates that were superseded by newer ones of the same pair.
    pub skipped: u64,
}

/// An open stream of prices.
#[derive(Debug)]
pub struct PriceStream {
    prices: Prices,
    bar: Bar,
    subscription: Subscription,
    snapshot: VecDeque<Message>,
    quiet_since: Instant,
    stopping: CancellationToken,
    _kept: Vec<Kept>,
}

impl Prices {
    /// Opens a stream of some pairs, or of all that are kept if none is named. Unknown pairs fail it at once.
    pub fn stream(
        &self,
        pairs: &[String],
        bar: Bar,
        stopping: CancellationToken,
    ) -> Result<PriceStream, ServiceError> {
        if pairs.len() > MAX_PAIRS {
            let wrong = format!("has {} pairs: {MAX_PAIRS} at most are allowed", pairs.len());
            return Err(ServiceError::field("pairs", wrong));
        }
        let mut wanted = Vec::new();
        for text in pairs {
            let pair = self.resolve("pairs", text)?;
            if !wanted.contains(&pair) {
                wanted.push(pair);
            }
        }
        // Subscribed before the snapshot is read: what changes in between comes again rather than not at all.
        let subscription = self.board().subscribe((!wanted.is_empty()).then(|| wanted.clone()));
        let cursor = subscription.cursor();
        let (updates, kept) = self.first(&wanted)?;
        let snapshot = snapshot(&updates, cursor, |update| self.shown(update, &bar));
        Ok(PriceStream {
            prices: self.clone(),
            bar,
            subscription,
            snapshot,
            quiet_since: Instant::now(),
            stopping,
            _kept: kept,
        })
    }

    /// Reads what a stream starts with, and keeps the derived pairs among it on the board.
    fn first(&self, wanted: &[Pair]) -> Result<(Vec<Arc<Update>>, Vec<Kept>), ServiceError> {
        if wanted.is_empty() {
            return Ok((self.board().list(None).collect(), Vec::new()));
        }
        let mut updates = Vec::with_capacity(wanted.len());
        let mut kept = Vec::new();
        for pair in wanted {
            let update = self.find(*pair)?;
            if !update.price.route.is_empty() {
                let full = || {
                    ServiceError::field("pairs", format!("{pair} is derived, and too many such are streamed"))
                };
                kept.push(self.crosses().keep(*pair).ok_or_else(full)?);
            }
            updates.push(update);
        }
        Ok((updates, kept))
    }

    /// Shows a price as it is if it meets the bar, else its status without the number.
    fn shown(&self, update: &Arc<Update>, bar: &Bar) -> Arc<Update> {
        if *bar == Bar::default() || bar.check(&update.price, self.clock().now()).is_ok() {
            return Arc::clone(update);
        }
        let mut price = update.price.clone();
        price.value = None;
        self.board().encode(price, update.stamp)
    }
}

impl PriceStream {
    /// Waits for the next message. A stream ends only with an error: the service is stopping.
    pub async fn next(&mut self) -> Result<Message, ServiceError> {
        if let Some(message) = self.snapshot.pop_front() {
            return Ok(message);
        }
        loop {
            let heartbeat = self.quiet_since + HEARTBEAT;
            tokio::select! {
                () = self.subscription.changed() => sleep(FLUSH).await,
                () = sleep_until(heartbeat) => {}
                () = self.stopping.cancelled() => return Err(ServiceError::Stopping),
            }
            let Changes { updates, cursor, skipped } = self.subscription.take();
            let kind = match updates.is_empty() {
                false => MessageKind::Update,
                true if Instant::now() >= heartbeat => MessageKind::Heartbeat,
                true => continue,
            };
            self.quiet_since = Instant::now();
            let updates = updates.iter().map(|update| self.prices.shown(update, &self.bar)).collect();
            return Ok(Message { kind, updates, cursor, skipped });
        }
    }
}

/// Cuts a snapshot into messages; there is at least one, if only to say the cursor.
fn snapshot(
    updates: &[Arc<Update>],
    cursor: Cursor,
    shown: impl Fn(&Arc<Update>) -> Arc<Update>,
) -> VecDeque<Message> {
    let message = |updates: &[Arc<Update>]| Message {
        kind: MessageKind::Snapshot,
        updates: updates.iter().map(&shown).collect(),
        cursor,
        skipped: 0,
    };
    if updates.is_empty() {
        [message(&[])].into()
    } else {
        updates.chunks(SNAPSHOT_CHUNK).map(message).collect()
    }
}
