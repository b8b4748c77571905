//! A peer as a process of its own.

use std::{net::SocketAddr, path::Path};

use cryptoprice_peers::{
    servers::Bare,
    v1::{ListPricesResponse, Price},
};
use prost::Message as _;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::market;

/// Serves in one of the ordinary ways until it is killed.
pub(crate) fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let address: SocketAddr = std::env::var("CRYPTOPRICE__SERVER__LISTEN")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        match arguments {
            [kind, exchange, pairs] if kind == "fan-out" => {
                fan_out(listener, exchange, pairs.parse()?).await?;
            }
            [kind, prices] => {
                let bare = Bare::new(read(Path::new(prices))?);
                match kind.as_str() {
                    "tonic" => bare.serve_tonic(listener).await?,
                    "tonic-web" => bare.serve_tonic_web(listener).await?,
                    "axum" => bare.serve_axum(listener).await?,
                    other => anyhow::bail!("no peer is called {other}"),
                }
            }
            other => anyhow::bail!("no peer takes {other:?}"),
        }
        Ok(())
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<Price>> {
    Ok(ListPricesResponse::decode(std::fs::read(path)?.as_slice())?.prices)
}

/// Serves what an exchange quotes.
async fn fan_out(listener: TcpListener, exchange: &str, pairs: usize) -> anyhow::Result<()> {
    let template = Price {
        bid: Some("60004.1".into()),
        ask: Some("60004.3".into()),
        dispersion_bps: Some("0".into()),
        status: 1,
        source_count: 1,
        observe_time: Some(cryptoprice_peers::Timestamp { seconds: 1_750_000_000, nanos: 123_456_789 }),
        receive_time: Some(cryptoprice_peers::Timestamp { seconds: 1_750_000_000, nanos: 123_456_789 }),
        aggregate_time: Some(cryptoprice_peers::Timestamp { seconds: 1_750_000_000, nanos: 123_456_789 }),
        publish_time: Some(cryptoprice_peers::Timestamp { seconds: 1_750_000_000, nanos: 123_456_789 }),
        epoch: 1_750_000_000_000,
        origin: 1,
        ..Price::default()
    };
    let names: Vec<String> = (0..pairs).map(market::pair).collect();
    let bare = Bare::new(Vec::new());
    let publisher = bare.clone();
    let mut lines = BufReader::new(TcpStream::connect(exchange).await?).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let Some((pair, number)) = line.split_once(' ') else { continue };
            let pair = names[pair.parse::<usize>().unwrap_or_default()].clone();
            let sequence = number.parse().unwrap_or_default();
            publisher.publish(Price {
                pair,
                price: Some(format!("{number}.2")),
                sequence,
                ..template.clone()
            });
        }
    });
    Ok(bare.serve_tonic(listener).await?)
}
