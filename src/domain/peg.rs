//! What a stablecoin is worth: its price against the asset it stands for, and whether it holds its peg.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{aggregate::Aggregate, exact::Exact, pair::Asset};

/// Basis points in 1.
const BASIS_POINTS: Decimal = Decimal::from_parts(10_000, 0, 0, false, 0);

/// What each declared stablecoin is worth now.
#[derive(Debug, Clone, Default)]
pub struct Pegs(BTreeMap<Asset, Declared>);

/// A stablecoin as it was declared, and what has become of it.
#[derive(Debug, Clone)]
struct Declared {
    reference: Asset,
    peg: Option<Peg>,
    /// The last state that was not unknown: a coin that lost its peg does not get it back by not being watched.
    remembered: PegState,
}

/// What one stablecoin is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peg {
    /// The stablecoin.
    pub asset: Asset,
    /// What it stands for.
    pub reference: Asset,
    /// Units of the reference for one unit of the stablecoin; while the state is unknown, what it last was.
    pub rate: Decimal,
    /// Whether the rate may be used, and how far it is from 1.
    pub state: PegState,
    /// Independent owners whose quotes made the rate.
    pub source_count: u32,
    /// When the rate was observed, by the venues' clocks.
    pub observe_time: DateTime<Utc>,
    /// When the rate was received, by our clock.
    pub receive_time: DateTime<Utc>,
    /// When the state became what it is.
    pub state_time: DateTime<Utc>,
}

/// How well a stablecoin holds its peg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PegState {
    /// Too few anchors tell the rate, or none does now: it is not used, and 1 is not assumed.
    Unknown,
    /// Close to 1.
    Pegged,
    /// Off 1, but still converted at its live rate.
    Drifting,
    /// So far off 1 that markets quoted in it are no longer believed.
    Depegged,
}

/// The constants of the pegs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PegPolicy {
    /// Independent owners that have to quote the stablecoin. Three, as two have no median that one of them could
    /// not move.
    pub anchors: u32,
    /// Within this distance from 1 a coin is pegged.
    pub pegged_bps: Decimal,
    /// Beyond this distance from 1 it is depegged.
    pub depegged_bps: Decimal,
}

impl Default for PegPolicy {
    fn default() -> Self {
        Self { anchors: 3, pegged_bps: Decimal::from(50), depegged_bps: Decimal::from(200) }
    }
}

impl PegPolicy {
    /// Tells whether a coin that held its peg loses it at `rate`.
    pub fn is_beyond(&self, rate: Decimal) -> bool {
        self.next(PegState::Unknown, rate) == PegState::Depegged
    }

    /// Gets the next state of a coin at `rate`: a limit is crossed outwards at its value, and inwards at half of it.
    fn next(&self, state: PegState, rate: Decimal) -> PegState {
        let distance = Exact::of(rate).distance(&Exact::of(Decimal::ONE)).times(BASIS_POINTS);
        let beyond = |limit: Decimal, already: bool| {
            let factor = if already { Decimal::TWO } else { Decimal::ONE };
            distance.clone().times(factor) > Exact::of(limit)
        };
        if beyond(self.depegged_bps, state == PegState::Depegged) {
            PegState::Depegged
        } else if beyond(self.pegged_bps, matches!(state, PegState::Depegged | PegState::Drifting)) {
            PegState::Drifting
        } else {
            PegState::Pegged
        }
    }
}

impl Pegs {
    /// Declares stablecoins, each with the asset it stands for. None is known yet.
    pub fn new(declared: impl IntoIterator<Item = (Asset, Asset)>) -> Self {
        let declare = |(asset, reference)| {
            let declared = Declared { reference, peg: None, remembered: PegState::Unknown };
            (asset, declared)
        };
        Self(declared.into_iter().map(declare).collect())
    }

    /// Gets the asset that a stablecoin stands for; `None` for any other asset.
    pub fn reference(&self, asset: Asset) -> Option<Asset> {
        self.0.get(&asset).map(|declared| declared.reference)
    }

    /// Gets what a stablecoin is worth, once that has been known.
    pub fn get(&self, asset: Asset) -> Option<&Peg> {
        self.0.get(&asset)?.peg.as_ref()
    }

    /// Lists the declared stablecoins, each with the asset it stands for, by name.
    pub fn declared(&self) -> impl Iterator<Item = (Asset, Asset)> {
        self.0.iter().map(|(asset, declared)| (*asset, declared.reference))
    }

    /// Tells whether an asset is a stablecoin known to have lost its peg.
    pub fn depegged(&self, asset: Asset) -> bool {
        self.get(asset).is_some_and(|peg| peg.state == PegState::Depegged)
    }

