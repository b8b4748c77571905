//! What waits on the disk while the store is away.
//!
//! Records are appended to files, each waited for until it is on the disk, and taken from the oldest file on. A file is
//! removed when all of it was written to the store. How far a file was read is not kept: after a restart it is written
//! from its beginning, which changes nothing in the store. When there is no room, the oldest file goes.

mod codec;
mod segment;

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::DateTime;
use rustix::fs::{FlockOperation, flock};
use tracing::warn;

use self::segment::{Entry, Segment};
use super::batch::Batch;
use crate::domain::price::Origin;

/// How large a file grows, as a share of all.
const SHARE: u64 = 16;

/// The largest that a file is to grow: what is written a second time after a restart, at most.
const LARGEST: u64 = 4 << 20;

/// Where a spool lies, and how large it may grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Its folder, which is its alone.
    pub folder: PathBuf,
    /// Bytes at most.
    pub max_bytes: u64,
}

/// Batches on the disk.
#[derive(Debug)]
pub(super) struct Spool {
    options: SpoolOptions,
    origin: Origin,
    /// From the oldest. The last is appended to.
    files: VecDeque<Filed>,
    next: u64,
    bytes: u64,
    rows: u64,
    /// Held for as long as this lives.
    _lock: File,
}

/// A file, and what of it was not taken yet.
#[derive(Debug)]
struct Filed {
    segment: Segment,
    entries: VecDeque<Entry>,
}

/// Which record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    file: u64,
    offset: u64,
}

/// The oldest batches as one, and which records they are; `None` if nothing waits.
pub(super) type Oldest = Option<(Vec<Ticket>, Batch)>;

/// What became of a batch that was to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Appended {
    /// Which record it is.
    pub(super) ticket: Ticket,
    /// Rows that had to give way to it.
    pub(super) dropped: u64,
}

impl Spool {
    /// Opens the spool and looks at what an earlier program left in it. One that another program holds is an error.
    pub(super) fn open(options: SpoolOptions, origin: Origin) -> io::Result<Self> {
        fs::create_dir_all(&options.folder)?;
        let lock = File::create(options.folder.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&options.folder)? {
            let path = entry?.path();
            found.extend(segment::number(&path).map(|number| (number, path)));
        }
        found.sort_unstable();
        let mut spool =
            Self { options, origin, files: VecDeque::new(), next: 1, bytes: 0, rows: 0, _lock: lock };
        for (number, path) in found {
            let (segment, entries, cut) = Segment::open(&path, number)?;
            if cut > 0 {
                warn!(file = %path.display(), bytes = cut, "the end of a file of the spool was not whole and is cut off");
            }
            spool.next = spool.next.max(number.saturating_add(1));
            if entries.is_empty() {
                fs::remove_file(&path)?;
                continue;
            }
            spool.bytes += segment.end;
            spool.rows += entries.iter().map(|entry| u64::from(entry.rows)).sum::<u64>();
            spool.files.push_back(Filed { segment, entries: entries.into() });
        }
        Ok(spool)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Gets how many bytes lie on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gets how many rows wait.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Gets when the oldest record was appended, in milliseconds since 1970.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.files.front()?.entries.front().map(|entry| entry.time)
    }

