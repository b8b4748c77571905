//! A connection, and the one that takes over from it.
//!
//! Venues cut connections after a day or so. Before that happens, or when something else is to be listened to, another one is
//! made beside the first; once that brings events, the first is left. What both bring in between comes twice, and is told apart by its id: nothing is missed.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Contact, Subscription,
    converse::{Conversation, Ended},
};

/// A connection from its first word to its last.
pub(super) struct Line<'a> {
    conversation: Pin<Box<dyn Future<Output = Ended> + Send + 'a>>,
    /// Ends it, politely.
    leave: CancellationToken,
    /// Set when it brings its first event.
    good: CancellationToken,
    good_since: Option<Instant>,
    began: Instant,
}

impl<'a> Line<'a> {
    /// Begins to connect.
    pub(super) fn open(
        contact: &'a Contact,
        subscriptions: Arc<[Subscription]>,
        shutdown: &CancellationToken,
    ) -> Self {
        let (leave, good) = (shutdown.child_token(), CancellationToken::new());
        let (left, brought) = (leave.clone(), good.clone());
        let conversation =
            async move { Conversation::new(contact, subscriptions, &left, brought).run().await };
        Self { conversation: Box::pin(conversation), leave, good, good_since: None, began: Instant::now() }
    }

    /// Keeps it, and those that take over from it, to the end of the last. Tells why that ended, and how long it was good.
    pub(super) async fn keep(
        mut self,
        begin: impl Fn(Arc<[Subscription]>) -> Self,
        contact: &Contact,
        wanted: &mut watch::Receiver<Arc<[Subscription]>>,
    ) -> (Ended, Option<Duration>) {
        let options = &contact.options;
        let mut rotate_at = self.began + options.rotate_after;
        loop {
            tokio::select! {
                biased;
                ended = &mut self.conversation => {
                    return (ended, self.good_since.map(|since| since.elapsed()));
                }
                () = self.good.cancelled(), if self.good_since.is_none() => {
                    self.good_since = Some(Instant::now());
                }
                // Where nobody can want anything else any more, there is nothing to wait for.
                Ok(()) = wanted.changed() => rotate_at = Instant::now(),
                () = sleep_until(rotate_at) => {
                    let subscriptions = Arc::clone(&wanted.borrow_and_update());
                    match self.pass_on(begin(subscriptions)).await {
                    Ok(next) => {
                        self = next;
                        rotate_at = self.began + options.rotate_after;
                    }
                    Err(Some(ended)) => return (ended, self.good_since.map(|since| since.elapsed())),
                    // The first one still stands.
                    Err(None) => rotate_at = Instant::now() + options.back_off.cap,
                }},
            }
        }
    }

    /// Leaves once the next one brings events, or at once if this one ends meanwhile. The error is an end for good, or nothing
    /// if the next has failed.
    async fn pass_on(&mut self, mut next: Self) -> Result<Self, Option<Ended>> {
        tokio::select! {
            biased;
            ended = &mut self.conversation => return match ended {
                Ended::Stopped => Err(Some(ended)),
                _ => Ok(next),
            },
            ended = &mut next.conversation => {
                tracing::warn!(error = %ended, "no connection could take over from one that grows old");
                return Err(None);
            }
            () = next.good.cancelled() => next.good_since = Some(Instant::now()),
        }
        self.leave.cancel();
        // While it says goodbye, the other goes on.
        tokio::select! {
            _ = &mut self.conversation => Ok(next),
            ended = &mut next.conversation => Err(Some(ended)),
        }
    }
}
