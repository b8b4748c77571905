//! `redis-cli`: Redis's own client, on the Redis of the settings.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::Context as _;
use clap::Args;

use crate::{
    cache::pool::{self, Place},
    config::{self, Config},
};

/// The program.
const PROGRAM: &str = "redis-cli";

/// `cryptoprice redis-cli`.
#[derive(Debug, Args)]
pub struct RedisCliArgs {
    /// A file of settings, laid over the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What redis-cli is given beside the connection, such as a command; it opens a prompt without
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

impl RedisCliArgs {
    /// Becomes that program.
    pub fn run(self) -> ExitCode {
        match self.become_program() {
            Ok(never) => match never {},
            Err(error) => super::refuse(&error),
        }
    }

    fn become_program(self) -> anyhow::Result<std::convert::Infallible> {
        let config = Config::load(self.config.as_deref(), config::environment())?;
        let url = &config.cache.url;
        anyhow::ensure!(!url.is_empty(), "no Redis is configured: set cache.url, or REDIS_URL");
        let place = pool::place(url.expose())?;
        let error = command(&place).args(self.arguments).exec();
        if error.kind() == io::ErrorKind::NotFound {
            anyhow::bail!("{PROGRAM} is not installed, or not on the PATH (Debian has it in redis-tools)");
        }
        Err(error).with_context(|| format!("cannot start {PROGRAM}"))
    }
}

/// Makes the command. The password goes through the environment: everybody can read command lines.
fn command(place: &Place) -> Command {
    let mut command = Command::new(PROGRAM);
    match place {
        Place { socket: Some(socket), .. } => command.arg("-s").arg(socket),
        Place { host, port, .. } => command.arg("-h").arg(host).arg("-p").arg(port.to_string()),
    };
    if place.tls {
        command.arg("--tls");
    }
    if place.database != 0 {
        command.arg("-n").arg(place.database.to_string());
    }
    if let Some(user) = &place.user {
        command.arg("--user").arg(user);
    }
    // Another one that is set would be used instead.
    command.env_remove("REDISCLI_AUTH");
    if let Some(password) = &place.password {
        command.env("REDISCLI_AUTH", password);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_is_told_and_the_password_only_through_the_environment() {
        for (url, arguments, password) in [
            ("redis://localhost", "-h localhost -p 6379", None),
            ("redis://:s%40cret@10.0.0.1:6380/2", "-h 10.0.0.1 -p 6380 -n 2", Some("s@cret")),
            (
                "rediss://reader:secret@redis.example:6380",
                "-h redis.example -p 6380 --tls --user reader",
                Some("secret"),
            ),
            ("unix:///run/redis.sock?db=1&pass=secret", "-s /run/redis.sock -n 1", Some("secret")),
        ] {
            let command = command(&pool::place(url).unwrap());
            let told: Vec<_> = command.get_args().map(|argument| argument.to_str().unwrap()).collect();
            assert_eq!(told.join(" "), arguments, "{url}");
            let set = command.get_envs().find(|(name, _)| *name == "REDISCLI_AUTH").unwrap().1;
            assert_eq!(set.map(|value| value.to_str().unwrap()), password, "{url}");
        }
    }
}
