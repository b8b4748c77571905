//! One quote, read: whether it may count by itself, and what it says in the pair's quote asset.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{BASIS_POINT, Basis, Contribution, Policy, Reading, Verdict, markets};
use crate::domain::{
    exact::Exact,
    pair::Pair,
    peg::{Peg, PegState, Pegs},
    quote::{Quote, TopOfBook},
};

/// Reads quotes on one pair at one instant.
pub(super) struct Reader<'a> {
    pair: Pair,
    markets: Vec<Pair>,
    pegs: &'a Pegs,
    consensus: Option<Decimal>,
    policy: &'a Policy,
    now: DateTime<Utc>,
}

/// What a quote says in its own market's quote asset.
struct Observed {
    price: Exact,
    bid: Option<Decimal>,
    ask: Option<Decimal>,
    basis: Basis,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        pair: Pair,
        pegs: &'a Pegs,
        consensus: Option<Decimal>,
        policy: &'a Policy,
        now: DateTime<Utc>,
    ) -> Self {
        Self { pair, markets: markets(pair, pegs), pegs, consensus, policy, now }
    }

    /// Reads a quote, or says why not. What passes counts, until votes and outliers are looked at.
    pub(super) fn judge(&self, quote: &Quote) -> Contribution {
        let reading = self.read(quote);
        Contribution {
            quote: quote.clone(),
            verdict: *reading.as_ref().err().unwrap_or(&Verdict::Used),
            reading: reading.ok(),
            weight: Decimal::ZERO,
        }
    }

    fn read(&self, quote: &Quote) -> Result<Reading, Verdict> {
        if !self.markets.contains(&quote.market) {
            return Err(Verdict::NoReading);
        }
        self.timely(quote)?;
        let observed = self.observe(quote)?;
        if self.frozen(quote) {
            return Err(Verdict::Frozen);
        }
        if quote.market.quote == self.pair.quote {
            convert(quote, &observed, None)
        } else {
            convert(quote, &observed, Some(self.peg(quote)?))
        }
    }

    fn timely(&self, quote: &Quote) -> Result<(), Verdict> {
        let latest = quote.confirm_time.max(quote.observe_time);
        if latest.signed_duration_since(self.now) > self.policy.max_future {
            Err(Verdict::FromTheFuture)
        } else if !self.fresh(quote.confirm_time) {
            Err(Verdict::Stale)
        } else {
            Ok(())
        }
    }

    fn fresh(&self, time: DateTime<Utc>) -> bool {
        self.now.signed_duration_since(time) <= self.policy.max_age
    }

    /// Takes the mid of a book that is narrow enough, else the last trade.
    ///
    /// A book that is one-sided or crossed says that something is wrong with the market, so no trade stands in
    /// for it; a book that was never sent says nothing.
    fn observe(&self, quote: &Quote) -> Result<Observed, Verdict> {
        if let Some(book) = quote.book {
            let (bid, ask) = sides(book).ok_or(Verdict::OneSided)?;
            if bid >= ask {
                return Err(Verdict::Crossed);
            }
            let mid = Exact::of(bid).mean(&Exact::of(ask));
            let spread = Exact::of(ask).distance(&Exact::of(bid));
            if spread <= mid.clone().times(self.policy.max_spread_bps).times(BASIS_POINT) {
                return Ok(Observed { price: mid, bid: Some(bid), ask: Some(ask), basis: Basis::Mid });
            }
        }
        let last = quote.last.filter(|last| {
            let ahead = last.time.signed_duration_since(self.now);
            last.price > Decimal::ZERO && self.fresh(last.time) && ahead <= self.policy.max_future
        });
        last.map(|last| Observed {
            price: Exact::of(last.price),
            bid: None,
            ask: None,
            basis: Basis::LastTrade,
        })
        .ok_or(Verdict::NoReading)
    }

    /// Tells whether the quote has stayed while the consensus moved: |consensus ÷ consensus then − 1| at or
    /// above the limit.
    fn frozen(&self, quote: &Quote) -> bool {
        let (Some(consensus), Some(then)) = (self.consensus, quote.consensus_at_change) else {
            return false;
        };
        let unchanged = self.now.signed_duration_since(quote.change_time);
        let then = Exact::of(then);
        let moved = Exact::of(consensus).distance(&then);
        unchanged >= self.policy.frozen_after
            && moved >= then.times(self.policy.frozen_move_bps).times(BASIS_POINT)
    }

    fn peg(&self, quote: &Quote) -> Result<&Peg, Verdict> {
        let peg = self.pegs.get(quote.market.quote).ok_or(Verdict::PegUnknown)?;
        match peg.state {
            PegState::Unknown => Err(Verdict::PegUnknown),
            _ if !self.fresh(peg.observe_time) => Err(Verdict::PegUnknown),
            PegState::Depegged => Err(Verdict::Depegged),
            // Off its peg, but what it is worth is known.
            PegState::Pegged | PegState::Drifting => Ok(peg),
        }
    }
}

/// Gets both sides of a book. A side at zero or below is no side.
fn sides(book: TopOfBook) -> Option<(Decimal, Decimal)> {
    let positive = |side: Option<Decimal>| side.filter(|price| *price > Decimal::ZERO);
    Some((positive(book.bid)?, positive(book.ask)?))
}

/// Expresses what was observed in the peg's reference; without a peg it is in the pair's quote asset already.
fn convert(quote: &Quote, observed: &Observed, peg: Option<&Peg>) -> Result<Reading, Verdict> {
    let price =
        peg.map_or_else(|| observed.price.held(), |peg| observed.price.clone().times(peg.rate).held());
    let converted = |value: Decimal| match peg {
        Some(peg) => Exact::of(value).times(peg.rate).held().ok(),
        None => Some(value),
    };
    Ok(Reading {
        price: price.map_err(|_| Verdict::NoReading)?,
        bid: observed.bid.and_then(converted),
        ask: observed.ask.and_then(converted),
        basis: observed.basis,
        peg: peg.map(|peg| (Pair::new(peg.asset, peg.reference), peg.rate)),
        quote_volume_24h: quote.quote_volume_24h.and_then(converted),
        observe_time: peg.map_or(quote.confirm_time, |peg| quote.confirm_time.min(peg.observe_time)),
        receive_time: peg.map_or(quote.receive_time, |peg| quote.receive_time.min(peg.receive_time)),
    })
}
