//! One file that is being written.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use zstd::Encoder;

use super::{
    Record,
    line::{self, Line},
};

/// How hard zstd tries: its own default.
const LEVEL: i32 = 3;

/// A file that is being written: one frame of zstd, with a checksum.
pub(super) struct OutputFile {
    path: PathBuf,
    started: DateTime<Utc>,
    encoder: Encoder<'static, Counted>,
    line: Vec<u8>,
}

/// Why a recording is not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The folder is not there and cannot be made.
    #[error("cannot make the folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be made, as in a folder that is not ours.
    #[error("cannot make the recording {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written any further, as on a full disk.
    #[error("cannot write the recording {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl OutputFile {
    /// Makes a file of an exchange, named for its start, and writes the header. A file that is there already is left
    /// alone, and an error.
    pub(super) fn create(folder: &Path, exchange: &str, started: DateTime<Utc>) -> Result<Self, WriteError> {
        let path = folder.join(format!("{exchange}-{}.jsonl.zst", stamp(started)));
        let failed = |source| WriteError::Create { path: path.clone(), source };
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
        let mut encoder = Encoder::new(Counted { file, written: 0 }, LEVEL).map_err(failed)?;
        encoder.include_checksum(true).map_err(failed)?;
        let mut made = Self { path, started, encoder, line: Vec::new() };
        made.write_line(&Line::header(exchange, &line::text(started)))?;
        made.flush()?;
        Ok(made)
    }

    /// Gets the time of the header.
    pub(super) fn started(&self) -> DateTime<Utc> {
        self.started
    }

    /// Gets the bytes that are in the file so far: what waits to be compressed is not.
    pub(super) fn written(&self) -> u64 {
        self.encoder.get_ref().written
    }

    /// Tells whether a file that starts at this time has another name.
    pub(super) fn is_named_apart(&self, started: DateTime<Utc>) -> bool {
        stamp(started) != stamp(self.started)
    }

    /// Writes a record.
    pub(super) fn write(&mut self, record: &Record) -> Result<(), WriteError> {
        self.write_line(&Line::of(record, &line::text(record.time)))
    }

    /// Brings all that was written into the file, so that it is there even if the program is killed.
    pub(super) fn flush(&mut self) -> Result<(), WriteError> {
        self.encoder.flush().map_err(|source| WriteError::Write { path: self.path.clone(), source })
    }

    /// Ends the file, and waits until the disk has it. Gives its size.
    pub(super) fn finish(self) -> Result<u64, WriteError> {
        let Self { path, encoder, .. } = self;
        let finished = encoder.finish().and_then(|counted| {
            counted.file.sync_all()?;
            Ok(counted.written)
        });
        finished.map_err(|source| WriteError::Write { path, source })
    }

    fn write_line(&mut self, line: &Line<'_>) -> Result<(), WriteError> {
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, line).map_err(io::Error::from).and_then(|()| {
            self.line.push(b'\n');
            self.encoder.write_all(&self.line)
        });
        written.map_err(|source| WriteError::Write { path: self.path.clone(), source })
    }
}

/// Writes the time in a file's name, so that names sort by time.
fn stamp(time: DateTime<Utc>) -> String {
    time.format("%Y%m%dT%H%M%SZ").to_string()
}

/// Counts what is written to a file.
struct Counted {
    file: File,
    written: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.file.write(bytes)?;
        self.written = self.written.saturating_add(taken as u64);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
