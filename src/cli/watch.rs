//! `cryptoprice watch`: prices as they change.
//!
//! [`follow`] keeps the stream going; what it brings is drawn in place on a terminal ([`screen`]), and is a line per
//! update or per message elsewhere.

use futures::StreamExt;

use super::{
    BarArgs, ClientArgs, Outcome,
    bar::Bar,
    console::Console,
    failure::Failure,
    json::{Json, Layout},
    words,
};
use crate::client::v1 as api;

mod follow;
mod latest;
mod screen;

use self::{
    follow::{Event, follow},
    screen::Screen,
};

/// The arguments of `watch`.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    /// The pairs, such as BTC-USD; all that the server keeps if none is named
    #[arg(value_name = "PAIR")]
    pairs: Vec<String>,
    #[command(flatten)]
    bar: BarArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl WatchArgs {
    pub(super) async fn run(self, console: &mut Console<'_>) -> Result<Outcome, Failure> {
        let bar = Bar::from(self.bar);
        let request = api::StreamPricesRequest {
            pairs: self.pairs,
            max_age: bar.max_age,
            min_sources: bar.min_sources,
            max_dispersion_bps: bar.max_dispersion_bps,
            allow_derived: bar.allow_derived,
            ..Default::default()
        };
        let json = self.client.json;
        let mut events = std::pin::pin!(follow(self.client.server, request));
        // Nothing is drawn before the server has answered: a refusal is one plain line.
        let Some(first) = events.next().await.transpose()? else {
            return Ok(Outcome::Complete);
        };
        let mut events = futures::stream::iter([Ok(first)]).chain(events);
        if json {
            let json = Json::new("cryptoprice.v1.StreamPricesResponse", Layout::Line)?;
            print(&mut events, console, |message| json.text(message)).await
        } else if console.is_terminal() && Screen::is_possible() {
            screen::watch(events, console).await
        } else {
            print(&mut events, console, |message| Ok(lines(message))).await
        }
    }
}

/// Prints each message as `text` writes it, until the server refuses or the reader goes away.
async fn print(
    events: &mut (impl futures::Stream<Item = Result<Event, Failure>> + Unpin),
    console: &mut Console<'_>,
    text: impl Fn(&api::StreamPricesResponse) -> Result<String, Failure>,
) -> Result<Outcome, Failure> {
    while let Some(event) = events.next().await {
        match event? {
            Event::Message(message) => console.print(&text(&message)?)?,
            Event::Cut(note) => console.complain(&note),
        }
    }
    Ok(Outcome::Complete)
}

/// One line per price: pair, price, status, sources, observe time.
fn lines(message: &api::StreamPricesResponse) -> String {
    let line = |price: &api::Price| {
        let observed = price.observe_time.map_or_else(|| words::NOTHING.to_owned(), |time| time.to_string());
        let status = words::short(price.status().as_str_name(), "PRICE_STATUS_");
        let number = words::known(price.price.as_deref());
        format!("{} {number} {status} {} {observed}\n", price.pair, price.source_count)
    };
    message.prices.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_a_line_of_five_words() {
        let live = api::Price {
            pair: "BTC-USD".to_owned(),
            price: Some("64000.5".to_owned()),
            status: api::PriceStatus::Live.into(),
            source_count: 7,
            observe_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 120_000_000 }),
            ..api::Price::default()
        };
        let unavailable = api::Price {
            pair: "ETH-USD".to_owned(),
            status: api::PriceStatus::Unavailable.into(),
            ..api::Price::default()
        };
        let message = api::StreamPricesResponse {
            kind: api::StreamPricesKind::Update.into(),
            prices: vec![live, unavailable],
            ..api::StreamPricesResponse::default()
        };
        insta::assert_snapshot!(lines(&message), @r"
        BTC-USD 64000.5 LIVE 7 2023-11-14T22:13:20.120Z
        ETH-USD - UNAVAILABLE 0 -
        ");
        assert_eq!(lines(&api::StreamPricesResponse::default()), "");
    }
}
