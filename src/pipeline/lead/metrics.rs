//! What the mirror and the lease tell whoever runs the service.

use std::{fmt, sync::atomic::Ordering::Relaxed};

use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{Part, Standing};

/// Upper bounds of the times that updates take, in seconds.
const TIMES: &[f64] = &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Reads how a replica stands when it is asked.
pub struct ReplicaMetrics {
    standing: Standing,
    part: IntGaugeVec,
    held: IntGauge,
    epoch: IntGauge,
    age: Gauge,
    redis: IntGauge,
    mirrored: IntCounter,
    followed: IntCounter,
    snapshots: IntCounter,
    failures: IntCounter,
    terms: IntCounter,
}

/// Makes the histogram of how long updates take from being published by whoever leads to the public board.
pub fn mirror_times() -> prometheus::Result<Histogram> {
    let options = HistogramOpts::new(
        "cryptoprice_mirror_delay_seconds",
        "From the publication of an update by whoever leads until it is on this replica's public board.",
    );
    Histogram::with_opts(options.buckets(TIMES.to_vec()))
}

impl ReplicaMetrics {
    /// Reads how this one stands.
    pub fn new(standing: Standing) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| IntGauge::new(name, help);
        let counter = |name: &str, help: &str| IntCounter::new(name, help);
        Ok(Self {
            standing,
            part: IntGaugeVec::new(
                Opts::new("cryptoprice_replica_part", "1 for what this replica does, by part."),
                &["part"],
            )?,
            held: gauge("cryptoprice_lease_held", "1 while this replica leads.")?,
            epoch: gauge("cryptoprice_mirror_epoch", "The epoch of the public board.")?,
            age: Gauge::new(
                "cryptoprice_mirror_age_seconds",
                "How long ago the public board last agreed with what is mirrored; -1 if it never did.",
            )?,
            redis: gauge("cryptoprice_redis_up", "1 if Redis has answered when it was last asked.")?,
            mirrored: counter("cryptoprice_mirror_written_total", "Updates that this replica has mirrored.")?,
            followed: counter(
                "cryptoprice_mirror_followed_total",
                "Updates that this replica has taken over from the mirror.",
            )?,
            snapshots: counter(
                "cryptoprice_mirror_snapshots_total",
                "How often everything was mirrored or taken over anew.",
            )?,
            failures: counter(
                "cryptoprice_mirror_failures_total",
                "Writes and reads of the mirror that failed.",
            )?,
            terms: counter("cryptoprice_lease_terms_total", "How often this replica has begun to lead.")?,
        })
    }

    fn all(&self) -> [&dyn Collector; 11] {
        [
            &self.part,
            &self.held,
            &self.epoch,
            &self.age,
            &self.redis,
            &self.mirrored,
            &self.followed,
            &self.snapshots,
            &self.failures,
            &self.terms,
            self.standing.delays(),
        ]
    }
}

impl Collector for ReplicaMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let report = self.standing.report();
        for part in Part::all() {
            self.part.with_label_values(&[part.name()]).set((report.part == part).into());
        }
        self.held.set((report.part == Part::Leader).into());
        self.epoch.set(i64::try_from(report.cursor.epoch).unwrap_or(i64::MAX));
        self.age.set(report.mirror_age.map_or(-1.0, |age| age.as_secs_f64()));
        self.redis.set(report.redis_answers.into());
        let counts = self.standing.counts();
        for (counter, total) in [
            (&self.mirrored, &counts.mirrored),
            (&self.followed, &counts.followed),
            (&self.snapshots, &counts.snapshots),
            (&self.failures, &counts.failures),
            (&self.terms, &counts.terms),
        ] {
            counter.inc_by(total.load(Relaxed).saturating_sub(counter.get()));
        }
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}

impl fmt::Debug for ReplicaMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaMetrics").finish_non_exhaustive()
    }
}
