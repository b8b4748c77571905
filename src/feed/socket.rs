//! The one reconnecting loop that all venues share.
//!
//! Connect, subscribe, listen; when that ends, wait and begin again. What is heard is handed on as [deliveries](super::delivery);
//! the channel to their reader is bounded, and while it is full nothing is read from the venue. A connection is cut
//! when it brings no event for longer than allowed: pings and pongs prove that the other side lives, not that it
//! tells us anything. A venue that refuses us for good is left alone: only another configuration would help. What is sent
//! and received can be recorded ([`Tap`]), before it is understood.

mod backoff;
mod connect;
mod converse;
mod ended;
mod line;
mod pace;
mod penalty;
mod voices;

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::sync::CancellationToken;

pub(super) use self::connect::USER_AGENT;
pub use self::{backoff::BackOff, penalty::Penalty};
use self::{
    backoff::Tries,
    ended::Ended,
    line::{Line, Wanted},
    pace::Pace,
    penalty::PenaltyBox,
};
use super::{
    closed::Closed,
    delivery::{DeliveryKind, Outlook},
    outlet::Outlet,
    recording::Tap,
    venue::Protocol,
};
use crate::{clock::stopwatch, domain::pair::Pair};

/// A market that a connection is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// With canonical asset names.
    pub pair: Pair,
    /// As the venue spells it.
    pub symbol: String,
}

/// What all connections to one venue share.
#[derive(Debug)]
pub(super) struct Contact {
    /// How it is spoken to.
    pub(super) protocol: &'static dyn Protocol,
    /// How connections are kept.
    pub(super) options: SocketOptions,
    /// Where what it says is handed on.
    pub(super) outlet: Outlet,
    /// Until when it wants to be left alone.
    closed: Arc<Closed>,
    /// How fast connections to it are made.
    pace: Pace,
    /// Where it stays while it fails.
    penalty: PenaltyBox,
    /// Ends all connections, after which nobody may be left to hear of them.
    pub(super) shutdown: CancellationToken,
}

/// How a venue's connections are kept.
#[derive(Debug)]
pub struct SocketOptions {
    /// An address in place of the venue's own: a WebSocket's, or (`http…`) one that is asked for a WebSocket's.
    pub url_override: Option<String>,
    /// The waits between tries.
    pub back_off: BackOff,
    /// When it is left alone.
    pub penalty: Penalty,
    /// How long a connection must bring events before its failures are forgotten.
    pub stable_after: Duration,
    /// After how long another connection takes over: before the venue cuts the first.
    pub rotate_after: Duration,
    /// How long a connection may bring no event.
    pub silence_limit: Duration,
    /// Bytes of a message at most, before it is unpacked.
    pub max_frame: usize,
    /// Room for connections that are being made, shared by all venues: a network that comes back is not stormed.
    pub starts: Arc<Semaphore>,
    /// Where to tell what is sent and received, if it is to be recorded.
    pub tap: Option<Tap>,
}

/// Why a connection is kept no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// It was told to stop, or nobody listens any more.
    Stopped,
    /// The venue refuses us for good, in these words.
    Blocked(String),
}

impl Contact {
    /// Prepares to speak to a venue, which may be asked by others too that have to be told when it wants to be left alone.
    pub(super) fn new(
        protocol: &'static dyn Protocol,
        options: SocketOptions,
        outlet: Outlet,
        closed: Arc<Closed>,
        shutdown: CancellationToken,
    ) -> Self {
        let pace = Pace::new(protocol.limits().connections);
        let penalty = PenaltyBox::new(options.penalty);
        Self { protocol, options, outlet, closed, pace, penalty, shutdown }
    }
}

/// Keeps a connection to a venue until `shutdown`, or until nobody listens any more. What it is asked for may change.
pub(super) async fn run(contact: &Contact, mut wanted: Wanted, shutdown: CancellationToken) -> Kept {
    let Contact { options, outlet, closed, penalty, .. } = contact;
    let mut dice = SmallRng::from_os_rng();
    let mut tries = Tries::new(options.back_off, options.stable_after);
    loop {
        let elapsed = stopwatch();
        let begin = |subscriptions| Line::open(contact, subscriptions, &shutdown);
        let subscriptions = Arc::clone(&wanted.borrow_and_update());
        let first = begin(subscriptions);
        let (ended, good_for) = first.keep(begin, contact, &mut wanted).await;
        if matches!(ended, Ended::Stopped) {
            return Kept::Stopped;
        }
        if ended.is_final() {
            return Kept::Blocked(ended.to_string());
        }
        let left_alone = if good_for.is_none() { penalty.failed() } else { None };
        // After what the venue asked for, not all come together.
        let wait = tries.wait_after(good_for, dice.random()) + closed.left().unwrap_or_default();
        let wait = wait.max(left_alone.unwrap_or_default());
        tracing::warn!(
            venue = outlet.venue.as_str(),
            error = %ended,
            duration_ms = elapsed().as_millis(),
            retry_ms = wait.as_millis(),
            left_alone = left_alone.is_some(),
            "the connection to a venue ended"
        );
        let pause = async {
            let next = outlet.clock.now() + TimeDelta::from_std(wait).unwrap_or_default();
            let outlook = if left_alone.is_some() { Outlook::Penalty(next) } else { Outlook::Retry(next) };
            let markets = wanted.borrow().iter().map(|wanted| wanted.pair).collect();
            let said = DeliveryKind::Disconnected { markets, error: ended.to_string(), outlook };
            outlet.deliver(None, said).await?;
            sleep(wait).await;
            Ok::<(), Ended>(())
        };
        match shutdown.run_until_cancelled(pause).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return Kept::Stopped,
        }
    }
}

#[cfg(test)]
mod tests;
