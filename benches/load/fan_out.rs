//! Streams: many subscribers of the same updates.

use std::{rc::Rc, time::Duration};

use cryptoprice::client::v1::StreamPricesRequest;
use prost::Message as _;

use crate::{
    Context,
    exchange::{Exchange, Language, Quotes},
    market,
    process::Server,
    report::{Bound, Row},
    rounds::{Ratio, median},
    subscribers::{Got, Subscribers},
};

/// How long subscribers are watched in a round.
const TURN: Duration = Duration::from_secs(2);

/// The rate at which all must be delivered, and those that are tried to find the highest.
const RATES: [f64; 14] =
    [10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 120.0];

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
        let exchange = Exchange::open(pairs, Language::Kraken).await?;
        let settings = context.folder.path().join(format!("fed-{pairs}.toml"));
        std::fs::write(&settings, market::settings(exchange.address, pairs))?;
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

/// One pair to ten thousand subscribers: at ten updates a second, at the highest rate that is delivered in time, and at
/// twice that.
pub(crate) async fn one_pair(context: &Context) -> anyhow::Result<Vec<Row>> {
    const SUBSCRIBERS: usize = 10_000;
    const CONNECTIONS: usize = 16;
    let fed = Fed::ours(context, 1).await?;
    let empty = fed.resident()?;
    let request = StreamPricesRequest { pairs: vec![market::pair(0)], ..Default::default() }.encode_to_vec();
    let subscribers =
        Subscribers::open(fed.server.address, &request, SUBSCRIBERS, CONNECTIONS, &fed.quotes(), true)
            .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = fed.resident()?;
    let per_stream = |resident: f64| resident / SUBSCRIBERS as f64 / 1e3;

    let mut rows = Vec::new();
    let mut highest: Option<(f64, Got, f64)> = None;
    for rate in RATES {
        let (got, cpu, offered) = at_rate(&fed, &subscribers, rate, Duration::from_secs(4)).await?;
        let share = in_time(&got) / (offered * SUBSCRIBERS as f64);
        if rate == RATES[0] {
            let growth = per_stream(fed.resident()? - idle);
            let what =
                "1 pair at 10 updates/s to 10,000 subscribers on 16 connections: delivered, of offered";
            rows.push(
                Row::new("fan_out", what)
                    .ratio(Ratio::exactly(share), Bound::AtLeast(DELIVERED))
                    .figure("ms p50", got.took.value_at_quantile(0.5) as f64 / 1e3)
                    .figure("ms p99", got.took.value_at_quantile(0.99) as f64 / 1e3)
                    .figure("% of a core", cpu * 100.0)
                    .figure("kB/idle stream", per_stream(idle - empty)),
            );
            rows.push(
                Row::new("fan_out", "the same: kB of memory for a subscriber over an idle stream")
                    .ratio(Ratio::exactly(growth), Bound::AtMost(20.0)),
            );
        }
        if share < DELIVERED {
            break;
        }
        highest = Some((rate, got, cpu));
    }
    let (rate, got, cpu) = highest.ok_or_else(|| anyhow::anyhow!("nothing is delivered in time"))?;
    let best = got.prices as f64 / 4.0;
    rows.push(
        Row::new("fan_out", "the same: the highest rate of which 99.9 % are delivered within a second")
            .figure("updates/s", rate)
            .figure("deliveries/s", best)
            .figure("ms p99", got.took.value_at_quantile(0.99) as f64 / 1e3)
            .figure("% of a core", cpu * 100.0),
    );
    rows.push(overload(&fed, &subscribers, rate * 2.0, best).await?);
    Ok(rows)
}

/// Twice what can be delivered: does the throughput hold, how old is what arrives, does memory stay flat?
async fn overload(fed: &Fed, subscribers: &Subscribers, rate: f64, best: f64) -> anyhow::Result<Row> {
    let before = fed.resident()?;
    let (got, _, _) = at_rate(fed, subscribers, rate, Duration::from_secs(6)).await?;
    let after = fed.resident()?;
    let throughput = got.prices as f64 / 6.0;
    Ok(Row::new("fan_out", "the same at twice that rate: deliveries/s, against those at the highest rate")
        .ratio(Ratio::exactly(throughput / best), Bound::AtLeast(0.9))
        .figure("deliveries/s", throughput)
        .figure("ms p99", got.took.value_at_quantile(0.99) as f64 / 1e3)
        .figure("ms at most", got.took.max() as f64 / 1e3)
        .figure("% left out", got.skipped as f64 / (got.prices + got.skipped) as f64 * 100.0)
        .figure("MiB more", (after - before) / f64::from(1 << 20)))
}

/// Quotes at a rate for a while; gives what came, the share of a core that it cost, and the quotes.
async fn at_rate(
    fed: &Fed,
    subscribers: &Subscribers,
    rate: f64,
    time: Duration,
) -> anyhow::Result<(Got, f64, f64)> {
    fed.exchange.quote(rate);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = fed.quotes().count();
    let (got, cpu) = fed.watch(subscribers, time).await?;
    let offered = (fed.quotes().count() - before) as f64;
    fed.exchange.quote(0.0);
    // What is still on its way does not count for the next.
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok((got, cpu / time.as_secs_f64(), offered))
}

/// Counts what was delivered within a second.
fn in_time(got: &Got) -> f64 {
    got.took.count_between(0, 1_000_000) as f64
}
