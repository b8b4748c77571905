//! A peer as a process of its own.

use std::{net::SocketAddr, path::Path};

use cryptoprice_peers::{servers::Bare, v1::ListPricesResponse};
use prost::Message as _;
use tokio::net::TcpListener;

/// Serves these prices in one of the ordinary ways, until it is killed.
pub fn serve(kind: &str, prices: &Path) -> anyhow::Result<()> {
    let address: SocketAddr = std::env::var("CRYPTOPRICE__SERVER__LISTEN")?.parse()?;
    let prices = ListPricesResponse::decode(std::fs::read(prices)?.as_slice())?.prices;
    let bare = Bare::new(prices);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        match kind {
            "tonic" => bare.serve_tonic(listener).await?,
            "tonic-web" => bare.serve_tonic_web(listener).await?,
            "axum" => bare.serve_axum(listener).await?,
            other => anyhow::bail!("no peer is called {other}"),
        }
        Ok(())
    })
}
