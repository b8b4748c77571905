//! Puts a recorder together: the venues of the configuration, and the files that they are written to.

use std::{path::PathBuf, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    delta,
    markets::{Listened, Shared},
};
use crate::{
    clock::Clock,
    config::Config,
    feed::recording::{Progress, Writer, WriterOptions},
    pipeline::{
        ingest::Listen,
        record::{self, Connected},
    },
};

/// How often what was written is brought to the files: what a killed program loses at most.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// Bytes that may wait for the disk, of all venues together.
const ROOM: usize = 64 << 20;

/// What to record to.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// Where the files are made.
    pub folder: PathBuf,
    /// Bytes of a file from which on it is followed by the next.
    pub rotate_size: u64,
    /// The span of a file from which on it is followed by the next.
    pub rotate_every: Duration,
}

/// A recorder that has its files, and does not run yet.
#[derive(Debug)]
pub struct Recorder {
    venues: Vec<Listen>,
    writer: Writer,
    connected: Connected,
    queue: usize,
    clock: Clock,
}

/// How a recorder does. Clones see the same.
#[derive(Debug, Clone)]
pub struct RecorderStatus {
    /// The number of venues that are recorded.
    pub venues: usize,
    /// How many of them are connected.
    pub connected: Connected,
    /// What has been written.
    pub progress: Progress,
}

impl Recorder {
    /// Makes the files. What cannot work fails here: a folder that cannot be written to, a venue that does not exist.
    pub fn build(config: &Config, options: RecordOptions) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let shared = Shared::new(config)?;
        let mut venues = Listened::configured(config)?.listeners(&config.feed, &shared);
        let options = WriterOptions {
            folder: options.folder,
            rotate_size: options.rotate_size,
            rotate_every: delta(options.rotate_every),
            flush_every: FLUSH_EVERY,
            room: ROOM,
        };
        let names = venues.iter().map(|venue| venue.protocol.venue());
        let (writer, taps) = Writer::create(options, names, clock.now())?;
        for (venue, tap) in venues.iter_mut().zip(taps) {
            venue.options.socket.tap = Some(tap);
        }
        Ok(Self { venues, writer, connected: Connected::default(), queue: config.feed.queue, clock })
    }

    /// Gets what tells how it does.
    pub fn status(&self) -> RecorderStatus {
        RecorderStatus {
            venues: self.venues.len(),
            connected: self.connected.clone(),
            progress: self.writer.progress(),
        }
    }

    /// Records until `shutdown`, and ends when all files are finished. A file that cannot be written ends it, too.
    pub async fn run_until_stopped(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { venues, writer, connected, queue, clock } = self;
        Ok(record::run(venues, writer, connected, queue, clock, shutdown).await?)
    }
}
