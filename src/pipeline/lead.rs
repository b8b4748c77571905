//! Which part a replica plays among several, and plays it.
//!
//! What a replica finds out itself lies on a board of its own. The public board is filled from that one by whoever leads,
//! once it is mirrored (`super::mirror`), and by the others from what is mirrored (`super::follow`), through the same
//! [`Applier`]. While it is not known who leads, because Redis cannot be reached, one that has led, or that has nothing
//! of another yet, serves from its own board under an epoch of its own; one that follows keeps what it has.

pub mod metrics;

mod standing;
mod wants;

use std::{pin::pin, time::Duration};

use tokio::{
    sync::watch,
    time::{interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub use self::standing::{Part, Standing, StandingReport};
use super::{
    board::{Applier, Board, Decode},
    candles::hub::CandleHub,
    crosses::Crosses,
    follow,
    health::{Sources, Told},
    mirror,
    standards::Standards,
};
use crate::{
    cache::{
        keys::IngestKeys,
        lease::{Epochs, Role, Tenure},
        mirror::{Formats, WriterOptions},
        pool::Pool,
    },
    clock::{Clock, uptime},
    domain::price::Origin,
};

/// The format of what is mirrored: of the encoded price, the contributions, the states and the candles.
pub const FORMAT: u32 = 2;

/// The formats that are read. In the first there are no candles.
pub(super) const READ: Formats = 1..=FORMAT;

/// How long nothing is known of who leads before a replica that has led serves by itself. Who has just woken up is told in
/// less.
const GRACE: Duration = Duration::from_millis(800);

/// How often it is looked whether another part is to be played, beside at every change of the role.
const LOOK: Duration = Duration::from_millis(100);

/// How often it is looked whether prices have grown old, while whoever leads is not heard of.
pub(super) const AGEING: Duration = Duration::from_secs(1);

/// What a replica is made of.
#[derive(Debug)]
pub struct Replica {
    /// The way to Redis.
    pub pool: Pool,
    /// Where things lie there.
    pub keys: IngestKeys,
    /// Where the prices come from.
    pub origin: Origin,
    /// Writes the public board.
    pub applier: Applier,
    /// Reads what the public board's encoder writes.
    pub decode: Decode,
    /// What callers are told of the sources.
    pub told: Told,
    /// What callers are told of candles.
    pub candles: CandleHub,
    /// How derived prices are made for callers.
    pub crosses: Crosses,
    /// How the mirror is written.
    pub options: WriterOptions,
    /// The age at which a price is stale.
    pub standards: Standards,
    /// The time.
    pub clock: Clock,
    /// What this finds out itself, and by whose leave it leads; nothing where it only follows.
    pub own: Option<Own>,
    /// What is told of all this.
    pub standing: Standing,
}

/// What a replica finds out itself.
#[derive(Debug)]
pub struct Own {
    /// The prices, in an epoch that nobody else knows.
    pub board: Board,
    /// The candles.
    pub candles: CandleHub,
    /// The sources.
    pub sources: Sources,
    /// The derived pairs.
    pub crosses: Crosses,
    /// The role that the lease gives.
    pub role: watch::Receiver<Role>,
    /// The epochs that were seen.
    pub epochs: Epochs,
    /// How long the first answer of Redis may take: longer than another one may have led without being heard of.
    pub patience: Duration,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Task {
    Lead(Tenure),
    Alone,
    Follow,
}

/// Decides what there is to do.
#[derive(Debug)]
struct Decider {
    role: Option<watch::Receiver<Role>>,
    standing: Standing,
    unknown_since: Option<Duration>,
    patience: Duration,
}

impl Replica {
    /// Plays its part until told to stop.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let role = self.own.as_ref().map(|own| own.role.clone());
        let patience = self.own.as_ref().map_or(GRACE, |own| own.patience.max(GRACE));
        let mut decider = Decider { role, standing: self.standing.clone(), unknown_since: None, patience };
        let wants = wants::Wants::of(&self);
        let play = async {
            loop {
                let task = decider.decide();
                debug!(?task, "this replica has another part");
                tokio::select! {
                    () = self.play(&task) => {}
                    () = decider.until_other_than(&task) => {}
                }
            }
        };
        let both = Box::pin(async { tokio::join!(play, wants.run()) });
        let _: Option<((), ())> = shutdown.run_until_cancelled(both).await;
    }

    /// Does what there is to do; it ends by itself where it cannot go on.
    async fn play(&mut self, task: &Task) {
        match task {
            Task::Lead(tenure) => mirror::lead(self, tenure.clone()).await,
            Task::Alone => mirror::alone(self).await,
            Task::Follow => self.follow().await,
        }
        // Whoever cannot go on is soon told why.
        sleep(LOOK).await;
    }

    async fn follow(&mut self) {
        self.standing.plays(Part::of_follower(self.own.is_some()));
        let mut follower = follow::follower(self);
        let mut ticks = interval(AGEING);
        loop {
            let next = {
                let mut next = pin!(follower.next());
                loop {
                    tokio::select! {
                        next = &mut next => break next,
                        _ = ticks.tick() => self.age(),
                    }
                }
            };
            if !follow::take(self, next).await {
                return;
            }
        }
    }

    /// Says that prices are old where whoever leads has not been heard of.
    pub(super) fn age(&mut self) {
        if self.standing.is_silent() {
            self.applier.age(self.standards.max_age(), self.clock.now());
        }
    }
}

impl Decider {
    fn decide(&mut self) -> Task {
        let Some(role) = &self.role else { return Task::Follow };
        let role = role.borrow().clone();
        self.standing.role(&role);
        match role {
            Role::Leader(tenure) if tenure.guard().is_ok() => {
                self.unknown_since = None;
                Task::Lead(tenure)
            }
            Role::Standby { .. } => {
                self.unknown_since = None;
                Task::Follow
            }
            Role::Leader(_) | Role::Unknown => {
                let since = *self.unknown_since.get_or_insert_with(uptime);
                let grace = if self.standing.has_shown_nothing() { self.patience } else { GRACE };
                let waited = uptime().saturating_sub(since) >= grace;
                if waited && !self.standing.has_of_another() { Task::Alone } else { Task::Follow }
            }
        }
    }

    async fn until_other_than(&mut self, task: &Task) {
        while self.decide() == *task {
            match &mut self.role {
                // Where nobody gives roles any more, the service is ending.
                Some(role) => {
                    let _ = tokio::time::timeout(LOOK, role.changed()).await;
                }
                None => std::future::pending().await,
            }
        }
    }
}
