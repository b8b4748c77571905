//! Decisions out of random bytes, so that fewer and smaller bytes make simpler things.

/// Bytes that decide what is made. Once they are used up every decision is the first one.
pub(super) struct Dice<'a>(std::slice::Iter<'a, u8>);

impl<'a> Dice<'a> {
    pub(super) fn new(rolls: &'a [u8]) -> Self {
        Self(rolls.iter())
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// Says yes once in so many times, and never when the bytes are used up.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    pub(super) fn word(&mut self) -> u64 {
        let width = self.below(9);
        (0..width).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }

    pub(super) fn signed(&mut self) -> i64 {
        let value = self.word().cast_signed();
        if self.one_in(2) { value.wrapping_neg() } else { value }
    }

    pub(super) fn text(&mut self) -> String {
        let letters = ["a", "Z", "0", " ", "\"", "\\", "\n", "\u{1}", "\u{7f}", "é", "\u{2028}", "𝄞", "-.:"];
        let length = self.below(20);
        (0..length).map(|_| self.pick(&letters)).collect()
    }
}
