//! Where connections tell what is said on them: a bounded queue to the one who writes.
//!
//! A connection never waits for the disk. If there is no room for what it has to tell, it is told so and ends: then
//! what is recorded of a connection has no holes, and what was missed lies visibly between two connections.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{OwnedFrame, Record, RecordKind};
use crate::{domain::pair::Pair, feed::venue::Frame};

/// Bytes that a record counts for beside what was said: about what it takes while it waits.
const OVERHEAD: usize = 256;

/// Where the connections to one venue tell what is said on them.
#[derive(Debug)]
pub struct Tap {
    track: usize,
    exchange: String,
    connections: AtomicU64,
    queue: Queue,
}

/// Where one connection tells what is said on it.
#[derive(Debug)]
pub(in crate::feed) struct Tapped<'a> {
    tap: &'a Tap,
    connection: String,
}

/// Why something is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::feed) enum Untold {
    /// The writer is so far behind that there is no room.
    #[error("the recording falls behind: the disk is too slow")]
    NoRoom,
    /// The writer has ended.
    #[error("the recording has ended")]
    Ended,
}

/// The near end of the queue.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    sender: Sender<Entry>,
    room: Arc<Room>,
}

/// The far end of the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    receiver: Receiver<Entry>,
    room: Arc<Room>,
}

/// Something on its way to the writer.
#[derive(Debug)]
pub(super) struct Entry {
    /// Which venue's.
    pub(super) track: usize,
    /// What.
    pub(super) told: Told,
}

/// What a connection tells.
#[derive(Debug)]
pub(super) enum Told {
    /// What happened, and whether later frames of the connection refer to it.
    Record { record: Record, lasting: bool },
    /// A connection has ended, by its name: nothing refers any more to what it was told.
    Ended(String),
}

#[derive(Debug)]
struct Room {
    bytes: usize,
    taken: AtomicUsize,
    overruns: Arc<AtomicU64>,
}

impl Tap {
    /// Makes the tap of a venue. `track` tells the writer which one.
    pub(super) fn new(track: usize, exchange: String, queue: Queue) -> Self {
        Self { track, exchange, connections: AtomicU64::new(0), queue }
    }

    /// Tells of a connection that stands.
    pub(in crate::feed) fn connect(
        &self,
        address: String,
        time: DateTime<Utc>,
    ) -> Result<Tapped<'_>, Untold> {
        let number = 1 + self.connections.fetch_add(1, Ordering::Relaxed);
        let tapped = Tapped { tap: self, connection: format!("{}.ws.{number}", self.exchange) };
        tapped.tell(time, RecordKind::Connect(address), false)?;
        Ok(tapped)
    }
}

impl Tapped<'_> {
    /// Tells which pairs are asked for by symbols that alone read as others.
    pub(in crate::feed) fn asked(
        &self,
        pairs: Vec<(String, Pair)>,
        time: DateTime<Utc>,
    ) -> Result<(), Untold> {
        self.tell(time, RecordKind::Asked(pairs), true)
    }

    /// Tells of a text that was sent.
    pub(in crate::feed) fn sent(&self, text: String, time: DateTime<Utc>) -> Result<(), Untold> {
        self.tell(time, RecordKind::Sent(text), false)
    }

    /// Tells of a frame that was received, and whether later ones refer to it.
    pub(in crate::feed) fn received(
        &self,
        frame: Frame<'_>,
        time: DateTime<Utc>,
        lasting: bool,
    ) -> Result<(), Untold> {
        self.tell(time, RecordKind::Frame(OwnedFrame::from(frame)), lasting)
    }

    fn tell(&self, time: DateTime<Utc>, kind: RecordKind, lasting: bool) -> Result<(), Untold> {
        let record = Record { time, connection: self.connection.clone(), kind };
        self.tap.queue.put(Entry { track: self.tap.track, told: Told::Record { record, lasting } })
    }
}

impl Drop for Tapped<'_> {
    fn drop(&mut self) {
        let told = Told::Ended(std::mem::take(&mut self.connection));
        // It takes no room; where the writer has ended, nothing is left to be told.
        let _ = self.tap.queue.put(Entry { track: self.tap.track, told });
    }
}

/// Makes a queue for so many bytes, which counts how often there was no room.
pub(super) fn queue(bytes: usize, overruns: Arc<AtomicU64>) -> (Queue, Waiting) {
    // The bytes are the bound, and every record has some.
    let (sender, receiver) = channel();
    let room = Arc::new(Room { bytes, taken: AtomicUsize::new(0), overruns });
    (Queue { sender, room: Arc::clone(&room) }, Waiting { receiver, room })
}

impl Queue {
    fn put(&self, entry: Entry) -> Result<(), Untold> {
        let weight = entry.weight();
        self.room.take(weight)?;
        self.sender.send(entry).map_err(|_| Untold::Ended)
    }
}

impl Waiting {
    /// Takes the next record; `Ok(None)` if none comes in time, `Err` if none can come any more.
    pub(super) fn next(&self, within: Duration) -> Result<Option<Entry>, Untold> {
        match self.receiver.recv_timeout(within) {
            Ok(entry) => {
                self.room.give(entry.weight());
                Ok(Some(entry))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Untold::Ended),
        }
    }
}

impl Entry {
    fn weight(&self) -> usize {
        let Told::Record { record, .. } = &self.told else { return 0 };
        OVERHEAD
            + match &record.kind {
                RecordKind::Connect(text)
                | RecordKind::Sent(text)
                | RecordKind::Frame(OwnedFrame::Text(text)) => text.len(),
                RecordKind::Frame(OwnedFrame::Binary(bytes)) => bytes.len(),
                RecordKind::Asked(pairs) => {
                    pairs.iter().map(|(symbol, _)| symbol.len() + size_of::<Pair>()).sum()
                }
                RecordKind::Http { url, body } => url.len() + body.len(),
            }
    }
}

impl Room {
    fn take(&self, weight: usize) -> Result<(), Untold> {
        let taken = self.taken.fetch_add(weight, Ordering::Relaxed);
        if weight > 0 && taken.saturating_add(weight) > self.bytes {
            self.give(weight);
            self.overruns.fetch_add(1, Ordering::Relaxed);
            return Err(Untold::NoRoom);
        }
        Ok(())
    }

    fn give(&self, weight: usize) {
        self.taken.fetch_sub(weight, Ordering::Relaxed);
    }
}
