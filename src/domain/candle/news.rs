//! What of a candle that is told is news, when something may be known of it already.

use super::{Candle, CandleMaker, CandleState};

/// Who tells a candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Teller {
    /// One who listens, and may take back what it has said: a trade came late, or nobody had listened after all.
    Listener,
    /// One who made it of other candles, or a venue that was asked for what is missing.
    Maker,
    /// A venue that was asked because messages are known to have been missed.
    Witness,
}

/// Gets what is to be written of a candle that is told, as the next revision of what is known; nothing if it says no more.
/// `known` is all that was ever said of it, in the order of revisions.
///
/// What covers more of the time always says more, and so does anything beside a gap. Beyond that
///
/// - a listener is believed if it restates what it has said, and has all that is known: one that has just begun to listen, or
///   missed something, does not take away what another heard, nor what a venue told of all of the time, and two that heard the
///   same time do not outbid each other. What it has said before it may say again, as a batch of which nobody knows whether it
///   was written is written once more;
/// - a witness is believed where it differs. The first price is not compared, as some venues take the last one before for it,
///   and neither are counts of trades, which venues count in different ways.
///
/// A candle that is still forming is none.
pub fn news(known: &[Candle], told: &Candle, teller: Teller) -> Option<Candle> {
    if told.state == CandleState::Forming {
        return None;
    }
    let Some(last) = known.last() else {
        let state = if told.state == CandleState::Gap { CandleState::Gap } else { CandleState::Final };
        return Some(Candle { revision: 0, state, ..told.clone() });
    };
    let says_more =
        (last.state == CandleState::Gap && told.state != CandleState::Gap) || last.coverage < told.coverage;
    let (believed, trade_count) = match teller {
        Teller::Listener => {
            let again = known.iter().any(|known| is_same(known, told));
            ((says_more || restates(last, told)) && !again, told.trade_count)
        }
        Teller::Maker => (says_more, told.trade_count.max(last.trade_count)),
        Teller::Witness => (says_more || differ(last, told), told.trade_count.max(last.trade_count)),
    };
    let state = if told.state == CandleState::Gap { CandleState::Gap } else { CandleState::Restated };
    let revision = last.revision.checked_add(1)?;
    believed.then(|| Candle { revision, state, trade_count, ..told.clone() })
}

/// Tells whether a listener knows all that was said, and takes something of it back.
fn restates(last: &Candle, told: &Candle) -> bool {
    let own = match last.maker {
        CandleMaker::Service => true,
        // Of a longer candle that went on across a restart, some parts were told by the venue.
        CandleMaker::Venue => told.maker == CandleMaker::Venue && told.coverage == last.coverage,
    };
    let has_all = told.trade_count >= last.trade_count && told.base_volume >= last.base_volume;
    own && has_all && told.revision > 0
}

fn is_same(known: &Candle, told: &Candle) -> bool {
    let Candle { revision, state, .. } = *known;
    *known == Candle { revision, state, ..told.clone() }
}

