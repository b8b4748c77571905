//! What the leader publishes, for replicas that do not listen to venues themselves.
//!
//! Beside the latest record of each pair lies a stream of what has changed. An entry of it holds the updates that were
//! written together; its id is `epoch-entry`, where entries are numbered without a hole, so that a follower sees whether
//! it has missed one. What is written is written whole, in one script ([`super::fence`]), so a snapshot and the position
//! in the stream that belongs to it are read together.
//!
//! A record is a byte that is 1 if the pair leaves with it, the sequence (8 bytes, big-endian), the length of the price
//! (4 bytes, big-endian), the price, and the contributions. What these bytes mean is told by the number of their format,
//! which is written with them: followers say which formats they read, and others are not theirs.

mod follower;
mod reply;
mod writer;

use std::{fmt, ops::RangeInclusive, time::Duration};

use bytes::{BufMut, Bytes};

pub use self::{
    follower::{Follow, Follower, Reset},
    writer::{Writer, WriterOptions, Written},
};
use super::CacheError;

/// What the names of states begin with, in a hash or an entry. No pair has such a name, and who reads a name that it does
/// not know leaves it out.
const STATE: char = '@';

/// The name of the sources' states.
const SOURCES: &str = "@sources";

/// What the names of candles begin with.
const CANDLE: &str = "@candle:";

/// How much longer than a command everything may take to go out or to come in: tens of megabytes, where there are many
/// pairs.
const WHOLE: Duration = Duration::from_secs(10);

/// The bytes of a record before the price.
const HEAD: usize = 1 + 8 + 4;

/// One update of one pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The name of the pair.
    pub pair: String,
    /// Its place among the updates of all pairs.
    pub sequence: u64,
    /// The price, encoded.
    pub price: Bytes,
    /// What it was made of, encoded.
    pub contributions: Bytes,
    /// Whether the pair leaves with it.
    pub last: bool,
}

/// What is mirrored beside prices. What is not given has not changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States {
    /// The states of all sources, encoded.
    pub sources: Option<Bytes>,
    /// Candles, by the names of what they are of, encoded. Those of each name stand by themselves: most change seldom.
    pub candles: Vec<(String, Bytes)>,
}

/// What has changed and is written together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The sequence that is reached with it.
    pub sequence: u64,
    /// The updates, with rising sequences.
    pub updates: Vec<Update>,
    /// What has changed beside prices.
    pub states: States,
}

/// A place in what is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The epoch of whoever leads.
    pub epoch: u64,
    /// The entry of the stream.
    pub entry: u64,
    /// The sequence that is reached there.
    pub sequence: u64,
}

/// Which formats of prices, contributions and states a follower reads.
pub type Formats = RangeInclusive<u32>;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.entry)
    }
}

impl Update {
    /// Gets what it takes with its name, in bytes.
    const fn size(&self) -> usize {
        self.pair.len() + HEAD + self.price.len() + self.contributions.len()
    }

    /// Writes all but the name.
    fn write_record(&self, mut record: impl BufMut) -> Result<(), CacheError> {
        let length = u32::try_from(self.price.len())
            .map_err(|_| CacheError::Foreign(format!("a price of {} bytes", self.price.len())))?;
        record.put_u8(self.last.into());
        record.put_u64(self.sequence);
        record.put_u32(length);
        record.put_slice(&self.price);
        record.put_slice(&self.contributions);
        Ok(())
    }

    /// Reads a record, of which it keeps parts.
    fn read(pair: &str, record: &Bytes) -> Result<Self, CacheError> {
        let parts = record.split_first_chunk::<HEAD>().and_then(|(head, rest)| {
            let (&last, head) = head.split_first()?;
            let (sequence, length) = head.split_first_chunk::<8>()?;
            let length = u32::from_be_bytes(length.try_into().ok()?);
            let length = usize::try_from(length).ok().filter(|length| *length <= rest.len())?;
            (last <= 1).then_some((last == 1, u64::from_be_bytes(*sequence), HEAD + length))
        });
        let Some((last, sequence, end)) = parts else {
            return Err(CacheError::Foreign(format!("the record of {pair}")));
        };
        let (price, contributions) = (record.slice(HEAD..end), record.slice(end..));
        Ok(Self { pair: pair.to_owned(), sequence, price, contributions, last })
    }
}

impl States {
    /// Gets how many words they take: a name and a value each.
    fn words(&self) -> usize {
        2 * (usize::from(self.sources.is_some()) + self.candles.len())
    }

    /// Gets what they take, in bytes.
    fn size(&self) -> usize {
        let sources = self.sources.as_ref().map_or(0, |sources| SOURCES.len() + sources.len());
        let candles = self.candles.iter().map(|(name, candles)| CANDLE.len() + name.len() + candles.len());
        sources + candles.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_reads_back_and_a_cut_one_is_refused_or_shorter(
            sequence: u64,
            price: Vec<u8>,
            contributions: Vec<u8>,
            last: bool,
            cut in 0_usize..64,
        ) {
            let (price, contributions) = (Bytes::from(price), Bytes::from(contributions));
            let update = Update { pair: "BTC-USD".to_owned(), sequence, price, contributions, last };
            let mut record = Vec::new();
            update.write_record(&mut record).unwrap();
            let record = Bytes::from(record);
            prop_assert_eq!(&Update::read("BTC-USD", &record).unwrap(), &update);
            let shorter = record.slice(..record.len().saturating_sub(cut));
            match Update::read("BTC-USD", &shorter) {
                Ok(read) => prop_assert_eq!(read.price, update.price),
                Err(error) => prop_assert_eq!(
                    error.to_string(),
                    "Redis holds something else than expected: the record of BTC-USD"
                ),
            }
        }
    }
}
