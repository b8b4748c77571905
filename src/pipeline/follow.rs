//! What a follower does: takes over what is mirrored, each update in its place.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::{
    board::{LOG, Record, Update},
    lead::{READ, Replica},
    mirror::{
        candles::{self, Told},
        contributions,
        states::States,
    },
};
use crate::{
    cache::{
        CacheError,
        fence::{self, Fence},
        lease::Tenure,
        mirror::{self, Batch, Follow, Follower, Position},
    },
    clock::uptime,
    domain::price::Cursor,
};

/// How long to wait where what is mirrored is of no use.
const PAUSE: Duration = Duration::from_secs(1);

/// Begins to follow, from a snapshot on.
pub(super) fn follower(replica: &Replica) -> Follower {
    Follower::new(&replica.pool, replica.keys.clone(), READ).looking_back(LOG)
}

/// Takes what comes next. Tells whether to go on with the next.
pub(super) async fn take(replica: &mut Replica, next: Result<Follow, CacheError>) -> bool {
    replica.standing.redis(next.is_ok());
    match next {
        Ok(Follow::Snapshot { position, everything, before }) => {
            snapshot(replica, position, &everything, &before).await
        }
        Ok(Follow::Changes { position, batch }) => changes(replica, position, &batch),
        Ok(Follow::Reset(why)) => {
            info!(?why, "what is mirrored begins anew");
            true
        }
        Ok(Follow::Quiet | Follow::Nothing) => true,
        Err(error) => {
            replica.standing.failed();
            debug!(%error, "what is mirrored could not be followed");
            true
        }
    }
}

async fn snapshot(
    replica: &mut Replica,
    position: Position,
    everything: &Batch,
    before: &[mirror::Update],
) -> bool {
    let head = replica.applier.board().cursor();
    let to = cursor(position);
    if to.epoch < head.epoch {
        return raise(replica, head.epoch, to.epoch).await;
    }
    let count = everything.updates.len();
    let Some(records) = records(replica, position.epoch, everything) else {
        return unreadable(position).await;
    };
    let said = told(replica, everything).or_else(|| newest(&records));
    let age = said.map(|time| age(replica, time));
    candles::tell_everything(&replica.candles, told_of_candles(everything));
    // What is not understood is as good as not kept, and so is what lies before it.
    let before = before.iter().rev().map_while(|before| update(replica, position.epoch, before)).collect();
    if replica.applier.replace(to, records, before) {
        info!(epoch = to.epoch, sequence = to.sequence, pairs = count, "following from a snapshot");
        replica.standing.snapshot();
    }
    replica.standing.followed(position.epoch, count, age);
    // Nobody may lead any more: what is there may have been written long ago.
    replica.age();
    true
}

fn changes(replica: &mut Replica, position: Position, batch: &Batch) -> bool {
    let Some(records) = records(replica, position.epoch, batch) else {
        warn!(%position, "what is mirrored is not understood");
        return false;
    };
    let now = replica.clock.now();
    for record in &records {
        replica.standing.took((now - record.update.stamp.publish_time).as_seconds_f64());
    }
    let (count, newest) = (records.len(), newest(&records));
    replica.applier.apply(cursor(position), records);
    for told in told_of_candles(batch) {
        told.tell(&replica.candles);
    }
    // What is read late was said earlier.
    let said = told(replica, batch).max(newest);
    let age = said.map(|time| age(replica, time));
    replica.standing.followed(position.epoch, count, age);
    true
}

/// Gets when the newest of some updates was published.
fn newest(records: &[Record]) -> Option<DateTime<Utc>> {
    records.iter().map(|record| record.update.stamp.publish_time).max()
}

fn age(replica: &Replica, time: DateTime<Utc>) -> Duration {
    (replica.clock.now() - time).to_std().unwrap_or_default()
}

/// Has whoever leads begin a higher epoch: this replica has shown prices under one that is above its own. It has served by
/// itself, by a clock that is ahead.
async fn raise(replica: &Replica, seen: u64, led: u64) -> bool {
    warn!(seen, led, "whoever leads is asked for a higher epoch");
    let tenure = Tenure::new(seen, uptime() + PAUSE);
    let fence = Fence::new(replica.pool.clone(), &replica.keys, tenure);
    if let Err(error) = fence.run(&fence::Batch::new()).await {
        debug!(%error, "the epoch could not be raised");
    }
    sleep(PAUSE).await;
    false
}

async fn unreadable(position: Position) -> bool {
    warn!(%position, "what is mirrored is not understood");
    sleep(PAUSE).await;
    false
}

/// Reads the records of a batch; nothing if one is not understood.
fn records(replica: &Replica, epoch: u64, batch: &Batch) -> Option<Vec<Record>> {
    batch.updates.iter().map(|update| record(replica, epoch, update)).collect()
}

fn record(replica: &Replica, epoch: u64, update: &mirror::Update) -> Option<Record> {
    let published = self::update(replica, epoch, update)?;
    // What it was made of can do without; the price cannot.
    let (contributions, time) =
        contributions::read(&update.contributions).unwrap_or((Vec::new(), published.stamp.publish_time));
    Some(Record { update: published, contributions, time })
}

fn update(replica: &Replica, epoch: u64, update: &mirror::Update) -> Option<Arc<Update>> {
    let (price, stamp) = (replica.decode)(&update.price)?;
    let in_place = stamp.cursor == Cursor { epoch, sequence: update.sequence };
    (in_place && price.origin == replica.origin).then(|| Update::encoded(price, stamp, update.price.clone()))
}

/// Takes over what is told of the sources, and gets the time when it was.
fn told(replica: &Replica, batch: &Batch) -> Option<DateTime<Utc>> {
    let States { time, sources, depegged } = States::read(batch.states.sources.as_ref()?, replica.origin)?;
    replica.told.tell(sources);
    replica.crosses.set_depegged(depegged.into_iter().collect());
    if let Some(own) = &replica.own {
        own.epochs.see(replica.applier.board().cursor().epoch);
    }
    Some(time)
}

/// Reads what is told of candles, as far as it is understood.
fn told_of_candles(batch: &Batch) -> Vec<Told> {
    batch.states.candles.iter().filter_map(|(name, bytes)| Told::read(name, bytes)).collect()
}

const fn cursor(position: Position) -> Cursor {
    Cursor { epoch: position.epoch, sequence: position.sequence }
}
