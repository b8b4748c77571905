//! The replies of a stream, shared by all who get the same: each form of each is made once.
//!
//! A handler answers with a stream of [`Reply`]s ([`Opened`], among the extensions of its response) and leaves the
//! stream that tonic would encode for each caller empty. gRPC and gRPC-Web get the replies as frames ([`Framed`]),
//! REST as text; both through [`Replies`], which ends a stream for whatever reason there is: the service stops, the
//! connection is old, the time is up, the reader has stopped reading. The last word says where to go on.

mod compress;

use self::compress::frame;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Code, Status};

use super::{
    limits::Limits,
    measure::{Cut, Measure, OpenStream},
    server::{
        connection::{Connection, OpenOnConnection},
        stall::{Stall, StallGuard},
    },
};
use crate::{
    domain::price::Cursor,
    pipeline::{
        board::Update,
        message::{Encoded, Form, Message},
    },
    service::{
        error::ServiceError,
        streams::alarm::{Alarm, Standing},
    },
};

/// Bytes before each message of gRPC: whether it is compressed, and its length.
pub const PREFIX: usize = 5;

/// The header that names how messages are compressed.
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// One reply of a stream.
pub trait Reply: fmt::Debug + Send + Sync {
    /// Gets the reply with its prefix, as a frame of gRPC, and in its other forms.
    fn encoded(&self) -> &Encoded;

    /// Tells up to where the stream has come with it, if it has places.
    fn cursor(&self) -> Option<Cursor> {
        None
    }

    /// Lists the prices in it, in their order.
    fn updates(&self) -> &[Arc<Update>] {
        &[]
    }

    /// Tells how many updates were left out before it.
    fn skipped(&self) -> u64 {
        0
    }
}

/// A reply that one caller alone gets.
#[derive(Debug)]
pub struct Own(Encoded);

/// Where replies come from.
pub type Source = Pin<Box<dyn Stream<Item = Result<Arc<dyn Reply>, Status>> + Send>>;

/// A stream that a handler has opened, on its way to whoever writes it. Whoever takes it first has it.
#[derive(Clone)]
pub struct Opened(Arc<Mutex<Option<Source>>>);

/// Among the extensions of a request: its answer will be written as text.
#[derive(Debug, Clone, Copy)]
pub struct AsText;

/// Among the extensions of a response: the prices within it, in their order, whose texts may be there already.
#[derive(Debug, Clone)]
pub struct Within(Arc<[Arc<Update>]>);

/// The replies of one stream, up to its end.
pub struct Replies {
    source: Source,
    /// What it is held to; nothing outside of a connection.
    held: Option<Box<Held>>,
    last: Option<Cursor>,
    ended: bool,
}

/// What a stream is held to.
struct Held {
    leaving: Standing<WaitForCancellationFutureOwned>,
    connection: Connection,
    until: Option<Alarm>,
    stall: StallGuard,
    measure: Measure,
    _open: (OpenStream, OpenOnConnection),
}

/// The replies as the body of a gRPC answer.
#[derive(Debug)]
pub struct Framed {
    /// The replies.
    pub replies: Replies,
    form: Option<Form>,
}

impl Reply for Message {
    fn encoded(&self) -> &Encoded {
        Self::encoded(self)
    }

    fn cursor(&self) -> Option<Cursor> {
        Some(self.cursor)
    }

    fn updates(&self) -> &[Arc<Update>] {
        &self.updates
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}

impl Own {
    /// Makes a reply of an encoded message.
    pub fn reply(message: &[u8]) -> Arc<dyn Reply> {
        Arc::new(Self(Encoded::new(frame(false, message))))
    }
}

impl Reply for Own {
    fn encoded(&self) -> &Encoded {
        &self.0
    }
}

impl Within {
    /// Names the prices within an answer.
    pub fn new(updates: impl IntoIterator<Item = Arc<Update>>) -> Self {
        Self(updates.into_iter().collect())
    }

    /// Gets the prices.
    pub fn updates(&self) -> &[Arc<Update>] {
        &self.0
    }
}

impl Opened {
    /// Hands over a stream.
    pub fn new(source: Source) -> Self {
        Self(Arc::new(Mutex::new(Some(source))))
    }

