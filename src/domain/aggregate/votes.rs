//! One vote per owner, and the order in which quotes are looked at.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{Contribution, Reading, Verdict};
use crate::domain::{quote::Quote, venue::Owner};

/// Orders quotes by venue and market, and should a market be there twice, by all else: quotes that compare equal
/// are equal, so what comes after does not depend on the order in which they came in.
pub(super) fn order(a: &Quote, b: &Quote) -> Ordering {
    let times =
        |quote: &Quote| (quote.confirm_time, quote.observe_time, quote.receive_time, quote.change_time);
    let numbers = |quote: &Quote| {
        (
            quote.book.map(|book| (book.bid, book.ask)),
            quote.last.map(|last| (last.price, last.time)),
            quote.quote_volume_24h,
            quote.consensus_at_change,
        )
    };
    (a.venue, a.market)
        .cmp(&(b.venue, b.market))
        .then_with(|| times(a).cmp(&times(b)))
        .then_with(|| numbers(a).cmp(&numbers(b)))
}

/// Leaves each owner the best of its readings: a direct market before a converted one, then the larger volume,
/// then the first by name.
pub(super) fn one_per_owner(contributions: &mut [Contribution]) {
    let mut elected = BTreeMap::<Owner, (_, usize)>::new();
    for (at, contribution) in contributions.iter().enumerate() {
        let Some(reading) = used(contribution) else {
            continue;
        };
        let rank = (reading.peg.is_none(), reading.quote_volume_24h);
        let best = elected.entry(contribution.quote.venue.owner()).or_insert((rank, at));
        if rank > best.0 {
            *best = (rank, at);
        }
    }
    for (at, contribution) in contributions.iter_mut().enumerate() {
        let vote = elected.get(&contribution.quote.venue.owner());
        if used(contribution).is_some() && vote.is_some_and(|(_, voter)| *voter != at) {
            contribution.verdict = Verdict::OwnerVotesElsewhere;
        }
    }
}

fn used(contribution: &Contribution) -> Option<&Reading> {
    let reading = contribution.reading.as_ref();
    reading.filter(|_| contribution.verdict == Verdict::Used)
}
