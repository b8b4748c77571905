//! What a price was made of, as it is mirrored.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::bytes::{Sink, Source};
use crate::{
    domain::{
        aggregate::{Basis, Contribution, Reading, Verdict},
        quote::{LastTrade, Quote, TopOfBook},
    },
    feed::venues,
};

/// Verdicts by their numbers: what is added comes last.
const VERDICTS: [Verdict; 11] = [
    Verdict::Used,
    Verdict::Stale,
    Verdict::FromTheFuture,
    Verdict::OneSided,
    Verdict::Crossed,
    Verdict::NoReading,
    Verdict::Frozen,
    Verdict::PegUnknown,
    Verdict::Depegged,
    Verdict::OwnerVotesElsewhere,
    Verdict::Outlier,
];

/// Writes what a price was made of when it was looked at.
pub(super) fn write(contributions: &[Contribution], time: DateTime<Utc>) -> Bytes {
    let mut sink = Sink::at(time);
    sink.list(contributions.iter(), |sink, contribution| {
        write_quote(sink, &contribution.quote);
        sink.optional(contribution.reading.as_ref(), write_reading);
        sink.decimal(contribution.weight);
        let verdict = VERDICTS.iter().position(|verdict| *verdict == contribution.verdict);
        sink.count(verdict.unwrap_or(VERDICTS.len()));
    });
    sink.into_bytes()
}

/// Reads the same. What a venue said that this version does not know is left out.
pub(in crate::pipeline) fn read(bytes: &[u8]) -> Option<(Vec<Contribution>, DateTime<Utc>)> {
    let (mut source, time) = Source::open(bytes)?;
    let contributions: Vec<_> = source.list(|source| {
        let quote = read_quote(source)?;
        let reading = source.optional(read_reading)?;
        let weight = source.decimal()?;
        let verdict = *VERDICTS.get(source.count()?)?;
        Some(quote.map(|quote| Contribution { quote, reading, weight, verdict }))
    })?;
    Some((contributions.into_iter().flatten().collect(), time))
}

fn write_quote(sink: &mut Sink, quote: &Quote) {
    sink.text(quote.venue.as_str());
    sink.pair(quote.market);
    sink.optional(quote.book, |sink, book| {
        sink.optional(book.bid, Sink::decimal);
        sink.optional(book.ask, Sink::decimal);
    });
    sink.optional(quote.last, |sink, last| {
        sink.decimal(last.price);
        sink.time(last.time);
    });
    sink.optional(quote.quote_volume_24h, Sink::decimal);
    for time in [quote.observe_time, quote.confirm_time, quote.receive_time, quote.change_time] {
        sink.time(time);
    }
    sink.optional(quote.consensus_at_change, Sink::decimal);
}

#[expect(clippy::option_option, reason = "nothing that is understood, and a venue that is not known")]
fn read_quote(source: &mut Source<'_>) -> Option<Option<Quote>> {
    let protocol = venues::by_name(source.text()?);
    let market = source.pair()?;
    let book = source.optional(|source| {
        let (bid, ask) = (source.optional(Source::decimal)?, source.optional(Source::decimal)?);
        Some(TopOfBook { bid, ask })
    })?;
    let last = source.optional(|source| {
        let (price, time) = (source.decimal()?, source.time()?);
        Some(LastTrade { price, time })
    })?;
    let quote_volume_24h = source.optional(Source::decimal)?;
    let (observe_time, confirm_time) = (source.time()?, source.time()?);
    let (receive_time, change_time) = (source.time()?, source.time()?);
    let consensus_at_change = source.optional(Source::decimal)?;
    Some(protocol.map(|protocol| Quote {
        venue: protocol.venue(),
        market,
        book,
        last,
        quote_volume_24h,
        observe_time,
        confirm_time,
        receive_time,
        change_time,
        consensus_at_change,
    }))
}

fn write_reading(sink: &mut Sink, reading: &Reading) {
    sink.decimal(reading.price);
    sink.optional(reading.bid, Sink::decimal);
    sink.optional(reading.ask, Sink::decimal);
    sink.byte(match reading.basis {
        Basis::Mid => 0,
        Basis::LastTrade => 1,
    });
    sink.optional(reading.peg, |sink, (pair, rate)| {
        sink.pair(pair);
        sink.decimal(rate);
    });
    sink.optional(reading.quote_volume_24h, Sink::decimal);
    sink.time(reading.observe_time);
    sink.time(reading.receive_time);
}

fn read_reading(source: &mut Source<'_>) -> Option<Reading> {
    Some(Reading {
        price: source.decimal()?,
        bid: source.optional(Source::decimal)?,
        ask: source.optional(Source::decimal)?,
        basis: match source.byte()? {
            0 => Basis::Mid,
            1 => Basis::LastTrade,
            _ => return None,
        },
        peg: source.optional(|source| Some((source.pair()?, source.decimal()?)))?,
        quote_volume_24h: source.optional(Source::decimal)?,
        observe_time: source.time()?,
        receive_time: source.time()?,
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use rust_decimal::Decimal;

    use super::*;
    use crate::domain::{pair::Pair, venue::Venue};

    fn contribution(venue: &'static str, full: bool, verdict: Verdict) -> Contribution {
        let now = DateTime::from_timestamp_nanos(1_700_000_000_123_456_789);
        let number = |digits| Some(Decimal::new(digits, 4)).filter(|_| full);
        let quote = Quote {
            venue: Venue::new(venue),
            market: Pair::literal("BTC", "USDT"),
            book: full.then(|| TopOfBook { bid: number(970_000_001), ask: None }),
            last: full.then(|| LastTrade { price: Decimal::new(97, 0), time: now + TimeDelta::seconds(2) }),
            quote_volume_24h: number(-5),
            observe_time: now - TimeDelta::days(3),
            confirm_time: now,
            receive_time: now - TimeDelta::nanoseconds(1),
            change_time: DateTime::UNIX_EPOCH,
            consensus_at_change: number(1),
        };
        let reading = full.then(|| Reading {
            price: Decimal::MAX,
            bid: number(3),
            ask: None,
            basis: Basis::LastTrade,
            peg: Some((Pair::literal("USDT", "USD"), Decimal::new(10_001, 4))),
            quote_volume_24h: None,
            observe_time: now,
            receive_time: now,
        });
        Contribution { quote, reading, weight: Decimal::new(25, 2), verdict }
    }

    #[test]
    fn what_a_price_was_made_of_reads_back_and_unknown_venues_are_left_out() {
        let now = DateTime::from_timestamp_nanos(1_700_000_000_000_000_001);
        let mut all: Vec<_> = VERDICTS.iter().map(|verdict| contribution("kraken", true, *verdict)).collect();
        all.push(contribution("okx", false, Verdict::Stale));
        assert_eq!(read(&write(&all, now)), Some((all.clone(), now)));
        assert_eq!(read(&write(&[], now)), Some((Vec::new(), now)));
        let known = all.clone();
        all.insert(3, contribution("a later version's", true, Verdict::Used));
        let bytes = write(&all, now);
        assert_eq!(read(&bytes), Some((known, now)));
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), None, "cut at {length}");
        }
    }
}
