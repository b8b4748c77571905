//! Text that is known at start-up and written often: keys, zero values, names of enum values.

/// The lengths of the copies.
const SHORT: usize = 32;
const MEDIUM: usize = 64;

/// A text that is appended by a copy of fixed size, which costs a few moves where a copy of any length is a call.
#[derive(Debug)]
pub(super) struct Literal {
    padded: [u8; MEDIUM],
    length: usize,
    /// The whole text where it does not fit inside.
    long: Box<[u8]>,
}

impl Literal {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut padded = [0; MEDIUM];
        let inside = padded.get_mut(..text.len()).map(|inside| inside.copy_from_slice(text));
        let long = if inside.is_some() { Box::default() } else { text.into() };
        Self { padded, length: text.len(), long }
    }

    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.length;
        match self.padded.first_chunk::<SHORT>() {
            Some(padded) if self.length <= SHORT => out.extend_from_slice(padded),
            _ if self.length <= MEDIUM => out.extend_from_slice(&self.padded),
            _ => out.extend_from_slice(&self.long),
        }
        out.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_written_whole() {
        for length in 0..100 {
            let text = vec![b'x'; length];
            let mut out = b"before".to_vec();
            Literal::new(&text).write(&mut out);
            assert_eq!(out, [b"before".as_slice(), &text].concat());
        }
    }
}