    /// Appends a batch, and waits until it is on the disk. Older ones give way where there is no room for it.
    pub(super) fn append(&mut self, batch: &Batch, time: i64) -> io::Result<Appended> {
        let bytes = codec::encode(batch).map_err(io::Error::other)?;
        let rows = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        let needed = bytes.len() as u64 + 64;
        if needed > self.options.max_bytes {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "a batch is larger than the spool may grow",
            ));
        }
        let mut dropped = 0;
        while self.bytes + needed > self.options.max_bytes && !self.files.is_empty() {
            dropped += self.drop_oldest();
        }
        let largest = (self.options.max_bytes / SHARE).min(LARGEST);
        if self.files.back().is_none_or(|last| last.segment.end >= largest) {
            if let Some(last) = self.files.back_mut() {
                last.segment.close();
            }
            let segment = Segment::create(&self.options.folder, self.next)?;
            self.next = self.next.saturating_add(1);
            self.bytes += segment.end;
            self.files.push_back(Filed { segment, entries: VecDeque::new() });
        }
        let Some(last) = self.files.back_mut() else { return Err(io::Error::other("there is no file")) };
        match last.segment.append(&bytes, rows, time) {
            Ok(entry) => {
                last.entries.push_back(entry);
                self.bytes += entry.length;
                self.rows += u64::from(rows);
                Ok(Appended { ticket: Ticket { file: last.segment.number, offset: entry.offset }, dropped })
            }
            Err(error) => {
                self.remove_empty();
                Err(error)
            }
        }
    }

    /// Reads the oldest batches as one, of about so many rows, which stay until they are [done](Self::done) with. One that is
    /// damaged is taken away; how many rows that were is told. One that cannot be read at the moment stays, and is an error.
    pub(super) fn peek(&mut self, rows: usize) -> (io::Result<Oldest>, u64) {
        let mut lost = 0;
        loop {
            let (mut tickets, mut all, mut damaged) = (Vec::new(), Batch::default(), None);
            let entries = self
                .files
                .iter()
                .flat_map(|file| file.entries.iter().map(move |entry| (&file.segment, entry)));
            for (segment, entry) in entries {
                if !tickets.is_empty() && all.len() + entry.rows as usize > rows {
                    break;
                }
                let ticket = Ticket { file: segment.number, offset: entry.offset };
                match self.read(segment, *entry) {
                    Ok(Ok(batch)) => {
                        all.append(batch);
                        tickets.push(ticket);
                    }
                    // Its turn comes after those before it.
                    _ if !tickets.is_empty() => break,
                    Ok(Err(damage)) => {
                        warn!(file = %segment.path.display(), damage, "a record of the spool is damaged");
                        damaged = Some((ticket, entry.rows));
                        break;
                    }
                    Err(error) => return (Err(error), lost),
                }
            }
            let Some((ticket, rows)) = damaged else {
                return (Ok((!tickets.is_empty()).then_some((tickets, all))), lost);
            };
            lost += u64::from(rows);
            self.done(&[ticket]);
        }
    }

    /// Reads a record, or says what is wrong with it for good. That it cannot be read at the moment is an error.
    fn read(&self, segment: &Segment, entry: Entry) -> io::Result<Result<Batch, String>> {
        let bytes = match segment.read(entry) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Err("it is not what was appended".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(error.to_string())),
            Err(error) => return Err(error),
        };
        let appended = DateTime::from_timestamp_millis(entry.time).unwrap_or_default();
        Ok(codec::decode(&bytes, self.origin, appended).map_err(|error| error.to_string()))
    }

    /// Takes away the oldest batches, but for those that had to give way meanwhile. They are given in their order.
    pub(super) fn done(&mut self, tickets: &[Ticket]) {
        for ticket in tickets {
            if let Some(first) = self.files.front_mut().filter(|first| first.segment.number == ticket.file)
                && first.entries.front().is_some_and(|entry| entry.offset == ticket.offset)
                && let Some(entry) = first.entries.pop_front()
            {
                self.rows = self.rows.saturating_sub(entry.rows.into());
                self.remove_empty();
            }
        }
    }

    /// Removes the files of which everything was taken.
    fn remove_empty(&mut self) {
        while self.files.front().is_some_and(|first| first.entries.is_empty()) {
            self.drop_oldest();
        }
    }

    /// Removes the oldest file, and tells how many rows that were not taken went with it.
    fn drop_oldest(&mut self) -> u64 {
        let Some(Filed { segment, entries }) = self.files.pop_front() else { return 0 };
        // What stays on the disk is found when the spool is opened again.
        if let Err(error) = fs::remove_file(&segment.path) {
            warn!(file = %segment.path.display(), %error, "a file of the spool cannot be removed");
        }
        self.bytes = self.bytes.saturating_sub(segment.end);
        let rows = entries.iter().map(|entry| u64::from(entry.rows)).sum();
        self.rows = self.rows.saturating_sub(rows);
        rows
    }
}

/// Works on the spool on a thread that may block.
pub(super) async fn with<T: Send + 'static>(
    spool: &Arc<Mutex<Spool>>,
    work: impl FnOnce(&mut Spool) -> T + Send + 'static,
) -> T {
    let spool = Arc::clone(spool);
    let task =
        tokio::task::spawn_blocking(move || work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner)));
    match task.await {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(
            error.try_into_panic().unwrap_or_else(|error| Box::new(io::Error::other(error))),
        ),
    }
}

#[cfg(test)]
mod tests;
