//! Tries what serving would do with the venues, without serving: does each connect, and does each market bring data?

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::markets::{Listened, Shared};
use crate::{
    clock::{Clock, stopwatch},
    config::Config,
    domain::{pair::Pair, venue::Venue},
    feed::{
        delivery::{Delivery, DeliveryKind, Outlook},
        listener,
    },
    pipeline::ingest::Listen,
};

/// Deliveries that wait to be looked at, at most.
const QUEUE: usize = 1_024;

/// What became of a venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The venue.
    pub venue: Venue,
    /// How long it took until the first connection stood.
    pub connected_after: Option<Duration>,
    /// Its markets, and how long it took until each brought data.
    pub markets: BTreeMap<Pair, Option<Duration>>,
    /// Markets that the venue does not list or trade, and why.
    pub absent: BTreeMap<Pair, String>,
    /// The last thing that went wrong: a connection that ended, words of refusal, a message that is not understood.
    pub problem: Option<String>,
    /// Whether it refuses us for good.
    pub blocked: bool,
}

impl Checked {
    /// Starts with what is asked of a venue.
    fn new(venue: Venue, pairs: &[Pair]) -> Self {
        let markets = pairs.iter().map(|pair| (*pair, None)).collect();
        Self { venue, connected_after: None, markets, absent: BTreeMap::new(), problem: None, blocked: false }
    }

    /// Lists the markets that have brought nothing.
    pub fn missing(&self) -> impl Iterator<Item = Pair> {
        self.markets.iter().filter(|(_, after)| after.is_none()).map(|(pair, _)| *pair)
    }

    /// Tells whether there is nothing to wait for: every market has brought data, or none ever will.
    fn is_decided(&self) -> bool {
        self.blocked || self.missing().all(|market| self.absent.contains_key(&market))
    }

    fn hear(&mut self, said: DeliveryKind, after: Duration) {
        match said {
            DeliveryKind::Ticker { market, .. } | DeliveryKind::Trade { market, .. } => {
                if let Some(known) = self.markets.get_mut(&market) {
                    known.get_or_insert(after);
                }
            }
            DeliveryKind::Connected(_) => {
                self.connected_after.get_or_insert(after);
            }
            DeliveryKind::Disconnected { error, outlook, .. } => {
                self.blocked = outlook == Outlook::Blocked;
                self.problem = Some(error);
            }
            DeliveryKind::Refused { words, .. } => self.problem = Some(words),
            DeliveryKind::Malformed { error, .. } | DeliveryKind::Asked { error: Some(error), .. } => {
                self.problem = Some(error);
            }
            DeliveryKind::Listening { absent, .. } => {
                for (market, why) in absent {
                    self.absent.insert(market, why);
                }
            }
            DeliveryKind::Asked { error: None, .. }
            | DeliveryKind::Confirm(_)
            | DeliveryKind::Gap(_)
            | DeliveryKind::GoingAway(_)
            | DeliveryKind::Accepted(_)
            | DeliveryKind::Unheard { .. }
            | DeliveryKind::Untold { .. }
            | DeliveryKind::Left(_)
            | DeliveryKind::Subscribed
            | DeliveryKind::ClockBehind(_)
            | DeliveryKind::Message => {}
        }
    }
}

/// Connects to every configured venue as serving would, and waits for data of each market for some time.
pub async fn check(config: &Config, wait: Duration) -> anyhow::Result<Vec<Checked>> {
    let listened = Listened::configured(config)?;
    let mut checked: BTreeMap<Venue, Checked> =
        listened.venues().iter().map(|(venue, pairs)| (*venue, Checked::new(*venue, pairs))).collect();
    let (sender, mut receiver) = mpsc::channel::<Delivery>(QUEUE);
    let shutdown = CancellationToken::new();
    let mut sockets = JoinSet::new();
    let clock = Clock::system();
    let shared = Shared::new(config)?;
    for Listen { protocol, options, wanted } in listened.listeners(&config.feed, &shared) {
        // Nothing else will be wanted.
        let (_, wanted) = watch::channel(Arc::new(wanted));
        let (clock, out, shutdown) = (clock.clone(), sender.clone(), shutdown.clone());
        sockets.spawn(listener::run(protocol, options, wanted, clock, out, shutdown));
    }
    drop(sender);
    let elapsed = stopwatch();
    let hear = async {
        while !checked.values().all(Checked::is_decided)
            && let Some(delivery) = receiver.recv().await
        {
            // What is asked for over REST does not show that the stream brings it.
            let asked = delivery.connection.is_none()
                && matches!(delivery.kind, DeliveryKind::Ticker { .. } | DeliveryKind::Trade { .. });
            if let Some(checked) = checked.get_mut(&delivery.venue).filter(|_| !asked) {
                checked.hear(delivery.kind, elapsed());
            }
        }
    };
    // What has come by then is the answer.
    let _ = timeout(wait, hear).await;
    shutdown.cancel();
    drop(receiver);
    sockets.join_all().await;
    Ok(checked.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::venue::MarketKind;

    const MARKETS: [Pair; 2] = [Pair::literal("BTC", "USD"), Pair::literal("ETH", "USD")];

    fn ticker(market: Pair) -> DeliveryKind {
        DeliveryKind::Ticker {
            market,
            kind: MarketKind::Spot,
            book: None,
            last: None,
            base_volume_24h: None,
            quote_volume_24h: None,
            time: None,
        }
    }

    #[test]
    fn a_venue_is_decided_when_all_its_markets_have_spoken_or_none_will() {
        let seconds = Duration::from_secs;
        let mut checked = Checked::new(Venue::new("kraken"), &MARKETS);
        checked.hear(DeliveryKind::Connected([].into()), seconds(1));
        for (after, market) in [(2, MARKETS[1]), (3, MARKETS[1]), (4, Pair::literal("SOL", "USD"))] {
            checked.hear(ticker(market), seconds(after));
        }
        assert_eq!(checked.missing().collect::<Vec<_>>(), [MARKETS[0]]);
        assert!(!checked.is_decided());
        checked.hear(DeliveryKind::Refused { market: None, words: "no such pair".into() }, seconds(5));
        assert_eq!(checked.problem.as_deref(), Some("no such pair"));
        let outlook = Outlook::Retry(chrono::DateTime::UNIX_EPOCH);
        checked.hear(
            DeliveryKind::Disconnected { markets: [].into(), error: "cut".into(), outlook },
            seconds(6),
        );
        assert!(!checked.is_decided());
        let mut refused = checked.clone();
        refused.hear(
            DeliveryKind::Disconnected { markets: [].into(), error: "451".into(), outlook: Outlook::Blocked },
            seconds(7),
        );
        assert!(refused.is_decided() && refused.blocked);
        checked.hear(ticker(MARKETS[0]), seconds(8));
        assert!(checked.is_decided());
        assert_eq!(checked.connected_after, Some(seconds(1)));
        assert_eq!(checked.markets, [(MARKETS[0], Some(seconds(8))), (MARKETS[1], Some(seconds(2)))].into());
    }
}
