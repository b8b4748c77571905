//! The replies of a stream, shared by all who get the same: each form of each is made once.
//!
//! A handler answers with a stream of [`Reply`]s ([`Opened`], among the extensions of its response) and leaves the
//! stream that tonic would encode for each caller empty. gRPC and gRPC-Web get the replies as frames ([`Framed`]),
//! REST as text; both through [`Replies`], which ends a stream for whatever reason there is: the service stops, the
//! connection is old, the time is up, the reader has stopped reading. The last word says where to go on.

mod compress;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Code, Status};

use super::{
    layer::{
        limits::Limits,
        measure::{Cut, Measure, Measures, OpenStream},
    },
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
    service::error::ServiceError,
};

/// Bytes before each message of gRPC: whether it is compressed, and its length.
pub const PREFIX: usize = 5;

/// One reply of a stream.
pub trait Reply: fmt::Debug + Send + Sync {
    /// Gets the reply with its prefix, as a frame of gRPC, and in its other forms.
    fn encoded(&self) -> &Encoded;

    /// Tells up to where the stream has come with it.
    fn cursor(&self) -> Cursor;

    /// Lists the prices in it, in their order.
    fn updates(&self) -> &[Arc<Update>];

    /// Tells how many updates were left out before it.
    fn skipped(&self) -> u64;
}

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
    leaving: Pin<Box<WaitForCancellationFutureOwned>>,
    connection: Connection,
    until: Option<Pin<Box<Sleep>>>,
    stall: StallGuard,
    last: Option<Cursor>,
    ended: bool,
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

    fn cursor(&self) -> Cursor {
        self.cursor
    }

    fn updates(&self) -> &[Arc<Update>] {
        &self.updates
    }

    fn skipped(&self) -> u64 {
        self.skipped
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

impl Replies {
    /// Waits for the next reply. An error is the last.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Arc<dyn Reply>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Stall::Cut = self.stall.polled() {
            return self.cut(Cut::Stalled, ServiceError::SlowReader { resume_after: self.last });
        }
        if self.leaving.as_mut().poll(context).is_ready() {
            let resume_after = self.last;
            return if self.connection.is_old() {
                self.cut(Cut::ConnectionAge, ServiceError::ConnectionAge { resume_after })
            } else {
                self.cut(Cut::Stopping, ServiceError::Stopping { resume_after })
            };
        }
        if let Some(until) = &mut self.until
            && until.as_mut().poll(context).is_ready()
        {
            return self.cut(Cut::Deadline, ServiceError::StreamDeadline { resume_after: self.last });
        }
        match ready!(self.source.as_mut().poll_next(context)) {
            Some(Ok(reply)) => {
                self.last = Some(reply.cursor());
                self.measure.measures().message(reply.updates().len() as u64, reply.skipped());
                self.stall.handed();
                Poll::Ready(Some(Ok(reply)))
            }
            Some(Err(status)) => {
                if status.code() == Code::Unavailable {
                    self.measure.measures().cut(Cut::Overrun);
                }
                self.end(status)
            }
            None => {
                self.ended = true;
                self.measure.end(Code::Ok);
                Poll::Ready(None)
            }
        }
    }

    /// Gets what the stream is counted with.
    pub fn measures(&self) -> &Measures {
        self.measure.measures()
    }

    fn cut(&mut self, cut: Cut, error: ServiceError) -> Poll<Option<Result<Arc<dyn Reply>, Status>>> {
        self.measure.measures().cut(cut);
        self.end(error.into())
    }

    fn end(&mut self, status: Status) -> Poll<Option<Result<Arc<dyn Reply>, Status>>> {
        self.ended = true;
        self.measure.end(status.code());
        Poll::Ready(Some(Err(status)))
    }
}

impl Framed {
    /// Opens the stream on a connection, unless that has too many.
    pub fn open(
        source: Source,
        headers: &HeaderMap,
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
        let replies = Replies {
            source,
            leaving: Box::pin(connection.leaving()),
            connection: connection.clone(),
            until: until.map(|until| Box::pin(sleep_until(until))),
            stall: connection.watch(measure.measures()),
            last: None,
            ended: false,
            _open: (measure.measures().open(measure.door()), slot),
            measure,
        };
        let encoding = headers.get("grpc-encoding").map(HeaderValue::as_bytes);
        let form = match encoding {
            Some(b"gzip") => Some(Form::Gzip),
            Some(b"zstd") => Some(Form::Zstd),
            _ => None,
        };
        Ok(Self { replies, form })
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
        if this.replies.ended {
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
