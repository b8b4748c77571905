//! Settings that change while the service runs, and venues that are left alone until they do.

use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use cryptoprice::{
    client::v1::{PriceStatus::Live, SourceState},
    feed::venues,
};
use serde_json::Value;

use super::{
    stage::{PAIR, SETTINGS, Stage, TONGUES, open},
    tongue::Tongue::{self, Bybit, Coinbase, Gate, Kraken, Okx},
    venue::Venue,
};
use crate::{
    harness::eventually,
    program::{Program, command},
};

const MARKETS: [&str; 2] = [PAIR, "ETH-USD"];

/// A file of settings that is written again and again.
struct File {
    folder: tempfile::TempDir,
    venues: Vec<Arc<Venue>>,
}

/// What the file says of a venue: its pairs, and what else.
type Wanted<'a> = (Tongue, &'a [&'a str], &'a str);

impl File {
    fn path(&self) -> PathBuf {
        self.folder.path().join("cryptoprice.toml")
    }

    /// Writes the file: these venues, and no others.
    fn write(&self, wanted: &[Wanted<'_>]) {
        std::fs::write(self.path(), self.text(wanted)).unwrap();
    }

    fn text(&self, wanted: &[Wanted<'_>]) -> String {
        let mut text = String::new();
        for (key, value) in SETTINGS {
            let plain = value.parse::<u32>().is_ok() || value.parse::<bool>().is_ok();
            let value = if plain { (*value).to_owned() } else { format!("'{value}'") };
            writeln!(text, "{} = {value}", key.to_lowercase().replace("__", ".")).unwrap();
        }
        for name in venues::ALL.iter().map(|protocol| protocol.venue().as_str()) {
            let Some((tongue, pairs, more)) = wanted.iter().find(|(tongue, ..)| tongue.name() == name) else {
                writeln!(text, "[venues.{name}]\nenabled = false").unwrap();
                continue;
            };
            let venue = self.venues.iter().find(|venue| venue.tongue == *tongue).unwrap();
            let (url, rest) = (venue.url(), venue.rest_url());
            writeln!(
                text,
                "[venues.{name}]\npairs = {pairs:?}\nurl = '{url}'\nrest_url = '{rest}'\nrequests_per_minute = 60000\n{more}"
            )
            .unwrap();
        }
        text
    }
}

/// Starts the program with these settings.
async fn start(wanted: &[Wanted<'_>]) -> (File, Stage) {
    let venues = open(&TONGUES, &MARKETS).await;
    let file = File { folder: tempfile::tempdir().unwrap(), venues: venues.clone() };
    file.write(wanted);
    let program = Program::live(&file.path()).await;
    (file, Stage::beside(program, venues).await)
}

fn says(line: &Value, words: &str) -> bool {
    line["message"].as_str().is_some_and(|message| message.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_changes_and_what_stays_is_not_touched() {
    let one: &[&str] = &[PAIR];
    let (file, stage) =
        start(&[(Gate, one, ""), (Kraken, one, ""), (Coinbase, one, ""), (Bybit, one, "")]).await;
    stage.priced_by(PAIR, 4).await;
    assert!(stage.find_source(Okx).await.is_none());

    // One venue comes, one goes, one gets a pair, one another weight.
    let more: &[&str] = &[PAIR, "ETH-USD", "NOPE-USD"];
    file.write(&[(Gate, one, "weight = '2'"), (Kraken, more, ""), (Coinbase, one, ""), (Okx, one, "")]);
    stage.program().hang_up();
    stage.until(Okx, "is there", |source| source.state() == SourceState::Live).await;
    eventually("one is gone", async || stage.find_source(Bybit).await.is_none().then_some(())).await;
    stage.until(Kraken, "has two markets", |source| source.markets.len() == 2).await;
    stage.priced_by(PAIR, 4).await;
    stage.priced_by("ETH-USD", 1).await;
    eventually("one venue weighs twice as much", async || {
        let said = stage.contribution(Gate, PAIR).await?;
        (said.weight == "0.4").then_some(())
    })
    .await;
    // A pair that nobody lists is said to be that.
    let warned = serde_json::json!([{"reason": "PAIR_NOT_LISTED", "pair": "NOPE-USD"}]);
    assert_eq!(stage.get("/readyz").await["warnings"], warned);
    let lines = stage.program().logged(|line| says(line, "no venue lists a pair"));
    assert!(lines.len() == 1 && lines[0].contains("NOPE-USD"), "{lines:?}");
    eventually("it is left", async || (stage.venue(Bybit).standing() == 0).then_some(())).await;
    for (tongue, handshakes) in [(Gate, 1), (Coinbase, 1), (Kraken, 2), (Bybit, 1), (Okx, 1)] {
        assert_eq!(stage.venue(tongue).handshakes(), handshakes, "{tongue:?}");
    }

    // A file that is not valid changes nothing, and that is said.
    std::fs::write(file.path(), "[feed]\nnonsense = 1\n").unwrap();
    stage.program().hang_up();
    eventually("it says so", async || {
        let lines = stage.program().logged(|line| says(line, "is not valid, nothing changes"));
        lines.iter().any(|line| line.contains("feed.nonsense")).then_some(())
    })
    .await;
    assert!(stage.find_source(Okx).await.is_some());

    // A pair goes.
    file.write(&[(Gate, one, ""), (Kraken, one, ""), (Coinbase, one, ""), (Okx, one, "")]);
    stage.program().hang_up();
    stage.until(Kraken, "has one market", |source| source.markets == [PAIR]).await;
    eventually("the pair is gone", async || {
        (stage.get("/v1/prices/ETH-USD").await["error"]["status"] == "NOT_FOUND").then_some(())
    })
    .await;
    for (tongue, handshakes) in [(Gate, 1), (Coinbase, 1), (Okx, 1)] {
        assert_eq!(stage.venue(tongue).handshakes(), handshakes, "{tongue:?}");
    }
    stage.priced_by(PAIR, 4).await;
    stage.course.stop();
    for tongue in [Gate, Coinbase] {
        let (told, copies) = stage.venue(tongue).told_of(PAIR);
        let source = stage
            .until(tongue, "has told of every trade once", |source| {
                source.trade_count + source.snapshot_trade_count >= told
            })
            .await;
        let counts = (source.trade_count + source.snapshot_trade_count, source.duplicate_count);
        assert_eq!((counts, source.reconnect_count), ((told, copies), 0), "{source:#?}");
    }
    stage.stop(&[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_refuses_us_for_good_is_left_alone_until_its_settings_change() {
    let (one, both): (&[&str], &[&str]) = (&[PAIR], &MARKETS);
    let all = |gate, kraken| [(Gate, gate, ""), (Kraken, kraken, ""), (Coinbase, one, ""), (Okx, one, "")];
    let (file, stage) = start(&all(one, one)).await;
    stage.priced_by(PAIR, 4).await;
    for (tongue, status) in [(Gate, 451), (Kraken, 403)] {
        stage.venue(tongue).show((status, "", "<html>not from where you are</html>".to_owned()));
        stage.venue(tongue).cut();
        let source = stage.until(tongue, "is blocked", |source| source.state() == SourceState::Blocked).await;
        assert!(source.state_reason.contains(&status.to_string()), "{}", source.state_reason);
        assert_eq!((source.retry_time, source.connection_count), (None, 0));
    }
    let seen = stage.source(Okx).await.frame_count;
    // Long enough for many tries.
    stage.until(Okx, "goes on", |source| source.frame_count > seen + 60).await;
    for tongue in [Gate, Kraken] {
        assert_eq!(stage.venue(tongue).handshakes(), 2, "{tongue:?}");
        let lines = stage.program().logged(|line| {
            says(line, "refuses us for good") && line["venue"] == tongue.name() && line["level"] == "ERROR"
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
    // Settings of others change nothing of that.
    file.write(&[(Gate, one, ""), (Kraken, one, ""), (Coinbase, one, "weight = '2'"), (Okx, one, "")]);
    stage.program().hang_up();
    eventually("they are applied", async || {
        (!stage.program().logged(|line| says(line, "coinbase: weight")).is_empty()).then_some(())
    })
    .await;
    assert_eq!((stage.venue(Gate).handshakes(), stage.venue(Kraken).handshakes()), (2, 2));
    for tongue in [Gate, Kraken] {
        let mut known = stage.venue(tongue).state();
        (known.instead, known.rest_instead) = (None, None);
    }
    file.write(&all(both, both));
    stage.program().hang_up();
    for tongue in [Gate, Kraken] {
        stage.until(tongue, "is back", |source| source.state() == SourceState::Live).await;
    }
    stage.priced_by(PAIR, 4).await;
    stage.untouched(&[Coinbase, Okx]).await;
    stage.stop(&[Live]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_can_be_held_against_the_one_that_runs() {
    let venues = open(&TONGUES, &MARKETS).await;
    let file = File { folder: tempfile::tempdir().unwrap(), venues };
    let one: &[&str] = &[PAIR];
    file.write(&[(Gate, one, ""), (Kraken, one, ""), (Bybit, one, "")]);
    let new = file.folder.path().join("new.toml");
    let text = file.text(&[(Gate, one, "weight = '2'"), (Kraken, &MARKETS, ""), (Okx, one, "")]);
    std::fs::write(&new, text.replace("feed.penalty = '1s'", "feed.penalty = '7s'")).unwrap();
    let check = |file: PathBuf, against: PathBuf| {
        command().args(["config", "check"]).arg(file).arg("--against").arg(against).output().unwrap()
    };
    let output = check(new.clone(), file.path());
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r"
    start   okx
    stop    bybit
    change  gate: weight default → 2
    change  kraken: +ETH-USD
    later   feed.penalty: 1s → 7s
    ");
    let output = check(new.clone(), new.clone());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "nothing changes\n");
    std::fs::write(&new, "[venues.kraken]\npairs = ['BTC']\n").unwrap();
    let output = check(new, file.path());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("venues.kraken.pairs") && said.contains("new.toml"), "{said}");
}
