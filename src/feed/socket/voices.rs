//! What has been heard on a connection, for the one that keeps it: how long it was good, whether it will end soon, and whether
//! another can take over from it.
//!
//! Another can once all that was heard of the first lately is heard of it too, quotes and trades apart, for a venue takes, refuses
//! and delays each subscription by itself. Heartbeats are not heard of any market, and so are no part of this.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::fast::RandomState;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::Subscription;
use crate::{domain::pair::Pair, feed::delivery::DeliveryKind};

/// How long one that is to take over is given until it has all that was heard of the first in as long a time before it stood. What
/// speaks more seldom than that cannot be waited for, and what answers more slowly is not to be kept waiting for: then it is
/// enough if any market speaks.
const ALL_WITHIN: Duration = Duration::from_secs(30);

/// How long it is given if no market speaks.
pub(super) const ANY_WITHIN: Duration = Duration::from_secs(90);

/// What was heard on one connection. Its events come from one side, and are looked at from the other.
#[derive(Debug)]
pub(super) struct Voices {
    heard: Mutex<Heard>,
    /// It stands, a market speaks for the first time, or its end is announced. One waits for that at a time.
    news: Notify,
}

#[derive(Debug, Default)]
struct Heard {
    stands_since: Option<Instant>,
    /// The first event and the last.
    events: Option<(Instant, Instant)>,
    /// The markets that it is asked for.
    markets: HashMap<Pair, Voice, RandomState>,
    ending: bool,
}

/// When a market was heard last.
#[derive(Debug, Clone, Copy, Default)]
struct Voice {
    quoted: Option<Instant>,
    traded: Option<Instant>,
}

impl Voices {
    /// Begins with a connection that is asked for some markets, and does not stand yet.
    pub(super) fn new(asked: &[Subscription]) -> Self {
        let markets = asked.iter().map(|asked| (asked.pair, Voice::default())).collect();
        Self { heard: Mutex::new(Heard { markets, ..Heard::default() }), news: Notify::new() }
    }

    /// Notes that it stands.
    pub(super) fn stand(&self) {
        self.heard().stands_since = Some(Instant::now());
        self.news.notify_one();
    }

    /// Notes an event.
    pub(super) fn hear(&self, event: &DeliveryKind, now: Instant) {
        let mut heard = self.heard();
        heard.events = Some((heard.events.map_or(now, |(first, _)| first), now));
        let at = match event {
            DeliveryKind::Ticker { market, .. } => {
                heard.markets.get_mut(market).map(|voice| &mut voice.quoted)
            }
            DeliveryKind::Trade { market, .. } => {
                heard.markets.get_mut(market).map(|voice| &mut voice.traded)
            }
            _ => None,
        };
        if at.is_some_and(|at| at.replace(now).is_none()) {
            self.news.notify_one();
        }
    }

    /// Notes that the venue announces its end.
    pub(super) fn announce_end(&self) {
        self.heard().ending = true;
        self.news.notify_one();
    }

    /// Waits until the venue announces its end.
    pub(super) async fn end_announced(&self) {
        while !self.heard().ending {
            self.news.notified().await;
        }
    }

    /// Tells for how long it has brought events: from the first to the last, for the silence after that was not good. `None` if it
    /// brought none.
    pub(super) fn good_for(&self) -> Option<Duration> {
        self.heard().events.map(|(first, last)| last - first)
    }

    /// Waits until this connection can take over from another. Tells whether it can: not if no market speaks though it stands.
    pub(super) async fn take_over(&self, old: &Self) -> bool {
        let stands_since = loop {
            if let Some(since) = self.heard().stands_since {
                break since;
            }
            self.news.notified().await;
        };
        let all = async {
            while !self.has_all_of(old, stands_since.checked_sub(ALL_WITHIN)) {
                self.news.notified().await;
            }
        };
        if timeout_at(stands_since + ALL_WITHIN, all).await.is_ok() {
            return true;
        }
        let any = async {
            while !self.speaks() {
                self.news.notified().await;
            }
        };
        timeout_at(stands_since + ANY_WITHIN, any).await.is_ok()
    }

    /// Tells whether any market speaks.
    fn speaks(&self) -> bool {
        self.heard().markets.values().any(|voice| voice.quoted.or(voice.traded).is_some())
    }

    /// Tells whether it has all that another was heard to say since some time, of the markets that both are asked for.
    fn has_all_of(&self, old: &Self, since: Option<Instant>) -> bool {
        let lately = |at: Option<Instant>| at.is_some_and(|at| since.is_none_or(|since| at >= since));
        let said = old.heard().markets.iter().map(|(market, voice)| (*market, *voice)).collect::<Vec<_>>();
        let heard = self.heard();
        let has = |(market, old): (Pair, Voice)| {
            heard.markets.get(&market).is_none_or(|new| {
                (new.quoted.is_some() || !lately(old.quoted)) && (new.traded.is_some() || !lately(old.traded))
            })
        };
        let all = said.into_iter().all(has);
        drop(heard);
        all && self.speaks()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
