//! A stream of messages as the body of an HTTP answer: NDJSON, or server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, header};
use tokio::time::timeout;
use tonic::Status;

use super::{call::Replies, error::Fault, json::Tables, output::Output, status};

/// The longest silence of an event stream: proxies cut what is silent for longer, often after 15 s or more.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);

/// Messages that have come together go out together, up to about this many bytes.
const CHUNK: usize = 64 * 1024;

/// How a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON text a line.
    Ndjson,
    /// Server-sent events, as the HTML standard has them.
    Events,
}

impl Format {
    /// Chooses by what the caller accepts.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let events = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|range| range.split(';').next())
            .any(|range| range.trim().eq_ignore_ascii_case("text/event-stream"));
        if events { Self::Events } else { Self::Ndjson }
    }

    /// Gets the media type.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }
}

/// The records of one stream.
#[derive(Debug)]
struct Records {
    replies: Replies,
    tables: Arc<Tables>,
    output: Output,
    format: Format,
    /// What goes out first.
    opening: Option<Vec<u8>>,
    ended: bool,
}

/// Starts to answer with a stream.
///
/// Waits for the first message, so that an error before it is an ordinary answer; but no longer than the longest
/// silence. When the caller goes away the body is dropped, and the call with it.
pub(super) async fn body(
    mut replies: Replies,
    tables: Arc<Tables>,
    output: Output,
    format: Format,
) -> Result<Body, Status> {
    let first = timeout(HEARTBEAT, replies.next()).await;
    let mut records = Records { replies, tables, output, format, opening: None, ended: false };
    let mut opening = Vec::new();
    if format == Format::Events {
        // How long a browser waits before it asks again, in milliseconds.
        opening.extend_from_slice(b"retry: 2000\n\n");
    }
    match first {
        Ok(Err(status)) => return Err(status),
        Ok(Ok(Some(message))) => records.write_with_ready(&message, &mut opening),
        Ok(Ok(None)) => records.ended = true,
        Err(_) => {}
    }
    records.opening = Some(opening).filter(|opening| !opening.is_empty());
    Ok(Body::from_stream(stream::unfold(records, |mut records| async {
        let chunk = records.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), records))
    })))
}

impl Records {
    /// Waits for what goes out next; nothing at the end.
    async fn chunk(&mut self) -> Option<Bytes> {
        if let Some(opening) = self.opening.take() {
            return Some(opening.into());
        }
        if self.ended {
            return None;
        }
        let next = match self.format {
            Format::Ndjson => self.replies.next().await,
            Format::Events => match timeout(HEARTBEAT, self.replies.next()).await {
                Ok(next) => next,
                Err(_) => return Some(Bytes::from_static(b": keep-alive\n\n")),
            },
        };
        let mut chunk = Vec::new();
        match next {
            Ok(Some(message)) => self.write_with_ready(&message, &mut chunk),
            Ok(None) => return None,
            Err(status) => self.write_error(&status, &mut chunk),
        }
        Some(chunk.into())
    }

    /// Writes a message and those that have come with it.
    fn write_with_ready(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let mut written = self.write(message, out).map_err(Fault::into_status);
        while written.is_ok() && out.len() < CHUNK {
            written = match self.replies.ready() {
                Ok(Some(message)) => self.write(&message, out).map_err(Fault::into_status),
                Ok(None) => return,
                Err(status) => Err(status),
            };
        }
        if let Err(status) = written {
            self.write_error(&status, out);
        }
    }

    /// Writes a message, wholly or not at all.
    fn write(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = out.len();
        if self.format == Format::Events {
            if let Some((epoch, sequence)) = self.output.cursor.and_then(|cursor| cursor.read(message)) {
                out.extend_from_slice(format!("id: {epoch}-{sequence}\n").as_bytes());
            }
            out.extend_from_slice(b"data: ");
        }
        if let Err(fault) = self.output.write(&self.tables, message, out) {
            out.truncate(start);
            return Err(fault);
        }
        out.extend_from_slice(match self.format {
            Format::Ndjson => b"\n",
            Format::Events => b"\n\n",
        });
        Ok(())
    }

    /// Writes the error that ends the stream as its last record.
    fn write_error(&mut self, error: &Status, out: &mut Vec<u8>) {
        let (code, _) = status::http(error.code());
        let (before, after): (&[u8], &[u8]) = match self.format {
            Format::Ndjson => (b"", b"\n"),
            Format::Events => (b"event: error\ndata: ", b"\n\n"),
        };
        out.extend_from_slice(before);
        out.extend(status::json(code, error, &self.tables));
        out.extend_from_slice(after);
        self.ended = true;
    }
}
