//! What the use of Redis tells whoever runs the service.

use std::{fmt, time::Duration};

use prometheus::{
    Counter, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{CacheError, pool::Pool};

/// Upper bounds of the times that commands take, in seconds.
const TIMES: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// What is measured with every command.
#[derive(Debug)]
pub(super) struct Measures(Option<Families>);

#[derive(Debug)]
struct Families {
    durations: HistogramVec,
    errors: IntCounterVec,
}

/// Reads a pool when it is asked.
pub struct PoolMetrics {
    pool: Pool,
    connections: IntGaugeVec,
    created: IntCounter,
    closed: IntCounter,
    waits: IntCounter,
    wait_time: Counter,
    timeouts: IntCounter,
}

impl Measures {
    pub(super) fn new() -> Self {
        Self(Families::new().ok())
    }

    /// Notes that a command was answered.
    pub(super) fn answered(&self, command: &'static str, took: Duration) {
        if let Some(families) = &self.0 {
            families.durations.with_label_values(&[command]).observe(took.as_secs_f64());
        }
    }

    /// Notes that a command was not done.
    pub(super) fn failed(&self, command: &'static str, error: &CacheError) {
        if let Some(families) = &self.0 {
            families.errors.with_label_values(&[command, error.kind()]).inc();
        }
    }
}

impl Families {
    fn new() -> prometheus::Result<Self> {
        let durations = HistogramOpts::new(
            "cryptoprice_redis_command_duration_seconds",
            "From sending a command to Redis until its answer, by command.",
        );
        let errors = Opts::new(
            "cryptoprice_redis_errors_total",
            "Commands that Redis did not do, or not in time, by command and kind.",
        );
        Ok(Self {
            durations: HistogramVec::new(durations.buckets(TIMES.to_vec()), &["command"])?,
            errors: IntCounterVec::new(errors, &["command", "kind"])?,
        })
    }
}

impl PoolMetrics {
    /// Reads this pool.
    pub fn new(pool: Pool) -> prometheus::Result<Self> {
        let counter =
            |name: &str, help: &str| IntCounter::new(format!("cryptoprice_redis_{name}_total"), help);
        Ok(Self {
            pool,
            connections: IntGaugeVec::new(
                Opts::new("cryptoprice_redis_connections", "Connections of the pool, by state."),
                &["state"],
            )?,
            created: counter("connections_created", "Connections of the pool that were made.")?,
            closed: counter("connections_closed", "Connections of the pool that were lost or given up.")?,
            waits: counter("pool_waits", "Commands that had to wait for a connection.")?,
            wait_time: Counter::new(
                "cryptoprice_redis_pool_wait_seconds_total",
                "How long commands waited for a connection, added up.",
            )?,
            timeouts: counter("pool_timeouts", "Commands that got no connection in time.")?,
        })
    }

    fn all(&self) -> Vec<&dyn Collector> {
        let mut all: Vec<&dyn Collector> = vec![
            &self.connections,
            &self.created,
            &self.closed,
            &self.waits,
            &self.wait_time,
            &self.timeouts,
        ];
        if let Some(families) = &self.pool.measures().0 {
            all.push(&families.durations);
            all.push(&families.errors);
        }
        all
    }
}

impl Collector for PoolMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let state = self.pool.state();
        let used = state.connections.saturating_sub(state.idle_connections);
        self.connections.with_label_values(&["idle"]).set(state.idle_connections.into());
        self.connections.with_label_values(&["used"]).set(used.into());
        let told = state.statistics;
        let closed = told.connections_closed_broken
            + told.connections_closed_invalid
            + told.connections_closed_max_lifetime
            + told.connections_closed_idle_timeout;
        for (counter, total) in [
            (&self.created, told.connections_created),
            (&self.closed, closed),
            (&self.waits, told.get_waited),
            (&self.timeouts, told.get_timed_out),
        ] {
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        self.wait_time.inc_by((told.get_wait_time.as_secs_f64() - self.wait_time.get()).max(0.0));
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}

impl fmt::Debug for PoolMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolMetrics").finish_non_exhaustive()
    }
}
