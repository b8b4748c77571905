//! What is mirrored beside prices: how the sources do, and which stablecoins have lost their peg.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::bytes::{Sink, Source};
use crate::{
    domain::{pair::Asset, price::Origin},
    feed::venues,
    pipeline::health::{Counts, Quantiles, RecentReport, SourceReport, SourceState},
};

/// States by their numbers: what is added comes last.
const STATES: [SourceState; 6] = [
    SourceState::Connecting,
    SourceState::Live,
    SourceState::Silent,
    SourceState::Ended,
    SourceState::Blocked,
    SourceState::Penalized,
];

/// How whoever leads sees its sources, at one moment.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct States {
    /// When that was.
    pub(in crate::pipeline) time: DateTime<Utc>,
    /// The sources, by name.
    pub(in crate::pipeline) sources: Vec<SourceReport>,
    /// Stablecoins that have lost their peg.
    pub(in crate::pipeline) depegged: Vec<Asset>,
}

impl States {
    pub(super) fn write(&self) -> Bytes {
        let mut sink = Sink::at(self.time);
        sink.list(self.depegged.iter(), |sink, coin| sink.text(coin.as_str()));
        sink.list(self.sources.iter(), write_source);
        sink.into_bytes()
    }

    /// Reads them for prices of this origin. Sources that this version does not know are left out.
    pub(in crate::pipeline) fn read(bytes: &[u8], origin: Origin) -> Option<Self> {
        let (mut source, time) = Source::open(bytes)?;
        let depegged = source.list(|source| Asset::raw(source.text()?).ok())?;
        let sources: Vec<_> = source.list(|source| read_source(source, origin))?;
        Some(Self { time, sources: sources.into_iter().flatten().collect(), depegged })
    }
}

fn write_source(sink: &mut Sink, report: &SourceReport) {
    sink.text(report.venue.as_str());
    let state = STATES.iter().position(|state| *state == report.state);
    sink.count(state.unwrap_or(STATES.len()));
    sink.time(report.state_time);
    sink.text(&report.state_reason);
    for count in [report.connections.0, report.connections.1, report.polled] {
        sink.count(count);
    }
    sink.list(report.markets.iter(), |sink, market| sink.pair(*market));
    sink.list(report.absent.iter(), |sink, (market, reason)| {
        sink.pair(*market);
        sink.text(reason);
    });
    for count in counts(&report.counts) {
        sink.number(count);
    }
    sink.optional(report.last_receive_time, Sink::time);
    sink.optional(report.lag, Sink::span);
    sink.optional(report.last_error.as_ref(), |sink, (error, time)| {
        sink.text(error);
        sink.time(*time);
    });
    sink.list(report.malformed.iter(), |sink, (kind, count)| {
        sink.text(kind);
        sink.number(*count);
    });
    sink.float(report.recent.frame_rate);
    sink.optional(report.recent.lag, |sink, lag| {
        sink.span(lag.p50);
        sink.span(lag.p99);
    });
    sink.optional(report.recent.least_lag, Sink::span);
    sink.optional(report.recent.deviation_bps, |sink, deviation: Quantiles<Decimal>| {
        sink.decimal(deviation.p50);
        sink.decimal(deviation.p99);
    });
    sink.optional(report.frozen, |sink, (markets, since)| {
        sink.number(markets);
        sink.time(since);
    });
    sink.optional(report.retry_time, Sink::time);
    sink.optional(report.penalty_end_time, Sink::time);
}

#[expect(clippy::option_option, reason = "nothing that is understood, and a venue that is not known")]
fn read_source(source: &mut Source<'_>, origin: Origin) -> Option<Option<SourceReport>> {
    let protocol = venues::by_name(source.text()?);
    let state = *STATES.get(source.count()?)?;
    let state_time = source.time()?;
    let state_reason = source.text()?.to_owned();
    let (connections, polled) = ((source.count()?, source.count()?), source.count()?);
    let markets = source.list(Source::pair)?;
    let absent = source.list(|source| Some((source.pair()?, source.text()?.to_owned())))?;
    let counts = read_counts(source)?;
    let last_receive_time = source.optional(Source::time)?;
    let lag = source.optional(Source::span)?;
    let last_error = source.optional(|source| Some((source.text()?.to_owned(), source.time()?)))?;
    let malformed = source.list(|source| Some((source.text()?.to_owned().into(), source.number()?)))?;
    let frame_rate = source.float()?;
    let recent = RecentReport {
        frame_rate,
        lag: source.optional(|source| Some(Quantiles { p50: source.span()?, p99: source.span()? }))?,
        least_lag: source.optional(Source::span)?,
        deviation_bps: source
            .optional(|source| Some(Quantiles { p50: source.decimal()?, p99: source.decimal()? }))?,
    };
    let frozen = source.optional(|source| Some((source.number()?.try_into().ok()?, source.time()?)))?;
    let (retry_time, penalty_end_time) = (source.optional(Source::time)?, source.optional(Source::time)?);
    Some(protocol.map(|protocol| SourceReport {
        venue: protocol.venue(),
        state,
        state_time,
        state_reason,
        connections,
        markets,
        absent,
        polled,
        counts,
        last_receive_time,
        lag,
        last_error,
        malformed,
        recent,
        frozen,
        retry_time,
        penalty_end_time,
        evidence: protocol.evidence(),
        origin,
    }))
}

