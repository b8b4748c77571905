//! Randomness that a seed repeats: bell-shaped steps and evenly spread numbers, without floating point.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use rust_decimal::Decimal;

/// Billionths, the unit of small relative amounts, in one basis point.
pub(super) const BASIS_POINT: i64 = 100_000;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Chance(SmallRng);

impl Chance {
    /// Starts the stream of a purpose: two purposes of one seed draw different numbers.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a: any spreading of the name over the seed's bits serves.
        let mixed = purpose.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(SmallRng::seed_from_u64(mixed))
    }

    /// Draws a whole number between two bounds, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high.max(low))
    }

    /// Draws a bell-shaped number with a standard deviation of 1,000: the sum of three even ones.
    pub(super) fn bell(&mut self) -> i64 {
        (0..3).map(|_| self.between(-1_000, 1_000)).sum()
    }

    /// Says yes `times` out of a million.
    pub(super) fn happens(&mut self, times: i64) -> bool {
        self.between(0, 999_999) < times
    }

    /// Chooses one of a list.
    pub(super) fn choose<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let length = i64::try_from(list.len()).ok()?;
        let at = usize::try_from(self.between(0, length - 1)).ok()?;
        list.get(at)
    }
}

/// Reads billionths as a fraction.
pub(super) fn fraction(billionths: i64) -> Decimal {
    Decimal::new(billionths, 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_a_purpose_separates() {
        let draw = |seed, purpose| -> Vec<i64> {
            let mut chance = Chance::new(seed, purpose);
            (0..20).map(|_| chance.between(0, 1_000_000)).collect()
        };
        assert_eq!(draw(1, "market"), draw(1, "market"));
        assert_ne!(draw(1, "market"), draw(2, "market"));
        assert_ne!(draw(1, "market"), draw(1, "trouble"));
    }

    #[test]
    fn the_bell_has_the_spread_it_claims() {
        let mut chance = Chance::new(7, "bell");
        let squares: i64 = (0..10_000).map(|_| chance.bell().pow(2)).sum();
        assert!((950_000..1_050_000).contains(&(squares / 10_000)), "{squares}");
    }

    #[test]
    fn an_empty_list_offers_no_choice() {
        assert_eq!(Chance::new(1, "list").choose::<u8>(&[]), None);
    }
}
