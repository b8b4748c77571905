//! Every venue that there is, in its own protocol: from the first word to a hole that is filled.

use std::sync::atomic::Ordering::Relaxed;

use cryptoprice::client::v1::{
    PriceStatus::{Degraded, Live},
    QuoteVerdict, SourceState,
};

use super::{
    stage::Stage,
    tongue::Tongue::{self, BinanceUs, Bitstamp, CryptoCom, Gemini, Htx},
};
use crate::harness::eventually;

/// Markets that all venues have.
const MARKETS: [&str; 2] = ["BTC-USDT", "ETH-USDT"];

/// What most prices have in common, and where they go while no stream stands.
const MIDDLE: i64 = 6_000_000;
const MOVED: i64 = MIDDLE + 40_000;

/// Trades of a market that no stream tells: fewer than the shortest answer over REST has.
const UNTOLD: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn each_venue_is_spoken_to_in_its_own_words_and_no_trade_is_lost_or_doubled() {
    let stage = Stage::starting(&Tongue::ALL, &MARKETS, &[], |venue| venue.state().tells_days = true).await;
    // The first prices, and what else the streams tell.
    stage.begun().await;
    for market in MARKETS {
        stage.priced_by(market, 14).await;
    }
    for tongue in Tongue::ALL {
        // The two of one owner have one vote.
        let verdict =
            if tongue == BinanceUs { QuoteVerdict::OwnerVotesElsewhere } else { QuoteVerdict::Used };
        let said = stage.until_judged(tongue, verdict).await;
        // The streams of two tell none.
        assert!(said.quote_volume_24h.is_some() || [Bitstamp, Gemini].contains(&tongue), "{said:#?}");
        let source = stage.source(tongue).await;
        assert_eq!((source.malformed_count, source.reconnect_count), (0, 0), "{source:#?}");
    }

    // Every connection is cut, and made again.
    stage.venues.iter().for_each(|venue| venue.cut());
    for tongue in Tongue::ALL {
        stage.until(tongue, "is connected anew", |source| source.reconnect_count == 1).await;
    }
    stage.whole().await;

    // The streams are gone for a while: REST speaks for them, and prices move on.
    let dealt: Vec<_> = stage.venues.iter().map(|venue| venue.traded().1).collect();
    stage.venues.iter().for_each(|venue| venue.refuse_sockets());
    for (venue, before) in stage.venues.iter().zip(dealt) {
        let wanted = before + (UNTOLD * MARKETS.len()) as u64;
        eventually("there are trades that nobody was told", async || {
            (venue.traded().1 >= wanted).then_some(())
        })
        .await;
    }
    stage.course.stop();
    for tongue in Tongue::ALL {
        let source = stage.until(tongue, "is polled", |source| source.polled_market_count == 2).await;
        assert_eq!((source.state(), source.connection_count), (SourceState::Connecting, 0), "{source:#?}");
    }
    stage.course.middle.store(MOVED, Relaxed);
    for tongue in Tongue::ALL {
        stage.until_quoted(tongue, MOVED).await;
    }

    // They are back, what nobody was told is asked for, and what was told twice counts once.
    stage.venues.iter().for_each(|venue| venue.state().instead = None);
    stage.whole().await;
    for tongue in Tongue::ALL {
        let venue = stage.venue(tongue);
        let (since_first, all) = venue.traded();
        let source = stage
            .until(tongue, &format!("has told of {since_first} to {all} trades"), |source| {
                (since_first..=all).contains(&(source.trade_count + source.snapshot_trade_count))
            })
            .await;
        assert_eq!((source.malformed_count, source.gap_count), (0, 0), "{source:#?}");
        let known = venue.state();
        assert_eq!(known.not_understood, [""; 0], "what {tongue:?} was told");
        assert_eq!(known.unanswered, 0);
        assert_eq!(known.answered > 0, [CryptoCom, Htx].contains(&tongue), "{tongue:?}");
    }
    stage.well(&Tongue::ALL, &[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_venue_says_what_it_refuses_and_tells_of_the_rest() {
    let settings = [("FEED__SILENT_AFTER", "20s"), ("FEED__MARKET_SILENT_AFTER", "20s")];
    let [market, refused] = MARKETS;
    let stage = Stage::starting(&Tongue::ALL, &MARKETS, &settings, |venue| {
        let mut known = venue.state();
        (known.refuses_whole, known.refused) = (true, [refused].into());
    })
    .await;
    for tongue in Tongue::ALL {
        let source = stage
            .until(tongue, "tells of a market and not of the other", |source| {
                source.trade_count > 5 && !source.absent_markets.is_empty()
            })
            .await;
        let absent = &source.absent_markets[0];
        assert_eq!((source.absent_markets.len(), absent.market.as_str()), (1, refused), "{source:#?}");
        let words = format!("{} ", absent.reason).to_lowercase();
        assert!(
            words.starts_with("refused: ") && words.contains(&tongue.symbol(refused).to_lowercase()),
            "{words}"
        );
        assert_eq!((source.malformed_count, stage.venue(tongue).handshakes()), (0, 1), "{tongue:?}");
    }
    stage.priced_by(market, 14).await;
    for venue in &stage.venues {
        venue.state().refused.clear();
        venue.cut();
    }
    for tongue in Tongue::ALL {
        stage.until(tongue, "has both of them", |source| source.absent_markets.is_empty()).await;
    }
    stage.well(&Tongue::ALL, &[Live, Degraded]).await;
}
