//! `config`: the settings as they would be used, and what others would change.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use crate::config::{self, Config, ConfigError, Plan};

/// `cryptoprice config`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: Option<ConfigCommand>,
    /// A file of settings, laid over the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints the commented defaults instead
    #[arg(long, conflicts_with = "config")]
    defaults: bool,
}

/// What can be done with settings beside printing them.
#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Checks a file of settings, and says what it would change in a running service: SIGHUP applies it
    Check(CheckArgs),
}

/// `cryptoprice config check`.
#[derive(Debug, Args)]
struct CheckArgs {
    /// The file to check
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file that the running service was started with; the defaults if it was started with none
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

impl ConfigArgs {
    /// Prints the settings, credentials hidden, or checks some.
    pub fn run(self) -> ExitCode {
        let text = match self.command {
            Some(ConfigCommand::Check(arguments)) => arguments.plan().map(|plan| plan.to_string()),
            None if self.defaults => Ok(config::DEFAULTS.to_owned()),
            None => load(self.config.as_deref()).map(|config| config.to_toml()),
        };
        let text = match text {
            Ok(text) => text,
            Err(error) => return super::refuse(&error.into()),
        };
        match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever reads has read enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => super::refuse(&error.into()),
        }
    }
}

impl CheckArgs {
    fn plan(&self) -> Result<Plan, ConfigError> {
        let running = load(self.against.as_deref())?;
        Ok(Plan::between(&running, &load(Some(&self.file))?))
    }
}

fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    Config::load(file, config::environment())
}
