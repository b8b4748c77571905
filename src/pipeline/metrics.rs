//! What the pipeline tells whoever runs it: the board, its prices' ages, the sources, how long a quote takes to the
//! board.
//!
//! Most of it is read when it is asked for ([`BoardMetrics`], [`SourceMetrics`]) and costs nothing otherwise. Whoever asks
//! does so alone.

use std::{collections::BTreeSet, fmt};

use chrono::DateTime;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use rust_decimal::prelude::ToPrimitive as _;

use super::{
    board::Board,
    health::{Quantiles, SourceReport, SourceState, Sources},
};
use crate::{
    clock::Clock,
    domain::{
        pair::Pair,
        price::{Price, Status},
    },
};

/// Upper bounds of the times that quotes take, in seconds.
const TIMES: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0,
];

/// Reads a board when it is asked.
pub struct BoardMetrics {
    board: Board,
    clock: Clock,
    /// Derived pairs that are always kept. Others come and go as callers like, and have no metrics of their own.
    configured: BTreeSet<Pair>,
    pairs: IntGaugeVec,
    sequence: IntCounter,
    ages: GaugeVec,
    encoded: [IntCounter; 2],
}

/// Reads the sources when it is asked.
pub struct SourceMetrics {
    sources: Sources,
    clock: Clock,
    state: IntGaugeVec,
    markets: IntGaugeVec,
    connections: IntGaugeVec,
    wanted: IntGaugeVec,
    absent: IntGaugeVec,
    polled: IntGaugeVec,
    offset: GaugeVec,
    lag: GaugeVec,
    silence: GaugeVec,
    frozen: IntGaugeVec,
    frozen_since: GaugeVec,
    retry: GaugeVec,
    penalty_end: GaugeVec,
    lags: GaugeVec,
    deviations: GaugeVec,
    malformed: IntCounterVec,
    counts: Vec<(Count, IntCounterVec)>,
}

/// Reads one count of a report.
type Count = fn(&SourceReport) -> u64;

/// Makes the histogram of how long quotes and trades take from the socket to the board.
pub fn ingest_times() -> prometheus::Result<Histogram> {
    Histogram::with_opts(
        HistogramOpts::new(
            "cryptoprice_ingest_duration_seconds",
            "From the receipt of a quote or trade until the prices that it changes are published.",
        )
        .buckets(TIMES.to_vec()),
    )
}

/// Makes a gauge that tells which version runs.
pub fn build_info() -> prometheus::Result<Gauge> {
    let info = Opts::new("cryptoprice_build_info", "The version that runs.");
    let gauge = Gauge::with_opts(info.const_label("version", env!("CARGO_PKG_VERSION")))?;
    gauge.set(1.0);
    Ok(gauge)
}

impl BoardMetrics {
    /// Reads this board.
    pub fn new(board: Board, clock: Clock, configured: BTreeSet<Pair>) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| IntCounter::new(name, help);
        Ok(Self {
            board,
            clock,
            configured,
            pairs: IntGaugeVec::new(
                Opts::new("cryptoprice_board_pairs", "Pairs on the board, by status."),
                &["status"],
            )?,
            sequence: counter("cryptoprice_board_updates_total", "Updates of prices that were published.")?,
            ages: GaugeVec::new(
                Opts::new("cryptoprice_price_age_seconds", "How long ago a price was observed, by pair."),
                &["pair"],
            )?,
            encoded: [
                counter("cryptoprice_encodings_price_total", "Prices that were encoded.")?,
                counter("cryptoprice_encodings_message_total", "Messages of streams that were encoded.")?,
            ],
        })
    }

    /// Tells whether a pair has metrics of its own.
    fn tells(&self, price: &Price) -> bool {
        price.route.is_empty() || self.configured.contains(&price.pair)
    }
}

impl Collector for BoardMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let counters = [&self.sequence].into_iter().chain(&self.encoded).flat_map(Collector::desc);
        self.pairs.desc().into_iter().chain(self.ages.desc()).chain(counters).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = self.clock.now();
        let mut counted = [0; 4];
        self.ages.reset();
        for update in self.board.list(None, None) {
            let price = &update.price;
            if let Some(count) = counted.get_mut(price.status as usize) {
                *count += 1;
            }
            if let Some(value) = price.value.filter(|_| self.tells(price)) {
                let age = (now - value.observe_time).as_seconds_f64();
                self.ages.with_label_values(&[&price.pair.to_string()]).set(age);
            }
        }
        let statuses = [Status::Live, Status::Degraded, Status::Stale, Status::Unavailable];
        for (status, count) in statuses.into_iter().zip(counted) {
            self.pairs.with_label_values(&[name(status)]).set(count);
        }
        catch_up(&self.sequence, self.board.cursor().sequence);
        let encodings = self.board.encodings();
        for (counter, total) in self.encoded.iter().zip([encodings.prices, encodings.messages]) {
            catch_up(counter, total);
        }
        let counters = [&self.sequence].into_iter().chain(&self.encoded).flat_map(Collector::collect);
        self.pairs.collect().into_iter().chain(self.ages.collect()).chain(counters).collect()
    }
}

