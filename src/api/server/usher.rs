//! Shows connections out: those that are old, those that say nothing, and all of them when the service stops.
//!
//! One usher looks after all connections of a thread, so that none of them needs a timer of its own, or has anything
//! to look at beside its socket. A connection over HTTP/1.1 says nothing while no request of it is being answered: it
//! may be kept for later, or be that of somebody who sends a request byte by byte. One over HTTP/2 is asked whether it
//! is there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::Rng as _;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::connection::Connection;

/// How often connections are looked at, at least.
const LOOK: Duration = Duration::from_secs(1);

/// The connections of a thread. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Usher(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    guests: Mutex<Guests>,
    left: Notify,
    terms: Terms,
}

/// For how long connections may stay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Until they are asked to go, give or take a tenth.
    pub(super) max_age: Duration,
    /// Without a request.
    pub(super) max_idle: Duration,
    /// Once they have been asked to go.
    pub(super) grace: Duration,
}

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    present: HashMap<u64, Guest>,
    closed: bool,
}

#[derive(Debug)]
struct Guest {
    connection: Connection,
    /// When it is asked to go; once it has been, when it is cut.
    until: Instant,
    asked: bool,
    /// How many requests it had made when it fell silent, and when that was.
    silent: Option<(usize, Instant)>,
}

/// A connection that is there while this lives.
#[derive(Debug)]
pub(super) struct Present {
    usher: Usher,
    number: u64,
}

impl Usher {
    pub(super) fn new(terms: Terms) -> Self {
        let guests = Mutex::new(Guests::default());
        Self(Arc::new(Shared { guests, left: Notify::new(), terms }))
    }

    /// Takes note of a connection. Where all have been asked to go already, so is it.
    pub(super) fn welcome(&self, connection: Connection) -> Present {
        let age = self.0.terms.max_age.mul_f64(rand::rng().random_range(0.9..1.1));
        let mut guests = self.guests();
        let number = guests.next;
        guests.next += 1;
        if guests.closed {
            connection.show_out(false);
        }
        let guest = Guest { connection, until: Instant::now() + age, asked: guests.closed, silent: None };
        guests.present.insert(number, guest);
        Present { usher: self.clone(), number }
    }

    /// Looks for old connections until told to stop, then asks all to go and waits until they have, or are cut.
    pub(super) async fn run(&self, stopping: CancellationToken) {
        let mut looks = interval(LOOK.min(self.0.terms.max_age / 4).min(self.0.terms.max_idle / 4));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(looks.tick()).await.is_some() {
            self.look(Instant::now());
        }
        self.close();
        if timeout(self.0.terms.grace, self.empty()).await.is_err() {
            let open = self.guests().present.len();
            let grace_ms = self.0.terms.grace.as_millis();
            warn!(open, grace_ms, "connections did not end in time and are cut");
            self.guests().present.values().for_each(|guest| guest.connection.cut());
            self.empty().await;
        }
    }

    fn look(&self, now: Instant) {
        let max_idle = self.0.terms.max_idle;
        for guest in self.guests().present.values_mut() {
            if guest.until > now && !guest.is_idle(now, max_idle) {
                continue;
            }
            if guest.asked {
                debug!("a connection did not end in time and is cut");
                guest.connection.cut();
            } else {
                guest.asked = true;
                guest.connection.show_out(true);
            }
            guest.until = now + self.0.terms.grace;
        }
    }

    fn close(&self) {
        let mut guests = self.guests();
        guests.closed = true;
        guests.present.values().for_each(|guest| guest.connection.show_out(false));
    }

