//! `config`: the settings as they would be used.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;

use crate::config::{self, Config};

/// `cryptoprice config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// A file of settings, laid over the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints the commented defaults instead
    #[arg(long, conflicts_with = "config")]
    defaults: bool,
}

impl ConfigArgs {
    /// Prints the settings, credentials hidden.
    pub fn run(self) -> ExitCode {
        let text = if self.defaults {
            config::DEFAULTS.to_owned()
        } else {
            match Config::load(self.config.as_deref(), config::environment()) {
                Ok(config) => config.to_toml(),
                Err(error) => return super::refuse(&error.into()),
            }
        };
        match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever reads has read enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => super::refuse(&error.into()),
        }
    }
}
