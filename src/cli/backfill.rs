//! `backfill`: fills in candles of the past.

use std::{ops::Range, path::PathBuf, pin::pin, process::ExitCode, time::Duration};

use chrono::{DateTime, Utc};
use clap::Args;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{console::Console, moment::Moment, serve::signalled, words};
use crate::{
    app::Backfiller,
    clock::stopwatch,
    config::{self, Config},
    domain::{candle::Interval, pair::Pair},
    pipeline::backfill::{Filled, Outcome, Progress},
    telemetry,
};

/// How often the line on a terminal is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// How often a line is logged elsewhere.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// How many characters the bar has.
const BAR: u64 = 30;

pub(super) const HELP: &str = "\
Asks the venues for candles that are not in the history, and writes them there; longer candles are made of them, and those of
all venues together. What is there already is not asked for: if it is interrupted, the same command goes on.

  cryptoprice backfill BTC-USD --from 2026-11-01 --to 2026-11-08
  cryptoprice backfill BTC-USD --from 2026-11-24T06:00:00Z --interval 5m --venue kraken --venue coinbase

A time is a date, which begins at midnight UTC, or as in RFC 3339. Candles that are not over for a minute are left alone.

Exit codes:
  0  every venue has answered; what it does not have is told, and is no failure
  1  a venue did not answer, or nothing could be done; standard error says what
  2  the command line is not understood";

/// `cryptoprice backfill`.
#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// The pair, such as BTC-USD
    pair: Pair,
    /// When the first candle opens, at the earliest
    #[arg(long, value_name = "TIME")]
    from: Moment,
    /// All candles open before this; now if not given
    #[arg(long, value_name = "TIME")]
    to: Option<Moment>,
    /// How long the candles are: 1s, 1m, 5m, 15m, 1h, 4h, 1d or 1w
    #[arg(long, value_name = "INTERVAL", default_value = "1m")]
    interval: Interval,
    /// A venue to ask, enabled or not; may be repeated. All that are enabled and have the pair if none is named
    #[arg(long = "venue", value_name = "NAME")]
    venues: Vec<String>,
    /// A file of settings, laid over the defaults (`cryptoprice config` prints them all)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl BackfillArgs {
    /// Fills in until all venues have answered, or until the process is told to end.
    pub async fn run(self) -> ExitCode {
        let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
        // Boxed, for it is large.
        match Box::pin(self.fill(&mut Console::standard(&mut out, &mut err))).await {
            Ok(code) => code,
            Err(error) => super::refuse(&error),
        }
    }

    async fn fill(self, console: &mut Console<'_>) -> anyhow::Result<ExitCode> {
        let mut config = Config::load(self.config.as_deref(), config::environment())?;
        let now = console.now();
        let (from, to) = (self.from.time(now), self.to.map(|to| to.time(now)));
        range(from, to, now.into())?;
        if console.is_terminal() {
            // The bar and the table say the same.
            "warn".clone_into(&mut config.log.filter);
        }
        telemetry::start(&config.log)?;
        let backfiller = Backfiller::build(config, self.pair, &self.venues).await?;
        let range = range(from, to, backfiller.now())?;
        let shutdown = CancellationToken::new();
        tokio::spawn(signalled(shutdown.clone())?);
        let (progress, elapsed) = (backfiller.progress(), stopwatch());
        let mut filling = pin!(shutdown.run_until_cancelled(backfiller.fill(self.interval, range)));
        let mut ticks = interval(if console.is_terminal() { DRAW_EVERY } else { LOG_EVERY });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outcome = loop {
            tokio::select! {
                outcome = &mut filling => break outcome,
                _ = ticks.tick() => show(console, "filling in", "\r", &progress, elapsed()),
            }
        };
        show(
            console,
            if outcome.is_some() { "filled in" } else { "interrupted" },
            "\n",
            &progress,
            elapsed(),
        );
        let Some(outcomes) = outcome.transpose()? else {
            anyhow::bail!("interrupted; the same command goes on from here");
        };
        console.print(&table(&outcomes))?;
        let mut code = ExitCode::SUCCESS;
        for Outcome { venue, filled } in &outcomes {
            if let Err(error) = filled {
                console.complain(&format_args!("{venue}: {error}"));
                code = ExitCode::FAILURE;
            }
        }
        Ok(code)
    }
}

