//! Takes note of the requests on a connection, each from its head to the end of its answer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use pin_project_lite::pin_project;
use tonic::Status;

use super::connection::{Asked, Connection};

/// A service on a connection.
#[derive(Debug)]
pub(super) struct Heard<S> {
    pub(super) service: S,
    pub(super) connection: Connection,
}

pin_project! {
    /// An answer on its way.
    #[derive(Debug)]
    pub(super) struct Answering<F> {
        #[pin]
        answer: F,
        asked: Option<Asked>,
    }
}

pin_project! {
    /// The body of an answer: at its end, the request is answered.
    #[derive(Debug)]
    pub(super) struct Answer<B> {
        #[pin]
        body: B,
        asked: Option<Asked>,
    }
}

impl<S, B> Service<Request<Incoming>> for Heard<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Response = Response<Answer<B>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let asked = self.connection.request(request.version(), !request.body().is_end_stream());
        Answering { answer: self.service.call(request), asked }
    }
}

impl<F, B, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Answer<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.answer.poll(context))?;
        let asked = this.asked.take();
        if asked.as_ref().is_some_and(Asked::has_body) && is_refusal(&answer) {
            // A part of its body may still be on its way. The connection will end with it: say so, or the caller sends
            // the next request after it.
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(answer.map(|body| Answer { body, asked })))
    }
}

/// Tells whether a request was refused, by any door: perhaps before its body had come.
fn is_refusal<B>(answer: &Response<B>) -> bool {
    let grpc = answer.headers().get(Status::GRPC_STATUS);
    !answer.status().is_success() || grpc.is_some_and(|code| code != "0")
}

impl<B: Body> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
