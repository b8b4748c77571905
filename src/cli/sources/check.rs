//! `cryptoprice sources check`: does every configured venue answer, for every market that is asked of it?

use std::{path::PathBuf, process::ExitCode, time::Duration};

use crate::{
    app::check::{self, Checked},
    cli::{
        bar::parse_span,
        console::Console,
        table::{Align, Table},
        words,
    },
    config::{self, Config},
};

/// Connects to every configured venue, and waits for the first data of each market
///
/// Exits with 1 where a market has brought none.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// A file of settings, laid over the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long to wait
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = parse_span)]
    wait: Duration,
}

impl CheckArgs {
    pub(super) async fn run(self, console: &mut Console<'_>) -> ExitCode {
        match self.try_run(console).await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                console.complain(&format_args!("{error:#}"));
                ExitCode::FAILURE
            }
        }
    }

    /// Tells whether nothing is missing.
    async fn try_run(self, console: &mut Console<'_>) -> anyhow::Result<bool> {
        let config = Config::load(self.config.as_deref(), config::environment())?;
        let checked = check::check(&config, self.wait).await?;
        console.print(&show(&checked))?;
        Ok(checked.iter().all(|venue| venue.missing().next().is_none()))
    }
}

fn show(checked: &[Checked]) -> String {
    let mut table = Table::new([
        ("source", Align::Left),
        ("connected", Align::Right),
        ("markets", Align::Right),
        ("all heard", Align::Right),
        ("missing", Align::Left),
        ("last problem", Align::Left),
    ]);
    for venue in checked {
        let heard = venue.markets.values().flatten();
        let missing: Vec<_> = venue
            .missing()
            .map(|pair| match venue.absent.get(&pair) {
                Some(why) => format!("{pair} ({why})"),
                None => pair.to_string(),
            })
            .collect();
        let last = heard.clone().max().filter(|_| missing.is_empty());
        let after = |span: Option<&Duration>| {
            span.map_or_else(|| words::NOTHING.to_owned(), |span| format!("{} ms", span.as_millis()))
        };
        table.row([
            venue.venue.to_string().into(),
            after(venue.connected_after.as_ref()).into(),
            format!("{}/{}", heard.count(), venue.markets.len()).into(),
            after(last).into(),
            missing.join(" ").into(),
            venue.problem.clone().unwrap_or_default().into(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{pair::Pair, venue::Venue};

    #[test]
    fn what_is_missing_is_named() {
        let millis = |millis| Some(Duration::from_millis(millis));
        let (btc, eth) = (Pair::literal("BTC", "USD"), Pair::literal("ETH", "USD"));
        let whole = Checked {
            venue: Venue::new("kraken"),
            connected_after: millis(120),
            markets: [(btc, millis(300)), (eth, millis(1_450))].into(),
            absent: [].into(),
            problem: None,
            blocked: false,
        };
        let part = Checked {
            venue: Venue::new("gate"),
            connected_after: millis(80),
            markets: [(btc, millis(95)), (eth, None)].into(),
            absent: [(eth, "not listed".to_owned())].into(),
            problem: Some("unknown currency pair".to_owned()),
            blocked: false,
        };
        let none = Checked {
            venue: Venue::new("bybit"),
            connected_after: None,
            markets: [(btc, None)].into(),
            absent: [].into(),
            problem: Some("the venue answered with status 403 Forbidden".to_owned()),
            blocked: true,
        };
        insta::assert_snapshot!(show(&[none, part, whole]), @r"
        source  connected  markets  all heard  missing               last problem
        bybit           -      0/1          -  BTC-USD               the venue answered with status 403 Forbidden
        gate        80 ms      1/2          -  ETH-USD (not listed)  unknown currency pair
        kraken     120 ms      2/2    1450 ms
        ");
    }
}
