//! `cryptoprice explain`: why a price is what it is, venue by venue.

use std::time::SystemTime;

use super::{
    BarArgs, ClientArgs, Outcome,
    bar::Bar,
    client::{self, Client},
    console::Console,
    failure::{self, Failure},
    json::{Json, Layout},
    table::{Align, Table},
    words,
};
use crate::client::v1 as api;

/// The arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The pair, such as ETH-EUR
    pair: String,
    #[command(flatten)]
    bar: BarArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl ExplainArgs {
    pub(super) async fn run(self, console: &mut Console<'_>) -> Result<Outcome, Failure> {
        let client = Client::connect(&self.client.server).await?;
        let bar = Bar::from(self.bar);
        let request = api::ExplainPriceRequest {
            pair: self.pair,
            max_age: bar.max_age,
            min_sources: bar.min_sources,
            max_dispersion_bps: bar.max_dispersion_bps,
            allow_derived: bar.allow_derived,
        };
        let answer = client.answer(client.prices().explain_price(client::timed(request)).await)?;
        if self.client.json {
            let layout = Layout::for_reader(console.is_terminal());
            console.print(&Json::new("cryptoprice.v1.ExplainPriceResponse", layout)?.text(&answer)?)?;
        } else {
            let price = client.part(answer.price.as_ref(), "price")?;
            console.print(&show(price, &answer.legs, console.now()))?;
        }
        Ok(answer.error.map_or(Outcome::Complete, |status| {
            console.complain(&failure::describe_item(&status));
            Outcome::Partial
        }))
    }
}

/// Shows the price, the steps to it, and for each step what the venues said.
fn show(price: &api::Price, legs: &[api::PriceLeg], now: SystemTime) -> String {
    let mut text = summary(price, now);
    if !price.route.is_empty() {
        let steps: Vec<_> = legs.iter().map(step).collect();
        text += "through ";
        text += &steps.join(", then ");
        text.push('\n');
    }
    for leg in legs {
        text.push('\n');
        // The only leg of a direct price is that price again.
        if let Some(price) = leg.price.as_ref().filter(|leg| leg.pair != price.pair) {
            text += &summary(price, now);
        }
        let contributions = contributions(&leg.contributions);
        if contributions.is_empty() {
            text += "no venue has quoted it\n";
        } else {
            text += &contributions.to_string();
        }
    }
    text
}

fn summary(price: &api::Price, now: SystemTime) -> String {
    let known = |decimal: &Option<String>| words::known(decimal.as_deref());
    format!(
        "{}  {}  {}\nbid {}, ask {}, dispersion {} bps, sources {}, age {}\n",
        words::one_line(&price.pair),
        known(&price.price),
        words::status(price),
        known(&price.bid),
        known(&price.ask),
        words::bps(price.dispersion_bps.as_deref()),
        price.source_count,
        words::age(price.observe_time.as_ref(), now),
    )
}

/// Names a step of a route.
fn step(leg: &api::PriceLeg) -> String {
    let pair = leg.price.as_ref().map_or(words::NOTHING, |price| price.pair.as_str());
    let pair = words::one_line(pair);
    if leg.inverted { format!("the inverse of {pair}") } else { pair }
}

fn contributions(contributions: &[api::Contribution]) -> Table<10> {
    let mut table = Table::new([
        ("source", Align::Left),
        ("market", Align::Left),
        ("bid", Align::Right),
        ("ask", Align::Right),
        ("peg", Align::Right),
        ("reading", Align::Right),
        ("weight %", Align::Right),
        ("deviation bps", Align::Right),
        ("age", Align::Right),
        ("verdict", Align::Left),
    ]);
    for contribution in contributions {
        let age = contribution.age.and_then(|age| age.try_into().ok());
        table.row([
            contribution.source.clone().into(),
            contribution.market.clone().into(),
            words::known(contribution.bid.as_deref()).into(),
            words::known(contribution.ask.as_deref()).into(),
            contribution.peg_rate.clone().unwrap_or_default().into(),
            words::known(contribution.reading.as_deref()).into(),
            words::percent(&contribution.weight).into(),
            words::bps(contribution.deviation_bps.as_deref()).into(),
            age.map_or_else(|| words::NOTHING.to_owned(), words::span).into(),
            verdict(contribution).into(),
        ]);
    }
    table
}

