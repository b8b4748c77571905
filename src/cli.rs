//! The command line: a client of a running service, and the ways to start one.
//!
//! The client's commands ([`ClientCommand`]) know the generated client ([`crate::client`]) and nothing else of the
//! crate, but for `sources check`, which asks the venues themselves: they see what any other caller sees. A command asks, turns the answer into text with the pure functions
//! of its file, and prints it in one go through the console.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod backfill;
mod bar;
mod candles;
mod client;
mod completions;
mod config;
mod console;
mod convert;
mod explain;
mod failure;
mod json;
mod moment;
mod price;
mod record;
mod redis_cli;
mod serve;
mod sources;
mod status;
mod store;
mod table;
mod watch;
mod words;

pub use self::{
    backfill::BackfillArgs,
    bar::BarArgs,
    candles::{CandlesArgs, ExportArgs},
    client::{Address, ClientArgs},
    completions::CompletionsArgs,
    config::ConfigArgs,
    convert::ConvertArgs,
    explain::ExplainArgs,
    price::PriceArgs,
    record::RecordArgs,
    redis_cli::RedisCliArgs,
    serve::{DemoArgs, ServeArgs},
    sources::SourcesArgs,
    status::StatusArgs,
    store::{BackupArgs, DbShellArgs, MigrateArgs},
    watch::WatchArgs,
};
use self::{console::Console, failure::Failure};

const EXIT_CODES: &str = "\
Exit codes of the commands that ask a server:
  0  all that was asked for is shown
  1  the server refused something; standard error says what
  2  the command line is not understood
  3  the server is not reachable";

/// One price per pair that a caller can trust, out of what many exchanges say.
#[derive(Debug, Parser)]
#[command(name = "cryptoprice", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What asks a running server.
    #[command(flatten)]
    Client(ClientCommand),
    /// Serves prices of real exchanges, or of recordings
    Serve(ServeArgs),
    /// Serves prices of a simulated market: nothing else is needed
    Demo(DemoArgs),
    /// Records what exchanges send, to be played by `serve --replay`
    #[command(after_help = record::HELP)]
    Record(RecordArgs),
    /// Fills in candles of the past that the history lacks
    #[command(after_help = backfill::HELP)]
    Backfill(BackfillArgs),
    /// Makes the tables of the history, or takes them back
    Migrate(MigrateArgs),
    /// Copies the embedded history into a file, while it is in use
    Backup(BackupArgs),
    /// Opens psql or sqlite3 on the history
    DbShell(DbShellArgs),
    /// Prints the settings as they would be used
    Config(ConfigArgs),
    /// Opens `redis-cli` on the Redis of the settings
    RedisCli(RedisCliArgs),
    /// Prints the completions of a shell
    Completions(CompletionsArgs),
}

/// The commands that ask a running server.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Shows the prices of pairs
    #[command(after_help = EXIT_CODES)]
    Price(PriceArgs),
    /// Follows the prices of pairs as they change
    #[command(after_help = EXIT_CODES)]
    Watch(WatchArgs),
    /// Explains a price: what each venue said, and what became of it
    #[command(after_help = EXIT_CODES)]
    Explain(ExplainArgs),
    /// Converts an amount of one asset into another
    #[command(after_help = EXIT_CODES)]
    Convert(ConvertArgs),
    /// Shows candles: as a table, CSV, JSON or a chart
    #[command(after_help = EXIT_CODES)]
    Candles(CandlesArgs),
    /// Writes the candles of any range, as CSV or a line of JSON each
    #[command(after_help = EXIT_CODES)]
    Export(ExportArgs),
    /// Shows the state of the venues that prices come from
    #[command(after_help = EXIT_CODES)]
    Sources(SourcesArgs),
    /// Shows what a replica does among the others: whether it leads, who does, and how far it has come
    #[command(after_help = EXIT_CODES)]
    Status(StatusArgs),
}

/// How a command ended that got its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All that was asked for is shown.
    Complete,
    /// Some of it was refused, and standard error says why.
    Partial,
}

impl Command {
    /// Does it, to the end.
    pub async fn run(self) -> ExitCode {
        match self {
            Self::Client(command) => command.run().await,
            Self::Serve(arguments) => arguments.run().await,
            Self::Demo(arguments) => arguments.run().await,
            Self::Record(arguments) => arguments.run().await,
            Self::Backfill(arguments) => arguments.run().await,
            Self::Migrate(arguments) => arguments.run().await,
            Self::Backup(arguments) => arguments.run().await,
            Self::DbShell(arguments) => arguments.run(),
            Self::Config(arguments) => arguments.run(),
            Self::RedisCli(arguments) => arguments.run(),
            Self::Completions(arguments) => arguments.run(),
        }
    }
}

impl ClientCommand {
    /// Asks the server and prints what it answers; a failure is one line on standard error.
    pub async fn run(self) -> ExitCode {
        let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
        let mut console = Console::standard(&mut out, &mut err);
        let result = match self {
            Self::Price(arguments) => arguments.run(&mut console).await,
            Self::Watch(arguments) => arguments.run(&mut console).await,
            Self::Explain(arguments) => arguments.run(&mut console).await,
            Self::Convert(arguments) => arguments.run(&mut console).await,
            Self::Candles(arguments) => arguments.run(&mut console).await,
            Self::Export(arguments) => arguments.run(&mut console).await,
            Self::Status(arguments) => arguments.run(&mut console).await,
            Self::Sources(arguments) => return arguments.run(&mut console).await,
        };
        finish(result, &mut console)
    }
}

impl CompletionsArgs {
    /// Prints the completions.
    pub fn run(self) -> ExitCode {
        let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
        let mut console = Console::standard(&mut out, &mut err);
        finish(self.print(&mut console), &mut console)
    }
}

/// Says in one line why nothing was started.
fn refuse(error: &anyhow::Error) -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    Console::standard(&mut out, &mut err).complain(&format_args!("{error:#}"));
    ExitCode::FAILURE
}

/// Turns the end of a command into the exit code that the help promises.
fn finish(result: Result<Outcome, Failure>, console: &mut Console<'_>) -> ExitCode {
    match result {
        Ok(Outcome::Complete) => ExitCode::SUCCESS,
        Ok(Outcome::Partial) => ExitCode::from(1),
        // Whoever read us has read enough, as `head` does.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            console.complain(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "price",
            "price BTC-USD --max-age soon",
            "price BTC-USD --min-sources -1",
            "price BTC-USD --server ftp://127.0.0.1",
            "explain",
            "convert 1 BTC",
            "sources kraken binance",
            "status --ops nowhere",
            "completions cobol",
            "record",
            "record folder --for soon",
            "record folder --rotate-size 0",
            "record folder --rotate-every 13h",
            "backfill BTC-USD",
            "backfill BTC --from 2026-11-24",
            "backfill BTC-USD --from soon",
            "backfill BTC-USD --from 2026-11-24 --interval 2m",
            "migrate",
            "migrate sideways",
            "backup",
            "db-shell --origin martian",
        ] {
            let words = std::iter::once("cryptoprice").chain(line.split(' '));
            let error = Cli::try_parse_from(words).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
