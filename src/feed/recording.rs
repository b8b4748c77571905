//! Recorded exchange traffic, written frame by frame and read back the same way.
//!
//! A recording is one JSON record a line, usually compressed with zstd (`KRAKEN.jsonl.zst`). The first line is
//! `{"t":"header","format":2,"exchange","recorded"}`; the others are, in order of arrival, `connect` {conn, addr},
//! `send` {conn, data}, `recv` {conn, data, or b64 for binary frames} and `http` {conn, url, data}, each with `ts`,
//! the time in Unix seconds with a fraction. Lines are read one at a time, so memory stays flat however long a
//! recording is.
//!
//! A recording may go on where another has ended, in the middle of a connection. It then begins with what has to be
//! known of that connection, under the times at which it was said: records before the time of the header.
//!
//! `line` is the format, for both directions. [`Recording`] reads, with `lines`; [`Writer`] writes, with `file`,
//! what each connection tells through its [`Tap`].

mod file;
mod line;
mod lines;
mod tap;
mod writer;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

pub(super) use self::tap::{Tapped, Untold};
pub use self::{
    file::WriteError,
    tap::Tap,
    writer::{Progress, Writer, WriterOptions},
};
use self::{
    line::Line,
    lines::{Fault, Lines},
};
use super::{
    venue::{Frame, Protocol},
    venues::{self, binance::BinanceFutures},
};
use crate::domain::pair::Pair;

/// A recording that is being read: an iterator over its records, which ends after the first error.
///
/// What is compressed and ends without its end, as a killed program leaves it, is read up to the last whole line, and
/// [`Recording::is_cut`] tells so afterwards.
pub struct Recording {
    path: PathBuf,
    exchange: String,
    protocol: &'static dyn Protocol,
    started: DateTime<Utc>,
    lines: Lines,
    cut: bool,
}

/// One thing that happened while the recording ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, by the clock of the machine that recorded.
    pub time: DateTime<Utc>,
    /// The name of the connection it happened on.
    pub connection: String,
    /// What.
    pub kind: RecordKind,
}

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKind {
    /// It was opened to this address.
    Connect(String),
    /// These pairs were asked for by these symbols, which alone read as others.
    Asked(Vec<(String, Pair)>),
    /// This text was sent.
    Sent(String),
    /// This frame was received.
    Frame(OwnedFrame),
    /// This address was asked over HTTP, and answered.
    Http {
        /// What was asked.
        url: String,
        /// The body of the answer.
        body: String,
    },
}

/// A frame that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedFrame {
    /// A text frame.
    Text(String),
    /// A binary frame.
    Binary(Vec<u8>),
}

/// Why a recording cannot be read. Lines are counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be opened.
    #[error("cannot open the recording {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is named as if it were compressed, and is not.
    #[error("{path} is not compressed with zstd, as its name says")]
    NotZstd {
        /// The file.
        path: PathBuf,
    },
    /// Reading failed: the file is damaged, or cut off inside what is compressed.
    #[error("{path}, line {line}: cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// Why.
        source: io::Error,
    },
    /// A line is not a record of the format.
    #[error("{path}, line {line}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The first line is not a header.
    #[error("{path} does not begin with a header")]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// The exchange is none whose messages are understood.
    #[error("{path}: unknown exchange `{exchange}`")]
    UnknownExchange {
        /// The file.
        path: PathBuf,
        /// The exchange's name in the header.
        exchange: String,
    },
}

/// Finds the protocol of an exchange by the name that recordings give it.
pub fn protocol_for(exchange: &str) -> Option<&'static dyn Protocol> {
    match exchange {
        "BINANCE_FUTURES" => Some(&BinanceFutures),
        "CRYPTO.COM" => venues::by_name("cryptocom"),
        "GATEIO" => venues::by_name("gate"),
        "HUOBI" => venues::by_name("htx"),
        _ => venues::by_name(&exchange.to_ascii_lowercase()),
    }
}

impl Recording {
    /// Opens a recording, compressed or plain, and reads its header.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RecordingError> {
        let path = path.into();
        let mut lines = Lines::open(&path)?;
        let Some(first) = lines.next_line().map_err(|fault| fault.at(&path, 1))? else {
            return Err(RecordingError::NoHeader { path });
        };
        let header = serde_json::from_slice::<Line<'_>>(first).ok().filter(Line::is_header);
        let Some(header) = header else {
            return Err(RecordingError::NoHeader { path });
        };
        let (exchange, started) = header.into_header().map_err(|fault| fault.at(&path, 1))?;
        let Some(protocol) = protocol_for(&exchange) else {
            return Err(RecordingError::UnknownExchange { path, exchange });
        };
        Ok(Self { path, exchange, protocol, started, lines, cut: false })
    }

    /// Gets the exchange's name as the header writes it.
    pub fn exchange(&self) -> &str {
        &self.exchange
    }

    /// Gets the protocol that understands the frames.
    pub fn protocol(&self) -> &'static dyn Protocol {
        self.protocol
    }

    /// Gets the time at which the recording began.
    pub fn started(&self) -> DateTime<Utc> {
        self.started
    }

    /// Gets the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether the file has turned out to be cut off.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

impl Iterator for Recording {
    type Item = Result<Record, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = match self.lines.next_line() {
            Ok(None) => return None,
            Ok(Some(line)) => {
                serde_json::from_slice::<Line<'_>>(line).map_err(Fault::from).and_then(Line::into_record)
            }
            Err(Fault::Cut(_)) => {
                self.cut = true;
                self.lines.end();
                return None;
            }
            Err(fault) => Err(fault),
        };
        Some(read.map_err(|fault| fault.at(&self.path, self.lines.end())))
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("path", &self.path)
            .field("exchange", &self.exchange)
            .field("line", &self.lines.number())
            .finish_non_exhaustive()
    }
}

impl OwnedFrame {
    /// Borrows the frame, to be decoded by a protocol.
    pub fn as_frame(&self) -> Frame<'_> {
        match self {
            Self::Text(text) => Frame::Text(text),
            Self::Binary(bytes) => Frame::Binary(bytes),
        }
    }
}

impl From<Frame<'_>> for OwnedFrame {
    fn from(frame: Frame<'_>) -> Self {
        match frame {
            Frame::Text(text) => Self::Text(text.to_owned()),
            Frame::Binary(bytes) => Self::Binary(bytes.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
