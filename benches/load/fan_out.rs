//! Streams: many subscribers of the same updates.

use std::{rc::Rc, time::Duration};

use cryptoprice::client::v1::StreamPricesRequest;
use prost::Message as _;

use crate::{
    Context,
    exchange::{Exchange, Language, Quotes},
    market,
    process::Server,
    ratio::{Ratio, median},
    report::{Bound, Row},
    subscribers::{Got, Subscribers},
};

/// How long subscribers are watched in a round.
const TURN: Duration = Duration::from_secs(2);

/// The rate at which all must be delivered, and those that are tried to find the highest.
const RATE: f64 = 10.0;
const RATES: [f64; 12] = [20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 120.0, 140.0, 160.0];

/// A share of the updates that must be delivered within a second.
const DELIVERED: f64 = 0.999;

/// A server with an exchange that feeds it.
#[derive(Debug)]
pub(crate) struct Fed {
    pub(crate) server: Server,
    pub(crate) exchange: Exchange,
}

impl Fed {
    /// Starts ours, with so many pairs.
    pub(crate) async fn ours(context: &Context, pairs: usize) -> anyhow::Result<Self> {
        Self::ours_with(context, pairs, "").await
    }

    /// Starts ours, with more settings.
    async fn ours_with(context: &Context, pairs: usize, more: &str) -> anyhow::Result<Self> {
        let exchange = Exchange::open(pairs, Language::Kraken).await?;
        let settings = context.folder.path().join(format!("fed-{pairs}.toml"));
        std::fs::write(&settings, format!("{}\n{more}\n", market::settings(exchange.address, pairs)))?;
        let arguments = ["serve", "--config", &settings.display().to_string()];
        let last = format!("/v1/prices/{}", market::pair(pairs - 1));
        let server = context.start(arguments.map(ToOwned::to_owned).to_vec(), last).await?;
        Ok(Self { server, exchange })
    }

    /// Starts a bare tonic server that sends one message for each update.
    async fn peer(context: &Context, pairs: usize) -> anyhow::Result<Self> {
        let exchange = Exchange::open(pairs, Language::Lines).await?;
        let arguments = ["peer", "fan-out", &exchange.address.to_string(), &pairs.to_string()];
        let server = context.start_peer(arguments.map(ToOwned::to_owned).to_vec()).await?;
        Ok(Self { server, exchange })
    }

    /// Watches subscribers for a while; gives what they got, and the processor time that it cost.
    async fn watch(&self, subscribers: &Subscribers, time: Duration) -> anyhow::Result<(Got, f64)> {
        let before = self.server.usage()?;
        let got = subscribers.watch(time).await?;
        Ok((got, self.server.usage()?.cpu_since(before)))
    }

    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        Ok(self.server.usage()?.resident as f64)
    }

    pub(crate) fn quotes(&self) -> Rc<Quotes> {
        self.exchange.quotes()
    }
}

/// A hundred pairs at ten updates a second each, all to a thousand subscribers.
pub(crate) async fn all_pairs(context: &Context) -> anyhow::Result<Row> {
    const PAIRS: usize = 100;
    const SUBSCRIBERS: usize = 1_000;
    const CONNECTIONS: usize = 10;
    let (ours, theirs) = (Fed::ours(context, PAIRS).await?, Fed::peer(context, PAIRS).await?);
    let before = ours.resident()?;
    let request = StreamPricesRequest::default().encode_to_vec();
    let open = async |fed: &Fed, snapshot| {
        Subscribers::open(fed.server.address, &request, SUBSCRIBERS, CONNECTIONS, &fed.quotes(), snapshot)
            .await
    };
    let subscribers = [open(&ours, true).await?, open(&theirs, false).await?];
    let mut rates: [Vec<f64>; 2] = Default::default();
    let mut last = None;
    for round in 0..=context.rounds {
        for which in 0..2 {
            let which = (which + round) % 2;
            let fed = if which == 0 { &ours } else { &theirs };
            fed.exchange.quote(1_000.0);
            // Until it runs evenly.
            tokio::time::sleep(Duration::from_millis(500)).await;
            let (got, cpu) = fed.watch(&subscribers[which], TURN).await?;
            fed.exchange.quote(0.0);
            tokio::time::sleep(Duration::from_millis(500)).await;
            // The first round warms up.
            if round > 0 {
                rates[which].push(got.prices as f64 / cpu);
            }
            if which == 0 {
                last = Some((got, cpu));
            }
        }
    }
    let (got, cpu) = last.expect("a round");
    let ratios: Vec<f64> = rates[0].iter().zip(&rates[1]).map(|(ours, theirs)| ours / theirs).collect();
    let per_subscriber = (ours.resident()? - before) / SUBSCRIBERS as f64;
    Ok(Row::new("fan_out", "100 pairs at 10 updates/s each to 1,000 subscribers: updates per CPU second, against one message per update, encoded per subscriber")
        .ratio(Ratio::of(&ratios), Bound::AtLeast(4.0))
        .figure("updates/CPU s", median(&rates[0]))
        .figure("updates/s", got.prices as f64 / TURN.as_secs_f64())
        .figure("% of a core", cpu / TURN.as_secs_f64() * 100.0)
        .figure("ms p50", got.took.value_at_quantile(0.5) as f64 / 1e3)
        .figure("ms p99", got.took.value_at_quantile(0.99) as f64 / 1e3)
        .figure("kB/subscriber", per_subscriber / 1e3)
        .baseline("updates/CPU s", median(&rates[1])))
}

