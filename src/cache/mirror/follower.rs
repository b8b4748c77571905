//! Follows what is mirrored.

use std::{collections::VecDeque, time::Duration};

use rand::Rng as _;
use redis::{Pipeline, cmd, pipe};
use tokio::time::sleep;

use super::{
    Batch, Formats, Position, States, Update, WHOLE,
    reply::{self, Entry, Fields, Head, HeadReply, RangeReply, ReadReply},
};
use crate::cache::{
    CacheError,
    keys::IngestKeys,
    pool::{Line, Pool},
};

/// How long Redis waits for something new before it says that there is nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// The most entries that are taken at once.
const MAX_ENTRIES: usize = 256;

/// The most entries that are looked back at once.
const LOOK_BACK: usize = 64;

/// The wait after a failure is drawn from half of this to this.
const PAUSE: Duration = Duration::from_millis(100);

/// Follows what is mirrored: a snapshot, then what changes, each update once and in order.
#[derive(Debug)]
pub struct Follower {
    line: Line,
    keys: IngestKeys,
    formats: Formats,
    /// How far this has come; nothing before the first snapshot and after a reset.
    position: Option<Position>,
    /// How many updates before a snapshot are wanted.
    depth: usize,
    /// What was read and not yet given.
    read: VecDeque<Entry>,
    failed: bool,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// Everything, as it is at a position; changes follow.
    Snapshot {
        /// Where it stands.
        position: Position,
        /// All pairs and states.
        everything: Batch,
        /// The last updates that led there, in order, as far as they are wanted and kept.
        before: Vec<Update>,
    },
    /// What has changed since the last.
    Changes {
        /// Where it leads.
        position: Position,
        /// What has changed.
        batch: Batch,
    },
    /// What was followed goes on no longer, and a snapshot comes next, once there is one.
    Reset(Reset),
    /// Nothing has changed for a while.
    Quiet,
    /// Nothing is mirrored yet, or nothing in a format that this follower reads.
    Nothing,
}

/// Why what was followed goes on no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Another one leads, or the same one anew.
    Epoch(u64),
    /// This follower was away for longer than changes are kept.
    Trimmed,
    /// Redis holds nothing of it any more.
    Emptied,
    /// The leader has written everything anew.
    Replaced,
    /// The leader writes a format that this follower does not read.
    Format(u32),
}

impl Follower {
    /// Follows from a snapshot on.
    pub fn new(pool: &Pool, keys: IngestKeys, formats: Formats) -> Self {
        let (line, read) = (pool.line(), VecDeque::new());
        Self { line, keys, formats, position: None, depth: 0, read, failed: false }
    }

    /// Wants so many of the updates before a snapshot, too.
    #[must_use]
    pub fn looking_back(self, updates: usize) -> Self {
        Self { depth: updates, ..self }
    }

    /// Waits for what comes next. Where this is given up in between, nothing is lost.
    ///
    /// # Errors
    /// If Redis is away. The next call goes on from the same position, after a pause of its own.
    pub async fn next(&mut self) -> Result<Follow, CacheError> {
        if std::mem::take(&mut self.failed) {
            sleep(pause()).await;
        }
        let next = match self.position {
            None => self.snapshot().await,
            Some(position) => self.follow(position).await,
        };
        if let Err(CacheError::Foreign(_)) = next {
            // What cannot be read now may be written anew.
            self.leave();
        }
        self.failed = matches!(next, Err(_) | Ok(Follow::Nothing));
        next
    }

    async fn snapshot(&mut self) -> Result<Follow, CacheError> {
        let mut ask = pipe();
        ask.atomic();
        self.ask_head(&mut ask);
        ask.cmd("HGETALL").arg(&self.keys.latest).cmd("HGETALL").arg(&self.keys.states);
        let (head, latest, states): (HeadReply, Fields, Fields) =
            self.line.pipeline_for("mirror_snapshot", &ask, WHOLE).await?;
        let Some(head) = Head::read(head).filter(|head| self.formats.contains(&head.format)) else {
            return Ok(Follow::Nothing);
        };
        let (updates, states) = (reply::latest(&latest)?, States::read(&states)?);
        let position = head.position;
        let before = self.look_back(position).await;
        self.position = Some(position);
        let everything = Batch { sequence: position.sequence, updates, states };
        Ok(Follow::Snapshot { position, everything, before })
    }

