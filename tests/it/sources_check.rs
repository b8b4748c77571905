//! `sources check` against venues that are there, that lack a market, and that are not there.

use std::{net::TcpListener, num::NonZeroU32, process::Output, sync::Arc};

use cryptoprice::{
    clock::Clock,
    feed::venues,
    sim::{SimOptions, Simulation},
};
use tokio_util::sync::CancellationToken;

use crate::program::command;

/// Checks the simulated venues, with other settings over those that name them.
async fn check(simulation: &Simulation, wait: &str, settings: &[(&str, &str)]) -> Output {
    let mut program = command();
    for venue in venues::ALL {
        let key = |setting: &str| {
            format!("CRYPTOPRICE__VENUES__{}__{setting}", venue.venue().as_str().to_uppercase())
        };
        let simulated = simulation.venues().iter().find(|simulated| simulated.venue == venue.venue());
        program.env(key("ENABLED"), simulated.is_some().to_string());
        if let Some(simulated) = simulated {
            let pairs: Vec<_> = simulated.pairs.iter().map(ToString::to_string).collect();
            program.env(key("URL"), &simulated.url).env(key("PAIRS"), pairs.join(","));
        }
    }
    program.args(["sources", "check", "--wait", wait]).envs(settings.iter().copied());
    tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn venues_are_asked_whether_they_bring_what_is_configured() {
    let (clock, ended) = (Clock::system(), CancellationToken::new());
    let options = SimOptions {
        seed: 7,
        updates_per_second: NonZeroU32::new(20).unwrap(),
        trouble: false,
        now: Arc::new(move || clock.now()),
    };
    let simulation = Simulation::start(options, ended.clone()).await.unwrap();

    let whole = check(&simulation, "60s", &[]).await;
    let text = said(&whole);
    assert!(whole.status.success(), "{text}");
    for venue in simulation.venues() {
        let line = text.lines().find(|line| line.starts_with(venue.venue.as_str())).unwrap();
        let all = format!(" {0}/{0} ", venue.pairs.len());
        assert!(line.contains(" ms ") && line.contains(&all), "{line}");
    }

    let more = [("CRYPTOPRICE__VENUES__KRAKEN__PAIRS", "BTC-USD,NOPE-USD")];
    let part = check(&simulation, "3s", &more).await;
    let text = said(&part);
    assert_eq!(part.status.code(), Some(1), "{text}");
    let kraken = text.lines().find(|line| line.starts_with("kraken")).unwrap();
    assert!(kraken.contains(" 1/2 ") && kraken.contains("NOPE-USD"), "{kraken}");
    assert_eq!(text.matches("NOPE").count(), kraken.matches("NOPE").count(), "the others are whole: {text}");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = check(&simulation, "2s", &[("CRYPTOPRICE__VENUES__OKX__URL", &format!("ws://{free}"))]).await;
    let text = said(&gone);
    assert_eq!(gone.status.code(), Some(1), "{text}");
    let okx = text.lines().find(|line| line.starts_with("okx")).unwrap();
    assert!(okx.contains(" 0/") && okx.contains("refused"), "{okx}");

    let wrong = check(&simulation, "2s", &[("CRYPTOPRICE__FEED__QUEUE", "0")]).await;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said(&wrong).contains("feed.queue"), "{}", said(&wrong));
    ended.cancel();
    simulation.join().await;
}
