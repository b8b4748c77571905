//! Listens to one venue: to the wanted markets that it lists, over as many connections as they need, and over REST where a
//! stream has fallen silent.
//!
//! Markets come from the venue's instruments, read at the start and now and then (`listing`); they are spread over
//! connections (`shards`), each kept by the one reconnecting loop. [`pulses`](super::pulses) tell which markets are
//! late; those are asked for over REST (`questions`), and so are trades that were missed. What is wanted may change at any
//! time: connections whose markets change are taken over from by others, the rest stays as it is.

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
    questions::{Answer, Question},
};
use super::{
    delivery::{Delivery, DeliveryKind, Outlook},
    outlet::{Outlet, Unheard},
    pulses::{Finding, PulseOptions, Pulses},
    rest::{Budget, RestClient, RestError},
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

/// Questions that are on their way at the same time.
const QUESTIONS: usize = 4;

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
    let outlet = Outlet::new(protocol.venue(), clock, Pulses::new(pulses), out);
    let look_every = LOOK_EVERY.min(pulses.poll_every);
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
                        for question in self.due(QUESTIONS.saturating_sub(questions.len())) {
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

    /// Lists what is to be asked now, so many things at most.
    fn due(&mut self, room: usize) -> Vec<Question> {
        let (now, pulses) = (Instant::now(), &self.contact.outlet.pulses);
        let mut due = Vec::new();
        if self.list_at <= now && room > 0 {
            self.list_at = now + LIST_AGAIN;
            due.push(Question::Instruments);
        }
        let symbol = |market: Pair| {
            self.subscriptions.iter().find(|known| known.pair == market).map(|known| known.symbol.clone())
        };
        let late = pulses.late(now);
        let left = room.saturating_sub(due.len());
        // Prices are more urgent, but do not keep trades waiting for ever.
        for missed in pulses.missed(left.saturating_sub(late.len()).max(1).min(left), now) {
            due.extend(symbol(missed.market).map(|symbol| Question::Trades { missed, symbol }));
        }
        for market in late {
            if let Some(symbol) = symbol(market).filter(|_| due.len() < room) {
                pulses.asked(market, now);
                due.push(Question::Ticker { market, symbol, asked: now });
            }
        }
        due
    }

    /// Takes in an answer.
    async fn take(&mut self, answer: Answer) -> Result<(), Unheard> {
        match answer {
            Answer::Instruments(Ok(instruments)) => {
                self.listing = Some(Listing::new(self.contact.protocol, instruments));
                self.list_at = Instant::now() + self.refresh_every;
                self.follow().await
            }
            Answer::Instruments(Err(error)) => {
                warn!(venue = self.name(), %error, "the instruments of a venue cannot be read");
                self.list_at = Instant::now() + LIST_AGAIN.min(self.refresh_every);
                self.tell_polled(Some(error)).await
            }
            Answer::Ticker { market, asked, outcome: Ok(told) } => {
                if let DeliveryKind::Ticker { book, last, .. } = &told {
                    let Outlet { pulses, clock, .. } = &self.contact.outlet;
                    let now = (Instant::now(), clock.now());
                    match pulses.answered(market, *book, *last, asked, now) {
                        Finding::Expected => {}
                        Finding::Overtaken => return Ok(()),
                        Finding::Dead { since } => {
                            self.revive(market);
                            self.tell(DeliveryKind::Unheard { market, since }).await?;
                        }
                    }
                }
                self.tell(told).await
            }
            Answer::Trades { outcome: Ok(trades), .. } => {
                for trade in trades {
                    self.tell(trade).await?;
                }
                Ok(())
            }
            Answer::Ticker { market, outcome: Err(error), .. } => {
                self.contact.outlet.pulses.unanswered(market, Instant::now());
                self.tell_polled(Some(error)).await
            }
            Answer::Trades { missed, outcome: Err(error) } => {
                let pulses = &self.contact.outlet.pulses;
                let again = match &error {
                    // An answer that cannot be understood will not be the next time.
                    RestError::Answer(_) => false,
                    RestError::TooOften(wait) => pulses.still_missed(missed, Some(*wait), Instant::now()),
                    _ => pulses.still_missed(missed, None, Instant::now()),
                };
                if !again {
                    let (venue, market) = (self.name(), missed.market);
                    warn!(venue, %market, %error, "trades that were missed are not told over REST");
                }
                self.tell_polled(Some(error)).await
            }
        }
    }

    /// Has another connection take over from that of a market whose stream is dead.
    fn revive(&mut self, market: Pair) {
        let venue = self.name();
        let now = Instant::now();
        let shard = self.shards.iter_mut().find(|shard| shard.markets.contains(&market));
        if let Some(shard) = shard.filter(|shard| shard.revival.0 <= now) {
            warn!(venue, %market, "a market has moved and its stream has not said so: it is subscribed anew");
            let (last, wait) = shard.revival;
            // After a long time without, it begins anew.
            let wait = if now - last > REVIVE_AFTER_AT_MOST { REVIVE_AFTER } else { wait };
            shard.revival = (now + wait, (2 * wait).min(REVIVE_AFTER_AT_MOST));
            shard.wanted.send_modify(|_| ());
        }
    }

    /// Tells how many markets REST speaks for, where that has changed or something went wrong.
    async fn tell_polled(&mut self, error: Option<RestError>) -> Result<(), Unheard> {
        let polled = self.contact.outlet.pulses.polled();
        if polled == self.polled && error.is_none() {
            return Ok(());
        }
        self.polled = polled;
        let error = error.map(|error| error.to_string());
        self.tell(DeliveryKind::Asked { polled, error }).await
    }

    async fn tell(&self, kind: DeliveryKind) -> Result<(), Unheard> {
        self.contact.outlet.deliver(None, kind).await
    }

    fn name(&self) -> &'static str {
        self.contact.outlet.venue.as_str()
    }
}