impl SourceMetrics {
    /// Reads these sources.
    pub fn new(sources: Sources, clock: Clock) -> prometheus::Result<Self> {
        let by_source = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["source"]);
        let seconds = |name: &str, help: &str| GaugeVec::new(Opts::new(name, help), &["source"]);
        let quantiles =
            |name: &str, help: &str| GaugeVec::new(Opts::new(name, help), &["source", "quantile"]);
        let counts: [(&str, &str, Count); 8] = [
            ("frames", "Frames received", |report| report.counts.frames),
            ("tickers", "Tickers received", |report| report.counts.tickers),
            ("trades", "Trades received, without past ones and duplicates", |report| report.counts.trades),
            ("snapshot_trades", "Past trades received on subscription", |report| {
                report.counts.snapshot_trades
            }),
            ("duplicates", "Trades received again", |report| report.counts.duplicates),
            ("out_of_order", "Tickers and trades older than what was known", |report| {
                report.counts.out_of_order
            }),
            ("reconnects", "Connections made again", |report| report.counts.reconnects),
            ("gaps", "Times that messages were missed", |report| report.counts.gaps),
        ];
        let counts = counts.map(|(name, help, count)| {
            let name = format!("cryptoprice_source_{name}_total");
            let options = Opts::new(name, format!("{help}, by source."));
            Ok((count, IntCounterVec::new(options, &["source"])?))
        });
        Ok(Self {
            sources,
            clock,
            state: IntGaugeVec::new(
                Opts::new(
                    "cryptoprice_source_state",
                    "1 for the state that a source is in, by source and state.",
                ),
                &["source", "state"],
            )?,
            markets: by_source(
                "cryptoprice_source_markets",
                "Markets that are asked of a source, or found.",
            )?,
            connections: by_source("cryptoprice_source_connections", "Connections to a source that stand.")?,
            wanted: by_source(
                "cryptoprice_source_wanted_connections",
                "Connections to a source that are wanted.",
            )?,
            absent: by_source(
                "cryptoprice_source_absent_markets",
                "Markets that are wanted of a source and not listened to.",
            )?,
            polled: by_source(
                "cryptoprice_source_polled_markets",
                "Markets of a source that are asked for over REST, in the place of their streams.",
            )?,
            offset: seconds(
                "cryptoprice_source_clock_offset_seconds",
                "How far a source's clock seems to be ahead of ours.",
            )?,
            lag: seconds(
                "cryptoprice_source_lag_seconds",
                "From the venue's clock to ours, smoothed, by source.",
            )?,
            silence: seconds("cryptoprice_source_silence_seconds", "Since the last frame of a source.")?,
            frozen: by_source(
                "cryptoprice_source_frozen_markets",
                "Markets of a source that do not change while the others move.",
            )?,
            frozen_since: seconds(
                "cryptoprice_source_frozen_since_timestamp_seconds",
                "Since when any market of a source is frozen, where one is.",
            )?,
            retry: seconds(
                "cryptoprice_source_retry_timestamp_seconds",
                "When a connection to a source will be tried again, where one is missing.",
            )?,
            penalty_end: seconds(
                "cryptoprice_source_penalty_end_timestamp_seconds",
                "Until when a source is left alone, where it has failed again and again.",
            )?,
            lags: quantiles(
                "cryptoprice_source_recent_lag_seconds",
                "How long live trades took from the venue's clock to ours, in the last one to two minutes, by source and quantile.",
            )?,
            deviations: quantiles(
                "cryptoprice_source_recent_deviation_bps",
                "From the prices that were agreed on, in the last one to two minutes, by source and quantile.",
            )?,
            malformed: IntCounterVec::new(
                Opts::new(
                    "cryptoprice_source_malformed_total",
                    "Frames that were not understood, by source and kind of error.",
                ),
                &["source", "kind"],
            )?,
            counts: counts.into_iter().collect::<prometheus::Result<_>>()?,
        })
    }

    /// The gauges of whole numbers.
    fn whole(&self) -> [&IntGaugeVec; 7] {
        let Self { state, markets, connections, wanted, absent, polled, frozen, .. } = self;
        [state, markets, connections, wanted, absent, polled, frozen]
    }

    /// The gauges of other numbers.
    fn broken(&self) -> [&GaugeVec; 8] {
        let Self { offset, lag, silence, frozen_since, retry, penalty_end, lags, deviations, .. } = self;
        [offset, lag, silence, frozen_since, retry, penalty_end, lags, deviations]
    }

    fn counters(&self) -> impl Iterator<Item = &IntCounterVec> {
        std::iter::once(&self.malformed).chain(self.counts.iter().map(|(_, family)| family))
    }

    fn families(&self) -> impl Iterator<Item = &dyn Collector> {
        let whole = self.whole().into_iter().map(|family| family as &dyn Collector);
        let broken = self.broken().into_iter().map(|family| family as &dyn Collector);
        whole.chain(broken).chain(self.counters().map(|family| family as &dyn Collector))
    }

    /// Forgets all that was told: of a source that is not there any more, or of a number that is not known any more,
    /// nothing is to be left.
    fn forget(&self) {
        self.whole().into_iter().for_each(IntGaugeVec::reset);
        self.broken().into_iter().for_each(GaugeVec::reset);
        self.counters().for_each(IntCounterVec::reset);
    }
}

