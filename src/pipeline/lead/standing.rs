//! How a replica stands to the others, as it is told to whoever runs it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use prometheus::Histogram;

use crate::{
    cache::lease::Role,
    clock::{Clock, uptime},
    domain::price::Cursor,
    pipeline::board::Board,
};

/// Whoever leads says something every second; after this time without it, it is not heard of.
const SILENT: Duration = Duration::from_secs(3);

/// What a replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It has not found out yet.
    Starting,
    /// It listens to the venues for all.
    Leader,
    /// It listens, follows whoever leads, and stands by to take over.
    Standby,
    /// It follows whoever leads.
    Follower,
    /// It listens for its own callers alone, as Redis cannot be reached.
    Alone,
}

/// Knows how a replica stands. Clones know the same.
#[derive(Debug, Clone)]
pub struct Standing(Arc<Shared>);

/// How a replica stands, at one moment.
#[derive(Debug, Clone)]
pub struct StandingReport {
    /// What it does.
    pub part: Part,
    /// Its own name among those that may lead.
    pub name: String,
    /// Whoever leads, as far as this one knows.
    pub leader: Option<String>,
    /// The place that its board has reached.
    pub cursor: Cursor,
    /// How long ago its board was last in agreement with what is mirrored; nothing if it never was.
    pub mirror_age: Option<Duration>,
    /// Whether Redis has answered when it was last asked.
    pub redis_answers: bool,
}

#[derive(Debug)]
struct Shared {
    name: String,
    board: Board,
    max_silence: Duration,
    known: Mutex<Known>,
    redis_answers: AtomicBool,
    /// Milliseconds of uptime at which the board agreed with the mirror; zero before it ever did.
    agreed: AtomicU64,
    counts: Counts,
    delays: Histogram,
}

#[derive(Debug)]
struct Known {
    part: Part,
    leader: Option<String>,
    /// The epoch under which this replica itself has filled the board last.
    own_epoch: u64,
    /// Whether another one has filled it since.
    of_another: bool,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) mirrored: AtomicU64,
    pub(super) followed: AtomicU64,
    pub(super) snapshots: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) terms: AtomicU64,
}

impl Part {
    /// Gets the part of one that follows, and that listens itself or does not.
    pub(super) const fn of_follower(listens: bool) -> Self {
        if listens { Self::Standby } else { Self::Follower }
    }

    /// Names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Leader => "leader",
            Self::Standby => "standby",
            Self::Follower => "follower",
            Self::Alone => "alone",
        }
    }

    /// Lists all.
    pub(super) const fn all() -> [Self; 5] {
        [Self::Starting, Self::Leader, Self::Standby, Self::Follower, Self::Alone]
    }
}

impl Standing {
    /// Begins to know how the replica of a name and a board stands. It is not ready once whoever leads has been silent for
    /// so long. Takes what measures how long updates take to the board.
    pub fn new(name: String, board: Board, max_silence: Duration, delays: Histogram) -> Self {
        let known = Known { part: Part::Starting, leader: None, own_epoch: 0, of_another: false };
        Self(Arc::new(Shared {
            name,
            board,
            max_silence,
            known: Mutex::new(known),
            redis_answers: AtomicBool::new(false),
            agreed: AtomicU64::new(0),
            counts: Counts::default(),
            delays,
        }))
    }

    /// Tells how it stands.
    pub fn report(&self) -> StandingReport {
        let known = self.known();
        StandingReport {
            part: known.part,
            name: self.0.name.clone(),
            leader: known.leader.clone(),
            cursor: self.0.board.cursor(),
            mirror_age: self.mirror_age(),
            redis_answers: self.0.redis_answers.load(Relaxed),
        }
    }

    /// Tells whether what it has may be old: nobody has been heard of who would say so, or Redis does not take what it
    /// leads with.
    pub fn is_stale(&self) -> bool {
        self.known().part != Part::Alone && self.mirror_age().is_none_or(|age| age > self.0.max_silence)
    }

