//! Streams of prices: a snapshot, or the rest of an earlier stream, then what changes.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use rust_decimal::Decimal;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{bar::Bar, error::ServiceError, prices::Prices};
use crate::{
    domain::{
        decimal,
        pair::Pair,
        price::{Cursor, Status},
    },
    pipeline::{
        board::Update,
        crosses::Kept,
        subscription::{Changes, Subscription},
    },
};

/// Pairs of a stream at most.
pub const MAX_PAIRS: usize = 1_000;

/// Updates are collected at least this long before they go out as one message.
pub const FLUSH: Duration = Duration::from_millis(10);

/// How often a stream looks for prices that have grown too old for its caller since they went out.
const AGEING: Duration = Duration::from_secs(1);

/// Prices of one message of a snapshot at most.
const SNAPSHOT_CHUNK: usize = 500;

/// What a caller asks of a stream.
#[derive(Debug, Clone)]
pub struct StreamQuery {
    /// The pairs; all that are kept if empty.
    pub pairs: Vec<String>,
    /// A price that misses it goes out without its number.
    pub bar: Bar,
    /// Whether every update is delivered, or the latest of each pair.
    pub every_update: bool,
    /// The time between two messages at least.
    pub min_interval: Duration,
    /// How far a price must have moved to go out again, in basis points.
    pub deviation_bps: Option<Decimal>,
    /// How often a stream that has nothing to say says so.
    pub heartbeat: Duration,
    /// Where an earlier stream was.
    pub resume_after: Option<Cursor>,
}

/// What a message of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// The state of the pairs asked for, or a part of it.
    Snapshot,
    /// What has changed.
    Update,
    /// Nothing has changed.
    Heartbeat,
    /// The stream cannot go on where it was: a snapshot follows.
    Reset,
}

/// One message of a stream.
#[derive(Debug)]
pub struct Message {
    /// What it is.
    pub kind: MessageKind,
    /// The prices.
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
    query: StreamQuery,
    subscription: Subscription,
    waiting: VecDeque<Message>,
    sent: HashMap<Pair, (Option<Decimal>, Status)>,
    /// What went out with its number, kept only if it can grow too old for the caller.
    fresh: BTreeMap<Pair, Arc<Update>>,
    ageing: Instant,
    last_update: Instant,
    last_message: Instant,
    stopping: CancellationToken,
    _kept: Vec<Kept>,
}

impl Prices {
    /// Opens a stream. Unknown pairs fail it at once.
    pub fn stream(
        &self,
        query: StreamQuery,
        stopping: CancellationToken,
    ) -> Result<PriceStream, ServiceError> {
        let wanted = self.wanted(&query.pairs)?;
        let filter = (!wanted.is_empty()).then(|| wanted.clone());
        let resumed = query.resume_after.and_then(|after| self.board().resume(filter.clone(), after));
        let reset = query.resume_after.is_some() && resumed.is_none();
        let goes_on = resumed.is_some();
        // Subscribed before prices are read: what changes in between comes again rather than not at all.
        let subscription = resumed.unwrap_or_else(|| self.board().subscribe(filter));
        let (first, kept) = self.first(&wanted)?;
        let mut stream = PriceStream {
            prices: self.clone(),
            query,
            waiting: VecDeque::new(),
            sent: HashMap::new(),
            fresh: BTreeMap::new(),
            ageing: Instant::now() + AGEING,
            last_update: Instant::now(),
            last_message: Instant::now(),
            stopping,
            subscription,
            _kept: kept,
        };
        if goes_on {
            stream.catch_up(first);
        } else {
            stream.start_over(&first, reset);
        }
        Ok(stream)
    }

