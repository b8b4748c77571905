//! `cryptoprice sources`: the state of the venues that prices come from.

mod check;

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use prost_types::{DurationError, Timestamp};

use super::{
    ClientArgs, Outcome,
    client::{self, Client},
    console::Console,
    failure::Failure,
    json::{Json, Layout},
    table::{Align, Table},
    words,
};
use crate::client::v1 as api;

const PAGE_SIZE: i32 = 1_000;

/// The arguments of `sources`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SourcesArgs {
    #[command(subcommand)]
    command: Option<SourcesCommand>,
    /// The source to show in full, such as kraken; all of them in short if none is named
    #[arg(value_name = "NAME")]
    source: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// What can be done with sources beside showing them.
#[derive(Debug, clap::Subcommand)]
enum SourcesCommand {
    /// Connects to every configured venue, without a server, and waits for the first data of each market
    Check(check::CheckArgs),
}

impl SourcesArgs {
    /// Shows what a server says of its sources, or checks the venues of the configuration.
    pub(super) async fn run(mut self, console: &mut Console<'_>) -> ExitCode {
        match self.command.take() {
            Some(SourcesCommand::Check(arguments)) => arguments.run(console).await,
            None => super::finish(self.show(console).await, console),
        }
    }

    async fn show(self, console: &mut Console<'_>) -> Result<Outcome, Failure> {
        let client = Client::connect(&self.client.server).await?;
        let layout = Layout::for_reader(console.is_terminal());
        let json = self.client.json;
        let text = if let Some(source) = self.source {
            let request = client::timed(api::GetSourceRequest { source });
            let answer = client.answer(client.sources().get_source(request).await)?;
            if json {
                Json::new("cryptoprice.v1.GetSourceResponse", layout)?.text(&answer)?
            } else {
                show_one(&client.part(answer.source, "source")?, console.now())
            }
        } else {
            let answer = list(&client).await?;
            if json {
                Json::new("cryptoprice.v1.ListSourcesResponse", layout)?.text(&answer)?
            } else {
                show_all(&answer.sources, console.now())
            }
        };
        console.print(&text)?;
        Ok(Outcome::Complete)
    }
}

/// Asks for page after page, and puts them together as one.
async fn list(client: &Client) -> Result<api::ListSourcesResponse, Failure> {
    let mut all = api::ListSourcesResponse::default();
    loop {
        let request = client::timed(api::ListSourcesRequest {
            page_size: PAGE_SIZE,
            page_token: std::mem::take(&mut all.next_page_token),
        });
        let page = client.answer(client.sources().list_sources(request).await)?;
        all.sources.extend(page.sources);
        all.next_page_token = page.next_page_token;
        if all.next_page_token.is_empty() {
            return Ok(all);
        }
    }
}

fn show_all(sources: &[api::Source], now: SystemTime) -> String {
    let mut table = Table::new([
        ("source", Align::Left),
        ("state", Align::Left),
        ("for", Align::Right),
        ("markets", Align::Right),
        ("frames/s", Align::Right),
        ("lag p50", Align::Right),
        ("lag p99", Align::Right),
        ("bps p50", Align::Right),
        ("bps p99", Align::Right),
        ("frozen", Align::Right),
        ("polled", Align::Right),
        ("absent", Align::Right),
        ("malformed", Align::Right),
        ("reconnects", Align::Right),
        ("gaps", Align::Right),
        ("last received", Align::Right),
        ("reason or last error", Align::Left),
    ]);
    for source in sources {
        table.row([
            source.source.clone().into(),
            state(source).into(),
            words::age(source.state_time.as_ref(), now).into(),
            source.markets.len().to_string().into(),
            format!("{:.1}", source.frame_rate).into(),
            lag(source.lag_p50).into(),
            lag(source.lag_p99).into(),
            deviation(source.deviation_p50_bps.as_deref()).into(),
            deviation(source.deviation_p99_bps.as_deref()).into(),
            source.frozen_market_count.to_string().into(),
            source.polled_market_count.to_string().into(),
            source.absent_markets.len().to_string().into(),
            source.malformed_count.to_string().into(),
            source.reconnect_count.to_string().into(),
            source.gap_count.to_string().into(),
            words::age(source.last_receive_time.as_ref(), now).into(),
            // Why it is as it is says more than what went wrong last.
            [&source.state_reason, &source.last_error]
                .into_iter()
                .find(|words| !words.is_empty())
                .cloned()
                .unwrap_or_default()
                .into(),
        ]);
    }
    if table.is_empty() { "the server has no sources\n".to_owned() } else { table.to_string() }
}

