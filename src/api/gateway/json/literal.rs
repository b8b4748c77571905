//! Text that is known at start-up and written often: keys, zero values, names of enum values.

/// Bytes held inside; longer texts live on the heap.
const INLINE: usize = 32;

/// A text that is appended by a copy of fixed size, which costs two moves where a copy of any length is a call.
#[derive(Debug)]
pub(super) struct Literal {
    padded: [u8; INLINE],
    length: usize,
    /// The whole text where it does not fit inside.
    long: Box<[u8]>,
}

impl Literal {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut padded = [0; INLINE];
        match padded.get_mut(..text.len()) {
            Some(inside) => {
                inside.copy_from_slice(text);
                Self { padded, length: text.len(), long: Box::default() }
            }
            None => Self { padded, length: text.len(), long: text.into() },
        }
    }

    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.length <= INLINE {
            let end = out.len() + self.length;
            out.extend_from_slice(&self.padded);
            out.truncate(end);
        } else {
            out.extend_from_slice(&self.long);
        }
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
