//! Frames that cannot be understood.

use cryptoprice::client::v1::{PriceStatus::Live, SourceState};

use super::{
    line::Said,
    stage::{Stage, TONGUES},
    tongue::Tongue::{Gate, Kraken, Okx},
};

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_counted_by_kind_and_passed_over() {
    let stage = Stage::set(&[]).await;
    let venue = stage.venue(Kraken);
    let garbage = [
        "",
        "\u{0}\u{1}",
        "<html>",
        "{}",
        "null",
        "[[[[",
        r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":1e999,"ask":2}]}"#,
        r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":-1,"qty":1,"trade_id":1,"timestamp":"2026-01-02T03:04:05Z"}]}"#,
        r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":"#,
        r#"{"channel":"ticker","type":"update","data":[{"symbol":"/","bid":1,"ask":2}]}"#,
    ];
    for text in garbage {
        venue.say(&Said::Text(text.to_owned()));
    }
    // Something in a binary frame that is not text.
    venue.say(&Said::Bytes(vec![0x82, 3, 0xff, 0xfe, 0xfd]));
    let all = garbage.len() as u64 + 1;
    let source = stage.until(Kraken, "has counted it", |source| source.malformed_count == all).await;
    assert_eq!(source.malformed_counts.values().sum::<u64>(), all);
    for kind in ["json", "not_text", "unknown_symbol", "unknown_channel"] {
        assert!(source.malformed_counts.contains_key(kind), "{kind}: {:?}", source.malformed_counts);
    }
    let metrics = stage.metrics().await;
    assert!(metrics.sum("cryptoprice_source_malformed_total") >= all, "{}", metrics.0);
    assert_eq!(stage.venue(Kraken).handshakes(), 1, "the connection stays");
    stage.well(&[Kraken], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_breaks_off_or_breaks_the_rules_ends_the_connection() {
    let stage = Stage::set(&[("FEED__MAX_FRAME", "65536")]).await;
    let broken: [&[u8]; 3] = [
        // The beginning of a text frame of five bytes, of which three come.
        &[0x81, 5, b'{', b'"', b'a'],
        // An opcode that does not exist.
        &[0x8f, 1, b'x'],
        // A frame that says that it is larger than any may be.
        &[0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0],
    ];
    for (number, bytes) in (2..).zip(broken) {
        let venue = stage.venue(Gate);
        venue.say(&Said::Bytes(bytes.to_vec()));
        venue.cut();
        stage
            .until(Gate, "is connected anew", |source| {
                source.reconnect_count == number - 1 && source.state() == SourceState::Live
            })
            .await;
        assert!(!stage.source(Gate).await.last_error.is_empty());
        stage.whole().await;
        assert_eq!(venue.handshakes() as u64, number);
    }
    stage.well(&[Gate], &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_does_not_close_is_told_and_changes_nothing() {
    let stage = Stage::set(&[]).await;
    for tongue in TONGUES {
        stage.venue(tongue).say(&Said::Text(tongue.complains()));
        let source = stage
            .until(tongue, "tells the error", |source| source.last_error.contains("internal error"))
            .await;
        assert_eq!((source.state(), source.malformed_count), (SourceState::Live, 0), "{source:#?}");
        assert!(source.absent_markets.is_empty());
    }
    assert_eq!(stage.venue(Okx).handshakes(), 1);
    stage.well(&[], &[Live]).await;
}
