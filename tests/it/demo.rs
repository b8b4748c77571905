//! The simulated market: served through the real venue protocols, held against its true prices while venues have
//! trouble.

use std::time::Duration;

use cryptoprice::client::v1::{GetPriceRequest, ListPricesRequest, ListSourcesRequest, Origin, PriceStatus};
use rust_decimal::Decimal;

use crate::harness::{Running, eventually};

/// How far the served price may be from the true one.
const WITHIN_BPS: i64 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn the_served_price_stays_near_the_true_one_while_venues_have_trouble() {
    let (running, truth) = Running::demo_with_truth(true).await;
    let mut prices = running.prices().await;
    let mut live = async || {
        let listed = prices.list_prices(ListPricesRequest { page_size: 1_000, ..Default::default() }).await;
        listed.unwrap().into_inner().prices
    };
    let enough = async || {
        let listed = live().await;
        let fresh = listed.iter().filter(|price| price.status() == PriceStatus::Live).count();
        (fresh >= 24).then_some(())
    };
    let mut enough = enough;
    eventually("24 pairs are LIVE", async || enough().await).await;

    let mut prices = running.prices().await;
    let mut worst = (Decimal::ZERO, String::new());
    let mut compared = 0;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let request = ListPricesRequest { page_size: 1_000, ..Default::default() };
        for price in prices.list_prices(request).await.unwrap().into_inner().prices {
            assert_eq!(price.origin(), Origin::Simulated);
            let (Some(served), PriceStatus::Live) = (&price.price, price.status()) else { continue };
            let served: Decimal = served.parse().unwrap();
            let Some(truth) = truth.of(price.pair.parse().unwrap()) else { continue };
            let distance = ((served - truth) / truth).abs() * Decimal::from(10_000);
            compared += 1;
            if distance > worst.0 {
                worst = (distance, format!("{}: served {served}, true {truth}", price.pair));
            }
        }
    }
    assert!(compared > 2_000, "{compared} prices were compared");
    assert!(worst.0 <= Decimal::from(WITHIN_BPS), "{} bps off: {}", worst.0.round_dp(2), worst.1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crosses_pegs_and_explanations_have_something_to_do() {
    let running = Running::demo(false).await;
    let mut prices = running.prices().await;
    let request = || GetPriceRequest { pair: "ETH-EUR".into(), ..Default::default() };
    let cross = eventually("ETH-EUR is LIVE", async || {
        let price = prices.get_price(request()).await.ok()?.into_inner().price?;
        (price.status() == PriceStatus::Live).then_some(price)
    })
    .await;
    assert_eq!(cross.route.len(), 2, "{cross:?}");
    let explained = eventually("BTC-USD is also priced through a peg", async || {
        let (_, explained) = running.get("/v1/prices/BTC-USD:explain").await;
        let contributions = explained["legs"][0]["contributions"].as_array()?.clone();
        let pegged =
            contributions.iter().any(|c| c["peg"] == "USDT-USD" && c["verdict"] == "QUOTE_VERDICT_USED");
        pegged.then_some(contributions)
    })
    .await;
    assert!(explained.len() >= 4, "{explained:?}");
    let mut sources = running.sources().await;
    let listed = eventually("every source has sent tickers", async || {
        let listed = sources.list_sources(ListSourcesRequest::default()).await.unwrap().into_inner().sources;
        listed.iter().all(|source| source.ticker_count > 0).then_some(listed)
    })
    .await;
    assert!(listed.len() >= 5);
    assert!(listed.iter().all(|source| source.malformed_count == 0), "{listed:?}");
    running.stop().await;
}
