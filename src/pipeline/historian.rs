//! Keeps what the service knows: takes closed candles and prices, and writes them to the store.
//!
//! What is to be kept goes into the [`inbox`], which never waits. The [`Historian`] takes it out in batches, by number and by
//! age, and writes them. While the store is away, or slow, batches go to the [`spool`] on the disk, and from there to the
//! store when it is back, the oldest first. Writing twice changes nothing in the store, so a batch of which nobody knows
//! whether it was written is written again. [`points`] picks the prices that are kept, [`restore`] lets candles go on
//! across a restart, [`upkeep`] takes away what is old, and [`status`] tells how all that does.

mod batch;
pub mod inbox;
pub mod points;
pub mod restore;
pub mod spool;
pub mod status;
pub mod upkeep;
mod write;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::{
    batch::Batch,
    inbox::Inbox,
    spool::{Oldest, Spool, SpoolOptions, Ticket, with},
    status::HistoryStatus,
    write::Written,
};
use crate::{
    clock::Clock,
    feed::socket::BackOff,
    store::{Store, StoreError},
};

/// How long to wait before the store is tried again.
const BACK_OFF: BackOff = BackOff { base: Duration::from_millis(500), cap: Duration::from_secs(30) };

/// A row has so many parts of [`HistorianOptions::flush`]: one in memory, one in which the database may take it, and one to put it
/// on the disk where that takes longer.
const PARTS: u32 = 3;

/// How a historian works.
#[derive(Debug, Clone)]
pub struct HistorianOptions {
    /// How old a row grows before it is safe, in the store or on the disk.
    pub flush: Duration,
    /// Rows that are written together at most.
    pub batch: usize,
    /// Rows that wait in memory at most.
    pub queue: usize,
    /// What the disk is used for while the store is away; memory alone if `None`.
    pub spool: Option<SpoolOptions>,
    /// How long the end may take.
    pub grace: Duration,
}

/// Writes what is in its inbox to the store.
#[derive(Debug)]
pub struct Historian {
    options: HistorianOptions,
    store: Arc<Store>,
    clock: Clock,
    inbox: Inbox,
    spool: Option<Arc<Mutex<Spool>>>,
    status: HistoryStatus,
    writing: Option<Writing>,
    failures: u32,
    /// When the store is tried again, while it is away.
    retry: Option<Instant>,
    /// Nothing can be put on the disk at the moment.
    blocked: bool,
    dice: SmallRng,
}

/// A batch that is being written.
#[derive(Debug)]
struct Writing {
    task: JoinHandle<Result<Written, StoreError>>,
    batch: Arc<Batch>,
    /// Where it lies on the disk, if it does.
    spooled: Vec<Ticket>,
    since: Instant,
}

impl Historian {
    /// Opens the spool. Without one that can be used, memory has to do, and that is said.
    pub fn new(options: HistorianOptions, store: Arc<Store>, clock: Clock) -> prometheus::Result<Self> {
        let spool = options.spool.clone().and_then(|spool| {
            let folder = spool.folder.clone();
            match Spool::open(spool, store.origin()) {
                Ok(spool) => Some(Arc::new(Mutex::new(spool))),
                Err(error) => {
                    warn!(folder = %folder.display(), %error, "the spool cannot be used: while the store is away, history waits in memory alone");
                    None
                }
            }
        });
        let inbox = Inbox::new(options.queue, clock.clone());
        let historian = Self {
            status: HistoryStatus::new(inbox.clone(), clock.clone())?,
            options,
            store,
            clock,
            inbox,
            spool,
            writing: None,
            failures: 0,
            retry: None,
            blocked: false,
            dice: SmallRng::from_os_rng(),
        };
        historian.tell_spool();
        Ok(historian)
    }

    /// Gets where what is to be kept is put.
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// Gets what tells how it does.
    pub fn status(&self) -> HistoryStatus {
        self.status.clone()
    }

