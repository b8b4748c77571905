//! Listens to one venue: to the wanted markets that it lists, over as many connections as they need, and over REST where a
//! stream has fallen silent.
//!
//! Markets come from the venue's instruments, read at the start and now and then (`listing`); they are spread over
//! connections (`shards`), each kept by the one reconnecting loop. [`pulses`](super::pulses) tell which markets are
//! late; those are asked for over REST (`asking`, `questions`), and so are trades that were missed and volumes that the stream
//! does not tell. What is wanted may change at any time: connections whose markets change are taken over from by others, the rest
//! stays as it is.

mod asking;
mod listing;
mod questions;
mod shards;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::listing::NOT_LISTED;
use self::{
    listing::{Listing, Resolved, unasked},
    questions::Question,
};
use super::{
    delivery::{Delivery, DeliveryKind, Outlook},
    outlet::{Outlet, Unheard},
    pulses::{PulseOptions, Pulses},
    rest::{Budget, RestClient},
    socket::{self, Contact, Kept, SocketOptions, Subscription},
    venue::{Endpoint, Protocol},
};
use crate::{clock::Clock, domain::pair::Pair};

/// How long the list of instruments is waited for before listening begins without it.
const LISTED_WITHIN: Duration = Duration::from_secs(5);

/// How soon it is asked for again when it could not be had.
const LIST_AGAIN: Duration = Duration::from_secs(60);

/// How often pulses are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How soon a connection is made anew again for the sake of a market that is dead. It doubles each time…
const REVIVE_AFTER: Duration = Duration::from_secs(60);

/// … up to this.
const REVIVE_AFTER_AT_MOST: Duration = Duration::from_secs(3_600);

/// How a venue is listened to.
#[derive(Debug)]
pub struct ListenerOptions {
    /// How its connections are kept.
    pub socket: SocketOptions,
    /// When markets are asked for over REST.
    pub pulses: PulseOptions,
    /// Who asks, if anybody does.
    pub rest: Option<Arc<RestClient>>,
    /// How often the list of instruments is read.
    pub refresh_every: Duration,
}

/// What is wanted of a venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The pairs, with canonical asset names.
    pub pairs: Vec<Pair>,
    /// Markets on one connection at most, where it is not for the venue to say.
    pub max_markets: Option<usize>,
    /// What may be asked over REST, likewise.
    pub budget: Option<Budget>,
}

/// One venue as it is listened to.
#[derive(Debug)]
struct Listener {
    contact: Arc<Contact>,
    rest: Option<Arc<RestClient>>,
    refresh_every: Duration,
    wanted: watch::Receiver<Arc<Wanted>>,
    listing: Option<Listing>,
    /// When the list of instruments is to be read.
    list_at: Instant,
    subscriptions: Vec<Subscription>,
    shards: Vec<Shard>,
    tasks: JoinSet<Kept>,
    shutdown: CancellationToken,
    told: Option<Told>,
    polled: usize,
}

/// What was told of what is listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    markets: Vec<Pair>,
    absent: Vec<(Pair, String)>,
    connections: usize,
}

/// One connection and its successors.
#[derive(Debug)]
struct Shard {
    markets: BTreeSet<Pair>,
    wanted: watch::Sender<Arc<[Subscription]>>,
    stop: CancellationToken,
    /// When it may be made anew for the sake of a dead market, and how long not after that.
    revival: (Instant, Duration),
}

/// Listens until `shutdown`, or until nobody listens to `out` any more.
pub async fn run(
    protocol: &'static dyn Protocol,
    options: ListenerOptions,
    wanted: watch::Receiver<Arc<Wanted>>,
    clock: Clock,
    out: mpsc::Sender<Delivery>,
    shutdown: CancellationToken,
) {
    let ListenerOptions { socket, pulses, rest, refresh_every } = options;
    let look_every = LOOK_EVERY.min(pulses.poll_every);
    let mut pulses = Pulses::new(pulses);
    if rest.as_ref().is_some_and(|client| !client.rest().streams_volumes()) {
        pulses = pulses.without_volumes();
    }
    let outlet = Outlet::new(protocol.venue(), clock, pulses, out);
    // Where the address of a WebSocket is asked for over REST, both are one host.
    let closed = match (protocol.endpoint(), &rest) {
        (Endpoint::Bullet(_), Some(rest)) => rest.closed(),
        _ => Arc::default(),
    };
    let contact = Arc::new(Contact::new(protocol, socket, outlet, closed, shutdown.clone()));
    let mut listener = Listener {
        contact,
        rest,
        refresh_every,
        wanted,
        listing: None,
        list_at: Instant::now(),
        subscriptions: Vec::new(),
        shards: Vec::new(),
        tasks: JoinSet::new(),
        shutdown: shutdown.clone(),
        told: None,
        polled: 0,
    };
    // Nobody is left to hear why it ended, or it was told to.
    let _ = shutdown.run_until_cancelled(listener.listen(look_every)).await;
    listener.shards.iter().for_each(|shard| shard.stop.cancel());
    listener.tasks.join_all().await;
}

