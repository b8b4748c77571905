//! A stream of replies as the body of an HTTP answer: NDJSON, or server-sent events.
//!
//! A reply is written once, however many get it: as an event, of which a line of NDJSON is a part.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::{BufMut as _, Bytes};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, header};
use tokio::time::timeout;
use tonic::Status;

use super::{GatewayBody, Refused, error::Fault, json::Tables, output::Output, status, text};
use crate::{
    api::replies::{PREFIX, Replies, Reply},
    pipeline::message::Form,
};

/// The longest silence of an event stream: proxies cut what is silent for longer, often after 15 s or more.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);

/// What stands before the JSON of an event, after its id.
const DATA: &[u8] = b"data: ";

/// How a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON text a line.
    Ndjson,
    /// Server-sent events, as the HTML standard has them.
    Events,
}

/// The replies of a stream, as text.
struct Texts {
    replies: Replies,
    tables: Arc<Tables>,
    output: Output,
    format: Format,
    /// What goes out first.
    opening: Vec<Bytes>,
    ended: bool,
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

    /// Gets what comes first: how long a browser waits before it asks again, in milliseconds.
    fn opening(self) -> Option<Bytes> {
        (self == Self::Events).then_some(Bytes::from_static(b"retry: 2000\n\n"))
    }

    /// Takes of an event what belongs into the stream.
    fn of(self, event: Bytes) -> Bytes {
        match self {
            Self::Events => event,
            Self::Ndjson => line(&event),
        }
    }
}

/// Starts to answer with a stream.
///
/// Waits for the first reply, so that an error before it is an ordinary answer; but no longer than the longest
/// silence. When the caller goes away the body is dropped, and the call with it.
pub(super) async fn body(
    mut replies: Replies,
    tables: Arc<Tables>,
    output: Output,
    format: Format,
) -> Result<GatewayBody, Refused> {
    let first = timeout(HEARTBEAT, poll_fn(|context| replies.poll_next(context))).await;
    let mut texts = Texts { replies, tables, output, format, opening: Vec::new(), ended: false };
    match first {
        Ok(Some(Err(status))) => return Err(status.into()),
        Ok(Some(Ok(reply))) => texts.opening.push(texts.text(&*reply)?),
        Ok(None) => texts.ended = true,
        Err(_) => {}
    }
    texts.opening.extend(format.opening());
    Ok(GatewayBody::Stream(
        stream::unfold(texts, |mut texts| async { Some((texts.chunk().await?, texts)) }).boxed(),
    ))
}

impl Texts {
    /// Waits for what goes out next; nothing at the end.
    async fn chunk(&mut self) -> Option<Bytes> {
        if let Some(first) = self.opening.pop() {
            return Some(first);
        }
        if self.ended {
            return None;
        }
        let next = poll_fn(|context| self.replies.poll_next(context));
        let next = match self.format {
            Format::Ndjson => next.await?,
            Format::Events => match timeout(HEARTBEAT, next).await {
                Ok(next) => next?,
                Err(_) => return Some(Bytes::from_static(b": keep-alive\n\n")),
            },
        };
        let text = next.and_then(|reply| self.text(&*reply).map_err(Fault::into_status));
        Some(text.unwrap_or_else(|status| self.error(&status)))
    }

    /// Gets the text of a reply.
    fn text(&self, reply: &dyn Reply) -> Result<Bytes, Fault> {
        let encoded = reply.encoded();
        let event = if self.output.field.is_none() {
            encoded.form(Form::Text, |plain| self.event(reply, plain)).clone()
        } else {
            // Answered is a part of the reply: that is this call's own business.
            self.event(reply, encoded.bytes())
        };
        if event.is_empty() {
            return Err(Fault::internal("a reply is no JSON".to_owned()));
        }
        Ok(self.format.of(event))
    }

    /// Writes a reply as an event; nothing if it cannot be written.
    fn event(&self, reply: &dyn Reply, plain: &Bytes) -> Bytes {
        let id = reply.cursor().map(|cursor| format!("id: {}-{}\n", cursor.epoch, cursor.sequence));
        let mut event = id.unwrap_or_default().into_bytes();
        event.put_slice(DATA);
        let message = plain.get(PREFIX..).unwrap_or_default();
        self.replies.wrote();
        let known = text::of(reply.updates(), &self.tables, || self.replies.wrote());
        if self.output.write_with(&self.tables, message, &mut event, known).is_err() {
            return Bytes::new();
        }
        event.put_slice(b"\n\n");
        event.into()
    }

    /// Writes the error that ends the stream as its last record.
    fn error(&mut self, error: &Status) -> Bytes {
        self.ended = true;
        let (code, _) = crate::api::status::http(error.code());
        let event = [b"event: error\n", DATA, &status::json(code, error, &self.tables), b"\n\n"].concat();
        self.format.of(event.into())
    }
}

/// Finds the line of JSON within an event. What comes before it has no such field in it.
fn line(event: &Bytes) -> Bytes {
    let start = if event.starts_with(DATA) {
        0
    } else {
        event.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1)
    };
    event.slice(start + DATA.len()..event.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_part_of_an_event() {
        for event in
            ["id: 7-8\ndata: {\"a\":1}\n\n", "data: {\"a\":1}\n\n", "event: error\ndata: {\"a\":1}\n\n"]
        {
            assert_eq!(line(&Bytes::from_static(event.as_bytes())), "{\"a\":1}\n");
        }
    }
}
