//! A call while it is being answered: within its span and its time, and with its panics caught.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep_until};
use tonic::Status;

use super::{deadline, panic};
use crate::api::{limits::Limits, measure::Measure};

/// A call that a service answers with a `T`.
pub(super) struct Running<T> {
    answer: Pin<Box<dyn Future<Output = T> + Send>>,
    measure: Measure,
    /// How long the caller waits for the whole of the answer, if it says so.
    asked: Option<Duration>,
    own: Duration,
    /// Set once the call has to wait for something: most never do.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<T> Running<T> {
    pub(super) fn new(
        answer: Pin<Box<dyn Future<Output = T> + Send>>,
        measure: Measure,
        asked: Option<Duration>,
        limits: &Limits,
    ) -> Self {
        Self { answer, measure, asked, own: limits.call_timeout, alarm: None }
    }

    /// Answers, or says why there is no answer: the time is up, or the service has panicked.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, Status>> {
        let entered = self.measure.span().enter();
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| self.answer.as_mut().poll(context)));
        drop(entered);
        match polled {
            Ok(Poll::Ready(answer)) => Poll::Ready(Ok(answer)),
            Ok(Poll::Pending) => self.wait(context),
            Err(fault) => Poll::Ready(Err(panic::status(fault))),
        }
    }

    /// Waits until the deadline at most.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Result<T, Status>> {
        let limit = self.asked.map_or(self.own, |asked| asked.min(self.own));
        let until = self.measure.began() + limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
        alarm.as_mut().poll(context).map(|()| Err(deadline::exceeded(limit)))
    }

    /// Gives up what measures the call, and until when the whole of the answer has to come.
    pub(super) fn into_measure(self) -> (Measure, Option<tokio::time::Instant>) {
        let until = self.asked.map(|asked| self.measure.began() + asked);
        (self.measure, until)
    }

    pub(super) fn measure(&mut self) -> &mut Measure {
        &mut self.measure
    }
}
