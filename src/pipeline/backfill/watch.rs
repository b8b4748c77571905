//! Notices which markets were not listened to for a while, and has that filled in.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::service::Handle;
use crate::{
    domain::{pair::Pair, venue::Venue},
    feed::delivery::{Delivery, DeliveryKind},
};

/// How long before a gap was noticed something of it may have been missed.
const MISSED_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// Hears what comes in, and asks for what was missed.
#[derive(Debug)]
pub struct Watch {
    handle: Handle,
    began: DateTime<Utc>,
    look_back: TimeDelta,
    connections: BTreeMap<(Venue, Option<u64>), Connection>,
    /// Since when a market that has been listened to is not, if it is not.
    down: BTreeMap<(Venue, Pair), Option<DateTime<Utc>>>,
    /// Since when markets say nothing that are refused, or of which the stream was found dead, until they speak.
    mute: BTreeMap<(Venue, Pair), DateTime<Utc>>,
}

#[derive(Debug)]
struct Connection {
    began: DateTime<Utc>,
    heard: DateTime<Utc>,
    markets: BTreeSet<Pair>,
}

impl Watch {
    /// Begins to watch: what is first connected to later has been missed since, as far as is looked back.
    pub fn new(handle: Handle, now: DateTime<Utc>, look_back: TimeDelta) -> Self {
        let (connections, down, mute) = Default::default();
        Self { handle, began: now, look_back, connections, down, mute }
    }

    /// Takes in what a venue said, as far as it tells of gaps.
    pub fn hear(&mut self, delivery: &Delivery) {
        for (market, from) in self.missed(delivery) {
            self.handle.request(market, delivery.venue, from..delivery.receive_time);
        }
    }

