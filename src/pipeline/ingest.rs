//! The live pipeline: one listener for each venue, one aggregator that hears them all.

use std::{collections::HashMap, sync::Arc, time::Duration};

use prometheus::Histogram;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    aggregator::{Aggregator, Options},
    backfill::watch::Watch,
    chronicle::Chronicle,
    health::{Source, Sources},
};
use crate::{
    clock::Clock,
    domain::venue::Venue,
    feed::{
        delivery::{Delivery, DeliveryKind},
        listener::{self, ListenerOptions, Wanted},
        venue::Protocol,
    },
};

/// How often the aggregator looks whether something has grown old.
const TICK: Duration = Duration::from_millis(100);

/// Messages that are taken in before prices are computed again, at most.
const BATCH: usize = 256;

/// One venue to listen to.
#[derive(Debug)]
pub struct Listen {
    /// How it is spoken to.
    pub protocol: &'static dyn Protocol,
    /// How it is listened to.
    pub options: ListenerOptions,
    /// What is asked of it.
    pub wanted: Wanted,
}

/// What changes while it runs. What is not named stays as it is.
#[derive(Debug, Default)]
pub struct Changes {
    /// Venues that are not listened to any more; one that is started below begins anew.
    pub stopped: Vec<Venue>,
    /// Venues that are listened to from now on.
    pub started: Vec<Listen>,
    /// Venues of which something else is asked.
    pub wanted: Vec<(Venue, Wanted)>,
    /// How prices are made, if that changes.
    pub options: Option<Options>,
}

/// What the pipeline needs beside venues and prices.
#[derive(Debug)]
pub struct Surroundings {
    /// How the sources do.
    pub sources: Sources,
    /// What keeps what happens.
    pub chronicle: Chronicle,
    /// Messages that wait at most.
    pub queue: usize,
    /// The time.
    pub clock: Clock,
    /// How long messages take to the board.
    pub times: Histogram,
    /// What changes.
    pub changes: mpsc::Receiver<Changes>,
    /// Who has what is missed filled in, if anybody does.
    pub watch: Option<Watch>,
}

/// The listeners that run.
struct Listeners {
    by_venue: HashMap<Venue, (watch::Sender<Arc<Wanted>>, CancellationToken)>,
    tasks: JoinSet<()>,
    out: mpsc::Sender<Delivery>,
    clock: Clock,
    shutdown: CancellationToken,
}

/// Listens until told to stop, and ends when all that it started has ended.
pub async fn run(
    venues: Vec<Listen>,
    aggregator: Aggregator,
    surroundings: Surroundings,
    shutdown: CancellationToken,
) {
    let (out, receiver) = mpsc::channel(surroundings.queue);
    let mut listeners = Listeners {
        by_venue: HashMap::new(),
        tasks: JoinSet::new(),
        out,
        clock: surroundings.clock.clone(),
        shutdown: shutdown.clone(),
    };
    for listen in venues {
        listeners.start(listen);
    }
    aggregate(aggregator, &mut listeners, surroundings, receiver, shutdown).await;
    listeners.tasks.join_all().await;
}

impl Listeners {
    fn start(&mut self, Listen { protocol, options, wanted }: Listen) {
        let (sender, receiver) = watch::channel(Arc::new(wanted));
        let stop = self.shutdown.child_token();
        let (clock, out) = (self.clock.clone(), self.out.clone());
        self.tasks.spawn(listener::run(protocol, options, receiver, clock, out, stop.clone()));
        self.by_venue.insert(protocol.venue(), (sender, stop));
    }

    fn stop(&mut self, venue: Venue) {
        if let Some((_, stop)) = self.by_venue.remove(&venue) {
            stop.cancel();
        }
    }

    fn want(&self, venue: Venue, wanted: Wanted) {
        if let Some((sender, _)) = self.by_venue.get(&venue) {
            sender.send_replace(Arc::new(wanted));
        }
    }
}