fn differ(stored: &Candle, told: &Candle) -> bool {
    let told_prices = |candle: &Candle| candle.prices.map(|prices| (prices.high, prices.low, prices.close));
    told_prices(stored) != told_prices(told) || stored.base_volume != told.base_volume
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::{
        super::{Interval, sample},
        *,
    };

    /// A candle of a minute, of so many trades, that was listened to for so many tenths of it.
    fn heard(revision: u32, coverage: i64, trades: u32) -> Candle {
        let candle = sample::candle(Interval::Minute, 0, Some([2, 4, 1, 3]), trades);
        let state = if revision == 0 { CandleState::Final } else { CandleState::Restated };
        Candle { revision, state, coverage: Decimal::new(coverage, 1), ..candle }
    }

    fn venue(revision: u32, trades: u32) -> Candle {
        Candle { maker: CandleMaker::Venue, ..heard(revision, 10, trades) }
    }

    /// Shows what is written, and as which revision.
    fn written(known: &[Candle], told: &Candle, teller: Teller) -> Option<(u32, CandleState)> {
        news(known, told, teller).map(|news| (news.revision, news.state))
    }

    #[test]
    fn the_first_that_is_told_is_written_whatever_number_its_teller_gives_it() {
        let gap = sample::gap(Interval::Minute, 0);
        for teller in [Teller::Listener, Teller::Maker, Teller::Witness] {
            assert_eq!(written(&[], &heard(3, 5, 7), teller), Some((0, CandleState::Final)));
            assert_eq!(written(&[], &gap, teller), Some((0, CandleState::Gap)));
            assert_eq!(written(std::slice::from_ref(&gap), &gap, teller), None);
            assert_eq!(
                written(std::slice::from_ref(&gap), &heard(0, 0, 1), teller),
                Some((1, CandleState::Restated))
            );
        }
    }

    #[test]
    fn what_covers_more_replaces_what_covers_less_and_never_the_other_way_round() {
        let restated = Some((1, CandleState::Restated));
        for teller in [Teller::Listener, Teller::Maker, Teller::Witness] {
            assert_eq!(written(&[heard(0, 4, 5)], &heard(0, 10, 3), teller), restated, "{teller:?}");
        }
        for teller in [Teller::Listener, Teller::Maker] {
            assert_eq!(written(&[heard(0, 10, 5)], &heard(0, 4, 3), teller), None, "{teller:?}");
        }
    }

    #[test]
    fn a_listener_restates_what_it_has_said_and_saying_it_again_changes_nothing() {
        let mut known = vec![heard(0, 10, 5)];
        for (told, expected) in [
            (heard(0, 10, 5), None),
            // A late trade, then one more, then an end of the connection that was noticed late.
            (heard(1, 10, 6), Some(1)),
            (heard(2, 10, 7), Some(2)),
            (heard(3, 8, 7), Some(3)),
            (heard(0, 10, 5), None),
            (heard(1, 10, 6), None),
            (heard(3, 8, 7), None),
            (sample::gap(Interval::Minute, 0), None),
        ] {
            let news = news(&known, &told, Teller::Listener);
            assert_eq!(news.as_ref().map(|news| news.revision), expected, "{told:?}");
            known.extend(news);
        }
    }

    #[test]
    fn another_listener_takes_nothing_away_and_outbids_nobody() {
        let known = [heard(0, 10, 5)];
        // It has just begun, or it missed something, or it heard one more.
        for (revision, coverage, trades) in [(1, 4, 3), (0, 10, 4), (0, 4, 5), (0, 10, 6)] {
            let told = heard(revision, coverage, trades);
            assert_eq!(written(&known, &told, Teller::Listener), None, "{told:?}");
        }
    }

    #[test]
    fn a_part_never_hides_the_whole_that_a_venue_told() {
        let known = [heard(0, 5, 5), venue(1, 9)];
        for revision in 1..4 {
            assert_eq!(written(&known, &heard(revision, 5, 5 + revision), Teller::Listener), None);
            assert_eq!(written(&known, &heard(revision, 9, 20), Teller::Listener), None);
        }
        // A long candle with parts that a venue told is still restated by a late trade.
        let long = |revision, trades| Candle { coverage: Decimal::new(9, 1), ..venue(revision, trades) };
        assert_eq!(written(&[long(0, 5)], &long(1, 6), Teller::Listener), Some((1, CandleState::Restated)));
    }

    #[test]
    fn a_difference_counts_only_for_a_witness() {
        let restated = Some((1, CandleState::Restated));
        let mut other = heard(0, 10, 7);
        other.base_volume += Decimal::ONE;
        for (known, teller, expected) in [
            (heard(0, 10, 7), Teller::Maker, None),
            // The same is no news, also where it was doubted.
            (heard(0, 10, 7), Teller::Witness, None),
            (other.clone(), Teller::Maker, None),
            (other, Teller::Witness, restated),
        ] {
            assert_eq!(
                written(std::slice::from_ref(&known), &venue(0, 7), teller),
                expected,
                "{known:?} {teller:?}"
            );
        }
        // Bybit opens with the price before: that alone is no difference.
        let mut opened = heard(0, 10, 7);
        opened.prices.as_mut().unwrap().open = Decimal::ONE;
        assert_eq!(written(&[opened], &venue(0, 7), Teller::Witness), None);
        // Venues that do not count say 1: what was counted stands.
        let counted = news(&[heard(0, 5, 7)], &venue(0, 1), Teller::Maker).unwrap();
        assert_eq!(counted.trade_count, 7);
    }
}
