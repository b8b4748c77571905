//! The simulation as a whole: the task that moves the market, and a WebSocket server for each venue.

use std::{fmt, io, num::NonZeroU32, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use tokio::{net::TcpListener, sync::watch, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    catalogue,
    driver::{Driver, Steps},
    market::Market,
    session,
    venues::{SERVERS, Server},
};
use crate::domain::{pair::Pair, venue::Venue};

/// How long to wait when a connection cannot be accepted: the system is short of something.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Where the simulation takes the time of day from.
pub type Now = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What to simulate.
#[derive(Clone)]
pub struct SimOptions {
    /// The same seed gives the same market and the same troubles.
    pub seed: u64,
    /// How often the market moves; more than 100 counts as 100.
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

/// Tells the true prices of a simulation. Outlives it, and then tells the last ones.
#[derive(Debug, Clone)]
pub struct Truth(watch::Receiver<Market>);

impl Truth {
    /// Gets the true price of a pair at this instant, also of one that no venue lists.
    pub fn of(&self, pair: Pair) -> Option<Decimal> {
        self.0.borrow().truth(pair)
    }
}

impl Simulation {
    /// Starts all venues on free ports of the loopback interface.
    pub async fn start(options: SimOptions, shutdown: CancellationToken) -> io::Result<Self> {
        let mut venues = Vec::new();
        let mut listeners = Vec::new();
        for server in &SERVERS {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            venues.push(SimulatedVenue {
                venue: server.venue,
                url: format!("ws://{}{}", listener.local_addr()?, server.path),
                pairs: catalogue::listings(server.venue).map(|listing| listing.pair).collect(),
            });
            listeners.push((server, listener));
        }
        let mut driver = Driver::new(options);
        let market = driver.market();
        let tasks = TaskTracker::new();
        for (server, listener) in listeners {
            let steps = driver.open(server.venue);
            tasks.spawn(accept(listener, server, steps, tasks.clone(), shutdown.clone()));
        }
        tasks.spawn(driver.run(shutdown));
        tasks.close();
        Ok(Self { venues, market, tasks })
    }

    /// Lists the venues.
    pub fn venues(&self) -> &[SimulatedVenue] {
        &self.venues
    }

    /// Gets what tells the true prices.
    pub fn truth(&self) -> Truth {
        Truth(self.market.clone())
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

/// Accepts a venue's clients.
async fn accept(
    listener: TcpListener,
    server: &'static Server,
    steps: Steps,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(session::serve(stream, server, steps.subscribe(), shutdown.clone()));
            }
            Err(error) => {
                tracing::warn!(venue = %server.venue, %error, "a simulated venue cannot accept a connection");
                sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}
