//! Ends a task from outside: one that serves a stream whose reader has stopped reading.
//!
//! The transport spawns a task for each HTTP/2 stream, and gives no handle to it. So tasks are spawned wrapped, and
//! whoever runs inside of one can get a handle ([`this_task`]) that ends it. A task that nobody asks a handle of, as
//! that of any call without a stream, costs nothing for it.

use std::{
    cell::RefCell,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures::task::AtomicWaker;
use pin_project_lite::pin_project;

tokio::task_local! {
    /// The handle to the task that runs, once somebody has asked for it.
    static TASK: RefCell<Option<Arc<State>>>;
}

#[derive(Debug, Default)]
struct State {
    cut: AtomicBool,
    waker: AtomicWaker,
}

/// Ends a task.
#[derive(Debug, Clone)]
pub(super) struct CutHandle(Arc<State>);

pin_project! {
    /// A future that can be ended from outside.
    #[derive(Debug)]
    pub(super) struct Cuttable<F> {
        state: Option<Arc<State>>,
        waker: Option<Waker>,
        #[pin]
        inner: F,
    }
}

/// Spawns what the transport wants to run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spawn;

/// Gets a handle to the task that runs, if it is one of ours. Whoever asks first has it.
pub(super) fn this_task() -> Option<CutHandle> {
    TASK.try_with(|task| CutHandle(Arc::clone(task.borrow_mut().get_or_insert_default()))).ok()
}

impl CutHandle {
    /// Ends the task at its next turn.
    pub(super) fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

impl<F> Cuttable<F> {
    pub(super) fn new(inner: F) -> Self {
        Self { state: None, waker: None, inner }
    }
}

impl<F: Future> Future for Cuttable<F> {
    /// `None` if it was cut.
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inner = this.inner;
        let polled = if this.state.is_some() {
            inner.poll(context)
        } else {
            TASK.sync_scope(RefCell::new(None), || {
                let polled = inner.poll(context);
                *this.state = TASK.with(|task| task.borrow_mut().take());
                polled
            })
        };
        if let (Poll::Pending, Some(state)) = (&polled, &this.state) {
            if !this.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                state.waker.register(context.waker());
                *this.waker = Some(context.waker().clone());
            }
            if state.cut.load(Ordering::Acquire) {
                return Poll::Ready(None);
            }
        }
        polled.map(Some)
    }
}

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(Cuttable::new(future));
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::{sync::oneshot, time::timeout};

    use super::*;

    #[tokio::test]
    async fn a_task_is_ended_from_outside() {
        let (sender, receiver) = oneshot::channel();
        let task = tokio::spawn(Cuttable::new(async {
            sender.send(this_task().unwrap()).unwrap();
            pending::<()>().await;
        }));
        receiver.await.unwrap().cut();
        let ended = timeout(Duration::from_secs(5), task).await;
        assert_eq!(ended.unwrap().unwrap(), None);
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_gives_what_it_has() {
        let task = Cuttable::new(async {
            tokio::task::yield_now().await;
            let first = this_task().unwrap();
            assert!(Arc::ptr_eq(&first.0, &this_task().unwrap().0));
            tokio::task::yield_now().await;
            7
        });
        assert_eq!(task.await, Some(7));
        assert!(this_task().is_none(), "this test is no task of ours");
    }
}
