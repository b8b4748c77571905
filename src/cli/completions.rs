//! `cryptoprice completions`: what a shell needs to complete the command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Outcome, console::Console, failure::Failure};

/// The arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn print(self, console: &mut Console<'_>) -> Result<Outcome, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "cryptoprice", &mut script);
        console.print(&String::from_utf8_lossy(&script))?;
        Ok(Outcome::Complete)
    }
}
