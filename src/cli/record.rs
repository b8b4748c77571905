//! `record`: writes down what venues send, to be played later.

use std::{convert::Infallible, future::pending, path::PathBuf, pin::pin, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{bar::parse_span, console::Console, serve::signalled, words};
use crate::{
    app::{RecordOptions, Recorder, RecorderStatus},
    clock::stopwatch,
    config::{self, Config},
    telemetry,
};

/// How often the line on a terminal is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(500);

/// How often a line is logged elsewhere.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Replay takes files that begin more than a day apart for separate runs; a venue may be away for a while in between.
const MAX_ROTATE_EVERY: Duration = Duration::from_secs(12 * 3_600);

pub(super) const HELP: &str = "\
Each venue gets a file of its own, such as FOLDER/KRAKEN-20261125T231500Z.jsonl.zst, named for its start in UTC. A file that
has grown large or old is followed by the next; the connection goes on meanwhile, and nothing is lost in between. Every
file can be played by itself, and those of a venue one after the other:

  cryptoprice record recordings --venue kraken --venue coinbase --for 10m
  cryptoprice serve --replay recordings/*.jsonl.zst

SIGINT and SIGTERM end it, and finish the files. After a kill or a crash of the program a file is read up to what was
written last; that is done every second. If the disk cannot be written to, it ends with exit code 1. If the disk is too slow
and 64 MiB wait for it, the venue that had more to say is connected to anew, and the times that this happened are counted:
what is recorded of one connection has no holes.";

/// `cryptoprice record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Where the files are made
    folder: PathBuf,
    /// A venue to record, enabled or not; may be repeated. All that are enabled if none is named
    #[arg(long = "venue", value_name = "NAME")]
    venues: Vec<String>,
    /// How long to record, such as 90s, 10m or 8h; until it is told to end if not given
    #[arg(long = "for", value_name = "SPAN", value_parser = parse_span)]
    span: Option<Duration>,
    /// Starts the next file when one has this many bytes; K, M and G are understood
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = parse_size)]
    rotate_size: u64,
    /// Starts the next file when one spans this long, 1s to 12h
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = parse_rotation)]
    rotate_every: Duration,
    /// A file of settings, laid over the defaults (`cryptoprice config` prints them all)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl RecordArgs {
    /// Records until the time is over, or until the process is told to end.
    pub async fn run(self) -> ExitCode {
        let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
        match self.record(&mut Console::standard(&mut out, &mut err)).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::refuse(&error),
        }
    }

    async fn record(self, console: &mut Console<'_>) -> anyhow::Result<()> {
        let mut config = Config::load(self.config.as_deref(), config::environment())?;
        choose(&mut config, &self.venues)?;
        telemetry::start(&config.log)?;
        let options = RecordOptions {
            folder: self.folder,
            rotate_size: self.rotate_size,
            rotate_every: self.rotate_every,
        };
        let recorder = Recorder::build(&config, options)?;
        let shutdown = CancellationToken::new();
        tokio::spawn(signalled(shutdown.clone())?);
        let (status, elapsed) = (recorder.status(), stopwatch());
        let mut recording = pin!(recorder.run_until_stopped(shutdown.clone()));
        let mut over = pin!(async {
            match self.span {
                Some(span) => sleep(span).await,
                None => pending().await,
            }
            shutdown.cancel();
            pending::<Infallible>().await
        });
        let mut ticks = interval(if console.is_terminal() { DRAW_EVERY } else { LOG_EVERY });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outcome = loop {
            tokio::select! {
                outcome = &mut recording => break outcome,
                never = &mut over => match never {},
                _ = ticks.tick() => show(console, "recording", "\r", &status, elapsed()),
            }
        };
        show(console, "recorded", "\n", &status, elapsed());
        outcome
    }
}

/// Keeps the venues that are named, whether they are enabled or not; all that are enabled if none is.
fn choose(config: &mut Config, names: &[String]) -> anyhow::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    for name in names {
        let venue = config.venues.get(name).with_context(|| {
            let known: Vec<_> = config.venues.keys().map(String::as_str).collect();
            format!("no venue has the name {name}; there are {}", known.join(", "))
        })?;
        anyhow::ensure!(!venue.pairs.is_empty(), "the settings name no pairs of {name}");
    }
    for (name, venue) in &mut config.venues {
        venue.enabled = names.contains(name);
    }
    Ok(())
}

/// Shows how it does: a line on a terminal, in the place of the one before; a line of the log elsewhere.
fn show(console: &mut Console<'_>, doing: &str, end: &str, status: &RecorderStatus, elapsed: Duration) {
    let (connected, venues, progress) = (status.connected.count(), status.venues, &status.progress);
    if console.is_terminal() {
        let line = line(doing, status, elapsed);
        // Nobody looks any more: no reason to stop recording. What is logged meanwhile begins in the same place.
        let _ = console.print(&format!("\x1b[2K{line}{end}"));
    } else {
        info!(
            connected,
            venues,
            messages = progress.messages(),
            bytes = progress.bytes(),
            files = progress.files(),
            overruns = progress.overruns(),
            duration_ms = elapsed.as_millis(),
            "{doing}"
        );
    }
}

/// Puts it into one line.
fn line(doing: &str, status: &RecorderStatus, elapsed: Duration) -> String {
    let (connected, venues, progress) = (status.connected.count(), status.venues, &status.progress);
    let (messages, files) = (progress.messages(), progress.files());
    let (bytes, elapsed) = (size(progress.bytes()), words::span(elapsed));
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    let overruns = match progress.overruns() {
        0 => String::new(),
        1 => ", 1 connection ended because the disk was too slow".to_owned(),
        overruns => format!(", {overruns} connections ended because the disk was too slow"),
    };
    format!(
        "{doing}: {connected} of {venues} venues connected, {messages} messages, {bytes} in {files}, {elapsed}{overruns}"
    )
}

/// Shows bytes in the unit that fits.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..0x400 => return format!("{bytes} B"),
        0x400..0x10_0000 => (0x400, "KiB"),
        0x10_0000..0x4000_0000 => (0x10_0000, "MiB"),
        _ => (0x4000_0000, "GiB"),
    };
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}

/// Reads bytes, with `K`, `M` or `G` for 1024, its square and its cube.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "expected a number of bytes above zero, such as 65536, 64K, 256M or 1G".to_owned();
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits) {
        Some("") => 1,
        Some("K") => 1 << 10,
        Some("M") => 1 << 20,
        Some("G") => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

fn parse_rotation(text: &str) -> Result<Duration, String> {
    let span = parse_span(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=MAX_ROTATE_EVERY).contains(&span) {
        Ok(span)
    } else {
        Err("expected a span from 1s to 12h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_or_without_a_unit() {
        for (given, expected) in [
            ("1", Some(1)),
            ("64K", Some(65_536)),
            ("256M", Some(268_435_456)),
            ("1G", Some(1_073_741_824)),
            ("0", None),
            ("", None),
            ("M", None),
            ("1T", None),
            ("1.5M", None),
            ("-1", None),
            ("99999999999999G", None),
        ] {
            assert_eq!(parse_size(given).ok(), expected, "{given}");
        }
    }

    #[test]
    fn a_file_spans_a_second_to_half_a_day() {
        for (given, expected) in [("1s", true), ("12h", true), ("999ms", false), ("13h", false), ("1", false)]
        {
            assert_eq!(parse_rotation(given).is_ok(), expected, "{given}");
        }
    }

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        for (bytes, expected) in [
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1_572_864, "1.5 MiB"),
            (5 << 30, "5.0 GiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn named_venues_are_recorded_and_no_others() {
        let enabled = |names: &[&str]| {
            let off = ("CRYPTOPRICE__VENUES__UPBIT__ENABLED".to_owned(), "false".to_owned());
            let mut config = Config::load(None, [off]).unwrap();
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            choose(&mut config, &names).map_err(|error| error.to_string())?;
            let enabled = config.venues.into_iter().filter(|(_, venue)| venue.enabled);
            Ok::<_, String>(enabled.map(|(name, _)| name).collect::<Vec<_>>())
        };
        assert_eq!(enabled(&["upbit", "kraken"]).unwrap(), ["kraken", "upbit"]);
        let all = enabled(&[]).unwrap();
        assert!(all.len() > 9 && !all.contains(&"upbit".to_owned()), "{all:?}");
        let error = enabled(&["kraken", "nyse"]).unwrap_err();
        assert!(error.starts_with("no venue has the name nyse; there are binance, "), "{error}");
    }

    #[test]
    fn the_line_tells_how_it_does() {
        let status = RecorderStatus {
            venues: 3,
            connected: crate::pipeline::record::Connected::default(),
            progress: crate::feed::recording::Progress::default(),
        };
        let line = line("recording", &status, Duration::from_secs(62));
        insta::assert_snapshot!(
            line,
            @"recording: 0 of 3 venues connected, 0 messages, 0 B in 0 files, 1m 2s"
        );
    }
}
