//! Accepting connections, whatever goes wrong with some of them.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long is waited for file handles to be given back.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the same trouble is not told of again.
const SILENCE: Duration = Duration::from_secs(10);

/// Accepts until told to stop.
#[derive(Debug)]
pub(super) struct Acceptor<A> {
    accept: A,
    stopping: CancellationToken,
    told: Option<Instant>,
}

impl<T, A: FnMut(&mut Context<'_>) -> Poll<io::Result<T>>> Acceptor<A> {
    /// Accepts what `accept` is asked for.
    pub(super) fn new(accept: A, stopping: CancellationToken) -> Self {
        Self { accept, stopping, told: None }
    }

    /// Waits for the next connection; nothing once told to stop.
    pub(super) async fn next(&mut self) -> Option<T> {
        loop {
            let error = match self.stopping.run_until_cancelled(poll_fn(&mut self.accept)).await? {
                Ok(accepted) => return Some(accepted),
                Err(error) => error,
            };
            if is_of_one(&error) {
                debug!(%error, "a connection ended before it was accepted");
                continue;
            }
            // Out of file handles, as a rule.
            if self.told.is_none_or(|told| told.elapsed() >= SILENCE) {
                self.told = Some(Instant::now());
                warn!(%error, "cannot accept connections");
            }
            self.stopping.run_until_cancelled(sleep(PAUSE)).await?;
        }
    }
}

/// Tells whether an error is that of the connection that was to be accepted: the next may be well. Linux tells what has
/// happened to it on its way, too.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has an acceptor whose connections have these errors, and then one that is well, and tells how long that took.
    async fn after(errors: &[io::ErrorKind]) -> Duration {
        let mut outcomes = errors.iter().map(|kind| Err((*kind).into())).chain([Ok(7)]);
        let accept = |_: &mut Context<'_>| Poll::Ready(outcomes.next().unwrap());
        let begun = Instant::now();
        assert_eq!(Acceptor::new(accept, CancellationToken::new()).next().await, Some(7));
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_gone_holds_nobody_up_and_handles_are_waited_for() {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Other};
        assert_eq!(after(&[]).await, Duration::ZERO);
        assert_eq!(after(&[ConnectionAborted, ConnectionReset, ConnectionAborted]).await, Duration::ZERO);
        // What the library knows no name for, such as EMFILE.
        let range = 2 * PAUSE..3 * PAUSE;
        assert!(range.contains(&after(&[Other, Other]).await));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_not_waited_for() {
        let stopping = CancellationToken::new();
        let accept = |_: &mut Context<'_>| Poll::Ready(io::Result::<()>::Err(io::ErrorKind::Other.into()));
        let mut acceptor = Acceptor::new(accept, stopping.clone());
        let begun = Instant::now();
        let stop = async {
            sleep(PAUSE / 2).await;
            stopping.cancel();
        };
        assert_eq!(tokio::join!(acceptor.next(), stop).0, None);
        assert!(begun.elapsed() < PAUSE);
    }
}
