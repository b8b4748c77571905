//! A source, told what happens.

use super::*;

const MARKETS: [Pair; 2] = [Pair::literal("BTC", "USD"), Pair::literal("ETH", "USD")];

#[test]
fn a_connection_that_is_lost_is_missed_until_one_stands_that_is_asked_for_the_same() {
    let at = |second| DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
    let [bitcoin, ether] = MARKETS.map(|market| [market]);
    let source = Source::new(Venue::new("kraken"), MARKETS.into(), Origin::Live, at(0));
    let told = || {
        let told = source.report(TimeDelta::seconds(30), at(10));
        (told.state_reason, told.retry_time)
    };
    source.listening(MARKETS.into(), &[], 2);
    source.connected(1, &bitcoin, at(1));
    source.connected(2, &ether, at(1));
    source.spoke(at(2));
    assert_eq!(told(), (String::new(), None));
    source.left(2, at(3));
    source.disconnected(&ether.into(), "cut", Outlook::Retry(at(20)), at(3));
    let missing = || ("1 of 2 connections stand: cut".to_owned(), Some(at(20)));
    assert_eq!(told(), missing());
    // Another takes over from the first: two stand, and what the second was asked for is missing still.
    source.connected(3, &bitcoin, at(4));
    assert_eq!(told(), missing());
    source.left(1, at(5));
    assert_eq!(told(), missing());
    source.disconnected(&ether.into(), "no", Outlook::Retry(at(30)), at(6));
    assert_eq!(told(), ("1 of 2 connections stand: no".to_owned(), Some(at(30))));
    source.connected(5, &ether, at(7));
    assert_eq!(told(), (String::new(), None));
    // It is not wanted any more.
    source.left(5, at(8));
    source.disconnected(&ether.into(), "cut", Outlook::Retry(at(40)), at(8));
    source.listening(bitcoin.into(), &[], 1);
    assert_eq!(told(), (String::new(), None));
}

#[test]
fn a_source_is_live_from_what_it_says_of_a_market_and_as_long_as_it_does() {
    let at = |second| DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
    let source = Source::new(Venue::new("kraken"), Vec::new(), Origin::Live, at(0));
    let state = |second| {
        let told = source.report(TimeDelta::seconds(30), at(second));
        (told.state, told.state_reason, (told.state_time - at(0)).num_seconds())
    };
    let yet = "connected; nothing said yet";
    source.connected(1, &MARKETS, at(1));
    source.frame(at(2));
    assert_eq!(state(100), (SourceState::Connecting, yet.to_owned(), 0));
    source.spoke(at(101));
    assert_eq!(state(131), (SourceState::Live, String::new(), 101));
    // It answers pings, and nothing else.
    source.frame(at(131));
    assert_eq!(state(132), (SourceState::Silent, "nothing said for 31 s".to_owned(), 101));
    source.spoke(at(133));
    source.connected(2, &MARKETS, at(134));
    source.left(1, at(134));
    assert_eq!(state(135).0, SourceState::Live, "another took over");
    source.left(2, at(136));
    assert_eq!(state(136).0, SourceState::Connecting);
    // From a connection that has ended.
    source.spoke(at(137));
    assert_eq!(state(137).0, SourceState::Connecting);
    source.disconnected(&MARKETS.into(), "no", Outlook::Penalty(at(200)), at(138));
    assert_eq!(state(138).0, SourceState::Penalized);
    source.connected(3, &MARKETS, at(201));
    assert_eq!(state(202), (SourceState::Connecting, yet.to_owned(), 201));
}

#[test]
fn errors_are_counted_by_their_kinds_and_frozen_markets_since_the_first() {
    let [start, later, end] = [0, 5, 9].map(|second| DateTime::UNIX_EPOCH + TimeDelta::seconds(second));
    let source = Source::new(Venue::new("kraken"), Vec::new(), Origin::Live, start);
    for (kind, error) in [("json", "not JSON"), ("value", "bad price"), ("json", "cut off")] {
        source.malformed(kind, error, start);
    }
    let report = |now| source.report(TimeDelta::seconds(30), now);
    let told = report(start);
    assert_eq!(
        (told.counts.malformed, told.malformed),
        (3, [("json".into(), 2), ("value".into(), 1)].into())
    );
    assert_eq!(told.last_error, Some(("cut off".to_owned(), start)));
    for (markets, now, expected) in [
        (0, start, None),
        (1, start, Some((1, start))),
        (3, later, Some((3, start))),
        (0, end, None),
        (2, end, Some((2, end))),
    ] {
        source.frozen(markets, now);
        assert_eq!(report(now).frozen, expected);
    }
}
