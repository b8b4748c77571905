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

use crate::api::{measure::Measure, replies::Framed};

/// The body of a request, from wherever it comes.
#[derive(Debug)]
pub enum RequestBody {
    /// From a connection.
    Incoming(Incoming),
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
        measure: Measure,
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
        Self::Made { body, measure }
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
            Self::Boxed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(body) => body.is_end_stream(),
            Self::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Incoming(body) => body.size_hint(),
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
