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

/// What became of a connection that another was to take over from.
enum Passed<'a> {
    /// It was left for this one, or has ended meanwhile.
    On(Line<'a>),
    /// Both have ended.
    Ended(Ended),
    /// It still stands: the other has ended before it brought an event.
    Not(Ended),
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
        // What the venue wants, after it has refused another connection.
        let mut not_before = self.began;
        let mut barred: Option<Arc<[Subscription]>> = None;
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
                Ok(()) = wanted.changed() => {
                    // That a market is dead is no reason to ask a venue that refuses us; another configuration is.
                    barred = barred.filter(|refused| Arc::ptr_eq(refused, &wanted.borrow()));
                    rotate_at = not_before.max(Instant::now());
                }
                () = sleep_until(rotate_at), if barred.is_none() => {
                    let subscriptions = Arc::clone(&wanted.borrow_and_update());
                    match self.pass_on(begin(Arc::clone(&subscriptions))).await {
                        Passed::On(next) => {
                            self = next;
                            rotate_at = self.began + options.rotate_after;
                        }
                        Passed::Ended(ended) => {
                            return (ended, self.good_since.map(|since| since.elapsed()));
                        }
                        Passed::Not(ended) => {
                            let asked = ended.retry_after().unwrap_or_default();
                            not_before = Instant::now() + asked;
                            rotate_at = not_before.max(Instant::now() + options.back_off.cap);
                            // The one that stands is all there will be. When it ends, the venue will say so again.
                            barred = ended.is_final().then_some(subscriptions);
                        }
                    }
                }
            }
        }
    }

    /// Leaves once the next one brings events, or at once if this one ends meanwhile.
    async fn pass_on(&mut self, mut next: Self) -> Passed<'a> {
        tokio::select! {
            biased;
            ended = &mut self.conversation => return match ended {
                Ended::Stopped => Passed::Ended(ended),
                _ => Passed::On(next),
            },
            ended = &mut next.conversation => {
                tracing::warn!(error = %ended, "no connection could take over from one that stands");
                return Passed::Not(ended);
            }
            () = next.good.cancelled() => next.good_since = Some(Instant::now()),
        }
        self.leave.cancel();
        // While it says goodbye, the other goes on.
        tokio::select! {
            _ = &mut self.conversation => Passed::On(next),
            ended = &mut next.conversation => Passed::Ended(ended),
        }
    }
}