    /// Takes the stream.
    pub fn take(&self) -> Option<Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl From<Source> for Replies {
    /// Takes replies that are held to nothing.
    fn from(source: Source) -> Self {
        Self { source, held: None, last: None, ended: false }
    }
}

impl Replies {
    /// Opens a stream on a connection, unless that has too many.
    pub fn open(
        source: Source,
        connection: &Connection,
        limits: &Limits,
        until: Option<Instant>,
        mut measure: Measure,
    ) -> Result<Self, Status> {
        let Some(slot) = connection.open_stream(limits.max_streams) else {
            let refused = limits.too_many_streams();
            measure.end(refused.code());
            return Err(refused);
        };
        let held = Held {
            leaving: Standing::new(connection.leaving()),
            connection: connection.clone(),
            until: until.map(Alarm::at),
            stall: connection.watch(measure.measures()),
            _open: (measure.measures().open(measure.door()), slot),
            measure,
        };
        Ok(Self { held: Some(Box::new(held)), ..Self::from(source) })
    }

    /// Waits for the next reply. An error is the last.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Arc<dyn Reply>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(held) = &mut self.held
            && let Some((cut, error)) = held.must_end(self.last, context)
        {
            held.measure.measures().cut(cut);
            return Poll::Ready(Some(Err(self.end(error.into()))));
        }
        match ready!(self.source.as_mut().poll_next(context)) {
            Some(Ok(reply)) => {
                self.last = reply.cursor().or(self.last);
                if let Some(held) = &self.held {
                    held.measure.measures().message(reply.updates().len() as u64, reply.skipped());
                    held.stall.handed();
                }
                Poll::Ready(Some(Ok(reply)))
            }
            Some(Err(status)) => {
                if let Some(held) = self.held.as_ref().filter(|_| status.code() == Code::Unavailable) {
                    held.measure.measures().cut(Cut::Overrun);
                }
                Poll::Ready(Some(Err(self.end(status))))
            }
            None => {
                self.end(Status::ok(""));
                Poll::Ready(None)
            }
        }
    }

    /// Takes note of something that was written as text, for all who get it.
    pub fn wrote(&self) {
        if let Some(held) = &self.held {
            held.measure.measures().text();
        }
    }

    /// Tells whether the last reply has come.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn end(&mut self, status: Status) -> Status {
        self.ended = true;
        if let Some(held) = &mut self.held {
            held.measure.end(status.code());
        }
        status
    }
}

impl Held {
    /// Tells why the stream cannot go on, if there is a reason.
    fn must_end(
        &mut self,
        resume_after: Option<Cursor>,
        context: &mut Context<'_>,
    ) -> Option<(Cut, ServiceError)> {
        if let Stall::Cut = self.stall.polled() {
            return Some((Cut::Stalled, ServiceError::SlowReader { resume_after }));
        }
        if self.leaving.poll(self.connection.is_leaving(), context) {
            return Some(if self.connection.is_old() {
                (Cut::ConnectionAge, ServiceError::ConnectionAge { resume_after })
            } else {
                (Cut::Stopping, ServiceError::Stopping { resume_after })
            });
        }
        let due = self.until.as_mut().is_some_and(|until| until.poll(context));
        due.then_some((Cut::Deadline, ServiceError::StreamDeadline { resume_after }))
    }
}

impl Framed {
    /// Frames replies, compressed as tonic has told the caller in the headers.
    pub fn new(replies: Replies, headers: &HeaderMap) -> Self {
        let form = match headers.get(ENCODING).map(HeaderValue::as_bytes) {
            Some(b"gzip") => Some(Form::Gzip),
            Some(b"zstd") => Some(Form::Zstd),
            _ => None,
        };
        Self { replies, form }
    }
}

impl Body for Framed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.replies.has_ended() {
            return Poll::Ready(None);
        }
        let end = match ready!(this.replies.poll_next(context)) {
            Some(Ok(reply)) => {
                let encoded = reply.encoded();
                let frame = match this.form {
                    None => encoded.bytes(),
                    Some(form) => encoded.form(form, |plain| compress::framed(plain, form)),
                };
                return Poll::Ready(Some(Ok(Frame::data(frame.clone()))));
            }
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(end.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").field("last", &self.last).finish_non_exhaustive()
    }
}
