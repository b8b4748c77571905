//! A stream of messages as the body of an HTTP answer: NDJSON, or server-sent events.

mod shared;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, header};
use tokio::time::timeout;

use super::{
    Gateway, Refused, call::Replies, error::Fault, json::Tables, output::Output, routes::Binding, status,
};

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

impl Format {
    /// Writes what comes first: how long a browser waits before it asks again, in milliseconds.
    fn opening(self) -> &'static [u8] {
        match self {
            Self::Ndjson => b"",
            Self::Events => b"retry: 2000\n\n",
        }
    }

    /// Writes the error that ends a stream as its last record.
    fn error(self, error: &tonic::Status, tables: &Tables) -> Vec<u8> {
        let (code, _) = crate::api::status::http(error.code());
        let (before, after): (&[u8], &[u8]) = match self {
            Self::Ndjson => (b"", b"\n"),
            Self::Events => (b"event: error\ndata: ", b"\n\n"),
        };
        [before, &status::json(code, error, tables), after].concat()
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

/// Starts to answer with a stream: of replies that are shared, or else of whatever the call sends.
pub(super) async fn body(
    replies: Replies,
    gateway: &Gateway,
    binding: &Binding,
    format: Format,
) -> Result<Body, Refused> {
    let (tables, output) = (Arc::clone(&gateway.tables), binding.output.clone());
    match replies.into_shared() {
        Ok(replies) => Ok(shared::body(replies, tables, output, format)),
        Err(replies) => own(replies, tables, output, format).await,
    }
}

/// Answers with a stream of its own.
///
/// Waits for the first message, so that an error before it is an ordinary answer; but no longer than the longest
/// silence. When the caller goes away the body is dropped, and the call with it.
async fn own(
    mut replies: Replies,
    tables: Arc<Tables>,
    output: Output,
    format: Format,
) -> Result<Body, Refused> {
    let first = timeout(HEARTBEAT, replies.next()).await;
    let mut records = Records { replies, tables, output, format, opening: None, ended: false };
    let mut opening = format.opening().to_vec();
    match first {
        Ok(Err(status)) => return Err(status.into()),
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

    /// Ends the stream with an error.
    fn write_error(&mut self, error: &tonic::Status, out: &mut Vec<u8>) {
        out.extend(self.format.error(error, &self.tables));
        self.ended = true;
    }
}