fn show_one(source: &api::Source, now: SystemTime) -> String {
    let ago = |time: Option<&Timestamp>| match words::age(time, now) {
        age if age == words::NOTHING => String::new(),
        age => format!("{age} ago"),
    };
    let lines = [
        ("source", source.source.clone()),
        ("owner", source.owner.clone()),
        ("formats from", source.evidence.clone()),
        ("state", format!("{} for {}", state(source), words::age(source.state_time.as_ref(), now))),
        ("state reason", source.state_reason.clone()),
        ("connections", format!("{} of {}", source.connection_count, source.wanted_connection_count)),
        ("tried again in", ahead(source.retry_time.as_ref(), now)),
        ("left alone for", ahead(source.penalty_end_time.as_ref(), now)),
        ("markets", source.markets.join(" ")),
        ("polled", polled(source)),
        ("absent", absent(source)),
        ("frames", format!("{} ({:.1} a second)", source.frame_count, source.frame_rate)),
        ("tickers", source.ticker_count.to_string()),
        ("trades", source.trade_count.to_string()),
        ("snapshot trades", source.snapshot_trade_count.to_string()),
        ("duplicates", source.duplicate_count.to_string()),
        ("out of order", source.out_of_order_count.to_string()),
        ("malformed", malformed(source)),
        ("reconnects", source.reconnect_count.to_string()),
        ("gaps", source.gap_count.to_string()),
        ("clock ahead by", source.clock_offset.map(|offset| lag(Some(offset))).unwrap_or_default()),
        ("lag", lag(source.lag)),
        ("lag p50, p99", both(&lag(source.lag_p50), &lag(source.lag_p99))),
        (
            "bps p50, p99",
            both(
                &deviation(source.deviation_p50_bps.as_deref()),
                &deviation(source.deviation_p99_bps.as_deref()),
            ),
        ),
        ("frozen", frozen(source, now)),
        ("last received", ago(source.last_receive_time.as_ref())),
        ("last error", source.last_error.clone()),
        ("last error time", ago(source.last_error_time.as_ref())),
    ];
    let lines = lines.iter().filter(|(_, value)| !value.is_empty());
    lines
        .map(|(name, value)| format!("{name:<15}  {}\n", words::one_line(value)))
        .collect::<Vec<_>>()
        .concat()
}

/// Says how a source does, and where its data comes from if that is not the venue.
fn state(source: &api::Source) -> String {
    let state = words::short(source.state().as_str_name(), "SOURCE_STATE_");
    words::origin(source.origin()).map_or_else(|| state.to_owned(), |origin| format!("{state} ({origin})"))
}

/// Shows the lag to the millisecond; venues whose clocks are ahead have a negative one.
fn lag(lag: Option<prost_types::Duration>) -> String {
    let Some(lag) = lag else {
        return words::NOTHING.to_owned();
    };
    let (sign, lag) = match Duration::try_from(lag) {
        Ok(lag) => ("", lag),
        Err(DurationError::NegativeDuration(lag)) => ("-", lag),
        Err(_) => return words::NOTHING.to_owned(),
    };
    format!("{sign}{}ms", lag.as_millis())
}

/// Says how long it is until some time; nothing if it has come.
fn ahead(time: Option<&Timestamp>, now: SystemTime) -> String {
    let time = time.and_then(|time| SystemTime::try_from(*time).ok());
    let left = time.and_then(|time| time.duration_since(now).ok());
    left.map(|left| format!("{:.1}s", left.as_secs_f64())).unwrap_or_default()
}

/// Says how many markets are asked for over REST.
fn polled(source: &api::Source) -> String {
    match source.polled_market_count {
        0 => String::new(),
        markets => format!("{markets} of its markets, over REST"),
    }
}

/// Lists the markets that cannot be listened to, and why.
fn absent(source: &api::Source) -> String {
    let absent = source.absent_markets.iter().map(|absent| format!("{} ({})", absent.market, absent.reason));
    absent.collect::<Vec<_>>().join(", ")
}

/// Shows how far a source is from the others, in basis points.
fn deviation(bps: Option<&str>) -> String {
    bps.unwrap_or(words::NOTHING).to_owned()
}

/// Shows two quantiles, if there are any.
fn both(p50: &str, p99: &str) -> String {
    if p50 == words::NOTHING { String::new() } else { format!("{p50}, {p99}") }
}

/// Says how many markets do not move, and since when.
fn frozen(source: &api::Source, now: SystemTime) -> String {
    match source.frozen_market_count {
        0 => String::new(),
        markets => format!("{markets} of its markets, for {}", words::age(source.frozen_time.as_ref(), now)),
    }
}

