//! The commands for whoever looks after the history: `migrate`, `backup` and `db-shell`.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};

use super::console::Console;
use crate::{
    app::store_options,
    config::{self, Config},
    domain::price::Origin,
    store::{Location, Options, Store},
};

/// Which store.
#[derive(Debug, Args)]
struct Which {
    /// A file of settings, laid over the defaults (`cryptoprice config` prints them all)
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Whose prices it holds, where the file is named for that (store.url is empty)
    #[arg(long, value_enum, default_value_t = Whose::Live, global = true)]
    origin: Whose,
}

/// Where prices come from.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Whose {
    Live,
    Replay,
    Simulated,
}

/// `cryptoprice migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(subcommand)]
    step: Step,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Step {
    /// Applies what is pending
    Up,
    /// Takes back the newest migration, with all that is stored in what it made
    Down,
    /// Shows what is applied and what is pending; fails if something is pending
    Status,
}

/// `cryptoprice backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The copy; it must not be there yet
    file: PathBuf,
    #[command(flatten)]
    which: Which,
}

/// `cryptoprice db-shell`.
#[derive(Debug, Args)]
pub struct DbShellArgs {
    /// What is passed on to psql or sqlite3
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
    #[command(flatten)]
    which: Which,
}

impl Which {
    fn options(&self) -> anyhow::Result<Options> {
        let config = Config::load(self.config.as_deref(), config::environment())?;
        let origin = match self.origin {
            Whose::Live => Origin::Live,
            Whose::Replay => Origin::Replay,
            Whose::Simulated => Origin::Simulated,
        };
        store_options(&config, origin)
    }
}

impl MigrateArgs {
    /// Migrates, and says what was done.
    pub async fn run(self) -> ExitCode {
        end(self.text().await)
    }

    async fn text(&self) -> anyhow::Result<(String, ExitCode)> {
        let store = Store::open(self.which.options()?);
        let mut text = String::new();
        match self.step {
            Step::Up => {
                for version in store.migrate().await? {
                    writeln!(text, "applied {version}")?;
                }
            }
            Step::Down => {
                if let Some(version) = store.migrate_down().await? {
                    writeln!(text, "took back {version}")?;
                }
            }
            Step::Status => {
                let migrations = store.migrations().await?;
                for (state, versions) in [
                    ("applied", &migrations.applied),
                    ("pending", &migrations.pending),
                    ("unknown", &migrations.unknown),
                ] {
                    for version in versions {
                        writeln!(text, "{state} {version}")?;
                    }
                }
                let current = migrations.pending.is_empty() && migrations.unknown.is_empty();
                return Ok((text, if current { ExitCode::SUCCESS } else { ExitCode::FAILURE }));
            }
        }
        if text.is_empty() {
            writeln!(text, "nothing to do in {}", store.location())?;
        }
        Ok((text, ExitCode::SUCCESS))
    }
}

impl BackupArgs {
    /// Copies the embedded database.
    pub async fn run(self) -> ExitCode {
        end(self.text().await)
    }

    async fn text(&self) -> anyhow::Result<(String, ExitCode)> {
        let store = Store::open(self.which.options()?);
        store.backup(&self.file).await?;
        Ok((format!("copied {} to {}\n", store.location(), self.file.display()), ExitCode::SUCCESS))
    }
}

impl DbShellArgs {
    /// Becomes the database's own shell.
    pub fn run(self) -> ExitCode {
        match self.which.options().and_then(|options| shell(&options.location)) {
            Ok((program, package)) => super::refuse(&become_program(program, &self.arguments, package)),
            Err(error) => super::refuse(&error),
        }
    }
}

/// Makes the command of the shell. What is secret goes by the environment: command lines are there for all to see.
fn shell(location: &Location) -> anyhow::Result<(Command, &'static str)> {
    match location {
        Location::Postgres(server) => {
            let mut program = Command::new("psql");
            program.envs(server.environment());
            Ok((program, "postgresql-client"))
        }
        Location::File(path) => {
            if !Path::exists(path) {
                bail!("{} is not there yet", path.display());
            }
            let mut program = Command::new("sqlite3");
            program.arg(path);
            Ok((program, "sqlite3"))
        }
        Location::Memory => bail!("a database in memory is seen by its own process alone"),
    }
}

/// Gives this process over to another program; what comes back is why that failed.
fn become_program(mut program: Command, arguments: &[String], package: &str) -> anyhow::Error {
    use std::os::unix::process::CommandExt as _;
    program.args(arguments);
    let error = program.exec();
    let name = program.get_program().to_string_lossy().into_owned();
    if error.kind() == io::ErrorKind::NotFound {
        return anyhow::anyhow!("{name} is not installed: it is in the package {package}");
    }
    anyhow::Error::new(error).context(format!("cannot run {name}"))
}

fn end(result: anyhow::Result<(String, ExitCode)>) -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut console = Console::standard(&mut out, &mut err);
    match result.and_then(|(text, code)| {
        console.print(&text).context("cannot write the output")?;
        Ok(code)
    }) {
        Ok(code) => code,
        Err(error) => super::refuse(&error),
    }
}
