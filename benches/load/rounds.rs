//! Two contenders in turns, and what the ratio of the two is worth.
//!
//! Machines are shared and noisy: what is firm is the ratio of two runs that follow each other closely. So both run in
//! each round, the first one changing, and the result is the median of the rounds' ratios with its interval.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::{
    http1, http2,
    process::Server,
    ratio::{Ratio, median},
};

/// How long a contender runs in a round, and how long it warms up beforehand, once.
pub(crate) const TURN: Duration = Duration::from_millis(700);

/// A server and the load on it.
#[derive(Debug)]
pub(crate) struct Contender<'s> {
    pub(crate) server: &'s Server,
    pub(crate) load: Load,
}

/// A load of either protocol.
#[derive(Debug)]
pub(crate) enum Load {
    Http1(http1::Load),
    Http2(http2::Load),
}

/// What came out of some turns of one contender.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// Calls in a second, the median of the turns.
    pub(crate) per_second: f64,
    /// Microseconds until the answer, of all turns.
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// Microseconds of the server's processor time for a call, the median of the turns.
    pub(crate) cpu_us: f64,
    /// Memory of the server afterwards, in bytes.
    pub(crate) resident: u64,
}

#[derive(Debug)]
struct Turns {
    per_second: Vec<f64>,
    cpu_us: Vec<f64>,
    took: Histogram<u64>,
}

impl Load {
    async fn run(&mut self, until: Instant) -> anyhow::Result<Histogram<u64>> {
        match self {
            Self::Http1(load) => load.run(until).await,
            Self::Http2(load) => load.run(until).await,
        }
    }
}

/// Runs both in turns; gives how many calls the first answers for each of the second, and what each did.
pub(crate) async fn compare(
    rounds: usize,
    ours: &mut Contender<'_>,
    theirs: &mut Contender<'_>,
) -> anyhow::Result<(Ratio, Figures, Figures)> {
    let mut turns = [Turns::new()?, Turns::new()?];
    ours.load.run(Instant::now() + TURN).await?;
    theirs.load.run(Instant::now() + TURN).await?;
    for round in 0..rounds {
        let [first, second] = &mut turns;
        if round % 2 == 0 {
            first.take(ours).await?;
            second.take(theirs).await?;
        } else {
            second.take(theirs).await?;
            first.take(ours).await?;
        }
    }
    let [first, second] = turns;
    let ratios: Vec<f64> = first.per_second.iter().zip(&second.per_second).map(|(a, b)| a / b).collect();
    Ok((Ratio::of(&ratios), first.figures(ours)?, second.figures(theirs)?))
}

impl Turns {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { per_second: Vec::new(), cpu_us: Vec::new(), took: Histogram::new(3)? })
    }

    async fn take(&mut self, contender: &mut Contender<'_>) -> anyhow::Result<()> {
        let before = contender.server.usage()?;
        let began = Instant::now();
        let took = contender.load.run(began + TURN).await?;
        let elapsed = began.elapsed().as_secs_f64();
        let cpu = contender.server.usage()?.cpu_since(before);
        let calls = took.len() as f64;
        self.per_second.push(calls / elapsed);
        self.cpu_us.push(cpu * 1e6 / calls);
        self.took.add(took)?;
        Ok(())
    }

    fn figures(self, contender: &Contender<'_>) -> anyhow::Result<Figures> {
        Ok(Figures {
            per_second: median(&self.per_second),
            p50_us: self.took.value_at_quantile(0.5),
            p99_us: self.took.value_at_quantile(0.99),
            cpu_us: median(&self.cpu_us),
            resident: contender.server.usage()?.resident,
        })
    }
}

impl Figures {
    /// Names each, with its unit.
    pub(crate) fn named(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("calls/s", self.per_second),
            ("ms p50", self.p50_us as f64 / 1e3),
            ("ms p99", self.p99_us as f64 / 1e3),
            ("µs CPU", self.cpu_us),
            ("MiB", self.resident as f64 / f64::from(1 << 20)),
        ]
    }
}
