//! What is measured.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cryptoprice::{
    cache::{
        keys::Keys,
        lease::Tenure,
        mirror::{Batch, Follow, Follower, States, Update, Writer, WriterOptions, Written},
        pool::{Pool, PoolOptions},
    },
    clock::uptime,
    domain::price::Origin,
};
use hdrhistogram::Histogram;
use tokio::{sync::mpsc, time::interval};

use crate::{
    minimal::Minimal,
    ratio::{Ratio, median},
    report::{Bound, Row},
};

/// Updates that are written together: what a busy board gathers in one flush.
const UPDATES: usize = 300;

/// The bytes of an encoded price, and of what it was made of.
const PRICE: usize = 160;
const CONTRIBUTIONS: usize = 240;

/// The bytes of a record before these.
const HEAD: usize = 13;

/// The stream is kept this long, so that it has a steady length.
const KEPT_BYTES: usize = 500 * UPDATES * (PRICE + CONTRIBUTIONS);

/// A Redis, and how long it is measured.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) port: u16,
    pub(crate) rounds: usize,
    pub(crate) turn: Duration,
}

/// A writer, and what it writes.
struct Ours {
    writer: Writer,
    sequence: u64,
    pairs: usize,
    at: usize,
}

impl Bench {
    /// Checks that a follower hears what is written.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        let mut ours = self.ours(400).await?;
        let mut follower = self.follower()?;
        anyhow::ensure!(matches!(follower.next().await?, Follow::Snapshot { .. }));
        let batch = ours.batch(UPDATES);
        ours.append(&batch).await?;
        let Follow::Changes { batch: heard, .. } = follower.next().await? else {
            anyhow::bail!("nothing was heard");
        };
        anyhow::ensure!(heard == batch, "what was heard is not what was written");
        Ok(())
    }

    /// Updates in a second, beside a minimal client.
    pub(crate) async fn throughput(&self) -> anyhow::Result<Row> {
        let mut ours = self.ours(1_000).await?;
        let mut theirs = Minimal::connect(self.port).await?;
        let mut turns: [Vec<f64>; 2] = Default::default();
        self.take_ours(&mut ours, UPDATES).await?;
        self.take_theirs(&mut theirs).await?;
        for round in 0..self.rounds {
            if round % 2 == 0 {
                turns[0].push(self.take_ours(&mut ours, UPDATES).await?);
                turns[1].push(self.take_theirs(&mut theirs).await?);
            } else {
                turns[1].push(self.take_theirs(&mut theirs).await?);
                turns[0].push(self.take_ours(&mut ours, UPDATES).await?);
            }
        }
        let ratios: Vec<f64> = turns[0].iter().zip(&turns[1]).map(|(ours, theirs)| ours / theirs).collect();
        Ok(Row::new("mirror_updates", "updates through the mirror, beside a minimal client, 300 at once")
            .ratio(Ratio::of(&ratios), Bound::AtLeast(0.6))
            .figure("updates/s", median(&turns[0]))
            .baseline("updates/s", median(&turns[1])))
    }

    /// From the leader to a follower, at a hundred batches a second.
    pub(crate) async fn latency(&self) -> anyhow::Result<Row> {
        let mut ours = self.ours(1_000).await?;
        let mut follower = self.follower()?;
        anyhow::ensure!(matches!(follower.next().await?, Follow::Snapshot { .. }));
        let (tell, mut told) = mpsc::unbounded_channel();
        let following = tokio::spawn(async move {
            while let Ok(follow) = follower.next().await {
                if let Follow::Changes { position, .. } = follow
                    && tell.send((position.sequence, Instant::now())).is_err()
                {
                    return;
                }
            }
        });
        let mut minimal = Minimal::connect(self.port).await?;
        let (mut took, mut trips) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
        let mut ticks = interval(Duration::from_millis(10));
        let count = self.turn.as_millis() * self.rounds as u128 / 10;
        for _ in 0..count {
            ticks.tick().await;
            let batch = ours.batch(100);
            let began = Instant::now();
            ours.append(&batch).await?;
            while let Some((sequence, at)) = told.recv().await
                && sequence <= batch.sequence
            {
                if sequence == batch.sequence {
                    took.record(u64::try_from((at - began).as_micros())?)?;
                    break;
                }
            }
            let began = Instant::now();
            minimal.ping().await?;
            trips.record(u64::try_from(began.elapsed().as_micros())?)?;
        }
        following.abort();
        let ms = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Row::new(
            "mirror_latency",
            "from the leader to a follower, 100 updates every 10 ms, beside a PING",
        )
        .figure("ms p50", ms(&took, 0.5))
        .figure("ms p99", ms(&took, 0.99))
        .baseline("ms p50", ms(&trips, 0.5))
        .baseline("ms p99", ms(&trips, 0.99)))
    }

    /// Ten thousand pairs, beside a hundred.
    pub(crate) async fn growth(&self) -> anyhow::Result<Row> {
        let sizes = [100, 1_000, 10_000];
        let mut rates: [Vec<f64>; 3] = Default::default();
        let mut whole = Vec::new();
        for _ in 0..self.rounds {
            for (pairs, rates) in sizes.into_iter().zip(&mut rates) {
                let mut ours = self.ours(pairs).await?;
                rates.push(self.take_ours(&mut ours, 100).await?);
                if pairs == 10_000 {
                    let (mut follower, began) = (self.follower()?, Instant::now());
                    anyhow::ensure!(matches!(follower.next().await?, Follow::Snapshot { .. }));
                    whole.push(began.elapsed().as_secs_f64() * 1e3);
                }
            }
        }
        let ratios: Vec<f64> = rates[2].iter().zip(&rates[0]).map(|(many, few)| many / few).collect();
        Ok(Row::new("mirror_growth", "updates with 10,000 pairs, beside 100, 100 at once")
            .ratio(Ratio::of(&ratios), Bound::AtLeast(0.5))
            .figure("updates/s", median(&rates[2]))
            .figure("updates/s of 1,000", median(&rates[1]))
            .figure("ms for a snapshot", median(&whole))
            .baseline("updates/s", median(&rates[0])))
    }

    async fn take_ours(&self, ours: &mut Ours, count: usize) -> anyhow::Result<f64> {
        // What there is to write is there; making it up is not measured.
        let mut batches: Vec<_> = (0..64).map(|_| ours.batch(count)).collect();
        let began = Instant::now();
        let mut written = 0;
        while began.elapsed() < self.turn {
            for batch in &mut batches {
                ours.append(batch).await?;
                written += batch.updates.len();
            }
        }
        Ok(written as f64 / began.elapsed().as_secs_f64())
    }

    async fn take_theirs(&self, theirs: &mut Minimal) -> anyhow::Result<f64> {
        let fields: Vec<_> =
            (0..1_000).map(|at| (format!("P{at}-USD"), vec![7; HEAD + PRICE + CONTRIBUTIONS])).collect();
        let encoded: Vec<_> =
            fields.chunks(UPDATES).map(|some| (some.len(), Minimal::encode(some))).collect();
        let began = Instant::now();
        let mut written = 0;
        while began.elapsed() < self.turn {
            for (count, encoded) in encoded.iter().filter(|(count, _)| *count == UPDATES) {
                theirs.append(*count, encoded).await?;
                written += count;
                if theirs.entry.is_multiple_of(16) {
                    theirs.trim().await?;
                }
            }
        }
        Ok(written as f64 / began.elapsed().as_secs_f64())
    }

    fn pool(&self) -> anyhow::Result<Pool> {
        Ok(Pool::new(&PoolOptions {
            url: format!("redis://127.0.0.1:{}", self.port).into(),
            size: 4,
            connect_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_secs(5),
        })?)
    }

    fn follower(&self) -> anyhow::Result<Follower> {
        Ok(Follower::new(&self.pool()?, Keys::new("bench", Origin::Simulated).ingest(), 1..=1))
    }

    async fn ours(&self, pairs: usize) -> anyhow::Result<Ours> {
        let options =
            WriterOptions { format: 1, keep_for: Duration::from_secs(3_600), keep_bytes: KEPT_BYTES };
        // Each begins an epoch of its own, as each leader does.
        let epoch = u64::try_from(uptime().as_micros())?;
        let tenure = Tenure::new(epoch, uptime() + Duration::from_secs(86_400));
        let keys = Keys::new("bench", Origin::Simulated).ingest();
        let writer = Writer::new(&self.pool()?, keys, options, tenure);
        let mut ours = Ours { writer, sequence: 0, pairs, at: 0 };
        let everything = ours.batch(pairs);
        ours.writer.replace(&everything).await?;
        Ok(ours)
    }
}

impl Ours {
    fn batch(&mut self, count: usize) -> Batch {
        let updates = (0..count).map(|_| self.update()).collect();
        Batch { sequence: self.sequence, updates, states: States::default() }
    }

    fn update(&mut self) -> Update {
        self.sequence += 1;
        self.at = (self.at + 1) % self.pairs;
        Update {
            pair: format!("P{}-USD", self.at),
            sequence: self.sequence,
            price: Bytes::from_static(&[7; PRICE]),
            contributions: Bytes::from_static(&[9; CONTRIBUTIONS]),
            last: false,
        }
    }

    async fn append(&mut self, batch: &Batch) -> anyhow::Result<()> {
        match self.writer.append(batch).await? {
            Written::Mirrored(_) => Ok(()),
            Written::Incomplete => anyhow::bail!("the mirror is not complete"),
        }
    }
}
