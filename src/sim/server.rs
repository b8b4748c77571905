//! The simulation as a whole: one task that moves the market, and a WebSocket server for each venue.

use std::{fmt, io, iter::Peekable, num::NonZeroU32, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    catalogue,
    floor::{Floor, Step},
    market::Market,
    session,
    trouble::{Episode, Timetable},
    venues::{SERVERS, Server},
};
use crate::domain::{pair::Pair, venue::Venue};

/// Seconds of steps that a client may be behind.
const BACKLOG: u32 = 5;

/// How long to wait when a connection cannot be accepted: the system is short of something.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Where the simulation takes the time of day from.
pub type Now = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What to simulate.
#[derive(Clone)]
pub struct SimOptions {
    /// The same seed gives the same market and the same troubles.
    pub seed: u64,
    /// How often the market moves.
    pub updates_per_second: NonZeroU32,
    /// Whether something goes wrong at some venue now and then.
    pub trouble: bool,
    /// The time of day, for the times in the frames.
    pub now: Now,
}

/// A running simulation. It stops when the token that it was started with is cancelled.
#[derive(Debug)]
pub struct Simulation {
    venues: Vec<SimulatedVenue>,
    market: watch::Receiver<Market>,
    tasks: TaskTracker,
}

/// A venue that runs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedVenue {
    /// Which venue it plays.
    pub venue: Venue,
    /// Where its socket is, such as `ws://127.0.0.1:41234/v2`.
    pub url: String,
    /// What it lists.
    pub pairs: Vec<Pair>,
}

/// Moves the market, and tells each venue's sessions what happened there.
struct Driver {
    market: watch::Sender<Market>,
    venues: Vec<(Venue, Floor, broadcast::Sender<Arc<Step>>)>,
    troubles: Peekable<Timetable>,
    /// The trouble of the last step.
    trouble: Option<Episode>,
    /// Simulated time since the start.
    elapsed: Duration,
    /// How much of it passes in a step.
    lapse: Duration,
    now: Now,
}

impl Simulation {
    /// Starts all venues on free ports of the loopback interface.
    pub async fn start(options: SimOptions, shutdown: CancellationToken) -> io::Result<Self> {
        let tasks = TaskTracker::new();
        let (sender, market) = watch::channel(Market::new(options.seed));
        let backlog = options
            .updates_per_second
            .saturating_mul(NonZeroU32::MIN.saturating_add(BACKLOG - 1));
        let mut venues = Vec::new();
        let mut floors = Vec::new();
        for server in &SERVERS {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            venues.push(SimulatedVenue {
                venue: server.venue,
                url: format!("ws://{}{}", listener.local_addr()?, server.path),
                pairs: catalogue::listings(server.venue)
                    .map(|listing| listing.pair)
                    .collect(),
            });
            let floor = Floor::new(server.venue, &market.borrow(), options.seed, (options.now)());
            let steps = broadcast::Sender::new(usize::try_from(backlog.get()).unwrap_or(usize::MAX));
            floors.push((server.venue, floor, steps.clone()));
            tasks.spawn(accept(listener, server, steps, tasks.clone(), shutdown.clone()));
        }
        let troubled = if options.trouble {
            SERVERS.iter().map(|server| server.venue).collect()
        } else {
            Vec::new()
        };
        let driver = Driver {
            market: sender,
            venues: floors,
            troubles: Timetable::new(options.seed, troubled).peekable(),
            trouble: None,
            elapsed: Duration::ZERO,
            lapse: Duration::from_secs(1) / options.updates_per_second.get(),
            now: options.now,
        };
        tasks.spawn(driver.run(shutdown));
        tasks.close();
        Ok(Self {
            venues,
            market,
            tasks,
        })
    }

    /// Lists the venues.
    pub fn venues(&self) -> &[SimulatedVenue] {
        &self.venues
    }

    /// Gets the true price of a pair at this instant, also of one that no venue lists.
    pub fn truth(&self, pair: Pair) -> Option<Decimal> {
        self.market.borrow().truth(pair)
    }

    /// Waits until everything has stopped.
    pub async fn join(self) {
        self.tasks.wait().await;
    }
}

impl fmt::Debug for SimOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimOptions")
            .field("seed", &self.seed)
            .field("updates_per_second", &self.updates_per_second)
            .field("trouble", &self.trouble)
            .finish_non_exhaustive()
    }
}

impl Driver {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = interval(self.lapse);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.step();
        }
    }

    fn step(&mut self) {
        self.elapsed += self.lapse;
        self.market.send_modify(|market| market.step(self.lapse));
        self.change_trouble();
        let market = self.market.borrow();
        let now = (self.now)();
        for (venue, floor, steps) in &mut self.venues {
            let trouble = self.trouble.filter(|episode| episode.venue == *venue);
            let step = floor.step(&market, self.lapse, now, trouble.map(|episode| episode.trouble));
            // Nobody may be connected.
            let _ = steps.send(Arc::new(step));
        }
    }

    /// Ends and begins troubles as the timetable says.
    fn change_trouble(&mut self) {
        while self
            .troubles
            .next_if(|episode| episode.end < self.elapsed)
            .is_some()
        {}
        let due = self
            .troubles
            .peek()
            .filter(|episode| episode.start <= self.elapsed)
            .copied();
        if due == self.trouble {
            return;
        }
        if let Some(Episode { venue, trouble, .. }) = self.trouble {
            tracing::debug!(%venue, %trouble, "simulated trouble is over");
        }
        if let Some(Episode {
            venue,
            trouble,
            start,
            end,
        }) = due
        {
            let duration_ms = u64::try_from((end - start).as_millis()).unwrap_or(u64::MAX);
            tracing::info!(%venue, %trouble, duration_ms, "simulated trouble begins");
        }
        self.trouble = due;
    }
}

/// Accepts a venue's clients.
async fn accept(
    listener: TcpListener,
    server: &'static Server,
    steps: broadcast::Sender<Arc<Step>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(session::serve(
                    stream,
                    server,
                    steps.subscribe(),
                    shutdown.clone(),
                ));
            }
            Err(error) => {
                tracing::warn!(venue = %server.venue, %error, "a simulated venue cannot accept a connection");
                sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}