    /// Writes until told to stop, then what is left, for as long as the grace lasts.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut flushes = interval(self.part());
        flushes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (mut due, overdue) = (false, self.overdue());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                outcome = outcome(&mut self.writing) => self.settle(outcome).await,
                () = until(self.retry), if self.writing.is_none() => self.retry = None,
                () = until(overdue) => {}
                _ = flushes.tick() => (due, self.blocked) = (true, false),
                () = self.inbox.has(self.options.batch), if !self.is_held_up() => {}
            }
            self.advance(due).await;
        }
        self.finish().await;
    }

    /// Gets one of the parts of the time in which a row has to be safe.
    fn part(&self) -> Duration {
        (self.options.flush / PARTS).max(Duration::from_millis(1))
    }

    /// Tells when the batch that is being written has to be put on the disk; never, if it is there or cannot be.
    fn overdue(&self) -> Option<Instant> {
        let writing = self.writing.as_ref().filter(|writing| writing.spooled.is_empty())?;
        (self.spool.is_some() && !self.blocked).then(|| writing.since + self.part())
    }

    /// Tells whether what comes has to wait, and cannot go to the disk meanwhile.
    fn is_held_up(&self) -> bool {
        let disk = self.spool.is_some() && !self.blocked;
        match &self.writing {
            Some(writing) => !disk || writing.spooled.is_empty(),
            None => !disk && self.retry.is_some(),
        }
    }

    /// Does what can be done now: writes, or has what waits put on the disk.
    async fn advance(&mut self, due: bool) {
        if let Some(Writing { batch, spooled, since, .. }) = &self.writing
            && spooled.is_empty()
            && (since.elapsed() >= self.part() || self.inbox.is_half_full())
        {
            // It takes long: if we are killed meanwhile, it would be lost.
            let batch = Arc::clone(batch);
            if let Some(ticket) = self.append(&batch).await
                && let Some(writing) = &mut self.writing
            {
                writing.spooled.push(ticket);
            }
        }
        if self.writing.is_none() && self.retry.is_none() {
            match self.oldest().await {
                Ok(Some((tickets, batch))) => self.write(Arc::new(batch), tickets),
                Ok(None) if due || self.inbox.len() >= self.options.batch => {
                    let batch = self.inbox.take(self.options.batch);
                    if !batch.is_empty() {
                        self.write(Arc::new(batch), Vec::new());
                    }
                }
                Ok(None) => {}
                // What comes stands behind it.
                Err(error) => {
                    if self.failures == 0 {
                        warn!(%error, "what waits on the disk cannot be read at the moment, and is tried again");
                    }
                    self.hold_off();
                }
            }
        }
        let behind =
            self.retry.is_some() || self.writing.as_ref().is_some_and(|writing| !writing.spooled.is_empty());
        if behind && self.spool.is_some() {
            self.spool_inbox(due).await;
        }
        self.tell_spool();
    }

    /// Puts what is in the inbox on the disk: full batches, and if they are due, others too.
    async fn spool_inbox(&mut self, due: bool) {
        while self.inbox.len() >= self.options.batch || (due && !self.inbox.is_empty()) {
            let batch = Arc::new(self.inbox.take(self.options.batch));
            if self.append(&batch).await.is_none() {
                self.inbox.put_back(Arc::unwrap_or_clone(batch));
                return;
            }
        }
    }

    fn write(&mut self, batch: Arc<Batch>, spooled: Vec<Ticket>) {
        let (store, status, given) = (Arc::clone(&self.store), self.status.clone(), Arc::clone(&batch));
        let task = tokio::spawn(async move {
            let since = Instant::now();
            let written = write::write(&store, &given).await;
            status.took(since.elapsed());
            written
        });
        self.writing = Some(Writing { task, batch, spooled, since: Instant::now() });
    }

    /// Takes in what became of a batch.
    async fn settle(&mut self, outcome: Result<Written, StoreError>) {
        let Some(Writing { batch, spooled, .. }) = self.writing.take() else { return };
        match outcome {
            Ok(written) => {
                if self.failures > 0 {
                    info!(store = %self.store.location(), "the store takes history again");
                }
                (self.failures, self.retry) = (0, None);
                self.status.wrote(written.candles, written.prices);
                self.status.refused(written.refused);
                self.status.available(true);
                if let Some(spool) = self.spool.as_ref().filter(|_| !spooled.is_empty()) {
                    with(spool, move |spool| spool.done(&spooled)).await;
                }
            }
            Err(error) => {
                self.failed(&error);
                if spooled.is_empty() && self.append(&batch).await.is_none() {
                    self.inbox.put_back(Arc::unwrap_or_clone(batch));
                }
            }
        }
    }

    /// Notes that the store is away, and when it is tried again.
    fn failed(&mut self, error: &StoreError) {
        self.status.failed(error);
        self.status.available(false);
        if self.failures == 0 {
            let consequence =
                if self.spool.is_some() { "it waits on the disk" } else { "it waits in memory" };
            if error.is_passing() {
                warn!(%error, "history cannot be written: {consequence}");
            } else {
                error!(%error, "history cannot be written, and somebody has to look at that: {consequence}");
            }
        }
        self.hold_off();
    }

    /// Does nothing for a while, which is longer each time.
    fn hold_off(&mut self) {
        let wait = BACK_OFF.wait(self.failures, self.dice.random_range(0.0..=1.0));
        self.failures = self.failures.saturating_add(1);
        self.retry = Some(Instant::now() + wait);
    }

    /// Puts a batch on the disk, if that can be done.
    async fn append(&mut self, batch: &Arc<Batch>) -> Option<Ticket> {
        let spool = self.spool.as_ref()?;
        let (batch, time) = (Arc::clone(batch), self.clock.now().timestamp_millis());
        match with(spool, move |spool| spool.append(&batch, time)).await {
            Ok(appended) => {
                self.status.spool_works();
                self.status.spool_dropped(appended.dropped);
                Some(appended.ticket)
            }
            Err(error) => {
                self.blocked = true;
                self.status.spool_failed(&error);
                None
            }
        }
    }

    /// Reads the oldest of what lies on the disk, as much as is written together.
    async fn oldest(&self) -> io::Result<Oldest> {
        let Some(spool) = &self.spool else { return Ok(None) };
        let rows = self.options.batch;
        let (oldest, lost) = with(spool, move |spool| spool.peek(rows)).await;
        self.status.spool_dropped(lost);
        oldest
    }

    /// Writes what is left, or has it put on the disk.
    async fn finish(mut self) {
        let deadline = Instant::now() + self.options.grace;
        if let Some(writing) = &mut self.writing {
            let outcome = match timeout_at(deadline, &mut writing.task).await {
                Ok(outcome) => joined(outcome),
                Err(_) => Err(self.late()),
            };
            self.settle(outcome).await;
        }
        // What lies on the disk is written by the program that comes next.
        while !self.inbox.is_empty() && self.is_spool_empty() && Instant::now() < deadline {
            if self.retry.take().is_some() {
                if self.spool.is_some() {
                    break;
                }
                // There is no other place for it.
                sleep_until(deadline.min(Instant::now() + BACK_OFF.base)).await;
            }
            self.write(Arc::new(self.inbox.take(self.options.batch)), Vec::new());
            let outcome = match timeout_at(deadline, outcome(&mut self.writing)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(self.late()),
            };
            self.settle(outcome).await;
        }
        if self.spool.is_some() {
            self.spool_inbox(true).await;
        }
        if !self.inbox.is_empty() {
            error!(rows = self.inbox.len(), "history is lost: it can neither be written nor put on the disk");
        }
        self.tell_spool();
    }

    fn late(&self) -> StoreError {
        StoreError::Timeout { place: self.store.location().to_string(), after: self.options.grace }
    }

    fn is_spool_empty(&self) -> bool {
        self.spool
            .as_ref()
            .is_none_or(|spool| spool.lock().unwrap_or_else(PoisonError::into_inner).is_empty())
    }

    fn tell_spool(&self) {
        if let Some(spool) = &self.spool {
            let spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
            self.status.spooled(spool.rows(), spool.bytes(), spool.oldest());
        }
    }
}

/// Waits for the batch that is being written; for ever if there is none.
async fn outcome(writing: &mut Option<Writing>) -> Result<Written, StoreError> {
    match writing {
        Some(writing) => joined((&mut writing.task).await),
        None => std::future::pending().await,
    }
}

fn joined(
    outcome: Result<Result<Written, StoreError>, tokio::task::JoinError>,
) -> Result<Written, StoreError> {
    outcome.unwrap_or_else(|error| {
        Err(StoreError::Unavailable { place: "of the history".to_owned(), cause: error.to_string() })
    })
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
