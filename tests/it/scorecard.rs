//! How each source does, as the service tells it.

use cryptoprice::{client::v1::ListSourcesRequest, feed::venues};

use crate::harness::{Running, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn each_source_is_held_against_the_others() {
    let running = Running::demo(false).await;
    let mut sources = running.sources().await;
    let listed = eventually("every source has been looked at", async || {
        let listed = sources.list_sources(ListSourcesRequest::default()).await.unwrap().into_inner().sources;
        listed
            .iter()
            .all(|source| source.deviation_p99_bps.is_some() && source.lag_p99.is_some())
            .then_some(listed)
    })
    .await;
    for source in &listed {
        let name = &source.source;
        assert!(source.frame_rate > 1.0, "{name}: {}", source.frame_rate);
        let millis = |lag: &prost_types::Duration| lag.seconds * 1_000 + i64::from(lag.nanos) / 1_000_000;
        let (p50, p99) = (source.lag_p50.as_ref().map(millis), source.lag_p99.as_ref().map(millis));
        assert!(p50 <= p99 && p99 < Some(10_000), "{name}: {p50:?} {p99:?}");
        let bps = |text: &Option<String>| text.as_ref().unwrap().parse::<f64>().unwrap();
        let (p50, p99) = (bps(&source.deviation_p50_bps), bps(&source.deviation_p99_bps));
        // Its venues quote the same market with spreads of some basis points.
        assert!(p50 <= p99 && p50 < 25.0, "{name}: {p50} {p99}");
        assert_eq!((source.frozen_market_count, &source.frozen_time), (0, &None), "{name}");
        assert!(source.malformed_counts.is_empty(), "{name}");
        assert!(source.evidence.contains("recordings of"), "{name}: {}", source.evidence);
    }
    let (_, shown) = running.get("/v1/sources/kraken").await;
    assert!(
        shown["source"]["deviationP50Bps"].is_string() && shown["source"]["frameRate"].is_number(),
        "{shown}"
    );
    let metrics = running.metrics().await;
    for expected in [
        "cryptoprice_source_recent_lag_seconds{quantile=\"0.99\",source=\"kraken\"}",
        "cryptoprice_source_recent_deviation_bps{quantile=\"0.5\",source=\"kraken\"}",
        "cryptoprice_source_frozen_markets{source=\"kraken\"}",
    ] {
        assert!(metrics.series().contains(&expected), "{expected}: {}", metrics.0);
    }
    running.stop().await;
}

#[test]
fn the_readme_and_the_service_tell_the_same_of_the_venues() {
    let readme = include_str!("../../README.md");
    for protocol in venues::ALL {
        let row = format!(" | {} | {} | ", protocol.venue(), protocol.evidence());
        assert!(readme.contains(&row), "README.md has no row with{row}");
    }
}