/// Says how many frames were not understood, and why.
fn malformed(source: &api::Source) -> String {
    let mut kinds: Vec<_> = source.malformed_counts.iter().collect();
    kinds.sort_unstable();
    let kinds: Vec<_> = kinds.into_iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    match source.malformed_count {
        0 => "0".to_owned(),
        all => format!("{all} ({})", kinds.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn kraken() -> api::Source {
        api::Source {
            source: "kraken".to_owned(),
            owner: "payward".to_owned(),
            state: api::SourceState::Live.into(),
            state_time: Some(Timestamp { seconds: 0, nanos: 0 }),
            markets: vec!["BTC-USD".to_owned(), "ETH-USD".to_owned()],
            ticker_count: 1_204,
            trade_count: 88,
            frame_count: 1_300,
            frame_rate: 21.66,
            lag_p50: Some(prost_types::Duration { seconds: 0, nanos: 8_000_000 }),
            lag_p99: Some(prost_types::Duration { seconds: 1, nanos: 250_000_000 }),
            deviation_p50_bps: Some("0.5".to_owned()),
            deviation_p99_bps: Some("3.25".to_owned()),
            frozen_market_count: 1,
            frozen_time: Some(Timestamp { seconds: 0, nanos: 0 }),
            malformed_count: 3,
            malformed_counts: [("json".to_owned(), 2), ("value".to_owned(), 1)].into(),
            lag: Some(prost_types::Duration { seconds: 0, nanos: -12_000_000 }),
            last_receive_time: Some(Timestamp { seconds: 0, nanos: 0 }),
            origin: api::Origin::Live.into(),
            state_reason: "1 of 2 connections stand: cut; 1 markets over REST".to_owned(),
            connection_count: 1,
            wanted_connection_count: 2,
            retry_time: Some(Timestamp { seconds: 2, nanos: 500_000_000 }),
            penalty_end_time: Some(Timestamp { seconds: 90, nanos: 0 }),
            gap_count: 4,
            clock_offset: Some(prost_types::Duration { seconds: -60, nanos: -250_000_000 }),
            polled_market_count: 1,
            absent_markets: vec![
                api::AbsentMarket { market: "ABC-USD".to_owned(), reason: "not listed".to_owned() },
                api::AbsentMarket {
                    market: "XYZ-USD".to_owned(),
                    reason: "refused: no such pair".to_owned(),
                },
            ],
            ..api::Source::default()
        }
    }

    #[test]
    fn all_sources_make_a_table() {
        let binance = api::Source {
            source: "binance".to_owned(),
            owner: "binance".to_owned(),
            state: api::SourceState::Connecting.into(),
            reconnect_count: 3,
            last_error: "connection reset".to_owned(),
            origin: api::Origin::Simulated.into(),
            ..api::Source::default()
        };
        insta::assert_snapshot!(show_all(&[binance, kraken()], NOW), @r"
        source   state                    for  markets  frames/s  lag p50  lag p99  bps p50  bps p99  frozen  polled  absent  malformed  reconnects  gaps  last received  reason or last error
        binance  CONNECTING (simulated)     -        0       0.0        -        -        -        -       0       0       0          0           3     0              -  connection reset
        kraken   LIVE                    0.0s        2      21.7      8ms   1250ms      0.5     3.25       1       1       2          3           0     4           0.0s  1 of 2 connections stand: cut; 1 markets over REST
        ");
        assert_eq!(show_all(&[], NOW), "the server has no sources\n");
    }

    #[test]
    fn one_source_is_shown_in_full() {
        insta::assert_snapshot!(show_one(&kraken(), NOW), @r"
        source           kraken
        owner            payward
        state            LIVE for 0.0s
        state reason     1 of 2 connections stand: cut; 1 markets over REST
        connections      1 of 2
        tried again in   2.5s
        left alone for   90.0s
        markets          BTC-USD ETH-USD
        polled           1 of its markets, over REST
        absent           ABC-USD (not listed), XYZ-USD (refused: no such pair)
        frames           1300 (21.7 a second)
        tickers          1204
        trades           88
        snapshot trades  0
        duplicates       0
        out of order     0
        malformed        3 (json 2, value 1)
        reconnects       0
        gaps             4
        clock ahead by   -60250ms
        lag              -12ms
        lag p50, p99     8ms, 1250ms
        bps p50, p99     0.5, 3.25
        frozen           1 of its markets, for 0.0s
        last received    0.0s ago
        ");
    }
}