/// Takes in what the listeners hand over, as much as there is at once, then computes what changed.
async fn aggregate(
    mut aggregator: Aggregator,
    listeners: &mut Listeners,
    surroundings: Surroundings,
    mut receiver: mpsc::Receiver<Delivery>,
    shutdown: CancellationToken,
) {
    let Surroundings { sources, mut chronicle, clock, times, mut changes, mut watch, .. } = surroundings;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    let mut heard = Vec::with_capacity(BATCH);
    let mut since_correction = 0;
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {
                // What has come by now is not lost.
                while let Ok(delivery) = receiver.try_recv() {
                    if sources.get(delivery.venue).is_some() {
                        chronicle.hear(&delivery);
                    }
                }
                return chronicle.end(clock.now());
            }
            _ = ticks.tick() => {
                aggregator.tick(clock.now());
                chronicle.tick(clock.now());
                since_correction += 1;
                if since_correction == 10 {
                    clock.correct();
                    since_correction = 0;
                }
            }
            Some(changes) = changes.recv() => {
                let now = clock.now();
                for venue in changes.stopped {
                    listeners.stop(venue);
                    sources.remove(venue);
                    aggregator.leave(venue, now);
                    chronicle.leave(venue, now);
                }
                if let Some(options) = changes.options {
                    chronicle.take(options.markets.clone());
                    aggregator.reconfigure(options, now);
                }
                for listen in changes.started {
                    sources.add(listen.protocol.venue(), listen.wanted.pairs.clone(), now);
                    chronicle.want(listen.protocol.venue(), listen.wanted.pairs.iter().copied(), now);
                    listeners.start(listen);
                }
                for (venue, wanted) in changes.wanted {
                    chronicle.want(venue, wanted.pairs.iter().copied(), now);
                    listeners.want(venue, wanted);
                }
            }
            // Never ends: we hold a sender, too.
            taken = receiver.recv_many(&mut batch, BATCH) => {
                debug_assert!(taken > 0, "somebody can still say something");
                for delivery in batch.drain(..) {
                    // What a venue said that has been left meanwhile is not heard any more.
                    let Some(source) = sources.get(delivery.venue) else { continue };
                    note(&sources, &source, &delivery);
                    if let Some(watch) = &mut watch {
                        watch.hear(&delivery);
                    }
                    if matches!(delivery.kind, DeliveryKind::Ticker { .. } | DeliveryKind::Trade { .. }) {
                        heard.push(delivery.receive_time);
                    }
                    chronicle.hear(&delivery);
                    aggregator.apply(delivery, Some(&source));
                }
                aggregator.settle(clock.now());
                let settled = clock.now();
                heard.drain(..).for_each(|heard| times.observe((settled - heard).as_seconds_f64()));
            }
        }
    }
}

/// Counts what concerns the connection rather than a price.
fn note(sources: &Sources, source: &Source, delivery: &Delivery) {
    let now = delivery.receive_time;
    match &delivery.kind {
        DeliveryKind::Message => source.frame(now),
        DeliveryKind::Connected(markets) => {
            source.connected(delivery.connection.unwrap_or_default(), markets, now);
        }
        DeliveryKind::Left(_) => source.left(delivery.connection.unwrap_or_default(), now),
        DeliveryKind::Disconnected { markets, error, outlook } => {
            source.disconnected(markets, error, *outlook, now);
        }
        DeliveryKind::Malformed { kind, error } => source.malformed(kind, error, now),
        DeliveryKind::Refused { market, words } => {
            warn!(venue = %delivery.venue, market = market.map(tracing::field::display), words, "a venue refuses something");
            source.refused(*market, words, now);
        }
        DeliveryKind::GoingAway(words) => {
            info!(venue = %delivery.venue, words, "a venue announces the end of a connection");
        }
        DeliveryKind::Accepted(market) => source.accepted(*market),
        DeliveryKind::Gap(_) => source.gap(),
        DeliveryKind::Untold { market, from, to } => {
            source.gap();
            source.error(&format!("trades of {market} from {from} to {to} are not told over REST"), now);
        }
        DeliveryKind::Listening { markets, absent, connections } => {
            source.listening(markets.clone(), absent, *connections);
            for pair in sources.unlisted(absent.iter().map(|(pair, _)| *pair)) {
                warn!(%pair, "no venue lists a pair that is asked for");
            }
        }
        DeliveryKind::Asked { polled, error } => source.asked(*polled, error.as_deref(), now),
        DeliveryKind::Ticker { .. }
        | DeliveryKind::Trade { .. }
        | DeliveryKind::Unheard { .. }
        | DeliveryKind::ClockBehind(_)
        | DeliveryKind::Confirm(_)
        | DeliveryKind::Subscribed => {}
    }
}
