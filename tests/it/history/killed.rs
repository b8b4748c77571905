//! Killed at any moment, it loses what came in the last moment, and nothing else.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::Instant,
};

use cryptoprice::client::v1::{self, StreamCandlesRequest, candle_service_client::CandleServiceClient};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::*;
use crate::{program::Program, store::faults::Holder};

/// Names the folder for the process that is killed.
const FOLDER: &str = "CRYPTOPRICE_TEST_KILLED_IN";
/// Names the number that it begins with.
const FIRST: &str = "CRYPTOPRICE_TEST_KILLED_FROM";

const LANES: u64 = 4;
const ROUNDS: usize = 14;

/// How long the process may take until what it puts in is safe, and how often it puts in something.
const FLUSH: Duration = Duration::from_millis(200);
const EVERY: Duration = Duration::from_millis(2);

/// Not a test by itself: the process that is killed. It puts in a candle every two milliseconds and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_historian_that_waits_to_be_killed() {
    let (Ok(folder), Ok(first)) = (std::env::var(FOLDER), std::env::var(FIRST)) else { return };
    let folder = Path::new(&folder);
    let store = Arc::new(Store::open(store_options(sqlite(folder), Origin::Live)));
    let options = HistorianOptions { flush: FLUSH, ..historian_options(folder, 1 << 20) };
    let historian = Historian::new(options, store, Clock::system()).unwrap();
    let inbox = historian.inbox();
    tokio::spawn(historian.run(CancellationToken::new()));
    for number in first.parse::<i64>().unwrap().. {
        inbox.put_candles(seconds(number..number + 1));
        let mut out = std::io::stdout().lock();
        writeln!(out, "put {number}").unwrap();
        out.flush().unwrap();
        drop(out);
        tokio::time::sleep(EVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_loses_the_last_moment_and_no_more() {
    let lanes = futures::future::join_all((0..LANES).map(one_lane)).await;
    let lost = lanes.concat();
    assert!(lost.len() >= 50, "{} were killed", lost.len());
    // What it puts in tells how much time it had: a machine that is busy holds up all of it.
    let most = FLUSH.as_millis() / EVERY.as_millis();
    assert!(lost.iter().all(|lost| *lost as u128 <= most), "more than {most} were lost: {lost:?}");
    assert!(lost.iter().any(|lost| *lost > 0), "somebody was killed before its flush");
}

/// Makes a folder in memory where there is such a thing: what a kill takes away hangs on no disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Kills one after the other over the same database. Gives how many rows each lost.
async fn one_lane(lane: u64) -> Vec<usize> {
    let folder = folder();
    let store = Arc::new(Store::open(store_options(sqlite(folder.path()), Origin::Live)));
    store.check().await.unwrap();
    let mut dice = SmallRng::seed_from_u64(lane);
    let (mut first, mut said) = (0, Vec::new());
    for round in 0..ROUNDS {
        // Every third finds the file locked, so that it has to use its spool.
        let holder =
            if round % 3 == 2 { Some(Holder::held(sqlite(folder.path()), None).await) } else { None };
        let lives = Duration::from_millis(dice.random_range(40..600));
        let path = folder.path().to_owned();
        let heard = tokio::task::spawn_blocking(move || killed_after(&path, first, lives)).await.unwrap();
        first = heard.last().map_or(first, |number| number + 10);
        said.push(heard);
        if let Some(holder) = holder {
            holder.release().await;
        }
    }
    // What was left on the disk is written by the one that comes next.
    drain(&store, folder.path()).await;

    let rows = stored(&store, SECONDS).await;
    assert!(rows.iter().all(|candle| candle.revision == 0), "something was written twice");
    let kept: BTreeSet<i64> = rows.iter().map(|c| (c.open_time - start()).num_seconds()).collect();
    let lost = |said: Vec<i64>| {
        let lost: Vec<_> = said.iter().filter(|number| !kept.contains(number)).collect();
        // Only the last are: nothing before what was kept.
        let tail = &said[said.len() - lost.len()..];
        assert!(tail.iter().eq(lost.iter().copied()), "not only the last are lost: {lost:?} of {said:?}");
        lost.len()
    };
    said.into_iter().map(lost).collect()
}

/// Runs the process for a while after it has begun, and kills it.
fn killed_after(folder: &Path, first: i64, lives: Duration) -> Vec<i64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "history::killed::a_historian_that_waits_to_be_killed", "--nocapture"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said_lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let read = |line: String| line.strip_prefix("put ")?.parse().ok();
    // The harness may say something before it on the same line.
    let mut said: Vec<i64> = vec![said_lines.find_map(&read).expect("it begins")];
    std::thread::sleep(lives);
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(said_lines.filter_map(read));
    said
}

/// What a client was told by a program before that was killed: when candles opened, and when they came.
type Told = Vec<(DateTime<Utc>, Instant)>;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_was_told_before_its_program_was_killed_is_kept() {
    const KILLS: usize = 6;
    let folder = folder();
    let location = sqlite(folder.path());
    let url = location.to_string();
    let settings = [("CRYPTOPRICE__STORE__URL", url.as_str()), ("CRYPTOPRICE__HISTORY__FLUSH", "1s")];
    let store = Store::open(store_options(location, Origin::Simulated));
    let mut dice = SmallRng::seed_from_u64(9);
    let (mut kept, mut lost) = (Told::new(), 0);
    for _ in 0..KILLS {
        let program = Program::demo(&settings).await;
        let mut told = Told::new();
        let lives = Duration::from_millis(dice.random_range(4_000..6_000));
        let _ = tokio::time::timeout(lives, listen(&program, &mut told)).await;
        // What came a flush before this is safe.
        let killed = Instant::now();
        drop(program);
        let count = told.len();
        told.retain(|(_, came)| killed - *came >= Duration::from_secs(1));
        lost += count - told.len();
        kept.extend(told);
    }
    // What waits on the disk is written by the one that comes next.
    let next = Program::demo(&settings).await;
    assert!(next.terminate().0.success());
    assert!(kept.len() > KILLS && lost > 0, "{} are kept, {lost} may be lost", kept.len());
    let stored: BTreeSet<_> = stored(&store, Series { venue: None, ..SECONDS })
        .await
        .iter()
        .map(|candle| candle.open_time)
        .collect();
    let missing: Vec<_> = kept.iter().map(|(open, _)| open).filter(|open| !stored.contains(open)).collect();
    assert!(missing.is_empty(), "of {} candles {missing:?} are not there", kept.len());
}

/// Notes the seconds of BTC-USD that are final, for as long as the program tells them.
async fn listen(program: &Program, told: &mut Told) {
    let request =
        StreamCandlesRequest { pair: BTC_USD.to_string(), interval: "1s".into(), ..Default::default() };
    let mut client = CandleServiceClient::new(program.channel(1 << 16).await);
    let mut stream = loop {
        match client.stream_candles(request.clone()).await {
            Ok(stream) => break stream.into_inner(),
            // The pair is not known yet.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    while let Ok(Some(message)) = stream.message().await {
        let candle = message.candle.unwrap();
        if candle.state() == v1::CandleState::Final {
            let open = DateTime::from_timestamp(candle.open_time.unwrap().seconds, 0).unwrap();
            told.push((open, Instant::now()));
        }
    }
}
