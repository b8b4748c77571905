//! `cryptoprice price`: the prices of pairs, now or at a time in the past.

use std::time::SystemTime;

use super::{
    BarArgs, ClientArgs, Outcome,
    bar::Bar,
    client::{self, Client},
    console::Console,
    failure::{self, Failure},
    json::{Json, Layout},
    moment::Moment,
    table::{Align, Cell, Table},
    words,
};
use crate::client::v1 as api;

/// Pairs that the server takes in one batch.
const BATCH: usize = 100;

/// The arguments of `price`.
#[derive(Debug, clap::Args)]
pub struct PriceArgs {
    /// The pairs, such as BTC-USD
    #[arg(required = true, value_name = "PAIR")]
    pairs: Vec<String>,
    /// As they were at this time: 2026-11-27T12:00:00Z, 2026-11-27 (UTC), or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// As they were known at this later time
    #[arg(long, value_name = "TIME", requires = "at")]
    known_by: Option<Moment>,
    #[command(flatten)]
    bar: BarArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl PriceArgs {
    pub(super) async fn run(self, console: &mut Console<'_>) -> Result<Outcome, Failure> {
        let client = Client::connect(&self.client.server).await?;
        let bar = Bar::from(self.bar);
        let [at, known_by] =
            [self.at, self.known_by].map(|moment| moment.map(|moment| moment.timestamp(console.now())));
        let mut answer = api::BatchGetPricesResponse::default();
        for pairs in self.pairs.chunks(BATCH) {
            let request = api::BatchGetPricesRequest {
                pairs: pairs.to_vec(),
                max_age: bar.max_age,
                min_sources: bar.min_sources,
                max_dispersion_bps: bar.max_dispersion_bps.clone(),
                allow_derived: bar.allow_derived,
                times: at.into_iter().collect(),
                known_by,
            };
            let batch = client.answer(client.prices().batch_get_prices(client::timed(request)).await)?;
            answer.results.extend(batch.results);
        }
        if self.client.json {
            let layout = Layout::for_reader(console.is_terminal());
            console.print(&Json::new("cryptoprice.v1.BatchGetPricesResponse", layout)?.text(&answer)?)?;
        } else {
            let prices = answer.results.iter().filter_map(priced);
            // How old a price was, if it is asked for as it was.
            let now = self.at.map_or(console.now(), |at| at.time(console.now()).into());
            console.print(&show(prices, now))?;
        }
        Ok(complain_of_refused(&answer.results, console))
    }
}

fn priced(item: &api::PriceResult) -> Option<&api::Price> {
    match item.result.as_ref()? {
        api::price_result::Result::Price(price) => Some(price),
        api::price_result::Result::Error(_) => None,
    }
}

/// Lays prices out as a table; nothing if there are none.
fn show<'a>(prices: impl Iterator<Item = &'a api::Price>, now: SystemTime) -> String {
    let mut table = Table::new([
        ("pair", Align::Left),
        ("price", Align::Right),
        ("bid", Align::Right),
        ("ask", Align::Right),
        ("status", Align::Left),
        ("sources", Align::Right),
        ("dispersion bps", Align::Right),
        ("age", Align::Right),
        ("route", Align::Left),
    ]);
    for price in prices {
        table.row([
            price.pair.clone().into(),
            words::known(price.price.as_deref()).into(),
            words::known(price.bid.as_deref()).into(),
            words::known(price.ask.as_deref()).into(),
            words::status(price).into(),
            price.source_count.to_string().into(),
            words::bps(price.dispersion_bps.as_deref()).into(),
            words::age(price.observe_time.as_ref(), now).into(),
            Cell::from(price.route.join(" ")),
        ]);
    }
    if table.is_empty() { String::new() } else { table.to_string() }
}

fn complain_of_refused(items: &[api::PriceResult], console: &mut Console<'_>) -> Outcome {
    let mut outcome = Outcome::Complete;
    for item in items {
        let why = match &item.result {
            Some(api::price_result::Result::Price(price)) if price.price.is_some() => continue,
            Some(api::price_result::Result::Price(price)) => words::status(price),
            Some(api::price_result::Result::Error(status)) => failure::describe_item(status),
            None => "the server says nothing about it".to_owned(),
        };
        outcome = Outcome::Partial;
        console.complain(&format_args!("{}: {why}", words::one_line(&item.pair)));
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::price_result::Result::{Error, Price};
    use std::time::Duration;

    fn item(pair: &str, result: Option<api::price_result::Result>) -> api::PriceResult {
        api::PriceResult { pair: pair.to_owned(), result, time: None }
    }

    fn bitcoin() -> api::Price {
        api::Price {
            pair: "BTC-USD".to_owned(),
            price: Some("64000.5".to_owned()),
            bid: Some("64000".to_owned()),
            ask: Some("64001".to_owned()),
            dispersion_bps: Some("0.71".to_owned()),
            status: api::PriceStatus::Live.into(),
            source_count: 7,
            observe_time: Some(prost_types::Timestamp { seconds: 100, nanos: 0 }),
            origin: api::Origin::Live.into(),
            ..api::Price::default()
        }
    }

    #[test]
    fn prices_make_a_table() {
        let derived = api::Price {
            pair: "ETH-EUR".to_owned(),
            price: Some("1834.123456789012".to_owned()),
            bid: None,
            ask: None,
            status: api::PriceStatus::Degraded.into(),
            status_reason: api::PriceStatusReason::TooFewSources.into(),
            source_count: 1,
            route: vec!["ETH-USD".to_owned(), "EUR-USD".to_owned()],
            ..bitcoin()
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(100_400);
        insta::assert_snapshot!(show([&bitcoin(), &derived].into_iter(), now), @r"
        pair                 price    bid    ask  status                      sources  dispersion bps   age  route
        BTC-USD            64000.5  64000  64001  LIVE                              7            0.71  0.4s
        ETH-EUR  1834.123456789012      -      -  DEGRADED (too few sources)        1            0.71  0.4s  ETH-USD EUR-USD
        ");
        assert_eq!(show([].into_iter(), now), "");
    }

    #[test]
    fn what_has_no_price_is_told_apart() {
        let unavailable = api::Price {
            price: None,
            status: api::PriceStatus::Unavailable.into(),
            status_reason: api::PriceStatusReason::NoRoute.into(),
            ..bitcoin()
        };
        let refused = tonic_types::Status {
            code: tonic::Code::NotFound.into(),
            message: "no venue lists it".to_owned(),
            details: Vec::new(),
        };
        for (result, outcome, line) in [
            (Some(Price(bitcoin())), Outcome::Complete, ""),
            (Some(Price(unavailable)), Outcome::Partial, "cryptoprice: BTC-USD: UNAVAILABLE (no route)\n"),
            (Some(Error(refused)), Outcome::Partial, "cryptoprice: BTC-USD: NotFound: no venue lists it\n"),
            (None, Outcome::Partial, "cryptoprice: BTC-USD: the server says nothing about it\n"),
        ] {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut console = Console::of(&mut out, &mut err, || SystemTime::UNIX_EPOCH);
            let items = [item("BTC-USD", result)];
            assert_eq!(complain_of_refused(&items, &mut console), outcome, "{line}");
            assert_eq!(String::from_utf8(err).unwrap(), line);
        }
    }
}
