//! `cryptoprice candles` and `cryptoprice export`: candles as a table, CSV, JSON or a chart; a page, or any range.

mod chart;
mod rows;

use prost_types::Timestamp;

use super::{
    Outcome,
    client::{self, Address, Client},
    console::Console,
    failure::Failure,
    json::{Json, Layout},
    moment::Moment,
};
use crate::client::v1 as api;

/// Candles of a page at most.
const PAGE: i32 = 1_000;

/// Which candles.
#[derive(Debug, clap::Args)]
struct Which {
    /// The pair, such as BTC-USD
    #[arg(value_name = "PAIR")]
    pair: String,
    /// How long a candle is: 1s, 1m, 5m, 15m, 1h, 4h, 1d or 1w
    #[arg(long, default_value = "1m")]
    interval: String,
    /// Those of one source, such as kraken; all together if none is named
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The end of the time in which they open, exclusively: a time, a day, or how long ago; now if there is none
    #[arg(long, value_name = "TIME")]
    to: Option<Moment>,
    /// What is shown where nothing was traded or nothing is known
    #[arg(long, value_enum, default_value_t = Fill::None)]
    fill: Fill,
    /// As they were known at this time
    #[arg(long, value_name = "TIME")]
    known_by: Option<Moment>,
    /// The server to ask
    #[arg(long, value_name = "URL", env = "CRYPTOPRICE_SERVER", default_value = "http://127.0.0.1:8080")]
    server: Address,
}

/// What is shown where there is nothing.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Fill {
    /// Nothing but what is known
    None,
    /// The last price before
    Previous,
    /// A candle without prices
    Null,
}

/// How candles are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
    Chart,
}

/// How candles are written in bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Bulk {
    Csv,
    Ndjson,
}

/// The arguments of `candles`.
#[derive(Debug, clap::Args)]
pub struct CandlesArgs {
    #[command(flatten)]
    which: Which,
    /// The time from which on they open: 2026-11-27T12:00:00Z, 2026-11-27 (UTC), or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    from: Option<Moment>,
    /// How many at most: the first from `--from` on, the last without it
    #[arg(long, value_name = "NUMBER", default_value_t = 30, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    limit: i32,
    /// How they are shown
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// The arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    #[command(flatten)]
    which: Which,
    /// The time from which on they open: 2026-11-27T12:00:00Z, 2026-11-27 (UTC), or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    from: Moment,
    /// How they are written
    #[arg(long, value_enum, default_value_t = Bulk::Csv)]
    format: Bulk,
}

impl Which {
    /// Asks for a page of the candles that open from a time on, or of the last ones.
    fn request(&self, from: Option<Timestamp>, console: &Console<'_>) -> api::ListCandlesRequest {
        let time = |moment: Option<Moment>| moment.map(|moment| moment.timestamp(console.now()));
        api::ListCandlesRequest {
            pair: self.pair.clone(),
            interval: self.interval.clone(),
            source: self.source.clone().unwrap_or_default(),
            start_time: from,
            end_time: time(self.to),
            fill: match self.fill {
                Fill::None => api::CandleFill::None,
                Fill::Previous => api::CandleFill::Previous,
                Fill::Null => api::CandleFill::Null,
            }
            .into(),
            known_by: time(self.known_by),
            ..api::ListCandlesRequest::default()
        }
    }
}

impl CandlesArgs {
    pub(super) async fn run(self, console: &mut Console<'_>) -> Result<Outcome, Failure> {
        let client = Client::connect(&self.which.server).await?;
        let from = self.from.map(|from| from.timestamp(console.now()));
        let mut request = self.which.request(from, console);
        request.page_size = self.limit;
        let last = from.is_none();
        if last {
            "open_time desc".clone_into(&mut request.order_by);
        }
        let mut answer = client.answer(client.candles().list_candles(client::timed(request)).await)?;
        if last {
            answer.candles.reverse();
        }
        let text = match self.format {
            Format::Table => rows::table(&answer.candles),
            Format::Csv => rows::csv(&answer.candles, true),
            Format::Json => {
                let layout = Layout::for_reader(console.is_terminal());
                Json::new("cryptoprice.v1.ListCandlesResponse", layout)?.text(&answer)?
            }
            Format::Chart => chart::draw(&answer.candles, console.is_terminal()),
        };
        console.print(&text)?;
        Ok(Outcome::Complete)
    }
}

impl ExportArgs {
    pub(super) async fn run(self, console: &mut Console<'_>) -> Result<Outcome, Failure> {
        let client = Client::connect(&self.which.server).await?;
        let json = Json::new("cryptoprice.v1.Candle", Layout::Line)?;
        let mut request = self.which.request(Some(self.from.timestamp(console.now())), console);
        // Else each page would have another end, and with it another list.
        request.end_time.get_or_insert_with(|| Timestamp::from(console.now()));
        request.page_size = PAGE;
        let mut first = true;
        loop {
            let page = client.answer(client.candles().list_candles(client::timed(request.clone())).await)?;
            match self.format {
                Bulk::Csv => console.print(&rows::csv(&page.candles, first))?,
                Bulk::Ndjson => {
                    let mut lines = String::new();
                    for candle in &page.candles {
                        lines.push_str(&json.text(candle)?);
                    }
                    console.print(&lines)?;
                }
            }
            first = false;
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return Ok(Outcome::Complete);
            }
        }
    }
}
