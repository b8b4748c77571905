//! One call on its way through.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Status, codegen::BoxFuture};
use tracing::{Span, info_span};

use super::{
    AnswerBody, Calls, RequestBody, deadline,
    explain::{self, explained},
    measure::Measure,
    panic,
};
use crate::api::replies::{Framed, Opened};

/// The answer to a call.
#[derive(Debug)]
#[must_use = "a call does nothing unless polled"]
pub struct Call(State);

enum State {
    /// Refused before it reached a service.
    Refused(Option<Box<Response<AnswerBody>>>),
    /// Being answered.
    Running(Running),
}

struct Running {
    answer: BoxFuture<Response<tonic::body::Body>, Infallible>,
    /// The path, if no service has the call.
    unknown: Option<String>,
    calls: Calls,
    measure: Option<Measure>,
    span: Span,
    /// How long the caller waits for the whole of the answer, if it says so.
    asked: Option<Duration>,
    /// Set once the call has to wait for something: most never do.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Call {
    pub(super) fn new(calls: &Calls, request: Request<RequestBody>) -> Self {
        let path = request.uri().path();
        let measure = calls.shared.measures.begin(path, calls.door);
        let span = info_span!("call", method = path, door = calls.door.as_str());
        let asked = match calls
            .shared
            .limits
            .check_head(request.uri(), request.headers())
            .and_then(|()| deadline::asked(request.headers()))
        {
            Ok(asked) => asked,
            Err(status) => return Self::refused(&status, measure),
        };
        if asked.is_some_and(|asked| asked.is_zero()) {
            return Self::refused(&deadline::exceeded(Duration::ZERO), measure);
        }
        let Some(service) = calls.find(request.uri()) else {
            return Self::refused(&explain::unknown_call(path), measure);
        };
        let unknown = measure.is_unknown().then(|| path.to_owned());
        let answer = span.in_scope(|| service.answer(request));
        Self(State::Running(Running {
            answer,
            unknown,
            calls: calls.clone(),
            measure: Some(measure),
            span,
            asked,
            alarm: None,
        }))
    }

    fn refused(status: &Status, mut measure: Measure) -> Self {
        measure.end(status.code());
        Self(State::Refused(Some(Box::new(refusal(status)))))
    }
}

impl Future for Call {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Refused(answer) => match answer.take() {
                Some(answer) => Poll::Ready(Ok(*answer)),
                None => Poll::Pending,
            },
            State::Running(running) => running.poll(context).map(Ok),
        }
    }
}

impl Running {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Response<AnswerBody>> {
        let entered = self.span.enter();
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| self.answer.as_mut().poll(context)));
        drop(entered);
        match polled {
            Ok(Poll::Ready(Ok(answer))) => Poll::Ready(self.finish(answer)),
            Ok(Poll::Pending) => self.wait(context),
            Err(fault) => Poll::Ready(self.refuse(&panic::status(fault))),
        }
    }

    /// Waits until the deadline at most.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Response<AnswerBody>> {
        let own = self.calls.shared.limits.call_timeout;
        let limit = self.asked.map_or(own, |asked| asked.min(own));
        let measure = &self.measure;
        let alarm = self.alarm.get_or_insert_with(|| {
            let began = measure.as_ref().map_or_else(Instant::now, Measure::began);
            Box::pin(sleep_until(began + limit))
        });
        match alarm.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(self.refuse(&deadline::exceeded(limit))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn refuse(&mut self, status: &Status) -> Response<AnswerBody> {
        if let Some(mut measure) = self.measure.take() {
            measure.end(status.code());
        }
        refusal(status)
    }

    fn finish(&mut self, answer: Response<tonic::body::Body>) -> Response<AnswerBody> {
        let Some(measure) = self.measure.take() else { return Response::new(AnswerBody::Empty) };
        let (mut head, body) = explained(answer, self.unknown.as_deref()).into_parts();
        let body = match head.extensions.remove::<Opened>().and_then(|opened| opened.take()) {
            None => AnswerBody::made(&head.headers, body, measure),
            Some(source) => {
                let until = self.asked.map(|asked| measure.began() + asked);
                let limits = self.calls.limits();
                match Framed::open(source, &head.headers, &self.calls.connection, limits, until, measure) {
                    Ok(replies) => AnswerBody::Shared(Box::new(replies)),
                    Err(status) => return refusal(&status),
                }
            }
        };
        Response::from_parts(head, body)
    }
}

/// Answers with a status and nothing else.
fn refusal(status: &Status) -> Response<AnswerBody> {
    // Without a message, the status stands in the headers.
    status.clone().into_http::<()>().map(|()| AnswerBody::Empty)
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Refused(_) => "Refused",
            Self::Running(_) => "Running",
        })
    }
}
