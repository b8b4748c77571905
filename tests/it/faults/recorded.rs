//! What is recorded beside a service that listens plays back to the prices that it had.

use std::{collections::BTreeMap, fs, path::Path, process::Stdio};

use cryptoprice::{
    client::v1::{PriceStatus::Live, QuoteVerdict, price_service_client::PriceServiceClient},
    feed::recording::{RecordKind, Recording},
};
use tonic::transport::Channel;

use super::{
    stage::{Stage, explain, surroundings},
    tongue::{Deal, Tongue},
};
use crate::{
    harness::{Running, eventually},
    program::command,
};

/// Markets that all venues have.
const MARKETS: [&str; 2] = ["BTC-USDT", "ETH-USDT"];

/// Nothing is late, and nothing is asked for over REST, when the venues have stopped.
const PATIENT: [(&str, &str); 4] = [
    ("AGGREGATION__MAX_AGE", "60s"),
    ("FEED__SILENT_AFTER", "60s"),
    ("FEED__MARKET_SILENT_AFTER", "60s"),
    ("FEED__POLL_AFTER", "60s"),
];

/// What is known of a price: itself, how many venues it is of, and the quotes that it is made of.
#[derive(Debug, PartialEq)]
struct Known {
    price: Option<String>,
    sources: u32,
    dispersion: Option<String>,
    quotes: BTreeMap<(String, String), Counted>,
}

/// A quote and what it counts for: bid, ask, last price, reading, volume, weight, verdict.
type Counted = ([Option<String>; 5], String, QuoteVerdict);

async fn known(prices: &PriceServiceClient<Channel>) -> Vec<Known> {
    let mut all = Vec::new();
    for market in MARKETS {
        let (price, quotes) = explain(prices, market).await.unwrap();
        let quotes = quotes.into_iter().map(|quote| {
            let verdict = quote.verdict();
            let told = [quote.bid, quote.ask, quote.last, quote.reading, quote.quote_volume_24h];
            ((quote.source, quote.market), (told, quote.weight, verdict))
        });
        let quotes = quotes.collect();
        all.push(Known {
            price: price.price,
            sources: price.source_count,
            dispersion: price.dispersion_bps,
            quotes,
        });
    }
    all
}

/// Tells whether the recording of a venue has a trade in it.
fn has(folder: &Path, tongue: Tongue, deal: &Deal) -> bool {
    let name = format!("{}-", tongue.name().to_uppercase());
    let files = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut own = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&name));
    let id = tongue.words().trade_id(deal.id);
    own.any(|file| {
        let Ok(recording) = Recording::open(file) else { return false };
        let protocol = recording.protocol();
        recording.map_while(Result::ok).any(|record| match &record.kind {
            RecordKind::Frame(frame) => protocol.decode(frame.as_frame()).unwrap().contains(&id),
            _ => false,
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_plays_back_to_the_prices_that_a_service_had_at_the_same_venues() {
    // What is recorded is what the streams tell: nothing may be known from elsewhere.
    let stage = Stage::starting(&Tongue::ALL, &MARKETS, &PATIENT, |venue| {
        let mut known = venue.state();
        (known.tells_days, known.rest_instead) = (true, Some((404, "", String::new())));
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = command();
    recorder.arg("record").arg(folder.path()).envs(surroundings(&stage.venues, &PATIENT));
    recorder.stdout(Stdio::null()).stderr(Stdio::null());
    let mut recorder = tokio::process::Command::from(recorder);
    let mut child = recorder.kill_on_drop(true).spawn().unwrap();
    stage.begun().await;
    let standing = async |count| {
        let all = || stage.venues.iter().all(|venue| venue.standing() == count);
        eventually("the service and the recorder listen", async || all().then_some(())).await;
    };
    standing(2).await;
    // All are cut once: what is recorded has more than one connection of each.
    stage.venues.iter().for_each(|venue| venue.cut());
    for tongue in Tongue::ALL {
        stage.until(tongue, "is connected anew", |source| source.reconnect_count == 1).await;
    }
    standing(2).await;
    stage.whole().await;
    let before: u64 = stage.venues.iter().map(|venue| venue.traded().1).sum();
    let traded = || stage.venues.iter().map(|venue| venue.traded().1).sum::<u64>();
    eventually("more is traded", async || (traded() > before + 200).then_some(())).await;

    // The venues say one last word, which both must have heard, and no more.
    stage.course.halt().await;
    for venue in &stage.venues {
        let deal = venue.deal(MARKETS[0], 6_000_123);
        eventually("the last trade is told", async || {
            let said = stage.contribution(venue.tongue, MARKETS[0]).await?;
            (said.last.as_deref() == Some("60001.23")).then_some(())
        })
        .await;
        let is_kept = async || has(folder.path(), venue.tongue, &deal).then_some(());
        eventually("the last trade is recorded", is_kept).await;
    }
    let before = known(&stage.prices).await;
    let id = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(child.wait().await.unwrap().success());

    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), Tongue::ALL.len());
    let replayed = Running::replay(files).await;
    let after = known(&replayed.prices().await).await;
    replayed.stop().await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.sources, 14);
        assert_eq!(before.quotes.len(), 15);
        assert_eq!(before, after);
    }
    stage.stop(&[Live]).await;
}