impl Collector for SourceMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.families().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = self.clock.now();
        self.forget();
        for report in self.sources.reports("", now) {
            let source = report.venue.as_str();
            for (state, name) in [
                (SourceState::Connecting, "connecting"),
                (SourceState::Live, "live"),
                (SourceState::Silent, "silent"),
                (SourceState::Ended, "ended"),
                (SourceState::Blocked, "blocked"),
                (SourceState::Penalized, "penalized"),
            ] {
                self.state.with_label_values(&[source, name]).set((report.state == state).into());
            }
            let gauge = |family: &IntGaugeVec, count: usize| {
                family.with_label_values(&[source]).set(i64::try_from(count).unwrap_or(i64::MAX));
            };
            gauge(&self.markets, report.markets.len());
            gauge(&self.connections, report.connections.0);
            gauge(&self.wanted, report.connections.1);
            gauge(&self.absent, report.absent.len());
            gauge(&self.polled, report.polled);
            if let Some(least) = report.recent.least_lag {
                self.offset.with_label_values(&[source]).set(-least.as_seconds_f64());
            }
            if let Some(lag) = report.lag {
                self.lag.with_label_values(&[source]).set(lag.as_seconds_f64());
            }
            if let Some(last) = report.last_receive_time {
                self.silence.with_label_values(&[source]).set((now - last).as_seconds_f64());
            }
            let frozen = report.frozen.map_or(0, |(markets, _)| markets);
            self.frozen.with_label_values(&[source]).set(frozen.into());
            let times = [
                (&self.frozen_since, report.frozen.map(|(_, since)| since)),
                (&self.retry, report.retry_time),
                (&self.penalty_end, report.penalty_end_time),
            ];
            for (family, time) in times.into_iter().filter_map(|(family, time)| Some((family, time?))) {
                let since_epoch = time - DateTime::UNIX_EPOCH;
                family.with_label_values(&[source]).set(since_epoch.as_seconds_f64());
            }
            if let Some(Quantiles { p50, p99 }) = report.recent.lag {
                tell(&self.lags, source, [p50.as_seconds_f64(), p99.as_seconds_f64()]);
            }
            if let Some(Quantiles { p50, p99 }) = report.recent.deviation_bps {
                // For a chart: nobody computes with it.
                tell(&self.deviations, source, [p50, p99].map(|bps| bps.to_f64().unwrap_or(f64::NAN)));
            }
            for (kind, count) in &report.malformed {
                catch_up(&self.malformed.with_label_values(&[source, kind.as_ref()]), *count);
            }
            for (total, family) in &self.counts {
                catch_up(&family.with_label_values(&[source]), total(&report));
            }
        }
        self.families().flat_map(Collector::collect).collect()
    }
}

impl fmt::Debug for BoardMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoardMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for SourceMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceMetrics").finish_non_exhaustive()
    }
}

/// Sets the two quantiles of a source.
fn tell(family: &GaugeVec, source: &str, values: [f64; 2]) {
    for (quantile, value) in ["0.5", "0.99"].into_iter().zip(values) {
        family.with_label_values(&[source, quantile]).set(value);
    }
}

/// Brings a counter up to a total that is counted elsewhere. Where that has begun anew, so does the counter: whoever reads
/// it takes a fall for that.
pub(super) fn catch_up(counter: &IntCounter, total: u64) {
    if total < counter.get() {
        counter.reset();
    }
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn name(status: Status) -> &'static str {
    match status {
        Status::Live => "live",
        Status::Degraded => "degraded",
        Status::Stale => "stale",
        Status::Unavailable => "unavailable",
    }
}

#[cfg(test)]
mod tests;
