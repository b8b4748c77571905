//! The market behind all simulated venues: what each asset is worth in dollars, moving in small random steps.
//!
//! A value walks geometrically and is drawn gently back to its centre, so that a demonstration that runs for
//! weeks still shows sensible prices; it never leaves its band. There is no clock in here: [`Market::step`]
//! says how much time passes, and the same seed and steps give the same market.

use std::{collections::BTreeMap, time::Duration};

use rust_decimal::Decimal;

use super::chance::{BASIS_POINT, Chance, fraction};
use crate::domain::{
    decimal::round_significant,
    pair::{Asset, Pair},
};

/// All assets and what they are worth.
#[derive(Debug, Clone)]
pub struct Market {
    values: BTreeMap<Asset, Walk>,
    chance: Chance,
}

/// How an asset's value moves.
#[derive(Debug, Clone, Copy)]
struct Temper {
    /// Standard deviation of a second's step, in billionths.
    swing: i64,
    /// Seconds in which most of a deviation from the centre is undone.
    memory: i64,
    /// How far the value may be from its centre, in basis points.
    band: i64,
}

/// One asset's value on its way.
#[derive(Debug, Clone)]
struct Walk {
    value: Decimal,
    centre: Decimal,
    temper: Temper,
}

const fn coin(tenths_of_a_point: i64) -> Temper {
    Temper { swing: tenths_of_a_point * BASIS_POINT / 10, memory: 86_400, band: 5_000 }
}

const STABLE: Temper = Temper { swing: BASIS_POINT / 5, memory: 600, band: 20 };

const MONEY: Temper = Temper { swing: BASIS_POINT / 5, memory: 86_400, band: 300 };

const FIXED: Temper = Temper { swing: 0, memory: 1, band: 0 };

/// Name, centre in dollars as a whole number and its decimal places, temper.
const ASSETS: &[(&str, i64, u32, Temper)] = &[
    ("USD", 1, 0, FIXED),
    ("EUR", 10_823, 4, MONEY),
    ("GBP", 12_714, 4, MONEY),
    ("USDT", 9_997, 4, STABLE),
    ("USDC", 9_999, 4, STABLE),
    ("BTC", 97_250, 0, coin(10)),
    ("ETH", 3_412, 0, coin(14)),
    ("SOL", 1_824, 1, coin(18)),
    ("BNB", 612, 0, coin(12)),
    ("XRP", 231, 2, coin(18)),
    ("ADA", 871, 3, coin(18)),
    ("DOGE", 3_312, 4, coin(20)),
    ("LTC", 1_047, 1, coin(16)),
    ("LINK", 2_163, 2, coin(18)),
    ("AVAX", 382, 1, coin(18)),
    ("DOT", 711, 2, coin(18)),
    ("SHIB", 2_514, 8, coin(24)),
    ("PEPE", 1_832, 8, coin(28)),
];

impl Market {
    /// Opens the market of a seed, every asset within a few percent of its centre.
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed, "market");
        let values = ASSETS
            .iter()
            .map(|&(name, whole, scale, temper)| {
                let centre = Decimal::new(whole, scale);
                // A thousandth of a bell step, times a quarter of an hour's swing.
                let start = fraction(temper.swing * chance.bell() * 30 / 1_000);
                let mut walk = Walk { value: centre * (Decimal::ONE + start), centre, temper };
                walk.hold();
                (Asset::literal(name), walk)
            })
            .collect();
        Self { values, chance }
    }

    /// Lets time pass.
    pub fn step(&mut self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX).min(MAX_STEP);
        for walk in self.values.values_mut() {
            walk.step(micros, self.chance.bell());
        }
    }

    /// Gets the true price of a pair at this instant: also of one that no venue lists.
    pub fn truth(&self, pair: Pair) -> Option<Decimal> {
        let base = self.value(pair.base)?;
        let quote = self.value(pair.quote)?;
        base.checked_div(quote).map(round_significant)
    }

    /// Gets what an asset is worth in dollars.
    pub fn value(&self, asset: Asset) -> Option<Decimal> {
        self.values.get(&asset).map(|walk| walk.value)
    }
}

/// A step of more than a minute is cut: a machine that slept wakes to a market that has not jumped.
const MAX_STEP: i64 = 60_000_000;

impl Walk {
    /// Moves for some microseconds; `bell` has a standard deviation of 1,000.
    fn step(&mut self, micros: i64, bell: i64) {
        // The root of microseconds is the root of seconds times 1,000, as the bell is.
        let shock = self.temper.swing * bell / 1_000 * micros.isqrt() / 1_000;
        let pull = Decimal::new(micros, 6) / Decimal::from(self.temper.memory);
        let moved = self.value * (Decimal::ONE + fraction(shock));
        self.value = moved + (self.centre - moved) * pull.min(Decimal::ONE);
        self.hold();
    }

    /// Keeps the value within its band, with the digits that a price has.
    fn hold(&mut self) {
        let reach = self.centre * fraction(self.temper.band * BASIS_POINT);
        let value = self.value.clamp(self.centre - reach, self.centre + reach);
        self.value = round_significant(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair(text: &str) -> Pair {
        text.parse().unwrap()
    }

    fn ran(seed: u64, steps: u32, time: Duration) -> Market {
        let mut market = Market::new(seed);
        for _ in 0..steps {
            market.step(time);
        }
        market
    }

    fn bps_apart(a: Decimal, b: Decimal) -> Decimal {
        ((a - b) / b).abs() * Decimal::from(10_000)
    }

    #[test]
    fn a_seed_repeats_its_market() {
        let truth = |seed| ran(seed, 500, Duration::from_millis(100)).truth(pair("BTC-USD"));
        assert_eq!(truth(3), truth(3));
        assert_ne!(truth(3), truth(4));
    }

    #[test]
    fn crosses_are_quotients() {
        let market = Market::new(11);
        let [eth, eur, cross] =
            ["ETH-USD", "EUR-USD", "ETH-EUR"].map(|text| market.truth(pair(text)).unwrap());
        assert_eq!(cross, round_significant(eth / eur));
        assert_eq!(market.truth(pair("XMR-USD")), None);
    }

    #[test]
    fn steps_are_small() {
        let mut market = Market::new(5);
        for _ in 0..3_000 {
            let before = market.truth(pair("BTC-USD")).unwrap();
            market.step(Duration::from_millis(100));
            let after = market.truth(pair("BTC-USD")).unwrap();
            assert!(bps_apart(after, before) < Decimal::TWO, "{before} to {after}");
        }
    }

    #[test]
    fn the_market_does_move() {
        let before = Market::new(5).truth(pair("SOL-USD")).unwrap();
        let after = ran(5, 600, Duration::from_secs(1)).truth(pair("SOL-USD")).unwrap();
        assert!(bps_apart(after, before) > Decimal::ONE, "{before} to {after}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn values_stay_where_they_belong(seed: u64, millis in 1_u64..100_000) {
            let market = ran(seed, 200, Duration::from_millis(millis));
            for name in ["USDT", "USDC"] {
                let value = market.value(Asset::literal(name)).unwrap();
                prop_assert!(bps_apart(value, Decimal::ONE) < Decimal::from(30), "{} {}", name, value);
            }
            for (asset, walk) in &market.values {
                let apart = bps_apart(walk.value, walk.centre);
                prop_assert!(apart <= Decimal::from(walk.temper.band) + Decimal::new(1, 6), "{} {}", asset, apart);
            }
            prop_assert_eq!(market.value(Asset::USD), Some(Decimal::ONE));
        }
    }
}