    /// Waits until nobody is there.
    async fn empty(&self) {
        loop {
            let left = self.0.left.notified();
            if self.guests().present.is_empty() {
                return;
            }
            left.await;
        }
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.0.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// Tells whether it has said nothing for so long, and has not been asked to go for it yet.
    fn is_idle(&mut self, now: Instant, max_idle: Duration) -> bool {
        let heard = self.connection.idle().filter(|_| !self.asked);
        self.silent = match (heard, self.silent) {
            (Some(heard), Some((before, since))) if heard == before => Some((before, since)),
            (heard, _) => heard.map(|heard| (heard, now)),
        };
        self.silent.is_some_and(|(_, since)| now - since >= max_idle)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.usher.guests().present.remove(&self.number);
        self.usher.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http::Version;

    use super::*;
    use crate::api::server::{connection::Order, stall::Watchdog};

    const TERMS: Terms = Terms {
        max_age: Duration::from_secs(100),
        max_idle: Duration::from_secs(1_000),
        grace: Duration::from_secs(5),
    };

    fn connection() -> Connection {
        Connection::new(Watchdog::default())
    }

    fn order(connection: &Connection) -> Order {
        connection.order(Waker::noop())
    }

    #[tokio::test(start_paused = true)]
    async fn the_old_are_asked_to_go_and_then_cut() {
        let usher = Usher::new(TERMS);
        let connections: Vec<_> = (0..200).map(|_| connection()).collect();
        let _present: Vec<_> = connections.iter().map(|c| usher.welcome(c.clone())).collect();
        let start = Instant::now();
        let asked = |at: u64| {
            usher.look(start + Duration::from_secs(at));
            connections.iter().filter(|c| order(c) == Order::Go).count()
        };
        assert_eq!(asked(89), 0);
        let by_then = asked(100);
        assert!((50..=150).contains(&by_then), "not all at once: {by_then}");
        assert_eq!(asked(104) + connections.iter().filter(|c| order(c) == Order::Stay).count(), 200);
        assert!(connections.iter().filter(|c| order(c) == Order::Go).all(Connection::is_old));
        usher.look(start + Duration::from_secs(111));
        usher.look(start + Duration::from_secs(117));
        assert!(connections.iter().all(|c| order(c) == Order::Cut));
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_asked_to_go() {
        let usher = Usher::new(Terms {
            max_age: Duration::from_secs(1_000),
            max_idle: Duration::from_secs(30),
            ..TERMS
        });
        let [mute, waiting, asking, multiplexed] = [(); 4].map(|()| connection());
        let all = [&mute, &waiting, &asking, &multiplexed];
        let _present: Vec<_> = all.iter().map(|c| usher.welcome((*c).clone())).collect();
        let start = Instant::now();
        assert!(multiplexed.request(Version::HTTP_2, false).is_none());
        let answering = waiting.request(Version::HTTP_11, false);
        for second in 0..=40 {
            if second % 10 == 0 {
                drop(asking.request(Version::HTTP_11, false));
            }
            usher.look(start + Duration::from_secs(second));
            let gone = order(&mute) != Order::Stay;
            assert_eq!(gone, second >= 30, "{second}");
        }
        assert_eq!([&waiting, &asking, &multiplexed].map(order), [Order::Stay; 3]);
        drop(answering);
        for second in 41..=72 {
            usher.look(start + Duration::from_secs(second));
        }
        assert_eq!([&waiting, &asking].map(order), [Order::Go; 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_service_stops_all_go_and_the_last_are_cut() {
        let usher = Usher::new(TERMS);
        let (quick, slow) = (connection(), connection());
        let (quick_present, slow_present) = (usher.welcome(quick.clone()), usher.welcome(slow.clone()));
        let stopping = CancellationToken::new();
        let run = tokio::spawn({
            let (usher, stopping) = (usher.clone(), stopping.clone());
            async move { usher.run(stopping).await }
        });
        stopping.cancel();
        quick.leaving().await;
        assert_eq!((order(&quick), quick.is_old()), (Order::Go, false));
        drop(quick_present);
        let late = connection();
        drop(usher.welcome(late.clone()));
        assert_eq!(order(&late), Order::Go);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(order(&slow), Order::Cut);
        drop(slow_present);
        run.await.unwrap();
    }
}
