//! Derived pairs that somebody streams from a replica that does not lead: whoever leads keeps them for it.

use std::{collections::BTreeMap, time::Duration};

use chrono::TimeDelta;
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use super::{Part, Replica, Standing};
use crate::{
    cache::{CacheError, keys::IngestKeys, lease, pool::Pool, wanted},
    clock::Clock,
    domain::pair::Pair,
    pipeline::crosses::{Crosses, Kept},
};

/// How often it is looked whether something else is wanted.
const LOOK: Duration = Duration::from_millis(250);

/// How often what is wanted is said again, and heard by whoever leads, in looks.
const AGAIN: u32 = 16;

/// How often a follower asks who leads, in looks.
const OFTEN: u32 = 4;

/// How long it holds.
const LASTING: TimeDelta = TimeDelta::seconds(15);

/// Says what is wanted here, or hears what is wanted elsewhere.
#[derive(Debug)]
pub(super) struct Wants {
    pool: Pool,
    keys: IngestKeys,
    crosses: Crosses,
    clock: Clock,
    standing: Standing,
    /// What is kept for others.
    kept: BTreeMap<Pair, Kept>,
}

impl Wants {
    pub(super) fn of(replica: &Replica) -> Self {
        Self {
            pool: replica.pool.clone(),
            keys: replica.keys.clone(),
            crosses: replica.crosses.clone(),
            clock: replica.clock.clone(),
            standing: replica.standing.clone(),
            kept: BTreeMap::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut said, mut looks) = (0, 0_u32);
        loop {
            ticks.tick().await;
            looks += 1;
            let outcome = match self.standing.report().part {
                Part::Leader => self.hear().await,
                part @ (Part::Standby | Part::Follower) => {
                    self.kept.clear();
                    if part == Part::Follower && looks.is_multiple_of(OFTEN) {
                        self.ask_who_leads().await;
                    }
                    let version = self.crosses.version();
                    if version == said && !looks.is_multiple_of(AGAIN) {
                        continue;
                    }
                    self.say().await.map(|()| said = version)
                }
                Part::Starting | Part::Alone => {
                    self.kept.clear();
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                debug!(%error, "what is wanted could not be told");
            }
        }
    }

    async fn say(&self) -> Result<(), CacheError> {
        let names: Vec<_> = self.crosses.wanted().iter().map(Pair::to_string).collect();
        wanted::want(&self.pool, &self.keys, &names, LASTING, self.clock.now()).await
    }

    async fn ask_who_leads(&self) {
        if let Ok(leader) = lease::leader(&self.pool, &self.keys).await {
            self.standing.led_by(leader);
        }
    }

    async fn hear(&mut self) -> Result<(), CacheError> {
        let names = wanted::wanted(&self.pool, &self.keys, self.clock.now()).await?;
        let pairs: Vec<Pair> = names.iter().filter_map(|name| name.parse().ok()).collect();
        self.kept.retain(|pair, _| pairs.contains(pair));
        for pair in pairs {
            if !self.kept.contains_key(&pair)
                && let Some(kept) = self.crosses.keep(pair)
            {
                self.kept.insert(pair, kept);
            }
        }
        Ok(())
    }
}