/// Lists the counts in the order in which they are written.
const fn counts(counts: &Counts) -> [u64; 9] {
    let Counts {
        frames,
        tickers,
        trades,
        snapshot_trades,
        duplicates,
        out_of_order,
        malformed,
        reconnects,
        gaps,
    } = *counts;
    [frames, tickers, trades, snapshot_trades, duplicates, out_of_order, malformed, reconnects, gaps]
}

fn read_counts(source: &mut Source<'_>) -> Option<Counts> {
    Some(Counts {
        frames: source.number()?,
        tickers: source.number()?,
        trades: source.number()?,
        snapshot_trades: source.number()?,
        duplicates: source.number()?,
        out_of_order: source.number()?,
        malformed: source.number()?,
        reconnects: source.number()?,
        gaps: source.number()?,
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::{pair::Pair, venue::Venue};

    #[test]
    fn how_the_sources_do_reads_back() {
        let time = DateTime::from_timestamp_nanos(1_700_000_000_123_456_789);
        let span = TimeDelta::nanoseconds(-5);
        let full = SourceReport {
            venue: Venue::new("kraken"),
            state: SourceState::Penalized,
            state_time: time - TimeDelta::days(2),
            state_reason: "failed again and again: no route".to_owned(),
            connections: (1, 3),
            markets: vec![Pair::literal("BTC", "USD"), Pair::literal("ETH", "EUR")],
            absent: [(Pair::literal("X", "USD"), "not listed".to_owned())].into(),
            polled: 4,
            counts: Counts {
                frames: u64::MAX,
                tickers: 2,
                trades: 3,
                snapshot_trades: 4,
                duplicates: 5,
                out_of_order: 6,
                malformed: 7,
                reconnects: 8,
                gaps: 9,
            },
            last_receive_time: Some(time),
            lag: Some(span),
            last_error: Some(("cut".to_owned(), time)),
            malformed: [("json".into(), 7)].into(),
            recent: RecentReport {
                frame_rate: 0.1,
                lag: Some(Quantiles { p50: -span, p99: TimeDelta::seconds(9) }),
                least_lag: Some(span),
                deviation_bps: Some(Quantiles { p50: Decimal::ONE, p99: Decimal::new(12_345, 2) }),
            },
            frozen: Some((3, time)),
            retry_time: Some(time + TimeDelta::hours(1)),
            penalty_end_time: Some(time),
            evidence: venues::by_name("kraken").unwrap().evidence(),
            origin: Origin::Simulated,
        };
        let empty = SourceReport {
            venue: Venue::new("okx"),
            state: SourceState::Connecting,
            connections: (0, 1),
            markets: Vec::new(),
            absent: [].into(),
            counts: Counts::default(),
            last_receive_time: None,
            lag: None,
            last_error: None,
            malformed: [].into(),
            recent: RecentReport::default(),
            frozen: None,
            retry_time: None,
            penalty_end_time: None,
            evidence: venues::by_name("okx").unwrap().evidence(),
            ..full.clone()
        };
        let unknown = SourceReport { venue: Venue::new("a later version's"), ..full.clone() };
        let depegged = vec![Asset::literal("USDT")];
        let states = States { time, sources: vec![full.clone(), unknown, empty.clone()], depegged };
        let bytes = states.write();
        let read = States::read(&bytes, Origin::Simulated).unwrap();
        assert_eq!(format!("{:?}", read.sources), format!("{:?}", [full, empty]));
        assert_eq!((read.time, read.depegged), (time, states.depegged));
        for length in 0..bytes.len() {
            assert!(States::read(&bytes[..length], Origin::Simulated).is_none(), "cut at {length}");
        }
    }
}
