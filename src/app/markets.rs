//! Which venues are listened to, and for which pairs: as configured, as simulated, or as met in recordings.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Semaphore;

use crate::{
    clock::Clock,
    config::Config,
    domain::{pair::Pair, venue::Venue},
    feed::{
        socket::{BackOff, SocketOptions},
        venue::Protocol,
        venues,
    },
    pipeline::{aggregator::Markets, ingest::Listen, replay::Replay},
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
    pairs: Vec<Pair>,
}

impl Listened {
    /// Listens to the venues of the configuration.
    pub(super) fn configured(config: &Config) -> anyhow::Result<Self> {
        let enabled = config.venues.iter().filter(|(_, venue)| venue.enabled && !venue.pairs.is_empty());
        let asked: Vec<_> = enabled
            .map(|(name, venue)| {
                Ok(Asked {
                    protocol: protocol(name)?,
                    url: venue.url.as_ref().map(|url| url.expose().to_owned()),
                    pairs: venue.pairs.iter().map(|pair| pair.0).collect(),
                })
            })
            .collect::<anyhow::Result<_>>()?;
        some(asked)
    }

    /// Listens to the simulated venues, but for those that the configuration disables.
    pub(super) fn simulated(simulation: &Simulation, config: &Config) -> anyhow::Result<Self> {
        let enabled = |name: &str| config.venues.get(name).is_none_or(|venue| venue.enabled);
        let venues = simulation.venues().iter().filter(|venue| enabled(venue.venue.as_str()));
        let asked = venues.map(|venue| {
            Ok(Asked {
                protocol: protocol(venue.venue.as_str())?,
                url: Some(venue.url.clone()),
                pairs: venue.pairs.clone(),
            })
        });
        some(asked.collect::<anyhow::Result<_>>()?)
    }

    /// Takes what recordings hold.
    pub(super) fn met(replay: &Replay) -> Self {
        Self::Met(replay.venues())
    }

    /// Lists the venues and their markets, as far as they are known beforehand.
    pub(super) fn venues(&self) -> Vec<(Venue, Vec<Pair>)> {
        match self {
            Self::Sockets(asked) => asked.iter().map(|a| (a.protocol.venue(), a.pairs.clone())).collect(),
            Self::Met(venues) => venues.iter().map(|venue| (*venue, Vec::new())).collect(),
        }
    }

    /// Says which markets the aggregator takes in.
    pub(super) fn markets(&self) -> Markets {
        match self {
            Self::Sockets(asked) => {
                Markets::Configured(asked.iter().flat_map(|asked| asked.pairs.iter().copied()).collect())
            }
            Self::Met(_) => Markets::Met,
        }
    }

    /// Says how each venue is connected to.
    pub(super) fn sockets(self, config: &Config, clock: &Clock) -> Vec<Listen> {
        let Self::Sockets(asked) = self else { return Vec::new() };
        let feed = &config.feed;
        let starts = Arc::new(Semaphore::new(feed.max_connecting));
        asked
            .into_iter()
            .map(|Asked { protocol, url, pairs }| Listen {
                protocol,
                options: SocketOptions {
                    url_override: url,
                    pairs,
                    clock: clock.clone(),
                    back_off: BackOff { base: feed.backoff, cap: feed.max_backoff },
                    stable_after: feed.stable_after,
                    rotate_after: feed.rotate_after,
                    silence_limit: feed.silent_after,
                    max_frame: feed.max_frame,
                    starts: Arc::clone(&starts),
                    tap: None,
                },
            })
            .collect()
    }
}

fn some(asked: Vec<Asked>) -> anyhow::Result<Listened> {
    anyhow::ensure!(!asked.is_empty(), "no venue is enabled: there is nothing to listen to");
    Ok(Listened::Sockets(asked))
}

fn protocol(name: &str) -> anyhow::Result<&'static dyn Protocol> {
    venues::by_name(name).with_context(|| format!("no venue has the name {name}"))
}
