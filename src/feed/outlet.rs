//! Where everything that a venue says is handed on.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::{
    delivery::{Delivery, DeliveryKind},
    pulses::Pulses,
};
use crate::{clock::Clock, domain::venue::Venue};

/// Hands on what one venue says, on all connections to it.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) venue: Venue,
    pub(super) clock: Clock,
    pub(super) pulses: Pulses,
    out: mpsc::Sender<Delivery>,
    connections: AtomicU64,
}

/// Nobody listens any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unheard;

impl Outlet {
    pub(super) fn new(venue: Venue, clock: Clock, pulses: Pulses, out: mpsc::Sender<Delivery>) -> Self {
        // A venue that is listened to anew is not to mistake a connection of before for one of its own.
        let before = u64::try_from(clock.now().timestamp_micros()).unwrap_or_default();
        Self { venue, clock, pulses, out, connections: AtomicU64::new(before) }
    }

    /// Numbers a new connection.
    pub(super) fn number(&self) -> u64 {
        1 + self.connections.fetch_add(1, Relaxed)
    }

    /// Hands on what happens now, once there is room.
    pub(super) async fn deliver(&self, connection: Option<u64>, kind: DeliveryKind) -> Result<(), Unheard> {
        self.deliver_at(self.clock.now(), connection, kind).await
    }

    /// Hands on what was received, once there is room.
    pub(super) async fn deliver_at(
        &self,
        receive_time: DateTime<Utc>,
        connection: Option<u64>,
        kind: DeliveryKind,
    ) -> Result<(), Unheard> {
        let accepted = connection.and_then(|number| self.pulses.hear(number, &kind, receive_time));
        let kinds = std::iter::once(kind).chain(accepted.map(DeliveryKind::Accepted));
        for kind in kinds {
            let delivery = Delivery { venue: self.venue, connection, receive_time, kind };
            self.out.send(delivery).await.map_err(|_| Unheard)?;
        }
        Ok(())
    }
}
