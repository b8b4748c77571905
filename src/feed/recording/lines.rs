//! The lines of a file, compressed with zstd or plain, one in memory at a time.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use super::RecordingError;

/// Bytes of one line at most: a listing fetched over HTTP may be long, a line without an end must not fill memory.
const MAX_LINE: u64 = 64 << 20;

/// The first bytes of a file compressed with zstd.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The lines of a file, one in memory at a time.
pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: usize,
    ended: bool,
}

impl Lines {
    /// Opens a file, compressed or plain.
    pub(super) fn open(path: &Path) -> Result<Self, RecordingError> {
        let failed = |source| RecordingError::Open { path: path.to_owned(), source };
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let compressed = file.fill_buf().map_err(failed)?.starts_with(&ZSTD_MAGIC);
        let named_compressed = path.extension().is_some_and(|extension| extension == "zst");
        if named_compressed && !compressed {
            return Err(RecordingError::NotZstd { path: path.to_owned() });
        }
        let reader: Box<dyn BufRead + Send> = if compressed {
            let decoder = zstd::Decoder::with_buffer(file).map_err(failed)?;
            Box::new(BufReader::new(decoder))
        } else {
            Box::new(file)
        };
        Ok(Self { reader, line: Vec::new(), number: 0, ended: false })
    }

    /// Gets the number of the line that was read last, counted from 1.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Reads no further, and gets the number of the last line.
    pub(super) fn end(&mut self) -> usize {
        self.ended = true;
        self.number
    }

    /// Reads the next line that is not empty.
    pub(super) fn next_line(&mut self) -> Result<Option<&[u8]>, Fault> {
        while !self.ended {
            self.line.clear();
            self.number += 1;
            let mut limited = self.reader.by_ref().take(MAX_LINE);
            let read = limited.read_until(b'\n', &mut self.line)?;
            if read == 0 {
                self.ended = true;
            } else if limited.limit() == 0 && !self.line.ends_with(b"\n") {
                return Err(Fault::Malformed(format!("longer than {MAX_LINE} bytes")));
            } else if !self.line.trim_ascii().is_empty() {
                return Ok(Some(&self.line));
            }
        }
        Ok(None)
    }
}

/// What is wrong with a line, before it is known which.
pub(super) enum Fault {
    Read(io::Error),
    /// What is compressed ends before its end. Whole lines that came before have been read.
    Cut(io::Error),
    Malformed(String),
}

impl Fault {
    /// Tells that a field is missing.
    pub(super) fn absent(field: &str) -> Self {
        Self::Malformed(format!("the record has no `{field}`"))
    }

    /// Says where.
    pub(super) fn at(self, path: &Path, line: usize) -> RecordingError {
        let path = path.to_owned();
        match self {
            Self::Read(source) | Self::Cut(source) => RecordingError::Read { path, line, source },
            Self::Malformed(reason) => RecordingError::Malformed { path, line, reason },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Cut(error),
            _ => Self::Read(error),
        }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(format!("not a record: {error}"))
    }
}