/// Says what became of a quote.
fn verdict(contribution: &api::Contribution) -> String {
    let verdict = words::lower(contribution.verdict().as_str_name(), "QUOTE_VERDICT_");
    match contribution.basis() {
        api::QuoteBasis::LastTrade => format!("{verdict} (last trade)"),
        api::QuoteBasis::Mid | api::QuoteBasis::Unspecified => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn price(pair: &str, number: &str, route: &[&str]) -> api::Price {
        api::Price {
            pair: pair.to_owned(),
            price: Some(number.to_owned()),
            dispersion_bps: Some("1.23456".to_owned()),
            status: api::PriceStatus::Live.into(),
            source_count: 2,
            observe_time: Some(prost_types::Timestamp { seconds: 100, nanos: 0 }),
            route: route.iter().map(|&pair| pair.to_owned()).collect(),
            origin: api::Origin::Live.into(),
            ..api::Price::default()
        }
    }

    fn used(source: &str, market: &str, reading: &str) -> api::Contribution {
        api::Contribution {
            source: source.to_owned(),
            owner: source.to_owned(),
            market: market.to_owned(),
            bid: Some("1999.9".to_owned()),
            ask: Some("2000.1".to_owned()),
            reading: Some(reading.to_owned()),
            basis: api::QuoteBasis::Mid.into(),
            weight: "0.6".to_owned(),
            deviation_bps: Some("0".to_owned()),
            verdict: api::QuoteVerdict::Used.into(),
            age: Some(prost_types::Duration { seconds: 0, nanos: 250_000_000 }),
            ..api::Contribution::default()
        }
    }

    #[test]
    fn a_derived_price_shows_every_leg() {
        let pegged = api::Contribution {
            peg: "USDT-USD".to_owned(),
            peg_rate: Some("0.9998".to_owned()),
            basis: api::QuoteBasis::LastTrade.into(),
            weight: "0.4".to_owned(),
            ..used("binance", "ETH-USDT", "1999.6")
        };
        let rejected = api::Contribution {
            source: "bitstamp".to_owned(),
            market: "ETH-USD".to_owned(),
            weight: "0".to_owned(),
            verdict: api::QuoteVerdict::OneSided.into(),
            ..api::Contribution::default()
        };
        let legs = [
            api::PriceLeg {
                price: Some(price("ETH-USD", "2000", &[])),
                inverted: false,
                contributions: vec![used("kraken", "ETH-USD", "2000"), pegged, rejected],
            },
            api::PriceLeg {
                price: Some(price("EUR-USD", "1.25", &[])),
                inverted: true,
                contributions: Vec::new(),
            },
        ];
        let price = price("ETH-EUR", "1600", &["ETH-USD", "EUR-USD"]);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(103);
        insta::assert_snapshot!(show(&price, &legs, now), @r"
        ETH-EUR  1600  LIVE
        bid -, ask -, dispersion 1.23 bps, sources 2, age 3.0s
        through ETH-USD, then the inverse of EUR-USD

        ETH-USD  2000  LIVE
        bid -, ask -, dispersion 1.23 bps, sources 2, age 3.0s
        source    market       bid     ask     peg  reading  weight %  deviation bps   age  verdict
        kraken    ETH-USD   1999.9  2000.1             2000      60.0           0.00  0.2s  used
        binance   ETH-USDT  1999.9  2000.1  0.9998   1999.6      40.0           0.00  0.2s  used (last trade)
        bitstamp  ETH-USD        -       -                -       0.0              -     -  one sided

        EUR-USD  1.25  LIVE
        bid -, ask -, dispersion 1.23 bps, sources 2, age 3.0s
        no venue has quoted it
        ");
    }

    #[test]
    fn a_direct_price_is_said_once() {
        let legs = [api::PriceLeg {
            price: Some(price("ETH-USD", "2000", &[])),
            inverted: false,
            contributions: vec![used("kraken", "ETH-USD", "2000")],
        }];
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(103);
        insta::assert_snapshot!(show(&price("ETH-USD", "2000", &[]), &legs, now), @r"
        ETH-USD  2000  LIVE
        bid -, ask -, dispersion 1.23 bps, sources 2, age 3.0s

        source  market      bid     ask  reading  weight %  deviation bps   age  verdict
        kraken  ETH-USD  1999.9  2000.1     2000      60.0           0.00  0.2s  used
        ");
    }
}