    /// Reads what led to a position. Entries up to there do not change; where they are gone, or cannot be read, what is
    /// further back is not known.
    async fn look_back(&mut self, position: Position) -> Vec<Update> {
        let (mut updates, mut end) = (VecDeque::new(), position);
        while updates.len() < self.depth && self.look_further_back(&mut end, &mut updates).await {}
        updates.into()
    }

    /// Goes on before the entry `end`. Tells whether there may be more.
    async fn look_further_back(&mut self, end: &mut Position, updates: &mut VecDeque<Update>) -> bool {
        let mut ask = cmd("XREVRANGE");
        let start = Position { entry: 0, ..*end };
        ask.arg(&self.keys.updates).arg(end.to_string()).arg(start.to_string()).arg("COUNT").arg(LOOK_BACK);
        let read = self.line.query_for::<RangeReply>("mirror_look_back", &ask, Duration::ZERO).await;
        let entries = read.unwrap_or_default();
        for (id, fields) in &entries {
            let entry = Entry::read(id, fields).ok();
            let next = entry.filter(|entry| !entry.reset && entry.position.entry == end.entry);
            let Some(entry) = next else { return false };
            entry.updates.into_iter().rev().for_each(|update| updates.push_front(update));
            end.entry -= 1;
        }
        entries.len() == LOOK_BACK
    }

    async fn follow(&mut self, position: Position) -> Result<Follow, CacheError> {
        if self.read.is_empty() {
            let mut ask = cmd("XREAD");
            ask.arg("COUNT")
                .arg(MAX_ENTRIES)
                .arg("BLOCK")
                .arg(u64::try_from(PATIENCE.as_millis()).unwrap_or(1));
            ask.arg("STREAMS").arg(&self.keys.updates).arg(position.to_string());
            let reply: ReadReply = self.line.query_for("mirror_follow", &ask, PATIENCE).await?;
            self.read = reply::entries(reply)?.into();
        }
        match self.read.pop_front() {
            Some(entry) => Ok(self.step(position, entry)),
            None => self.look(position).await,
        }
    }

    /// Goes on by one entry, if it is the next one.
    fn step(&mut self, position: Position, entry: Entry) -> Follow {
        let next = entry.position;
        if next.epoch != position.epoch {
            return self.reset(Reset::Epoch(next.epoch));
        }
        if entry.reset {
            return self.reset(Reset::Replaced);
        }
        if next.entry != position.entry + 1 {
            return self.reset(Reset::Trimmed);
        }
        self.position = Some(next);
        let fresh = |update: &Update| update.sequence > position.sequence;
        let updates = entry.updates.into_iter().filter(fresh).collect();
        Follow::Changes {
            position: next,
            batch: Batch { sequence: next.sequence, updates, states: entry.states },
        }
    }

    /// Looks whether nothing came because nothing has changed.
    async fn look(&mut self, position: Position) -> Result<Follow, CacheError> {
        let mut ask = pipe();
        ask.atomic();
        self.ask_head(&mut ask);
        ask.cmd("XREAD").arg("COUNT").arg(MAX_ENTRIES);
        ask.arg("STREAMS").arg(&self.keys.updates).arg(position.to_string());
        let (head, reply): (HeadReply, ReadReply) = self.line.pipeline("mirror_look", &ask).await?;
        self.read = reply::entries(reply)?.into();
        let Some(head) = Head::read(head) else {
            return Ok(self.reset(Reset::Emptied));
        };
        if !self.formats.contains(&head.format) {
            return Ok(self.reset(Reset::Format(head.format)));
        }
        if head.position.epoch != position.epoch {
            return Ok(self.reset(Reset::Epoch(head.position.epoch)));
        }
        if head.position.entry < position.entry {
            return Ok(self.reset(Reset::Emptied));
        }
        match self.read.pop_front() {
            Some(entry) => Ok(self.step(position, entry)),
            None if head.position.entry > position.entry => Ok(self.reset(Reset::Trimmed)),
            None => Ok(Follow::Quiet),
        }
    }

    fn ask_head(&self, ask: &mut Pipeline) {
        ask.cmd("HMGET").arg(&self.keys.head).arg(&["format", "epoch", "entry", "sequence"]);
    }

    fn reset(&mut self, why: Reset) -> Follow {
        self.leave();
        Follow::Reset(why)
    }

    fn leave(&mut self) {
        self.position = None;
        self.read.clear();
    }
}

fn pause() -> Duration {
    rand::rng().random_range(PAUSE / 2..=PAUSE)
}
