//! The one reconnecting loop that all venues share.
//!
//! Connect, subscribe, listen; when that ends, wait and begin again. What is heard is handed on as [`Delivery`]s;
//! the channel to their reader is bounded, and while it is full nothing is read from the venue. A connection is cut
//! when it brings no event for longer than allowed: pings and pongs prove that the other side lives, not that it
//! tells us anything. A venue that refuses us for good is left alone: only another configuration would help. What is sent
//! and received can be recorded ([`Tap`]), before it is understood.

mod backoff;
mod connect;
mod converse;
mod line;

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::{
    sync::{Semaphore, mpsc},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

pub use self::backoff::BackOff;
use self::{
    backoff::Tries,
    converse::{Ended, Outlet},
    line::Line,
};
use super::{
    delivery::{Delivery, DeliveryKind},
    recording::Tap,
    venue::Protocol,
};
use crate::{
    clock::{Clock, stopwatch},
    domain::pair::Pair,
};

/// How a venue's connection is kept.
#[derive(Debug)]
pub struct SocketOptions {
    /// An address in place of the venue's own: a WebSocket's, or (`http…`) one that is asked for a WebSocket's.
    pub url_override: Option<String>,
    /// The pairs to subscribe to, with canonical asset names.
    pub pairs: Vec<Pair>,
    /// Tells when something was received.
    pub clock: Clock,
    /// The waits between tries.
    pub back_off: BackOff,
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

/// Keeps a venue connected until `shutdown`, or until nobody listens to `out` any more.
pub async fn run(
    protocol: &'static dyn Protocol,
    options: SocketOptions,
    out: mpsc::Sender<Delivery>,
    shutdown: CancellationToken,
) {
    let outlet = Outlet { venue: protocol.venue(), clock: options.clock.clone(), out };
    let mut dice = SmallRng::from_os_rng();
    let mut tries = Tries::new(options.back_off, options.stable_after);
    loop {
        let elapsed = stopwatch();
        let begin = || Line::open(protocol, &options, &outlet, &shutdown);
        let (ended, good_for) = begin().keep(begin, &options).await;
        let asked = match &ended {
            Ended::Stopped => return,
            Ended::NotConnected(error) if error.is_final() => {
                tracing::error!(
                    venue = protocol.venue().as_str(),
                    error = %ended,
                    "a venue refuses us for good: it is not tried again before a restart"
                );
                let error = ended.to_string();
                // Where nobody listens any more, there is nobody to tell.
                let _ = outlet.deliver(DeliveryKind::Disconnected { error, retry_time: None }).await;
                return;
            }
            Ended::NotConnected(error) => error.retry_after(),
            _ => None,
        };
        let wait = tries.wait_after(good_for, dice.random()).max(asked.unwrap_or_default());
        tracing::warn!(
            venue = protocol.venue().as_str(),
            error = %ended,
            duration_ms = elapsed().as_millis(),
            retry_ms = wait.as_millis(),
            "the connection to a venue ended"
        );
        let pause = async {
            let error = ended.to_string();
            let retry_time = TimeDelta::from_std(wait).ok().map(|wait| options.clock.now() + wait);
            outlet.deliver(DeliveryKind::Disconnected { error, retry_time }).await?;
            sleep(wait).await;
            Ok::<(), Ended>(())
        };
        match shutdown.run_until_cancelled(pause).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return,
        }
    }
}

#[cfg(test)]
mod tests;