impl Listener {
    async fn listen(&mut self, look_every: Duration) -> Result<(), Unheard> {
        let mut ticks = interval(look_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut questions = FuturesUnordered::new();
        let mut settled = false;
        self.begin().await?;
        loop {
            tokio::select! {
                changed = self.wanted.changed(), if !settled => match changed {
                    Ok(()) => self.obey().await?,
                    // Nothing else can be wanted any more: what is, goes on.
                    Err(_) => settled = true,
                },
                Some(kept) = self.tasks.join_next() => {
                    if let Ok(Kept::Blocked(error)) = kept {
                        self.give_up(error).await?;
                    }
                }
                Some(answer) = questions.next(), if !questions.is_empty() => self.take(answer).await?,
                _ = ticks.tick() => {
                    if let Some(rest) = self.rest.clone().filter(|rest| !rest.is_blocked()) {
                        for question in self.due(&rest, questions.len()) {
                            questions.push(question.ask(Arc::clone(&self.contact), rest.clone()));
                        }
                        self.tell_polled(None).await?;
                    }
                }
            }
        }
    }

    /// Reads the list of instruments, if that does not take long, and begins to listen.
    async fn begin(&mut self) -> Result<(), Unheard> {
        let Some(rest) = self.rest.clone() else { return self.follow().await };
        let asking = Question::Instruments.ask(Arc::clone(&self.contact), rest);
        if let Ok(answer) = timeout(LISTED_WITHIN, asking).await {
            self.take(answer).await?;
        } else {
            warn!(venue = self.name(), "the instruments of a venue are not told in time");
        }
        if self.told.is_none() { self.follow().await } else { Ok(()) }
    }

    /// Waits for another configuration, after the venue has refused us for good on one connection. The others are left first,
    /// so that this is the last that is told.
    async fn give_up(&mut self, error: String) -> Result<(), Unheard> {
        tracing::error!(
            venue = self.name(),
            error,
            "a venue refuses us for good: it is not tried again before its configuration changes"
        );
        for shard in self.shards.drain(..) {
            shard.stop.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
        let markets = self.subscriptions.iter().map(|wanted| wanted.pair).collect();
        self.tell(DeliveryKind::Disconnected { markets, error, outlook: Outlook::Blocked }).await?;
        self.contact.outlet.pulses.expect(&BTreeSet::new(), Instant::now());
        self.tell_polled(None).await?;
        self.told = None;
        if self.wanted.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.obey().await
    }

    /// Follows another configuration. What the venue has refused for good over REST is tried again.
    async fn obey(&mut self) -> Result<(), Unheard> {
        if let Some(rest) = &self.rest
            && rest.is_blocked()
        {
            rest.forgive();
            self.list_at = Instant::now();
        }
        self.follow().await
    }

    /// Brings the connections to what is wanted and listed now.
    async fn follow(&mut self) -> Result<(), Unheard> {
        let protocol = self.contact.protocol;
        let wanted = Arc::clone(&self.wanted.borrow_and_update());
        let Resolved { listed, absent } = match &self.listing {
            Some(listing) => listing.resolve(&wanted.pairs),
            None => unasked(protocol, &wanted.pairs),
        };
        if let Some(rest) = &self.rest {
            rest.set_budget(wanted.budget);
        }
        let markets: BTreeSet<Pair> = listed.iter().map(|listed| listed.pair).collect();
        let changed = self.subscriptions != listed;
        self.subscriptions = listed;
        self.contact.outlet.pulses.expect(&markets, Instant::now());
        let own = protocol.limits().markets;
        let max = wanted.max_markets.map_or(own, |max| max.min(own));
        let current = self.shards.iter().map(|shard| shard.markets.clone());
        for (number, markets) in shards::assign(current, &markets, max).into_iter().enumerate() {
            self.assign(number, markets, changed);
        }
        self.shards.retain(|shard| !shard.stop.is_cancelled());
        let markets: Vec<Pair> = markets.into_iter().collect();
        let now = Told { markets, absent, connections: self.shards.len() };
        if self.told.as_ref() == Some(&now) {
            return Ok(());
        }
        let Told { markets, absent, connections } = now.clone();
        info!(venue = self.name(), pairs = markets.len(), connections, "listening to {}", protocol.venue());
        self.told = Some(now);
        self.tell(DeliveryKind::Listening { markets, absent, connections }).await
    }

    /// Gives a connection its markets: begins it, ends it, or has another take over from it.
    fn assign(&mut self, number: usize, markets: BTreeSet<Pair>, spelled_anew: bool) {
        let subscriptions: Arc<[Subscription]> =
            self.subscriptions.iter().filter(|wanted| markets.contains(&wanted.pair)).cloned().collect();
        match self.shards.get_mut(number) {
            Some(shard) if markets.is_empty() => shard.stop.cancel(),
            Some(shard) => {
                let same =
                    shard.markets == markets && (!spelled_anew || *shard.wanted.borrow() == subscriptions);
                if !same {
                    shard.markets = markets;
                    shard.wanted.send_replace(subscriptions);
                }
            }
            None => {
                let (sender, receiver) = watch::channel(subscriptions);
                let stop = self.shutdown.child_token();
                let (contact, stopped) = (Arc::clone(&self.contact), stop.clone());
                self.tasks.spawn(async move { socket::run(&contact, receiver, stopped).await });
                let revival = (Instant::now(), REVIVE_AFTER);
                self.shards.push(Shard { markets, wanted: sender, stop, revival });
            }
        }
    }

    async fn tell(&self, kind: DeliveryKind) -> Result<(), Unheard> {
        self.contact.outlet.deliver(None, kind).await
    }

    fn name(&self) -> &'static str {
        self.contact.outlet.venue.as_str()
    }
}
