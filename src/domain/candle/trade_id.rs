//! What tells a trade from the others of its market at its venue.

use std::{cmp::Ordering, fmt, str, sync::Arc};

/// Where an UUID has its dashes.
const DASHES: [usize; 4] = [8, 13, 18, 23];

/// What tells a trade from the others of its market at its venue.
///
/// Their order is that of trades of the same time: numbers by their value, then texts, then trades without an id as they
/// came. To compare a number with a text as text, as seems natural, would put 9 before 10, 10 before `1a` and that before
/// 9 again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TradeId {
    /// An id of up to 38 digits: its value, the high byte first, and how many digits were written: `07` is not `7`.
    Number([u8; 16], u8),
    /// Any other id.
    Text(Text),
    /// The venue gives none: the how-many-eth of these it is.
    Unnamed(u64),
}

/// An id that is no number.
#[derive(Clone, PartialEq, Eq)]
pub enum Text {
    /// An UUID as it is usually written, in small letters.
    Uuid([u8; 16]),
    /// Any other text.
    Other(Arc<str>),
}

const _: () = assert!(size_of::<TradeId>() == 24, "a tally has two of them");

impl TradeId {
    /// Reads a venue's id. That takes memory only if it is neither a number nor an UUID.
    pub fn read(id: &str) -> Self {
        let digits = id.len() <= 38 && id.bytes().all(|byte| byte.is_ascii_digit());
        match (id.parse::<u128>(), u8::try_from(id.len())) {
            (Ok(number), Ok(length)) if digits => Self::Number(number.to_be_bytes(), length),
            _ => Self::Text(Text::read(id)),
        }
    }
}

impl Text {
    fn read(id: &str) -> Self {
        Self::uuid(id.as_bytes()).map_or_else(|| Self::Other(id.into()), Self::Uuid)
    }

    fn uuid(id: &[u8]) -> Option<[u8; 16]> {
        if id.len() != 36 {
            return None;
        }
        let (mut bytes, mut digits) = ([0; 16], 0);
        for (at, letter) in id.iter().enumerate() {
            let value = match letter {
                b'-' if DASHES.contains(&at) => continue,
                b'0'..=b'9' => letter - b'0',
                b'a'..=b'f' => letter - b'a' + 10,
                _ => return None,
            };
            let byte = bytes.get_mut(digits / 2)?;
            *byte = *byte << 4 | value;
            digits += 1;
        }
        (digits == 32).then_some(bytes)
    }

    /// Gets it as it was written.
    fn with<T>(&self, see: impl FnOnce(&[u8]) -> T) -> T {
        let bytes = match self {
            Self::Uuid(bytes) => bytes,
            Self::Other(text) => return see(text.as_bytes()),
        };
        let mut letters = [b'-'; 36];
        let places = letters.iter_mut().enumerate().filter(|(at, _)| !DASHES.contains(at));
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        for ((_, letter), digit) in places.zip(digits) {
            *letter = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        }
        see(&letters)
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Uuid(one), Self::Uuid(other)) => one.cmp(other),
            (one, other) => one.with(|one| other.with(|other| one.cmp(other))),
        }
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|text| fmt::Debug::fmt(str::from_utf8(text).unwrap_or_default(), f))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_have_one_order() {
        let uuid = "0c5b9e2a-77aa-4f10-9d3e-5f2b6c1d8e90";
        let written = ["9", "10", "010", "340282366920938463463", "0c5b", uuid, "0c6", "1a", "9x", "a"];
        let mut ids: Vec<_> = written.iter().map(|id| TradeId::read(id)).collect();
        ids.push(TradeId::Unnamed(0));
        let longer = TradeId::read(&"9".repeat(39));
        assert!(matches!(longer, TradeId::Text(_)) && matches!(TradeId::read(""), TradeId::Text(_)));
        assert!(ids.is_sorted(), "{ids:?}");
        assert_ne!(TradeId::read("+7"), TradeId::read("7"));
    }

    #[test]
    fn an_uuid_takes_no_memory_unless_it_is_written_otherwise() {
        let uuid = "0c5b9e2a-77aa-4f10-9d3e-5f2b6c1d8e90";
        assert!(matches!(Text::read(uuid), Text::Uuid(_)));
        for other in [uuid.to_uppercase(), uuid.replace('-', "_"), uuid.replace('-', "0"), format!("{uuid}0")]
        {
            assert!(matches!(Text::read(&other), Text::Other(_)), "{other}");
        }
    }

    proptest! {
        #[test]
        fn texts_stand_as_they_are_written(
            ids in prop::collection::vec(
                "[0-9a-b]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-bA-G]{0,3}[-x][0-9]{0,2}|[0-9a-b]{8}[-.].{0,3}",
                0..20,
            ),
        ) {
            let mut ids = ids;
            let mut read: Vec<_> = ids.iter().map(|id| Text::read(id)).collect();
            ids.sort();
            read.sort();
            let read: Vec<_> = read.iter().map(|id| id.with(|id| String::from_utf8(id.to_vec()).unwrap())).collect();
            prop_assert_eq!(read, ids);
        }
    }
}
