//! Volumes at venues whose stream does not tell them.

use cryptoprice::client::v1::{PriceStatus::Live, QuoteVerdict};
use serde_json::json;

use super::{
    answers::Answers,
    line::Said,
    stage::{PAIR, Stage},
    tongue::Tongue::{self, Gate, Gemini, Okx},
};
use crate::harness::eventually;

/// Waits until the votes on the pair have these weights.
async fn weighted(stage: &Stage, expected: [(Tongue, &str); 3]) {
    eventually("the votes are weighted", async || {
        for (tongue, weight) in expected {
            if stage.contribution(tongue, PAIR).await?.weight != weight {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_the_stream_does_not_tell_is_asked_for_and_weights_the_price() {
    let rest = Answers::open(|target| match target {
        "/v1/symbols" => json!(["btcusd"]).to_string(),
        // The price is not that of the stream: it must not count.
        _ => json!({
            "bid": "1", "ask": "2", "last": "50000",
            "volume": {"BTC": "8", "USD": "400000", "timestamp": 1_700_000_000_000_i64},
        })
        .to_string(),
    })
    .await;
    let settings = [("VENUES__GEMINI__REST_URL", rest.url.as_str())];
    let stage = Stage::starting(&[Gate, Okx, Gemini], &[PAIR], &settings, |_| ()).await;
    stage.begun().await;
    // Gate has told none yet: what one does not know makes all equal.
    let third = "0.3333333333";
    weighted(&stage, [(Gate, "0.3333333334"), (Gemini, third), (Okx, third)]).await;
    let told = json!({
        "channel": "spot.tickers", "event": "update",
        "result": {"currency_pair": "BTC_USD", "base_volume": "10", "quote_volume": "500000", "last": "60000", "lowest_ask": "60001", "highest_bid": "60000"},
    });
    stage.venue(Gate).say(&Said::Text(told.to_string()));
    // Okx has 600,000, which is cut to the most that one may have.
    weighted(&stage, [(Okx, "0.4"), (Gate, third), (Gemini, "0.2666666667")]).await;
    let said = stage.contribution(Gemini, PAIR).await.unwrap();
    assert_eq!((said.verdict(), said.quote_volume_24h.as_deref()), (QuoteVerdict::Used, Some("400000")));
    // Asked once, on the side: the stream is neither late nor dead.
    assert_eq!(rest.asked("/v1/pubticker/btcusd").len(), 1);
    let source = stage.source(Gemini).await;
    assert_eq!((source.polled_market_count, source.reconnect_count, source.gap_count), (0, 0, 0));
    assert_eq!(stage.venue(Gemini).handshakes(), 1);
    stage.well(&[], &[Live]).await;
}
