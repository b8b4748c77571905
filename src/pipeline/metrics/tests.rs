//! What is told of sources that come and go.

use chrono::{DateTime, TimeDelta};
use prometheus::{Registry, TextEncoder};

use super::*;
use crate::{
    domain::{aggregate::Policy, jump::JumpPolicy, peg::PegPolicy, price::Origin, venue::Venue},
    pipeline::{
        aggregator::{Markets, Options},
        standards::Standards,
    },
};

const KRAKEN: Venue = Venue::new("kraken");

/// Lists what is told of sources, as it is written: `name{labels} value`.
fn told(registry: &Registry) -> Vec<String> {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn nothing_is_left_of_a_source_that_is_gone_and_one_that_comes_anew_counts_anew() {
    let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(1_000);
    let options = Options {
        policy: Policy::default(),
        peg: PegPolicy::default(),
        coins: Vec::new(),
        jump: JumpPolicy::default(),
        refresh: TimeDelta::seconds(1),
        origin: Origin::Live,
        markets: Markets::Met,
    };
    let sources = Sources::new([(KRAKEN, Vec::new())], Origin::Live, Standards::new(&options), now);
    let registry = Registry::new();
    let metrics = SourceMetrics::new(sources.clone(), Clock::standing_at(now)).unwrap();
    registry.register(Box::new(metrics)).unwrap();
    let source = sources.get(KRAKEN).unwrap();
    (0..5).for_each(|_| source.frame(now));
    source.frozen(2, now);
    let has = |line: &str| told(&registry).iter().any(|told| told == line);
    assert!(has("cryptoprice_source_frames_total{source=\"kraken\"} 5"));
    assert!(has("cryptoprice_source_frozen_markets{source=\"kraken\"} 2"));
    assert!(has("cryptoprice_source_frozen_since_timestamp_seconds{source=\"kraken\"} 1000"));
    // Since when is not said of what is not.
    source.frozen(0, now);
    assert!(has("cryptoprice_source_frozen_markets{source=\"kraken\"} 0"));
    assert!(!told(&registry).iter().any(|line| line.contains("frozen_since")));
    sources.remove(KRAKEN);
    assert_eq!(told(&registry), Vec::<String>::new());
    sources.add(KRAKEN, Vec::new(), now);
    sources.get(KRAKEN).unwrap().frame(now);
    assert!(has("cryptoprice_source_frames_total{source=\"kraken\"} 1"));
}

#[test]
fn a_counter_follows_what_it_counts_when_that_begins_anew() {
    let counter = IntCounter::new("updates", "Updates.").unwrap();
    for total in [5, 7, 2, 3] {
        catch_up(&counter, total);
        assert_eq!(counter.get(), total);
    }
}
