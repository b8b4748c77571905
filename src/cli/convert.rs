//! `cryptoprice convert`: what an amount of one asset is worth in another.

use std::time::SystemTime;

use super::{
    BarArgs, ClientArgs, Outcome,
    bar::Bar,
    client::{self, Client},
    console::Console,
    failure::Failure,
    json::{Json, Layout},
    words,
};
use crate::client::v1 as api;

/// The arguments of `convert`.
#[derive(Debug, clap::Args)]
pub struct ConvertArgs {
    /// The amount, a decimal
    #[arg(allow_negative_numbers = true)]
    amount: String,
    /// The asset that the amount is of, such as BTC
    from: String,
    /// The asset to express it in, such as EUR
    to: String,
    #[command(flatten)]
    bar: BarArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl ConvertArgs {
    pub(super) async fn run(self, console: &mut Console<'_>) -> Result<Outcome, Failure> {
        let client = Client::connect(&self.client.server).await?;
        let bar = Bar::from(self.bar);
        let request = api::ConvertAmountRequest {
            amount: self.amount.clone(),
            from: self.from,
            to: self.to,
            max_age: bar.max_age,
            min_sources: bar.min_sources,
            max_dispersion_bps: bar.max_dispersion_bps,
            allow_derived: bar.allow_derived,
        };
        let answer = client.answer(client.prices().convert_amount(client::timed(request)).await)?;
        if self.client.json {
            let layout = Layout::for_reader(console.is_terminal());
            console.print(&Json::new("cryptoprice.v1.ConvertAmountResponse", layout)?.text(&answer)?)?;
        } else {
            let price = client.part(answer.price.as_ref(), "price")?;
            console.print(&show(&self.amount, &answer.amount, price, console.now()))?;
        }
        Ok(Outcome::Complete)
    }
}

/// Shows both amounts, and the price between them.
fn show(given: &str, converted: &str, price: &api::Price, now: SystemTime) -> String {
    // The pair of the price spells the assets as the server knows them.
    let (from, to) = price.pair.split_once('-').unwrap_or((&price.pair, ""));
    let mut at = format!(
        "{} = {}, {}, sources {}, age {}",
        price.pair,
        words::known(price.price.as_deref()),
        words::status(price),
        price.source_count,
        words::age(price.observe_time.as_ref(), now),
    );
    if !price.route.is_empty() {
        at += ", through ";
        at += &price.route.join(" ");
    }
    let amounts = format!("{given} {from} = {converted} {to}");
    format!("{}\n{}\n", words::one_line(&amounts), words::one_line(&at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_price_stands_beside_the_amounts() {
        let price = api::Price {
            pair: "BTC-EUR".to_owned(),
            price: Some("51200".to_owned()),
            status: api::PriceStatus::Live.into(),
            source_count: 3,
            observe_time: Some(prost_types::Timestamp { seconds: 100, nanos: 0 }),
            route: vec!["BTC-USD".to_owned(), "EUR-USD".to_owned()],
            origin: api::Origin::Replay.into(),
            ..api::Price::default()
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(100_500);
        insta::assert_snapshot!(show("1.5", "76800", &price, now), @r"
        1.5 BTC = 76800 EUR
        BTC-EUR = 51200, LIVE (replay), sources 3, age 0.5s, through BTC-USD EUR-USD
        ");
    }
}