    /// Lists the markets that were missed up to now, and since when.
    fn missed(&mut self, delivery: &Delivery) -> Vec<(Pair, DateTime<Utc>)> {
        let Delivery { venue, connection, receive_time: now, ref kind } = *delivery;
        match kind {
            DeliveryKind::Message => {
                if let Some(connection) = self.connections.get_mut(&(venue, connection)) {
                    connection.heard = now;
                }
                Vec::new()
            }
            DeliveryKind::Connected(markets) => {
                let markets: BTreeSet<Pair> = markets.iter().copied().collect();
                let began = self.began.max(now.checked_sub_signed(self.look_back).unwrap_or(self.began));
                let listened = |market: &Pair| {
                    let since = self.down.insert((venue, *market), None);
                    Some((*market, since.unwrap_or(Some(began))?))
                };
                let missed = markets.iter().filter_map(listened).collect();
                self.connections.insert((venue, connection), Connection { began: now, heard: now, markets });
                missed
            }
            DeliveryKind::Ticker { market, .. } | DeliveryKind::Trade { market, .. }
                if connection.is_some() && !self.mute.is_empty() =>
            {
                self.mute.remove(&(venue, *market)).map(|since| (*market, since)).into_iter().collect()
            }
            DeliveryKind::Unheard { market, since } => {
                self.mute.entry((venue, *market)).or_insert(*since);
                Vec::new()
            }
            DeliveryKind::Refused { market: Some(market), .. } => {
                if let Some(known) = self.connections.get_mut(&(venue, connection)) {
                    let began = known.began;
                    known.markets.remove(market);
                    if !self.listens(venue, *market) {
                        self.mute.entry((venue, *market)).or_insert(began);
                    }
                }
                Vec::new()
            }
            DeliveryKind::Left(_) => {
                if let Some(left) = self.connections.remove(&(venue, connection)) {
                    for market in &left.markets {
                        if !self.listens(venue, *market) {
                            self.down.insert((venue, *market), Some(left.heard));
                        }
                    }
                }
                Vec::new()
            }
            DeliveryKind::Gap(market) => {
                let from = now.checked_sub_signed(MISSED_WITHIN).unwrap_or(now);
                let all = self.connections.get(&(venue, connection)).map(|connection| &connection.markets);
                match (market, all) {
                    (Some(market), _) => vec![(*market, from)],
                    (None, Some(all)) => all.iter().map(|market| (*market, from)).collect(),
                    (None, None) => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    fn listens(&self, venue: Venue, market: Pair) -> bool {
        let mut of_venue = self.connections.iter().filter(|((known, _), _)| *known == venue);
        of_venue.any(|(_, connection)| connection.markets.contains(&market))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::venue::MarketKind, feed::delivery::Outlook, pipeline::backfill::BackfillMetrics};

    const KRAKEN: Venue = Venue::new("kraken");
    const MARKETS: [Pair; 2] = [Pair::literal("BTC", "USD"), Pair::literal("ETH", "USD")];

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_392_000 + second, 0).unwrap()
    }

    /// Hears one thing on a connection at a second, and shows what was missed and since when.
    fn hear(watch: &mut Watch, connection: u64, second: i64, kind: DeliveryKind) -> Vec<(Pair, i64)> {
        let delivery =
            Delivery { venue: KRAKEN, connection: Some(connection), receive_time: at(second), kind };
        let missed = watch.missed(&delivery).into_iter();
        missed.map(|(market, from)| (market, (from - at(0)).num_seconds())).collect()
    }

    #[test]
    fn a_market_is_missed_from_the_last_message_to_the_next_connection() {
        let (handle, _requests) = Handle::new(BackfillMetrics::new().unwrap());
        let mut watch = Watch::new(handle, at(0), TimeDelta::hours(1));
        let connected = || DeliveryKind::Connected(MARKETS.into());
        let left = || DeliveryKind::Left(MARKETS.into());
        let [bitcoin, ether] = MARKETS;
        assert_eq!(hear(&mut watch, 1, 3, connected()), [(bitcoin, 0), (ether, 0)]);
        assert_eq!(hear(&mut watch, 1, 10, DeliveryKind::Message), []);
        // Another connection takes over: nothing was missed.
        assert_eq!(hear(&mut watch, 2, 20, DeliveryKind::Connected([bitcoin].into())), []);
        assert_eq!(hear(&mut watch, 1, 30, left()), []);
        assert_eq!(hear(&mut watch, 3, 40, connected()), [(ether, 10)]);
        hear(&mut watch, 2, 50, left());
        hear(&mut watch, 3, 60, DeliveryKind::Message);
        hear(&mut watch, 3, 70, left());
        let outlook = Outlook::Retry(at(80));
        hear(
            &mut watch,
            3,
            70,
            DeliveryKind::Disconnected { markets: MARKETS.into(), error: "cut".into(), outlook },
        );
        assert_eq!(hear(&mut watch, 4, 90, connected()), [(bitcoin, 60), (ether, 60)]);
        assert_eq!(hear(&mut watch, 4, 100, DeliveryKind::Gap(Some(ether))), [(ether, 40)]);
        assert_eq!(hear(&mut watch, 4, 200, DeliveryKind::Gap(None)), [(bitcoin, 140), (ether, 140)]);
        assert_eq!(hear(&mut watch, 9, 200, DeliveryKind::Gap(None)), []);
    }

    #[test]
    fn a_market_that_is_mute_on_a_standing_connection_is_missed_until_it_speaks() {
        let (handle, _requests) = Handle::new(BackfillMetrics::new().unwrap());
        let mut watch = Watch::new(handle, at(0), TimeDelta::hours(1));
        let connected = || DeliveryKind::Connected(MARKETS.into());
        let spoken = |market| DeliveryKind::Ticker {
            market,
            kind: MarketKind::Spot,
            book: None,
            last: None,
            base_volume_24h: None,
            quote_volume_24h: None,
            time: None,
        };
        let refused = |market| DeliveryKind::Refused { market: Some(market), words: "no".to_owned() };
        let [bitcoin, ether] = MARKETS;
        hear(&mut watch, 1, 3, connected());
        hear(&mut watch, 1, 4, refused(ether));
        for since in [20, 35] {
            hear(&mut watch, 1, 50, DeliveryKind::Unheard { market: bitcoin, since: at(since) });
        }
        // Another takes over before the first is left.
        assert_eq!(hear(&mut watch, 2, 60, connected()), []);
        assert_eq!(hear(&mut watch, 2, 61, spoken(bitcoin)), [(bitcoin, 20)]);
        assert_eq!(hear(&mut watch, 1, 62, DeliveryKind::Left(MARKETS.into())), []);
        assert_eq!(hear(&mut watch, 2, 63, spoken(bitcoin)), []);
        assert_eq!(hear(&mut watch, 2, 70, spoken(ether)), [(ether, 3)]);
        // What one refuses and another brings is not missed.
        hear(&mut watch, 3, 80, connected());
        hear(&mut watch, 3, 81, refused(ether));
        assert_eq!(hear(&mut watch, 3, 82, spoken(ether)), []);
    }
}
