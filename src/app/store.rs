//! The history that the configuration names.

use std::path::Path;

use anyhow::Context as _;

use crate::{
    config::Config,
    domain::price::Origin,
    store::{Location, Options},
};

/// Gets what the store is made of. Without an address it is a file that is named for the origin of its prices.
pub fn store_options(config: &Config, origin: Origin) -> anyhow::Result<Options> {
    let store = &config.store;
    let url = store.url.expose();
    let location = if url.is_empty() {
        anyhow::ensure!(
            !store.folder.is_empty(),
            "there is no data folder: set store.url or store.folder, or history.enabled = false"
        );
        let name = match origin {
            Origin::Live => "live.db",
            Origin::Replay => "replay.db",
            Origin::Simulated => "simulated.db",
        };
        Location::File(Path::new(&store.folder).join(name))
    } else {
        Location::parse(url).context("store.url")?
    };
    Ok(Options {
        location,
        origin,
        max_connections: store.max_connections,
        connect_timeout: store.connect_timeout,
        statement_timeout: store.statement_timeout,
        lock_timeout: store.lock_timeout,
        max_bytes: store.max_bytes,
    })
}
