//! Where settings are read from, one over the other, and what is wrong with them.

use std::{collections::BTreeMap, path::Path};

use toml::{Table, Value};

use super::{Config, DEFAULTS, environment};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not valid TOML: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// What and where.
        message: String,
    },
    /// A key is unknown, or has a value that cannot be.
    #[error("{key}{}: {message}", origin.as_ref().map(|o| format!(" ({o})")).unwrap_or_default())]
    Key {
        /// The key, with its section.
        key: String,
        /// Where it was set, if not in the defaults.
        origin: Option<String>,
        /// What is wrong.
        message: String,
    },
}

impl Config {
    /// Loads the defaults, then the file, then the environment.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table = parse("config.default.toml", DEFAULTS)?;
        let mut origins = BTreeMap::new();
        if let Some(path) = file {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: shown.clone(), source })?;
            merge(&mut table, parse(&shown, &text)?, "", &shown, &mut origins);
        }
        let environment: Vec<_> = environment.into_iter().collect();
        let folder = environment::data_folder(&environment);
        for setting in environment::settings(environment, &table)? {
            merge(&mut table, setting.table, "", &setting.variable, &mut origins);
        }
        let mut config = read(table, &origins)?;
        if config.store.folder.is_empty() {
            config.store.folder = folder.unwrap_or_default();
        }
        config.check()?;
        Ok(config)
    }
}

fn parse(path: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        message: error.to_string(),
    })
}

/// Lays one table over another, and notes where each key was set.
fn merge(
    below: &mut Table,
    above: Table,
    prefix: &str,
    origin: &str,
    origins: &mut BTreeMap<String, String>,
) {
    for (key, value) in above {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        origins.insert(path.clone(), origin.to_owned());
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above, &path, origin, origins),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

fn read(table: Table, origins: &BTreeMap<String, String>) -> Result<Config, ConfigError> {
    serde_path_to_error::deserialize(table).map_err(|error| {
        let mut key = error.path().to_string();
        let message = error.inner().message().to_owned();
        // An unknown key is reported at its section: name the key itself.
        if let Some(unknown) = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next())
            && key.rsplit('.').next() != Some(unknown)
        {
            key = if key == "." { unknown.to_owned() } else { format!("{key}.{unknown}") };
        }
        // One of a list was set with the list.
        let set = key.split('[').next().unwrap_or_default();
        let origin = origins.get(set).cloned();
        ConfigError::Key { key, origin, message }
    })
}