/// Judges a range that ends now if it has no end.
fn range(
    from: DateTime<Utc>,
    to: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> anyhow::Result<Range<DateTime<Utc>>> {
    let shown = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ");
    for (name, time) in [("--from", Some(from)), ("--to", to)] {
        if let Some(time) = time.filter(|time| *time > now) {
            anyhow::bail!("{name} {} lies in the future", shown(time));
        }
    }
    let to = to.unwrap_or(now);
    anyhow::ensure!(from < to, "--from {} is not before --to {}", shown(from), shown(to));
    Ok(from..to)
}

/// Shows how it does: a bar on a terminal, in the place of the one before; a line of the log elsewhere.
fn show(console: &mut Console<'_>, doing: &str, end: &str, progress: &Progress, elapsed: Duration) {
    if console.is_terminal() {
        // Nobody looks any more: no reason to stop.
        let _ = console.print(&format!("\x1b[2K{}{end}", line(doing, progress, elapsed)));
    } else {
        info!(
            missing = progress.missing(),
            settled = progress.settled(),
            requests = progress.requests(),
            written = progress.written(),
            duration_ms = elapsed.as_millis(),
            "{doing}"
        );
    }
}

/// Puts it into one line.
fn line(doing: &str, progress: &Progress, elapsed: Duration) -> String {
    let (missing, settled, requests) = (progress.missing(), progress.settled(), progress.requests());
    let part = |whole: u64| settled.min(missing).saturating_mul(whole).checked_div(missing).unwrap_or(whole);
    let bar: String = (0..BAR).map(|at| if at < part(BAR) { '#' } else { '.' }).collect();
    let (percent, elapsed) = (part(100), words::span(elapsed));
    format!("{doing} [{bar}] {percent} % of {missing} candles, {requests} requests, {elapsed}")
}

/// Tells what came of each venue that has answered.
fn table(outcomes: &[Outcome]) -> String {
    let filled = outcomes.iter().filter_map(|outcome| Some((outcome.venue, outcome.filled.as_ref().ok()?)));
    let row = |(venue, filled): (_, &Filled)| {
        let Filled { missing, written, longer, .. } = *filled;
        let lacking = match missing.saturating_sub(written) {
            0 => String::new(),
            lacking => format!(", {lacking} are not to be had"),
        };
        format!("{venue}: {missing} missing, {written} written, {longer} longer ones made{lacking}\n")
    };
    filled.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::venue::Venue;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_ends_now_and_lies_in_the_past() {
        let now = at("2026-11-24T12:00:00Z");
        let morning = at("2026-11-24T06:00:00Z");
        assert_eq!(range(morning, None, now).unwrap(), morning..now);
        assert_eq!(range(morning, Some(now), now).unwrap(), morning..now);
        let refusal = |from, to| range(from, to, now).unwrap_err().to_string();
        let tomorrow = at("2026-11-25T00:00:00Z");
        assert_eq!(refusal(tomorrow, None), "--from 2026-11-25T00:00:00Z lies in the future");
        assert_eq!(refusal(morning, Some(tomorrow)), "--to 2026-11-25T00:00:00Z lies in the future");
        let expected = "--from 2026-11-24T12:00:00Z is not before --to 2026-11-24T06:00:00Z";
        assert_eq!(refusal(now, Some(morning)), expected);
        assert!(range(now, None, now).is_err());
    }

    #[test]
    fn the_line_and_the_table_tell_how_it_does() {
        let line = line("filling in", &Progress::default(), Duration::from_secs(62));
        insta::assert_snapshot!(
            line,
            @"filling in [##############################] 100 % of 0 candles, 0 requests, 1m 2s"
        );
        let filled = Filled { missing: 60, written: 58, longer: 13, requests: 1 };
        let outcome = |name, filled| Outcome { venue: Venue::new(name), filled: Ok(filled) };
        let outcomes = [outcome("coinbase", filled), outcome("kraken", Filled { written: 60, ..filled })];
        insta::assert_snapshot!(table(&outcomes), @r"
        coinbase: 60 missing, 58 written, 13 longer ones made, 2 are not to be had
        kraken: 60 missing, 60 written, 13 longer ones made
        ");
    }
}