    /// Tells whether whoever leads has not been heard of, be it by Redis.
    pub(in crate::pipeline) fn is_silent(&self) -> bool {
        self.mirror_age().is_none_or(|age| age > SILENT)
    }

    /// Tells whether nothing was on the board yet.
    pub(super) fn has_shown_nothing(&self) -> bool {
        self.0.board.cursor() == Cursor::default()
    }

    /// Tells whether what is on the board was published by another.
    pub(super) fn has_of_another(&self) -> bool {
        self.known().of_another
    }

    /// Notes the part that is played from now on.
    pub(in crate::pipeline) fn plays(&self, part: Part) {
        self.known().part = part;
    }

    /// Notes who leads.
    pub(super) fn role(&self, role: &Role) {
        let leader = match role {
            Role::Leader(_) => Some(self.0.name.clone()),
            Role::Standby { leader, .. } => Some(leader.clone()),
            Role::Unknown => None,
        };
        self.redis(!matches!(role, Role::Unknown));
        self.known().leader = leader;
    }

    /// Notes who leads, where it is known from elsewhere.
    pub(super) fn led_by(&self, leader: Option<String>) {
        self.known().leader = leader;
    }

    /// Notes that this replica fills the board under an epoch.
    pub(in crate::pipeline) fn begins(&self, part: Part, epoch: u64) {
        let mut known = self.known();
        if part == Part::Leader && known.own_epoch != epoch {
            self.0.counts.terms.fetch_add(1, Relaxed);
        }
        (known.part, known.own_epoch, known.of_another) = (part, epoch, false);
    }

    /// Notes that something was taken over from the mirror, which is as old as this, where that is known.
    pub(in crate::pipeline) fn followed(&self, epoch: u64, updates: usize, age: Option<Duration>) {
        let mut known = self.known();
        known.of_another |= known.own_epoch != epoch;
        self.0.counts.followed.fetch_add(updates as u64, Relaxed);
        if let Some(age) = age {
            self.agrees(age);
        }
    }

    /// Notes that so many updates were mirrored.
    pub(in crate::pipeline) fn mirrored(&self, updates: usize) {
        self.0.counts.mirrored.fetch_add(updates as u64, Relaxed);
        self.agrees(Duration::ZERO);
        self.redis(true);
    }

    /// Notes that everything was written or taken over anew.
    pub(in crate::pipeline) fn snapshot(&self) {
        self.0.counts.snapshots.fetch_add(1, Relaxed);
    }

    /// Notes that Redis has not done what was asked.
    pub(in crate::pipeline) fn failed(&self) {
        self.0.counts.failures.fetch_add(1, Relaxed);
        self.redis(false);
    }

    /// Notes whether Redis answers.
    pub(in crate::pipeline) fn redis(&self, answers: bool) {
        self.0.redis_answers.store(answers, Relaxed);
    }

    /// Notes how long an update took to the board, in seconds.
    pub(in crate::pipeline) fn took(&self, seconds: f64) {
        // Two clocks may differ by more than it took.
        self.0.delays.observe(seconds.max(0.0));
    }

    /// Gets what is counted.
    pub(super) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Gets what measures how long updates take.
    pub(super) fn delays(&self) -> &Histogram {
        &self.0.delays
    }

    /// Gets when the board last agreed with what is mirrored; now, if it never did.
    pub(in crate::pipeline) fn agreed_at(&self, clock: &Clock) -> DateTime<Utc> {
        clock.now() - TimeDelta::from_std(self.mirror_age().unwrap_or_default()).unwrap_or_default()
    }

    fn agrees(&self, age: Duration) {
        let millis = u64::try_from(uptime().saturating_sub(age).as_millis()).unwrap_or(u64::MAX);
        self.0.agreed.fetch_max(millis.max(1), Relaxed);
    }

    fn mirror_age(&self) -> Option<Duration> {
        let agreed = self.0.agreed.load(Relaxed);
        (agreed > 0).then(|| uptime().saturating_sub(Duration::from_millis(agreed)))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
