//! What whoever leads does: takes what is new on its own board, mirrors it, and only then shows it on the public board.
//!
//! As many updates as there are go into one write, and while Redis has not answered, more gather for the next. What is
//! published keeps its place in the sequence; the epoch is that of the lease. A term begins with everything there is.

mod bytes;
pub(in crate::pipeline) mod candles;
pub(in crate::pipeline) mod contributions;
pub(in crate::pipeline) mod states;
mod tap;

use std::time::Duration;

use ::bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use self::{candles::CandleTap, states::States, tap::Tap};
use super::{
    board::{Board, Record},
    candles::hub::CandleHub,
    lead::{AGEING, Own, Part, Replica},
};
use crate::{
    cache::{
        CacheError,
        lease::Tenure,
        mirror::{Batch, States as Mirrored, Update, Writer, Written},
    },
    domain::price::Cursor,
};

/// Updates that come within this time go into one write.
const GATHER: Duration = Duration::from_millis(2);

/// How often the states of sources are mirrored. Who follows knows by it that somebody leads.
const STATES_EVERY: Duration = Duration::from_secs(1);

/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_millis(20);

/// A term of this replica.
struct Term<'a> {
    replica: &'a mut Replica,
    tap: Tap,
    candles: CandleTap,
    epoch: u64,
    /// What is written, or being written, and not yet on the public board.
    pending: Vec<Record>,
    /// How far these go.
    reached: u64,
    states: Option<States>,
    states_due: Instant,
    /// When it was last seen that nothing could be mirrored for long.
    stuck: Option<Instant>,
}

/// Leads while the tenure lasts.
pub(super) async fn lead(replica: &mut Replica, tenure: Tenure) {
    let Some(own) = &replica.own else { return };
    let mut writer = Writer::new(&replica.pool, replica.keys.clone(), replica.options, tenure.clone());
    let mut term = Term::new(own.board.clone(), own.candles.clone(), tenure.epoch(), replica);
    if let Err(error) = term.lead(&mut writer).await {
        warn!(epoch = tenure.epoch(), %error, "this replica mirrors no longer");
    }
}

/// Serves from its own board, under an epoch that nobody else has.
pub(super) async fn alone(replica: &mut Replica) {
    let Some(own) = &replica.own else { return };
    // Whoever leads since this replica was last sure to has a higher epoch, and need not give way when Redis is back.
    let epoch = own.epochs.begin(replica.standing.agreed_at(&replica.clock));
    warn!(epoch, "Redis cannot be reached: this replica serves by itself");
    let mut term = Term::new(own.board.clone(), own.candles.clone(), epoch, replica);
    loop {
        let (sequence, records) = term.tap.everything();
        drop(term.candles.everything());
        term.begin(Part::Alone, sequence, records);
        loop {
            term.news().await;
            if term.gather().is_none() {
                break;
            }
            term.show();
        }
    }
}

impl<'a> Term<'a> {
    fn new(board: Board, candles: CandleHub, epoch: u64, replica: &'a mut Replica) -> Self {
        let tap = Tap::new(board, replica.applier.board().clone(), epoch);
        let candles = CandleTap::new(candles, replica.candles.clone());
        let (pending, states_due) = (Vec::new(), Instant::now());
        Self { replica, tap, candles, epoch, pending, reached: 0, states: None, states_due, stuck: None }
    }

    async fn lead(&mut self, writer: &mut Writer) -> Result<(), CacheError> {
        loop {
            let (sequence, records) = self.replace(writer).await?;
            self.begin(Part::Leader, sequence, records);
            loop {
                self.news().await;
                let Some(batch) = self.gather() else { break };
                match writer.append(&batch).await {
                    Ok(Written::Mirrored(_)) => self.show_mirrored(),
                    Ok(Written::Incomplete) => {
                        warn!("what is mirrored is not complete: everything is mirrored anew");
                        self.replace(writer).await?;
                        self.show_mirrored();
                    }
                    Err(error) => self.failed(error).await?,
                }
            }
        }
    }