/// One pair to ten thousand subscribers, on sixteen connections.
struct OnePair {
    fed: Fed,
    subscribers: Subscribers,
    /// Memory before they came, and after.
    empty: f64,
    idle: f64,
}

impl OnePair {
    const SUBSCRIBERS: usize = 10_000;
    const CONNECTIONS: usize = 16;

    async fn start(context: &Context, settings: &str) -> anyhow::Result<Self> {
        let fed = Fed::ours_with(context, 1, settings).await?;
        let empty = fed.resident()?;
        let request =
            StreamPricesRequest { pairs: vec![market::pair(0)], ..Default::default() }.encode_to_vec();
        let address = fed.server.address;
        let (count, connections) = (Self::SUBSCRIBERS, Self::CONNECTIONS);
        let subscribers =
            Subscribers::open(address, &request, count, connections, &fed.quotes(), true).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let idle = fed.resident()?;
        Ok(Self { fed, subscribers, empty, idle })
    }

    /// Quotes at a rate for a while; gives what came, the share of a core that it cost, and the share that was
    /// delivered within a second.
    async fn at_rate(&self, rate: f64, time: Duration) -> anyhow::Result<(Got, f64, f64)> {
        let quotes = self.fed.quotes();
        self.fed.exchange.quote(rate);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = quotes.count();
        let (got, cpu) = self.fed.watch(&self.subscribers, time).await?;
        let offered = (quotes.count() - before) as f64;
        self.fed.exchange.quote(0.0);
        // What is still on its way does not count for the next.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let in_time = got.took.count_between(0, 1_000_000) as f64;
        Ok((got, cpu / time.as_secs_f64(), in_time / (offered * Self::SUBSCRIBERS as f64)))
    }

    fn each(memory: f64) -> f64 {
        memory / Self::SUBSCRIBERS as f64 / 1e3
    }
}

/// One pair to ten thousand subscribers at ten updates a second.
pub(crate) async fn one_pair(context: &Context) -> anyhow::Result<[Row; 2]> {
    let pair = OnePair::start(context, "").await?;
    let (got, cpu, share) = pair.at_rate(RATE, TURN * 2).await?;
    let more = pair.fed.resident()? - pair.idle;
    let what = "1 pair at 10 updates/s to 10,000 subscribers on 16 connections: delivered, of offered";
    let all = Row::new("fan_out", what)
        .ratio(Ratio::exactly(share), Bound::AtLeast(DELIVERED))
        .figure("ms p50", got.took.value_at_quantile(0.5) as f64 / 1e3)
        .figure("ms p99", got.took.value_at_quantile(0.99) as f64 / 1e3)
        .figure("% of a core", cpu * 100.0)
        .figure("kB/idle stream", OnePair::each(pair.idle - pair.empty));
    let memory = Row::new("fan_out", "the same: kB of memory for a subscriber over an idle stream")
        .ratio(Ratio::exactly(OnePair::each(more)), Bound::AtMost(20.0));
    Ok([all, memory])
}

/// The same at the highest rate of which nothing is left out, and at twice that. Flushed as often as can be: at these
/// rates, the usual interval would leave updates out by itself.
pub(crate) async fn highest(context: &Context) -> anyhow::Result<[Row; 2]> {
    let pair = OnePair::start(context, "[streams]\nflush = \"1ms\"").await?;
    let mut highest = None;
    for rate in RATES {
        let (got, cpu, share) = pair.at_rate(rate, TURN * 2).await?;
        if share < DELIVERED {
            break;
        }
        highest = Some((rate, got, cpu));
    }
    let (rate, got, cpu) = highest.ok_or_else(|| anyhow::anyhow!("nothing is delivered in time"))?;
    let best = got.prices as f64 / (TURN * 2).as_secs_f64();
    let most = Row::new(
        "fan_out",
        "the same, flushed every ms: the highest rate of which 99.9 % are delivered within a second",
    )
    .figure("updates/s", rate)
    .figure("deliveries/s", best)
    .figure("ms p99", got.took.value_at_quantile(0.99) as f64 / 1e3)
    .figure("% of a core", cpu * 100.0);
    Ok([most, overload(&pair, rate * 2.0, best).await?])
}

/// Twice what can be delivered: does the throughput hold, how old is what arrives, does memory stay flat?
async fn overload(pair: &OnePair, rate: f64, best: f64) -> anyhow::Result<Row> {
    let before = pair.fed.resident()?;
    let (got, cpu, _) = pair.at_rate(rate, TURN * 3).await?;
    let after = pair.fed.resident()?;
    let throughput = got.prices as f64 / (TURN * 3).as_secs_f64();
    Ok(Row::new("fan_out", "the same at twice that rate: deliveries/s, against those at the highest rate")
        .ratio(Ratio::exactly(throughput / best), Bound::AtLeast(0.9))
        .figure("deliveries/s", throughput)
        .figure("ms p99", got.took.value_at_quantile(0.99) as f64 / 1e3)
        .figure("ms at most", got.took.max() as f64 / 1e3)
        .figure("% left out", got.skipped as f64 / (got.prices + got.skipped) as f64 * 100.0)
        .figure("% of a core", cpu * 100.0)
        .figure("MiB more", (after - before) / f64::from(1 << 20)))
}
