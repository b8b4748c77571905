//! Waiting for what seldom comes, at no cost to those who come by often.
//!
//! A task that serves a stream is woken for each message, and each time would have to ask all that it waits for: the
//! time, a deadline, the end of the service. Each of these remembers who has asked last, and is asked anew only by
//! somebody else; otherwise a look whether it has happened is enough.

use std::{
    pin::{Pin, pin},
    task::{Context, Waker},
};

use tokio::{
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

/// Something that happens once.
#[derive(Debug)]
pub struct Standing<F> {
    future: Pin<Box<F>>,
    asked_by: Option<Waker>,
}

/// A time that comes.
#[derive(Debug)]
pub struct Alarm(Standing<Sleep>);

impl<F: Future> Standing<F> {
    /// Waits for a future to end.
    pub fn new(future: F) -> Self {
        Self { future: Box::pin(future), asked_by: None }
    }

    /// Tells whether it has happened; wakes the task if not, when it does. `seen` is whether there is any sign of it:
    /// one that comes after that wakes whoever has asked before.
    ///
    /// Not to be called again once it has happened.
    pub fn poll(&mut self, seen: bool, context: &mut Context<'_>) -> bool {
        if !seen && self.asked_by.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            return false;
        }
        self.asked_by = Some(context.waker().clone());
        // However much the task has done in this turn: put off, it would not be asked again.
        pin!(unconstrained(self.future.as_mut())).poll(context).is_ready()
    }
}

impl Alarm {
    /// Rings at a time.
    pub fn at(time: Instant) -> Self {
        Self(Standing::new(sleep_until(time)))
    }

    /// Tells whether it has rung; wakes the task if not, when it does.
    pub fn poll(&mut self, context: &mut Context<'_>) -> bool {
        let rung = self.0.future.is_elapsed();
        rung || self.0.poll(false, context)
    }

    /// Rings at another time.
    pub fn set(&mut self, time: Instant) {
        self.0.future.as_mut().reset(time);
        self.0.asked_by = None;
    }
}
