//! Many words one after the other, in one piece of memory.

/// The words of a call.
#[derive(Debug, Default)]
pub(super) struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    /// Makes room for so many words with so many bytes altogether.
    pub(super) fn with_capacity(words: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(words) }
    }

    /// Adds a word.
    pub(super) fn push(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.end();
    }

    /// Adds a word that is written at the end of the others.
    pub(super) fn write<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        write(&mut self.bytes)?;
        self.end();
        Ok(())
    }

    /// Gets what they take, in bytes.
    pub(super) const fn size(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }

    /// Lists them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }

    fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were_added() {
        let mut words = Words::with_capacity(3, 8);
        assert_eq!(words.iter().count(), 0);
        words.push(b"one");
        words.push(b"");
        words
            .write(|bytes| {
                bytes.extend_from_slice(b"three");
                Ok::<_, ()>(())
            })
            .unwrap();
        let all: Vec<_> = words.iter().collect();
        assert_eq!(all, [&b"one"[..], b"", b"three"]);
        assert!(words.size() >= 8);
    }
}
