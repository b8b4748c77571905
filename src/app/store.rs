//! The history that the configuration names.

use std::path::Path;

use anyhow::Context as _;
use tracing::warn;

use crate::{
    config::Config,
    domain::price::Origin,
    store::{Location, Options, Store},
};

/// Gets what the store is made of. Without an address it is a file that is named for the origin of its prices; or where
/// nothing is kept and there is no folder for that, nothing.
pub fn store_options(config: &Config, origin: Origin) -> anyhow::Result<Options> {
    let store = &config.store;
    let url = store.url.expose();
    let location = if url.is_empty() && store.folder.is_empty() && !config.history.enabled {
        Location::Memory
    } else if url.is_empty() {
        anyhow::ensure!(
            !store.folder.is_empty(),
            "there is no data folder: set store.url or store.folder, or history.enabled = false"
        );
        Location::File(Path::new(&store.folder).join(origin.name()).with_extension("db"))
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

/// Opens the store. Whoever only follows writes nothing into it, and reads what others have written.
pub(super) fn open_store(config: &Config, origin: Origin, follows: bool) -> anyhow::Result<Store> {
    let store = Store::open(store_options(config, origin)?);
    if follows && !matches!(store.location(), Location::Postgres(_)) {
        warn!(
            "there is no shared history without PostgreSQL (store.url): only the newest candles are known here"
        );
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_kept_no_place_is_needed() {
        let place = |settings: &[(&str, &str)]| {
            let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let options = store_options(&Config::load(None, settings).unwrap(), Origin::Replay);
            options.map(|options| options.location.to_string()).map_err(|error| error.to_string())
        };
        let disabled = ("CRYPTOPRICE__HISTORY__ENABLED", "false");
        assert_eq!(place(&[disabled]).unwrap(), "sqlite::memory:");
        assert!(place(&[]).unwrap_err().contains("history.enabled = false"));
        // What is there already can be read.
        let folder = ("CRYPTOPRICE__STORE__FOLDER", "/data");
        assert_eq!(place(&[disabled, folder]).unwrap(), "sqlite:///data/replay.db");
    }
}
