//! One call over HTTP, on its way through.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use tonic::Status;

use super::{
    AnswerBody, Calls, RequestBody, deadline,
    explain::{self, explained},
    running::Running,
};
use crate::api::{
    measure::Measure,
    replies::{Framed, Opened, Replies},
};

/// The answer to a call.
#[derive(Debug)]
#[must_use = "a call does nothing unless polled"]
pub struct Call(State);

enum State {
    /// Refused before it reached a service, or answered.
    Refused(Option<Box<Response<AnswerBody>>>),
    /// Being answered.
    Running {
        running: Running<Result<Response<tonic::body::Body>, Infallible>>,
        calls: Calls,
        /// The path, if no service has the call.
        unknown: Option<String>,
    },
}

impl Call {
    pub(super) fn new(calls: &Calls, request: Request<RequestBody>) -> Self {
        let path = request.uri().path();
        let measure = calls.shared.measures.begin(path, calls.door);
        let limits = &calls.shared.limits;
        let allowed = limits.check_head(request.uri(), request.headers());
        let asked = match allowed.and_then(|()| deadline::asked(request.headers())) {
            Ok(asked) => asked,
            Err(status) => return Self::refused(&status, measure),
        };
        if asked.is_some_and(|asked| asked.is_zero()) {
            return Self::refused(&deadline::exceeded(Duration::ZERO), measure);
        }
        let Some(service) = calls.find(path) else {
            return Self::refused(&explain::unknown_call(path), measure);
        };
        let unknown = measure.is_unknown().then(|| path.to_owned());
        let answer = service.answer(request);
        let running = Running::new(answer, measure, asked, limits);
        Self(State::Running { running, calls: calls.clone(), unknown })
    }

    fn refused(status: &Status, mut measure: Measure) -> Self {
        measure.end(status.code());
        Self(State::Refused(Some(Box::new(refusal(status)))))
    }
}

impl Future for Call {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.0 {
            State::Refused(answer) => {
                // After its end, a future may do what it likes.
                return answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(*answer)));
            }
            State::Running { running, .. } => ready!(running.poll(context)),
        };
        let State::Running { mut running, calls, unknown } =
            std::mem::replace(&mut self.0, State::Refused(None))
        else {
            return Poll::Pending;
        };
        Poll::Ready(Ok(match answer {
            Ok(Ok(answer)) => finish(answer, running, &calls, unknown.as_deref()),
            Err(status) => {
                running.measure().end(status.code());
                refusal(&status)
            }
        }))
    }
}

fn finish<T>(
    answer: Response<tonic::body::Body>,
    running: Running<T>,
    calls: &Calls,
    unknown: Option<&str>,
) -> Response<AnswerBody> {
    let (mut head, body) = explained(answer, unknown, calls.limits()).into_parts();
    let (measure, until) = running.into_measure();
    let body = match head.extensions.remove::<Opened>().and_then(|opened| opened.take()) {
        None => AnswerBody::made(&head.headers, body, measure),
        Some(source) => match Replies::open(source, calls.connection(), calls.limits(), until, measure) {
            Ok(replies) => AnswerBody::Shared(Box::new(Framed::new(replies, &head.headers))),
            Err(status) => return refusal(&status),
        },
    };
    Response::from_parts(head, body)
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
            Self::Running { .. } => "Running",
        })
    }
}