    /// Mirrors everything, until that is done, and gives what that was.
    async fn replace(&mut self, writer: &mut Writer) -> Result<(u64, Vec<Record>), CacheError> {
        loop {
            let (sequence, records) = self.tap.everything();
            self.look_at_states();
            let candles = self.candles.everything();
            let everything = self.batch(sequence, &records, candles);
            match writer.replace(&everything).await {
                Ok(_) => {
                    self.replica.standing.snapshot();
                    return Ok((sequence, records));
                }
                Err(error) => self.failed(error).await?,
            }
        }
    }

    /// Waits a moment after what may pass; what does not ends the term. Where it does not pass, while the lease does not
    /// end either, callers are told that prices are old.
    async fn failed(&mut self, error: CacheError) -> Result<(), CacheError> {
        self.replica.standing.failed();
        if matches!(error, CacheError::Deposed { .. } | CacheError::Lapsed { .. }) {
            return Err(error);
        }
        debug!(%error, "what is new could not be mirrored");
        if self.replica.standing.is_silent() && self.stuck.is_none_or(|at| at.elapsed() >= AGEING) {
            if self.stuck.replace(Instant::now()).is_none() {
                warn!(%error, "Redis takes nothing of this replica, which leads: its prices grow old");
            }
            self.replica.age();
        }
        sleep(PAUSE).await;
        Ok(())
    }

    /// Shows everything on the public board under this epoch.
    fn begin(&mut self, part: Part, sequence: u64, records: Vec<Record>) {
        self.tap.moves_to(sequence);
        self.pending.clear();
        self.reached = sequence;
        self.replica.applier.replace(Cursor { epoch: self.epoch, sequence }, records, Vec::new());
        self.replica.standing.begins(part, self.epoch);
        if part == Part::Leader {
            self.replica.standing.mirrored(0);
        } else {
            self.look_at_states();
        }
        self.candles.show_everything();
        self.show_states();
    }

    /// Waits until there is something new.
    async fn news(&mut self) {
        tokio::select! {
            () = self.tap.changed() => {}
            () = self.candles.changed() => {}
            () = sleep_until(self.states_due) => {}
        }
        sleep(GATHER).await;
    }

    /// Takes what is new; nothing if so much has come that the log has moved past it.
    fn gather(&mut self) -> Option<Batch> {
        if Instant::now() >= self.states_due {
            self.look_at_states();
        }
        let (sequence, records) = self.tap.news()?;
        let candles = self.candles.news();
        let batch = self.batch(sequence, &records, candles);
        self.pending.extend(records);
        self.reached = sequence;
        Some(batch)
    }

    fn batch(&self, sequence: u64, records: &[Record], candles: Vec<(String, Bytes)>) -> Batch {
        let updates = records.iter().map(update).collect();
        let sources = self.states.as_ref().map(States::write);
        Batch { sequence, updates, states: Mirrored { sources, candles } }
    }

    fn show_mirrored(&mut self) {
        self.stuck = None;
        self.replica.standing.mirrored(self.pending.len());
        self.show();
    }

    /// Shows what is pending on the public board.
    fn show(&mut self) {
        let now = self.replica.clock.now();
        for record in &self.pending {
            self.replica.standing.took((now - record.update.stamp.publish_time).as_seconds_f64());
        }
        let to = Cursor { epoch: self.epoch, sequence: self.reached };
        self.replica.applier.apply(to, std::mem::take(&mut self.pending));
        self.candles.show();
        self.show_states();
    }

    fn look_at_states(&mut self) {
        self.states_due = Instant::now() + STATES_EVERY;
        let Some(own) = &self.replica.own else { return };
        let Own { sources, crosses, .. } = own;
        let time = self.replica.clock.now();
        let states =
            States { time, sources: sources.reports("", time).collect(), depegged: crosses.depegged() };
        self.states = Some(states);
    }

    fn show_states(&mut self) {
        if let Some(States { sources, depegged, .. }) = self.states.take() {
            self.replica.told.tell(sources);
            self.replica.crosses.set_depegged(depegged.into_iter().collect());
        }
    }
}

/// Writes an update as it is mirrored.
fn update(Record { update, contributions, time }: &Record) -> Update {
    Update {
        pair: update.price.pair.to_string(),
        sequence: update.stamp.cursor.sequence,
        price: update.encoded.clone(),
        contributions: contributions::write(contributions, *time),
        last: update.price.is_gone(),
    }
}
