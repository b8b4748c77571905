//! `serve` and `demo`: the ways to start a service.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    app::{Application, Mode, Reloader},
    config::{self, Config},
    pipeline::replay::ReplayOptions,
    telemetry,
};

/// What both ways have in common.
#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// A file of settings, laid over the defaults (`cryptoprice config` prints them all)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the public doors listen
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Development: logs the settings, the calls and their routes at start-up
    #[arg(long)]
    dev: bool,
}

/// `cryptoprice serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    start: StartArgs,
    /// Plays recordings instead of listening to exchanges, all started together on one virtual clock
    #[arg(long, value_name = "FILE", num_args = 1..)]
    replay: Vec<PathBuf>,
    /// How many times faster than recorded to play, or `max`
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = speed, requires = "replay")]
    speed: Speed,
    /// Starts the recordings again at their end
    #[arg(long = "loop", requires = "replay")]
    repeat: bool,
}

/// `cryptoprice demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    #[command(flatten)]
    start: StartArgs,
    /// Seed of the simulated market
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Spares the simulated venues their occasional trouble
    #[arg(long)]
    calm: bool,
}

/// How fast a recording is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Speed(Option<f64>);

impl ServeArgs {
    /// Serves until the process is told to end.
    pub async fn run(self) -> ExitCode {
        let mode = if self.replay.is_empty() {
            Mode::Live
        } else {
            Mode::Replay(ReplayOptions { files: self.replay, speed: self.speed.0, repeat: self.repeat })
        };
        serve(self.start, mode).await
    }
}

impl DemoArgs {
    /// Serves the simulated market until the process is told to end.
    pub async fn run(self) -> ExitCode {
        serve(self.start, Mode::Demo { seed: self.seed, trouble: !self.calm }).await
    }
}

impl StartArgs {
    fn load(&self) -> Result<Config, config::ConfigError> {
        let mut config = Config::load(self.config.as_deref(), config::environment())?;
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        Ok(config)
    }
}

async fn serve(start: StartArgs, mode: Mode) -> ExitCode {
    // Boxed, for building a service is large.
    match Box::pin(try_serve(start, mode)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::refuse(&error),
    }
}

async fn try_serve(start: StartArgs, mode: Mode) -> anyhow::Result<()> {
    let config = start.load()?;
    telemetry::start(&config.log)?;
    if start.dev {
        info!(?mode, "starting in development mode");
        config.to_toml().lines().filter(|line| !line.is_empty()).for_each(|line| info!("setting: {line}"));
    }
    // Before it is built, which may take as long as nobody leads: it can be told to end from the first moment on.
    let shutdown = CancellationToken::new();
    tokio::spawn(signalled(shutdown.clone())?);
    let hang_up = signal(SignalKind::hangup())?;
    let Some(built) = shutdown.run_until_cancelled(Application::build(config, mode)).await else {
        info!("stopped before anything was served");
        return Ok(());
    };
    let mut application = built?;
    if start.dev {
        application.components().into_iter().for_each(|component| info!("component: {component}"));
        application.calls().iter().for_each(|call| info!("call: {call}"));
    }
    tokio::spawn(reload_when_told(start, application.reloader(), hang_up));
    application.run_until_stopped(shutdown).await
}

/// Reads the configuration again at each SIGHUP, and applies it. One that is not valid changes nothing.
async fn reload_when_told(start: StartArgs, mut reloader: Option<Reloader>, mut hang_up: Signal) {
    while hang_up.recv().await.is_some() {
        let Some(reloader) = &mut reloader else {
            warn!("SIGHUP changes nothing: what is played or simulated is not configured");
            continue;
        };
        info!("reading the configuration again");
        let outcome = match start.load() {
            Ok(config) => reloader.apply(config).await.map(drop),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = outcome {
            error!("the configuration is not valid, nothing changes: {error:#}");
        }
    }
}

/// Waits for SIGTERM or SIGINT.
pub(super) fn signalled(shutdown: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    })
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed(None));
    }
    let factor: f64 = text.parse().map_err(|_| "expected a number or `max`".to_owned())?;
    if (0.001..=1_000_000.0).contains(&factor) {
        Ok(Speed(Some(factor)))
    } else {
        Err("expected a factor from 0.001 to 1000000, or `max`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_factors_or_max() {
        assert_eq!(speed("10"), Ok(Speed(Some(10.0))));
        assert_eq!(speed("max"), Ok(Speed(None)));
        for wrong in ["", "fast", "0", "-1", "NaN", "inf"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }
}
