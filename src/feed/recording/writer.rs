//! Writes recordings: one file for each venue at a time, the next one when it has grown large or old.
//!
//! Connections go on while their file changes. The new file begins with what later frames of those that stand refer
//! to: the record of the connection itself, and the frames that changed the parser's
//! [`Session`](crate::feed::venue::Session), each under the time at which it came.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Record, RecordKind, WriteError,
    file::OutputFile,
    tap::{self, Entry, Tap, Told, Waiting},
};
use crate::domain::venue::Venue;

/// How recordings are written.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// Where; it is made if it is not there.
    pub folder: PathBuf,
    /// Bytes, as they are on the disk, from which on a file is followed by the next.
    pub rotate_size: u64,
    /// The span of time of a file, from which on it is followed by the next.
    pub rotate_every: TimeDelta,
    /// How often what was written is brought to the file.
    pub flush_every: Duration,
    /// Bytes that may wait to be written. What finds no room is not recorded, and ends its connection.
    pub room: usize,
}

/// Writes what connections tell, until none is left that could.
#[derive(Debug)]
pub struct Writer {
    options: WriterOptions,
    tracks: Vec<Track>,
    waiting: Waiting,
    progress: Progress,
}

/// What has been written so far. Clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    messages: AtomicU64,
    bytes: AtomicU64,
    files: AtomicU64,
    overruns: Arc<AtomicU64>,
}

/// The files of one venue, one after the other.
struct Track {
    exchange: String,
    file: OutputFile,
    /// Whether the file has something that no other file has.
    own: bool,
    /// What later frames of the connections that stand refer to.
    lasting: Vec<Record>,
    /// Bytes of the file that are counted already.
    counted: u64,
}

impl Progress {
    /// Gets the frames that were received.
    pub fn messages(&self) -> u64 {
        self.0.messages.load(Ordering::Relaxed)
    }

    /// Gets the bytes of all files together, as they are on the disk.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Gets the number of files that were made.
    pub fn files(&self) -> u64 {
        self.0.files.load(Ordering::Relaxed)
    }

    /// Gets how many times a connection was ended because there was no room for what it had to tell.
    pub fn overruns(&self) -> u64 {
        self.0.overruns.load(Ordering::Relaxed)
    }
}

impl Writer {
    /// Makes the first file of each venue, and a tap for each, in their order.
    pub fn create(
        options: WriterOptions,
        venues: impl IntoIterator<Item = Venue>,
        started: DateTime<Utc>,
    ) -> Result<(Self, Vec<Tap>), WriteError> {
        let folder = &options.folder;
        fs::create_dir_all(folder).map_err(|source| WriteError::Folder { path: folder.clone(), source })?;
        let progress = Progress::default();
        let (queue, waiting) = tap::queue(options.room, Arc::clone(&progress.0.overruns));
        let (mut tracks, mut taps) = (Vec::new(), Vec::new());
        for venue in venues {
            let exchange = venue.as_str().to_ascii_uppercase();
            taps.push(Tap::new(tracks.len(), exchange.clone(), queue.clone()));
            let file = OutputFile::create(folder, &exchange, started)?;
            progress.0.files.fetch_add(1, Ordering::Relaxed);
            let mut track = Track { exchange, file, own: false, lasting: Vec::new(), counted: 0 };
            track.count(&progress.0);
            tracks.push(track);
        }
        Ok((Self { options, tracks, waiting, progress }, taps))
    }

    /// Gets what tells how much has been written.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Writes until all taps are gone, and finishes the files. Blocks its thread. The first error ends it; what can
    /// be finished is finished even then.
    pub fn run(mut self) -> Result<(), WriteError> {
        let written = self.write_all();
        let finished = self.tracks.into_iter().map(|track| track.finish(&self.progress.0));
        // Each is finished, whatever has become of the one before.
        let finished = finished.fold(Ok(()), Result::and);
        written.and(finished)
    }

    fn write_all(&mut self) -> Result<(), WriteError> {
        let mut flush_at = Instant::now() + self.options.flush_every;
        loop {
            let within = flush_at.saturating_duration_since(Instant::now());
            let Ok(next) = self.waiting.next(within) else { return Ok(()) };
            if let Some(entry) = next {
                self.take(entry)?;
            }
            if Instant::now() >= flush_at {
                for track in &mut self.tracks {
                    track.file.flush()?;
                    track.count(&self.progress.0);
                }
                flush_at = Instant::now() + self.options.flush_every;
            }
        }
    }

    fn take(&mut self, Entry { track, told }: Entry) -> Result<(), WriteError> {
        // Taps are made with their tracks.
        let Some(track) = self.tracks.get_mut(track) else { return Ok(()) };
        let (record, lasting) = match told {
            Told::Record { record, lasting } => (record, lasting),
            Told::Ended(connection) => {
                track.lasting.retain(|record| record.connection != connection);
                return Ok(());
            }
        };
        if track.is_full(&record, &self.options) {
            track.rotate(record.time, &self.options, &self.progress.0)?;
        }
        track.file.write(&record)?;
        track.own = true;
        track.count(&self.progress.0);
        if matches!(record.kind, RecordKind::Frame(_)) {
            self.progress.0.messages.fetch_add(1, Ordering::Relaxed);
        }
        if lasting || matches!(record.kind, RecordKind::Connect(_)) {
            track.lasting.push(record);
        }
        Ok(())
    }
}

impl Track {
    /// Tells whether a record belongs into the next file.
    fn is_full(&self, next: &Record, options: &WriterOptions) -> bool {
        let full = self.file.written() >= options.rotate_size
            || next.time - self.file.started() >= options.rotate_every;
        full && self.own && self.file.is_named_apart(next.time)
    }

    fn rotate(
        &mut self,
        started: DateTime<Utc>,
        options: &WriterOptions,
        counts: &Counts,
    ) -> Result<(), WriteError> {
        let next = OutputFile::create(&options.folder, &self.exchange, started)?;
        counts.files.fetch_add(1, Ordering::Relaxed);
        let ended = std::mem::replace(&mut self.file, next);
        let size = ended.finish()?;
        counts.bytes.fetch_add(size.saturating_sub(self.counted), Ordering::Relaxed);
        (self.own, self.counted) = (false, 0);
        self.lasting.iter().try_for_each(|record| self.file.write(record))
    }

    fn count(&mut self, counts: &Counts) {
        let written = self.file.written();
        counts.bytes.fetch_add(written.saturating_sub(self.counted), Ordering::Relaxed);
        self.counted = written;
    }

    fn finish(self, counts: &Counts) -> Result<(), WriteError> {
        let size = self.file.finish()?;
        counts.bytes.fetch_add(size.saturating_sub(self.counted), Ordering::Relaxed);
        Ok(())
    }
}

impl std::fmt::Debug for Track {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Track").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
