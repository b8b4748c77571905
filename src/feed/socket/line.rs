//! A connection, and the one that takes over from it.
//!
//! Venues cut connections after a day or so, and some announce it when they restart. Before that happens, or when something else
//! is to be listened to, another one is made beside the first; once that has all that was heard of the first lately, the first is left
//! ([`Voices`]). What both bring in between comes twice, and is told apart by its id: nothing is missed.

use std::{pin::Pin, sync::Arc, time::Duration};

use rand::Rng as _;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{Contact, Subscription, converse::Conversation, ended::Ended, voices::Voices};

/// How long after the venue announces the end of a connection another is begun, at most: drawn evenly, so that not all come
/// together. Bitstamp gives a few seconds, OKX half a minute or more, Binance ten.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(2);

/// What a connection is asked for, as it changes.
pub(super) type Wanted = watch::Receiver<Arc<[Subscription]>>;

/// A connection from its first word to its last.
pub(super) struct Line<'a> {
    conversation: Pin<Box<dyn Future<Output = Ended> + Send + 'a>>,
    /// Ends it, politely.
    leave: CancellationToken,
    voices: Arc<Voices>,
    began: Instant,
}

/// What became of a connection that another was to take over from.
enum Passed<'a> {
    /// It was left for this one, or has ended meanwhile.
    On(Line<'a>),
    /// Both have ended.
    Ended(Ended),
    /// It still stands: the other has ended, or no market has spoken on it.
    Not(Ended),
    /// It still stands, and something else is wanted than the other was asked for.
    Outdated,
}

impl<'a> Line<'a> {
    /// Begins to connect.
    pub(super) fn open(
        contact: &'a Contact,
        subscriptions: Arc<[Subscription]>,
        shutdown: &CancellationToken,
    ) -> Self {
        let (leave, voices) = (shutdown.child_token(), Arc::new(Voices::new(&subscriptions)));
        let (left, heard) = (leave.clone(), Arc::clone(&voices));
        let conversation = async move { Conversation::new(contact, subscriptions, &left, heard).run().await };
        Self { conversation: Box::pin(conversation), leave, voices, began: Instant::now() }
    }

    /// Keeps it, and those that take over from it, to the end of the last. Tells why that ended, and how long it was good.
    pub(super) async fn keep(
        mut self,
        begin: impl Fn(Arc<[Subscription]>) -> Self,
        contact: &Contact,
        wanted: &mut Wanted,
    ) -> (Ended, Option<Duration>) {
        let options = &contact.options;
        let mut rotate_at = self.began + options.rotate_after;
        let mut heeded = false;
        let mut barred: Option<Arc<[Subscription]>> = None;
        loop {
            tokio::select! {
                biased;
                ended = &mut self.conversation => return (ended, self.voices.good_for()),
                () = self.voices.end_announced(), if !heeded => {
                    heeded = true;
                    let wait = ANNOUNCED_WITHIN.mul_f64(rand::rng().random());
                    rotate_at = rotate_at.min(Instant::now() + wait);
                }
                // Where nobody can want anything else any more, there is nothing to wait for.
                Ok(()) = wanted.changed() => {
                    // That a market is dead is no reason to ask a venue that refuses us; another configuration is.
                    barred = barred.filter(|refused| Arc::ptr_eq(refused, &wanted.borrow()));
                    rotate_at = Instant::now();
                }
                () = sleep_until(rotate_at), if barred.is_none() => {
                    if let Some(until) = contact.closed.until() {
                        rotate_at = until;
                        continue;
                    }
                    let subscriptions = Arc::clone(&wanted.borrow_and_update());
                    let next = begin(Arc::clone(&subscriptions));
                    match self.pass_on(next, &subscriptions, wanted).await {
                        Passed::On(next) => {
                            self = next;
                            rotate_at = self.began + options.rotate_after;
                            heeded = false;
                        }
                        Passed::Ended(ended) => return (ended, self.voices.good_for()),
                        Passed::Not(ended) => {
                            tracing::warn!(
                                venue = contact.outlet.venue.as_str(),
                                error = %ended,
                                "no connection could take over from one that stands"
                            );
                            rotate_at = Instant::now() + options.back_off.cap;
                            // The one that stands is all there will be. When it ends, the venue will say so again.
                            barred = ended.is_final().then_some(subscriptions);
                        }
                        Passed::Outdated => rotate_at = Instant::now(),
                    }
                }
            }
        }
    }

    /// Leaves once the next one can take over, or at once if this one ends meanwhile.
    async fn pass_on(
        &mut self,
        mut next: Self,
        subscriptions: &Arc<[Subscription]>,
        wanted: &mut Wanted,
    ) -> Passed<'a> {
        let old = Arc::clone(&self.voices);
        let new = Arc::clone(&next.voices);
        let outdated = async {
            let other = wanted.wait_for(|now| !Arc::ptr_eq(now, subscriptions));
            if other.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let can = tokio::select! {
            biased;
            ended = &mut self.conversation => return match ended {
                Ended::Stopped => Passed::Ended(ended),
                _ => Passed::On(next),
            },
            ended = &mut next.conversation => return Passed::Not(ended),
            can = new.take_over(&old) => Some(can),
            () = outdated => None,
        };
        let (leaving, staying) =
            if can == Some(true) { (&mut *self, &mut next) } else { (&mut next, &mut *self) };
        if let Some(ended) = leaving.leave_for(staying).await {
            return Passed::Ended(ended);
        }
        match can {
            Some(true) => Passed::On(next),
            Some(false) => Passed::Not(Ended::Mute),
            None => Passed::Outdated,
        }
    }

    /// Says goodbye, while another goes on. Tells why that has ended, if it has meanwhile.
    async fn leave_for(&mut self, other: &mut Self) -> Option<Ended> {
        self.leave.cancel();
        tokio::select! {
            _ = &mut self.conversation => None,
            ended = &mut other.conversation => {
                let _ = (&mut self.conversation).await;
                Some(ended)
            }
        }
    }
}
