//! What the program tells of itself: its metrics, read as text.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context as _;

/// One reading of all metrics, by name and labels.
#[derive(Debug)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Asks for them.
    pub(crate) async fn read(ops: SocketAddr) -> anyhow::Result<Self> {
        let text = tokio::task::spawn_blocking(move || -> anyhow::Result<String> {
            let mut socket = TcpStream::connect(ops)?;
            socket.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(socket, "GET /metrics HTTP/1.0\r\nhost: {ops}\r\n\r\n")?;
            let mut text = String::new();
            socket.read_to_string(&mut text)?;
            Ok(text)
        });
        let text = text.await??;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(Self(values.collect()))
    }

    /// Adds a counter up over all sources; zero where none has it.
    pub(crate) fn over_sources(&self, name: &str) -> f64 {
        let prefix = format!("cryptoprice_source_{name}_total{{");
        let counts = self.0.iter().filter(|(key, _)| key.starts_with(&prefix));
        counts.fold(0.0, |sum, (_, count)| sum + count)
    }

    /// Gets a counter of one source.
    pub(crate) fn of_source(&self, name: &str, source: &str) -> f64 {
        let key = format!("cryptoprice_source_{name}_total{{source=\"{source}\"}}");
        self.0.get(&key).copied().unwrap_or_default()
    }

    /// Gets a metric without labels.
    pub(crate) fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Finds the seconds within which a share of the quotes since an earlier reading came to the board: within a
    /// bucket they are taken to be spread evenly.
    pub(crate) fn ingest(&self, earlier: &Self, share: f64) -> anyhow::Result<f64> {
        const BUCKET: &str = "cryptoprice_ingest_duration_seconds_bucket{le=\"";
        let mut buckets: Vec<(f64, f64)> = self
            .0
            .iter()
            .filter_map(|(key, count)| {
                let bound = key.strip_prefix(BUCKET)?.strip_suffix("\"}")?.parse().ok()?;
                Some((bound, count - earlier.get(key)))
            })
            .collect();
        buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let wanted = buckets.last().context("no times of quotes")?.1 * share;
        let mut below = (0.0, 0.0);
        for (bound, count) in buckets {
            if count >= wanted && count > below.1 {
                let part = (wanted - below.1) / (count - below.1);
                return Ok(if bound.is_finite() { below.0 + part * (bound - below.0) } else { below.0 });
            }
            below = (bound, count);
        }
        Ok(below.0)
    }
}
