//! Which venues are listened to, and for which pairs: as configured, as simulated, or as met in recordings.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Semaphore;

use crate::{
    config::{Address, Config, Feed, VenueConfig},
    domain::{pair::Pair, venue::Venue},
    feed::{
        listener::{ListenerOptions, Wanted},
        pulses::PulseOptions,
        rest::{Budget, RestClient, http_client},
        socket::{BackOff, Penalty, SocketOptions},
        venue::Protocol,
        venues,
    },
    pipeline::{aggregator::Markets, backfill::VenueClient, ingest::Listen, replay::Replay},
    sim::Simulation,
};

/// The venues and what is asked of each.
#[derive(Debug)]
pub(super) enum Listened {
    /// Over sockets.
    Sockets(Vec<Asked>),
    /// In recordings, whatever they hold.
    Met(Vec<Venue>),
}

/// What is asked of one venue.
#[derive(Debug)]
pub(super) struct Asked {
    protocol: &'static dyn Protocol,
    url: Option<String>,
    rest: RestAt,
    wanted: Wanted,
}

/// Where a venue is asked over REST.
#[derive(Debug)]
enum RestAt {
    /// At its own address.
    Own,
    /// At another.
    Other(String),
    /// Nowhere: its WebSocket is not its own, and nothing is said of REST.
    Nowhere,
}

/// What listeners share: a network that comes back is not stormed, and venues are asked by one client.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    starts: Arc<Semaphore>,
    http: reqwest::Client,
}

impl Shared {
    /// Makes what listeners share.
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        let http = http_client().context("cannot make an HTTP client")?;
        Ok(Self { starts: Arc::new(Semaphore::new(config.feed.max_connecting)), http })
    }
}

impl Listened {
    /// Listens to the venues of the configuration.
    pub(super) fn configured(config: &Config) -> anyhow::Result<Self> {
        let enabled = config.venues.iter().filter(|(_, venue)| venue.enabled && !venue.pairs.is_empty());
        some(enabled.map(|(name, venue)| asked(name, venue)).collect::<anyhow::Result<_>>()?)
    }

    /// Listens to the simulated venues, but for those that the configuration disables.
    pub(super) fn simulated(simulation: &Simulation, config: &Config) -> anyhow::Result<Self> {
        let enabled = |name: &str| config.venues.get(name).is_none_or(|venue| venue.enabled);
        let venues = simulation.venues().iter().filter(|venue| enabled(venue.venue.as_str()));
        let asked = venues.map(|venue| {
            Ok(Asked {
                protocol: protocol(venue.venue.as_str())?,
                url: Some(venue.url.clone()),
                rest: RestAt::Nowhere,
                wanted: Wanted { pairs: venue.pairs.clone(), max_markets: None, budget: None },
            })
        });
        some(asked.collect::<anyhow::Result<_>>()?)
    }

    /// Listens to nothing.
    pub(super) const fn nothing() -> Self {
        Self::Met(Vec::new())
    }

    /// Takes what recordings hold.
    pub(super) fn met(replay: &Replay) -> Self {
        Self::Met(replay.venues())
    }

    /// Lists the venues and their markets, as far as they are known beforehand.
    pub(super) fn venues(&self) -> Vec<(Venue, Vec<Pair>)> {
        match self {
            Self::Sockets(asked) => {
                asked.iter().map(|a| (a.protocol.venue(), a.wanted.pairs.clone())).collect()
            }
            Self::Met(venues) => venues.iter().map(|venue| (*venue, Vec::new())).collect(),
        }
    }

    /// Says which markets the aggregator takes in.
    pub(super) fn markets(&self) -> Markets {
        match self {
            Self::Sockets(asked) => Markets::Configured(
                asked.iter().flat_map(|asked| asked.wanted.pairs.iter().copied()).collect(),
            ),
            Self::Met(_) => Markets::Met,
        }
    }

    /// Says what is wanted of a venue.
    pub(super) fn wanted(&self, venue: Venue) -> Option<Wanted> {
        let Self::Sockets(asked) = self else { return None };
        asked.iter().find(|asked| asked.protocol.venue() == venue).map(|asked| asked.wanted.clone())
    }

    /// Lists the venues that can be asked over REST.
    pub(super) fn clients(&self, shared: &Shared) -> Vec<VenueClient> {
        let Self::Sockets(asked) = self else { return Vec::new() };
        let client =
            |asked: &Asked| Some(VenueClient { protocol: asked.protocol, client: asked.client(shared)? });
        asked.iter().filter_map(client).collect()
    }

    /// Says how each venue is listened to.
    pub(super) fn listeners(self, feed: &Feed, shared: &Shared) -> Vec<Listen> {
        let Self::Sockets(asked) = self else { return Vec::new() };
        asked.into_iter().map(|asked| asked.listen(feed, shared)).collect()
    }
}

impl Asked {
    /// Makes what asks it over REST, unless it is not to be asked.
    fn client(&self, shared: &Shared) -> Option<Arc<RestClient>> {
        let base = match &self.rest {
            RestAt::Own => None,
            RestAt::Other(base) => Some(base.as_str()),
            RestAt::Nowhere => return None,
        };
        let client = RestClient::new(self.protocol.rest()?, base, shared.http.clone());
        client.set_budget(self.wanted.budget);
        Some(Arc::new(client))
    }

    fn listen(self, feed: &Feed, shared: &Shared) -> Listen {
        let client = self.client(shared);
        let Self { protocol, url, wanted, .. } = self;
        let options = ListenerOptions {
            socket: SocketOptions {
                url_override: url,
                back_off: BackOff { base: feed.backoff, cap: feed.max_backoff },
                penalty: Penalty { after: feed.penalty_after, lasts: feed.penalty },
                stable_after: feed.stable_after,
                rotate_after: feed.rotate_after,
                silence_limit: feed.silent_after,
                max_frame: feed.max_frame,
                starts: Arc::clone(&shared.starts),
                tap: None,
            },
            pulses: PulseOptions {
                silent_after: feed.market_silent_after,
                poll_after: feed.poll_after,
                poll_every: feed.poll_every,
            },
            rest: client,
            refresh_every: feed.refresh_markets,
        };
        Listen { protocol, options, wanted }
    }
}

fn asked(name: &str, venue: &VenueConfig) -> anyhow::Result<Asked> {
    let text = |address: &Address| address.expose().to_owned();
    let rest = match (&venue.rest_url, &venue.url) {
        (Some(base), _) => RestAt::Other(text(base)),
        (None, None) => RestAt::Own,
        (None, Some(_)) => RestAt::Nowhere,
    };
    Ok(Asked { protocol: protocol(name)?, url: venue.url.as_ref().map(text), rest, wanted: wanted(venue) })
}

/// Says what is wanted of a venue.
fn wanted(venue: &VenueConfig) -> Wanted {
    Wanted {
        pairs: venue.pairs.iter().map(|pair| pair.0).collect(),
        max_markets: venue.max_markets,
        budget: venue.requests_per_minute.map(|requests| Budget::new(requests, 60)),
    }
}

fn some(asked: Vec<Asked>) -> anyhow::Result<Listened> {
    anyhow::ensure!(!asked.is_empty(), "no venue is enabled: there is nothing to listen to");
    Ok(Listened::Sockets(asked))
}

fn protocol(name: &str) -> anyhow::Result<&'static dyn Protocol> {
    venues::by_name(name).with_context(|| format!("no venue has the name {name}"))
}
