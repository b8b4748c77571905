//! How cost and memory grow: with pairs, and with streams.

use std::time::Duration;

use cryptoprice::client::v1::StreamPricesRequest;
use prost::Message as _;

use crate::{
    Context,
    fan_out::Fed,
    ratio::Ratio,
    report::{Bound, Row},
    subscribers::Subscribers,
    unary,
};

/// Updates a second, of all pairs together.
const RATE: f64 = 1_000.0;

const WATCHED: Duration = Duration::from_secs(3);

/// A hundred, a thousand and ten thousand pairs.
pub(crate) async fn pairs(context: &Context) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let few = Fed::ours(context, 100).await?;
    rows.push(cost(&few, 100).await?);
    for pairs in [1_000, 10_000] {
        let many = Fed::ours(context, pairs).await?;
        rows.push(cost(&many, pairs).await?);
        let row = Row::new("growth", format!("GetPrice over gRPC with {pairs} pairs, against 100"));
        let (servers, bound) = ([(&many.server, pairs), (&few.server, 100)], Bound::AtLeast(0.9));
        rows.push(unary::over_grpc(context, servers, row, bound).await?);
    }
    Ok(rows)
}

/// Ten, a thousand and ten thousand streams of one pair.
pub(crate) async fn streams(context: &Context) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for count in [10, 1_000, 10_000] {
        let fed = Fed::ours(context, 1).await?;
        let before = fed.resident()?;
        let request = StreamPricesRequest::default().encode_to_vec();
        let connections = (count / 500).clamp(1, 16);
        let subscribers =
            Subscribers::open(fed.server.address, &request, count, connections, &fed.quotes(), true).await?;
        fed.exchange.quote(10.0);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let used = fed.server.usage()?;
        let got = subscribers.watch(WATCHED).await?;
        let used = fed.server.usage()?.cpu_since(used);
        let row = Row::new("growth", format!("{count} streams of a pair at 10 updates/s"))
            .figure("µs CPU/update/stream", used * 1e6 / got.prices as f64)
            .figure("kB/stream", (fed.resident()? - before) / count as f64 / 1e3);
        let Fed { server, exchange: _feeding } = fed;
        let ended_in = tokio::task::spawn_blocking(|| server.terminate()).await??;
        rows.push(row.figure("ms from SIGTERM to the end", ended_in.as_secs_f64() * 1e3));
    }
    Ok(rows)
}

/// Measures what an update costs, and what memory is used.
async fn cost(fed: &Fed, pairs: usize) -> anyhow::Result<Row> {
    fed.exchange.quote(RATE);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, quotes) = (fed.server.usage()?, fed.quotes().count());
    tokio::time::sleep(WATCHED).await;
    let (used, quotes) = (fed.server.usage()?.cpu_since(before), fed.quotes().count() - quotes);
    fed.exchange.quote(0.0);
    Ok(Row::new("growth", format!("{pairs} pairs at 1,000 updates/s together"))
        .figure("µs CPU/update", used * 1e6 / quotes as f64)
        .figure("MiB", fed.resident()? / f64::from(1 << 20)))
}

/// How soon the demo has a price, and what memory a thousand pairs take.
pub(crate) async fn start(context: &Context, resident: Option<f64>) -> anyhow::Result<Row> {
    let mut took = Vec::new();
    for _ in 0..context.rounds {
        let server = context.start(vec!["demo".into()], "/v1/prices/BTC-USD".into()).await?;
        took.push(server.started_in.as_secs_f64() * 1e3);
        server.terminate()?;
    }
    let Ratio { median, low, high } = Ratio::of(&took);
    let row = Row::new("start", "process start to the first demo price; memory with 1,000 pairs")
        .figure("ms", median)
        .figure("ms low", low)
        .figure("ms high", high);
    Ok(match resident {
        Some(resident) => row.figure("MiB", resident / f64::from(1 << 20)),
        None => row,
    })
}
