//! Recorded exchange traffic, read back frame by frame.
//!
//! A recording is one JSON record a line, usually compressed with zstd (`KRAKEN.jsonl.zst`). The first line is
//! `{"t":"header","format":2,"exchange","recorded"}`; the others are, in order of arrival, `connect` {conn, addr},
//! `send` {conn, data}, `recv` {conn, data, or b64 for binary frames} and `http` {conn, url, data}, each with `ts`,
//! the time in Unix seconds with a fraction. Lines are read one at a time, so memory stays flat however long a
//! recording is.

mod lines;

use std::{fmt, io, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use self::lines::{Fault, Lines};
use super::{
    number::{Text, seconds},
    venue::{Frame, Protocol},
    venues::{self, binance::BinanceFutures},
};

/// The version of the format that is understood.
const FORMAT: u32 = 2;

/// A recording that is being read: an iterator over its records, which ends after the first error.
pub struct Recording {
    path: PathBuf,
    exchange: String,
    protocol: &'static dyn Protocol,
    started: DateTime<Utc>,
    lines: Lines,
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
        let header: Line<'_> = match serde_json::from_slice(first) {
            Ok(line @ Line { t: Kind::Header, .. }) => line,
            _ => return Err(RecordingError::NoHeader { path }),
        };
        let (exchange, started) = header.into_header().map_err(|fault| fault.at(&path, 1))?;
        let Some(protocol) = protocol_for(&exchange) else {
            return Err(RecordingError::UnknownExchange { path, exchange });
        };
        Ok(Self { path, exchange, protocol, started, lines })
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
}

impl Iterator for Recording {
    type Item = Result<Record, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = match self.lines.next_line() {
            Ok(None) => return None,
            Ok(Some(line)) => {
                serde_json::from_slice::<Line<'_>>(line).map_err(Fault::from).and_then(Line::into_record)
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

/// A line as it is written. Which fields there are depends on `t`.
#[derive(Deserialize)]
struct Line<'a> {
    t: Kind,
    #[serde(borrow)]
    ts: Option<Text<'a>>,
    conn: Option<String>,
    addr: Option<String>,
    url: Option<String>,
    data: Option<String>,
    b64: Option<String>,
    format: Option<u32>,
    exchange: Option<String>,
    recorded: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Header,
    Connect,
    Send,
    Recv,
    Http,
}

impl Line<'_> {
    fn into_header(self) -> Result<(String, DateTime<Utc>), Fault> {
        let format = self.format.ok_or_else(|| Fault::absent("format"))?;
        if format != FORMAT {
            return Err(Fault::Malformed(format!("format {format}, expected format {FORMAT}")));
        }
        let started = time("recorded", self.recorded)?;
        Ok((self.exchange.ok_or_else(|| Fault::absent("exchange"))?, started))
    }

    fn into_record(self) -> Result<Record, Fault> {
        let data = |data: Option<String>| data.ok_or_else(|| Fault::absent("data"));
        let kind = match self.t {
            Kind::Header => return Err(Fault::Malformed("a second header".to_owned())),
            Kind::Connect => RecordKind::Connect(self.addr.ok_or_else(|| Fault::absent("addr"))?),
            Kind::Send => RecordKind::Sent(data(self.data)?),
            Kind::Recv => RecordKind::Frame(match self.b64 {
                Some(text) => OwnedFrame::Binary(
                    STANDARD
                        .decode(text)
                        .map_err(|error| Fault::Malformed(format!("bad base64: {error}")))?,
                ),
                None => OwnedFrame::Text(data(self.data)?),
            }),
            Kind::Http => RecordKind::Http {
                url: self.url.ok_or_else(|| Fault::absent("url"))?,
                body: data(self.data)?,
            },
        };
        Ok(Record {
            time: time("ts", self.ts)?,
            connection: self.conn.ok_or_else(|| Fault::absent("conn"))?,
            kind,
        })
    }
}

fn time(field: &str, text: Option<Text<'_>>) -> Result<DateTime<Utc>, Fault> {
    let Text(text) = text.ok_or_else(|| Fault::absent(field))?;
    seconds(text).ok_or_else(|| Fault::Malformed(format!("`{field}` is not a time: {text}")))
}

#[cfg(test)]
mod tests;
