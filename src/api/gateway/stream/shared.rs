//! Replies that many callers get, as text: each is written once, as an event, of which a line of NDJSON is a part.

use std::{convert::Infallible, future::poll_fn, sync::Arc};

use axum::body::Body;
use bytes::{BufMut as _, Bytes};
use futures::stream;
use tokio::time::timeout;
use tonic::Status;

use super::{Format, HEARTBEAT};
use crate::{
    api::{
        gateway::{error::Fault, json::Tables, output::Output, text},
        replies::{PREFIX, Replies, Reply},
    },
    pipeline::message::Form,
};

/// What stands before the JSON of an event, after its id.
const DATA: &[u8] = b"data: ";

/// The texts of one stream.
struct Texts {
    replies: Replies,
    tables: Arc<Tables>,
    output: Output,
    format: Format,
    opened: bool,
    ended: bool,
}

/// Answers with the replies.
pub(super) fn body(replies: Replies, tables: Arc<Tables>, output: Output, format: Format) -> Body {
    let texts = Texts { replies, tables, output, format, opened: false, ended: false };
    Body::from_stream(stream::unfold(texts, |mut texts| async {
        let chunk = texts.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), texts))
    }))
}

impl Texts {
    /// Waits for what goes out next; nothing at the end.
    async fn chunk(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.opened, true) && !self.format.opening().is_empty() {
            return Some(Bytes::from_static(self.format.opening()));
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
        match next.and_then(|reply| self.text(&*reply)) {
            Ok(text) => Some(text),
            Err(status) => {
                self.ended = true;
                Some(self.format.error(&status, &self.tables).into())
            }
        }
    }

    /// Gets the text of a reply.
    fn text(&self, reply: &dyn Reply) -> Result<Bytes, Status> {
        let encoded = reply.encoded();
        let event = if self.output.field.is_none() {
            encoded.form(Form::Text, |plain| self.event(reply, plain)).clone()
        } else {
            // Answered is a part of the reply: that is this call's own business.
            self.event(reply, encoded.bytes())
        };
        if event.is_empty() {
            return Err(Fault::internal("a reply is no JSON".to_owned()).into_status());
        }
        Ok(match self.format {
            Format::Events => event,
            Format::Ndjson => line(&event),
        })
    }

    /// Writes a reply as an event; nothing if it cannot be written.
    fn event(&self, reply: &dyn Reply, plain: &Bytes) -> Bytes {
        let cursor = reply.cursor();
        let mut event = format!("id: {}-{}\n", cursor.epoch, cursor.sequence).into_bytes();
        event.put_slice(DATA);
        let message = plain.get(PREFIX..).unwrap_or_default();
        let measures = self.replies.measures();
        measures.text();
        let known = text::of(reply.updates(), &self.tables, || measures.text());
        if self.output.write_with(&self.tables, message, &mut event, known).is_err() {
            return Bytes::new();
        }
        event.put_slice(b"\n\n");
        event.into()
    }
}

/// Finds the line of JSON within an event.
fn line(event: &Bytes) -> Bytes {
    let id = event.iter().position(|byte| *byte == b'\n').unwrap_or_default();
    event.slice(id + 1 + DATA.len()..event.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_part_of_an_event() {
        assert_eq!(line(&Bytes::from_static(b"id: 7-8\ndata: {\"a\":1}\n\n")), "{\"a\":1}\n");
    }
}