    /// Reads the pairs of a stream, each once.
    fn wanted(&self, pairs: &[String]) -> Result<Vec<Pair>, ServiceError> {
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
        Ok(wanted)
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
    /// Waits for the next message. A stream ends only with an error, which names the position to resume after.
    pub async fn next(&mut self) -> Result<Message, ServiceError> {
        if let Some(message) = self.waiting.pop_front() {
            return Ok(message);
        }
        let stopping = self.stopping.clone();
        let stopped = ServiceError::Stopping { resume_after: self.subscription.cursor() };
        stopping.run_until_cancelled(self.news()).await.unwrap_or(Err(stopped))
    }

    async fn news(&mut self) -> Result<Message, ServiceError> {
        loop {
            let heartbeat = self.last_message + self.query.heartbeat;
            let due = self.last_update + self.query.min_interval;
            tokio::select! {
                () = self.subscription.changed() => {
                    let flush = Instant::now() + FLUSH;
                    sleep_until(flush.max(due.min(heartbeat))).await;
                }
                () = sleep_until(heartbeat) => {}
                () = sleep_until(self.ageing), if !self.fresh.is_empty() => {}
            }
            let now = Instant::now();
            if now >= self.ageing {
                self.ageing = now + AGEING;
                let updates = self.aged();
                if !updates.is_empty() {
                    self.last_message = now;
                    let cursor = self.subscription.cursor();
                    return Ok(Message { kind: MessageKind::Update, updates, cursor, skipped: 0 });
                }
            }
            if now >= due {
                let Changes { mut updates, cursor, skipped } = self.take()?;
                updates.retain(|update| self.moved(update));
                if !updates.is_empty() {
                    (self.last_update, self.last_message) = (now, now);
                    let updates = self.shown(&updates);
                    return Ok(Message { kind: MessageKind::Update, updates, cursor, skipped });
                }
            }
            if now >= heartbeat {
                self.last_message = now;
                let cursor = self.subscription.cursor();
                return Ok(Message { kind: MessageKind::Heartbeat, updates: Vec::new(), cursor, skipped: 0 });
            }
        }
    }

    fn take(&mut self) -> Result<Changes, ServiceError> {
        if !self.query.every_update {
            return Ok(self.subscription.take());
        }
        let resume_after = self.subscription.cursor();
        self.subscription.take_all().ok_or(ServiceError::SlowReader { resume_after })
    }

    /// Shows prices as the caller's bar allows, and remembers those that can grow too old for it.
    fn shown(&mut self, updates: &[Arc<Update>]) -> Vec<Arc<Update>> {
        let shown: Vec<_> = updates.iter().map(|update| self.prices.shown(update, &self.query.bar)).collect();
        if self.query.bar.max_age.is_some() {
            for update in &shown {
                if update.price.value.is_some() {
                    self.fresh.insert(update.price.pair, Arc::clone(update));
                } else {
                    self.fresh.remove(&update.price.pair);
                }
            }
        }
        shown
    }

    /// Takes the prices that have grown too old since they went out, without their numbers.
    fn aged(&mut self) -> Vec<Arc<Update>> {
        let now = self.prices.clock().now();
        let bar = self.query.bar;
        let mut aged = Vec::new();
        self.fresh.retain(|pair, update| {
            let holds = bar.check(&update.price, now).is_ok();
            if !holds {
                aged.push(self.prices.shown(update, &bar));
                // The next one comes however little it has moved.
                self.sent.remove(pair);
            }
            holds
        });
        aged
    }

    /// Tells whether a price has moved far enough since it last went out, and remembers it if so.
    fn moved(&mut self, update: &Arc<Update>) -> bool {
        let Some(least) = self.query.deviation_bps else { return true };
        let price = &update.price;
        let now = (price.value.map(|value| value.price), price.status);
        let near = self.sent.get(&price.pair).is_some_and(|sent| {
            let apart = sent.0.zip(now.0).and_then(|(sent, now)| decimal::deviation_bps(now, sent));
            sent.1 == now.1 && apart.is_some_and(|apart| apart.abs() < least)
        });
        if !near {
            self.sent.insert(price.pair, now);
        }
        !near
    }

    /// Starts with the state of all pairs; there is at least one message, if only to say the cursor.
    fn start_over(&mut self, first: &[Arc<Update>], reset: bool) {
        let cursor = self.subscription.cursor();
        let message = |kind, updates| Message { kind, updates, cursor, skipped: 0 };
        if reset {
            self.waiting.push_back(message(MessageKind::Reset, Vec::new()));
        }
        for update in first {
            self.moved(update);
        }
        let shown = self.shown(first);
        if shown.is_empty() {
            self.waiting.push_back(message(MessageKind::Snapshot, Vec::new()));
        }
        let chunks = shown.chunks(SNAPSHOT_CHUNK);
        self.waiting.extend(chunks.map(|chunk| message(MessageKind::Snapshot, chunk.to_vec())));
    }

    /// Goes on where an earlier stream was. Derived pairs that nobody kept meanwhile have left nothing in the log: they
    /// come once as they are, if they have changed.
    fn catch_up(&mut self, mut first: Vec<Arc<Update>>) {
        let cursor = self.subscription.cursor();
        first.retain(|update| !update.price.route.is_empty() && update.stamp.cursor > cursor);
        if !first.is_empty() {
            let updates = self.shown(&first);
            self.waiting.push_back(Message { kind: MessageKind::Update, updates, cursor, skipped: 0 });
        }
    }
}