    /// Takes the latest aggregate of the stablecoin's pair with its reference. Another asset is left alone.
    pub fn update(&mut self, asset: Asset, aggregate: &Aggregate, policy: &PegPolicy, now: DateTime<Utc>) {
        let Some(declared) = self.0.get_mut(&asset) else {
            return;
        };
        let before = declared.peg.take();
        let state = match &aggregate.value {
            Some(value) if aggregate.source_count >= policy.anchors => {
                policy.next(declared.remembered, value.price)
            }
            _ => PegState::Unknown,
        };
        if state != PegState::Unknown {
            declared.remembered = state;
        }
        let state_time = before.as_ref().filter(|peg| peg.state == state);
        let state_time = state_time.map_or(now, |peg| peg.state_time);
        declared.peg = match &aggregate.value {
            Some(value) => Some(Peg {
                asset,
                reference: declared.reference,
                rate: value.price,
                state,
                source_count: aggregate.source_count,
                observe_time: value.observe_time,
                receive_time: value.receive_time,
                state_time,
            }),
            None => before.map(|peg| Peg { state, source_count: 0, state_time, ..peg }),
        };
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::{
        decimal::parse,
        price::{Status, StatusReason, Value},
    };

    const USDT: Asset = Asset::literal("USDT");

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn made(rate: &str, source_count: u32, seconds: i64) -> Aggregate {
        Aggregate {
            value: Some(Value {
                price: parse(rate).unwrap(),
                bid: None,
                ask: None,
                dispersion_bps: Decimal::ZERO,
                observe_time: at(seconds),
                receive_time: at(seconds),
            }),
            source_count,
            status: Status::Live,
            status_reason: None,
            contributions: Vec::new(),
        }
    }

    fn nothing() -> Aggregate {
        Aggregate {
            value: None,
            source_count: 0,
            status: Status::Unavailable,
            status_reason: Some(StatusReason::NoFreshQuotes),
            contributions: Vec::new(),
        }
    }

    fn usd_pegs() -> Pegs {
        Pegs::new([(USDT, Asset::USD)])
    }

    fn update(pegs: &mut Pegs, aggregate: &Aggregate, seconds: i64) {
        pegs.update(USDT, aggregate, &PegPolicy::default(), at(seconds));
    }

    /// Feeds a coin one rate after the other, of three anchors each, and compares its states.
    fn check(rates: &[&str], expected: &[PegState]) {
        let mut pegs = usd_pegs();
        let states: Vec<_> = rates
            .iter()
            .map(|rate| {
                update(&mut pegs, &made(rate, 3, 0), 0);
                pegs.get(USDT).unwrap().state
            })
            .collect();
        assert_eq!(states, expected, "{rates:?}");
    }

    #[test]
    fn a_first_rate_is_judged_by_the_outer_limits() {
        use PegState::{Depegged, Drifting, Pegged};
        for (rate, expected) in [
            ("1", Pegged),
            ("0.995", Pegged),
            ("1.005", Pegged),
            ("0.9949999", Drifting),
            ("1.0050001", Drifting),
            ("0.98", Drifting),
            ("1.02", Drifting),
            ("0.9799999", Depegged),
            ("1.0200001", Depegged),
            ("0.0000000000000000000000000001", Depegged),
        ] {
            check(&[rate], &[expected]);
        }
    }

    #[test]
    fn a_peg_returns_at_half_the_limit() {
        use PegState::{Depegged, Drifting, Pegged};
        check(
            &["0.994", "0.996", "0.9974", "0.9975", "0.995"],
            &[Drifting, Drifting, Drifting, Pegged, Pegged],
        );
        check(
            &["0.97", "0.985", "0.9899", "0.99", "0.981", "0.979"],
            &[Depegged, Depegged, Depegged, Drifting, Drifting, Depegged],
        );
        check(&["0.97", "0.9974", "0.99"], &[Depegged, Drifting, Drifting]);
        check(&["0.97", "0.9975"], &[Depegged, Pegged]);
    }

    #[test]
    fn two_anchors_are_no_peg() {
        let mut pegs = usd_pegs();
        assert_eq!(pegs.get(USDT), None);
        update(&mut pegs, &made("1", 2, 0), 0);
        assert_eq!(pegs.get(USDT).unwrap().state, PegState::Unknown);
        update(&mut pegs, &made("1", 3, 1), 1);
        assert_eq!(pegs.get(USDT).unwrap().state, PegState::Pegged);
    }

    #[test]
    fn nothing_known_is_not_one() {
        let mut pegs = usd_pegs();
        update(&mut pegs, &nothing(), 0);
        assert_eq!(pegs.get(USDT), None);
        update(&mut pegs, &made("0.999", 3, 1), 1);
        update(&mut pegs, &nothing(), 2);
        let peg = pegs.get(USDT).unwrap();
        // What it last was, and when, but not for use.
        assert_eq!((peg.state, peg.source_count), (PegState::Unknown, 0));
        assert_eq!((peg.rate, peg.observe_time), (Decimal::new(999, 3), at(1)));
    }

    #[test]
    fn a_lost_peg_is_not_regained_by_not_being_watched() {
        let mut pegs = usd_pegs();
        update(&mut pegs, &made("0.97", 3, 0), 0);
        assert!(pegs.depegged(USDT));
        update(&mut pegs, &nothing(), 1);
        assert!(!pegs.depegged(USDT));
        update(&mut pegs, &made("0.985", 2, 2), 2);
        update(&mut pegs, &made("0.985", 3, 3), 3);
        assert!(pegs.depegged(USDT));
    }

    #[test]
    fn a_state_has_its_time() {
        let mut pegs = usd_pegs();
        let mut since = |aggregate: &Aggregate, seconds| {
            update(&mut pegs, aggregate, seconds);
            pegs.get(USDT).unwrap().state_time
        };
        assert_eq!(since(&made("1", 3, 0), 0), at(0));
        assert_eq!(since(&made("0.999", 3, 5), 5), at(0));
        assert_eq!(since(&made("0.99", 3, 6), 6), at(6));
        assert_eq!(since(&nothing(), 7), at(7));
        assert_eq!(since(&nothing(), 8), at(7));
    }

    #[test]
    fn only_declared_coins_have_a_peg() {
        let mut pegs = usd_pegs();
        let other = Asset::literal("USDC");
        pegs.update(other, &made("1", 3, 0), &PegPolicy::default(), at(0));
        assert_eq!(pegs.get(other), None);
        assert_eq!(pegs.reference(other), None);
        assert_eq!(pegs.reference(USDT), Some(Asset::USD));
        assert_eq!(pegs.declared().collect::<Vec<_>>(), [(USDT, Asset::USD)]);
    }
}
