//! Bodies on their way in and out.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::{Code, Status};

use super::measure::Measure;
use crate::api::replies::Framed;

/// The body of a request, from wherever it comes.
#[derive(Debug)]
pub enum RequestBody {
    /// From a connection.
    Incoming(Incoming),
    /// One whole message, from the gateway.
    Whole(Option<Bytes>),
    /// From a layer of a library.
    Boxed(tonic::body::Body),
}

/// The body of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// What tonic has made of an answer.
    Made {
        /// Its frames.
        body: tonic::body::Body,
        /// Ends with the trailers.
        measure: Option<Measure>,
    },
    /// The replies of a stream that are shared with others.
    Shared(Box<Framed>),
    /// Nothing: the headers say it all.
    Empty,
}

impl AnswerBody {
    /// Takes what tonic has made, and ends the measure with the status in the headers or, later, in the trailers.
    pub(super) fn made(headers: &HeaderMap, body: tonic::body::Body, mut measure: Measure) -> Self {
        if let Some(code) = code(headers) {
            measure.end(code);
        }
        Self::Made { body, measure: Some(measure) }
    }
}

impl From<tonic::body::Body> for AnswerBody {
    fn from(body: tonic::body::Body) -> Self {
        Self::Made { body, measure: None }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Self::Incoming(body) => {
                Pin::new(body).poll_frame(context).map_err(|error| Status::from_error(Box::new(error)))
            }
            Self::Whole(message) => Poll::Ready(message.take().map(|message| Ok(Frame::data(message)))),
            Self::Boxed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(body) => body.is_end_stream(),
            Self::Whole(message) => message.is_none(),
            Self::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Incoming(body) => body.size_hint(),
            Self::Whole(message) => SizeHint::with_exact(message.as_ref().map_or(0, Bytes::len) as u64),
            Self::Boxed(body) => body.size_hint(),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Self::Made { body, measure } => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                if let Some(Ok(frame)) = &frame
                    && let Some(code) = frame.trailers_ref().and_then(code)
                    && let Some(measure) = measure
                {
                    measure.end(code);
                }
                Poll::Ready(frame)
            }
            Self::Shared(replies) => Pin::new(&mut **replies).poll_frame(context),
            Self::Empty => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Made { body, .. } => body.is_end_stream(),
            Self::Shared(_) => false,
            Self::Empty => true,
        }
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}
