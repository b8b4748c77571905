//! Killed at any moment, it loses what came in the last moment, and nothing else.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::Instant,
};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::*;
use crate::store::faults::Holder;

/// Names the folder for the process that is killed.
const FOLDER: &str = "CRYPTOPRICE_TEST_KILLED_IN";
/// Names the number that it begins with.
const FIRST: &str = "CRYPTOPRICE_TEST_KILLED_FROM";

const LANES: u64 = 4;
const ROUNDS: usize = 14;

/// What one process said before it was killed: the numbers that it put in, and when, in microseconds.
type Said = Vec<(i64, u64)>;

/// Not a test by itself: the process that is killed. It puts in a candle every two milliseconds and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_historian_that_waits_to_be_killed() {
    let (Ok(folder), Ok(first)) = (std::env::var(FOLDER), std::env::var(FIRST)) else { return };
    let folder = Path::new(&folder);
    let store = Arc::new(Store::open(store_options(sqlite(folder), Origin::Live)));
    let historian = historian(&store, folder, 1 << 20);
    let inbox = historian.inbox();
    tokio::spawn(historian.run(CancellationToken::new()));
    let started = Instant::now();
    for number in first.parse::<i64>().unwrap().. {
        inbox.put_candles(seconds(number..number + 1));
        let mut out = std::io::stdout().lock();
        writeln!(out, "put {number} {}", started.elapsed().as_micros()).unwrap();
        out.flush().unwrap();
        drop(out);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_loses_the_last_moment_and_no_more() {
    let lanes = futures::future::join_all((0..LANES).map(one_lane)).await;
    let mut ages = lanes.concat();
    assert!(ages.len() >= 50, "{} were killed", ages.len());
    ages.sort_unstable();
    // A machine that is busy may hold up a write, but not often.
    assert!(ages[ages.len() / 2] <= 150_000, "half lost more than 150 ms: {ages:?}");
    assert!(ages[ages.len() - 1] <= 1_500_000, "{ages:?}");
}

/// Kills one after the other over the same database. Gives how old the oldest was that each lost, in microseconds.
async fn one_lane(lane: u64) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(store_options(sqlite(folder.path()), Origin::Live)));
    store.check().await.unwrap();
    let mut dice = SmallRng::seed_from_u64(lane);
    let (mut first, mut said) = (0, Vec::new());
    for round in 0..ROUNDS {
        // Every third finds the file locked, so that it has to use its spool.
        let holder =
            if round % 3 == 2 { Some(Holder::held(sqlite(folder.path()), None).await) } else { None };
        let lives = Duration::from_millis(dice.random_range(40..300));
        let path = folder.path().to_owned();
        let heard = tokio::task::spawn_blocking(move || killed_after(&path, first, lives)).await.unwrap();
        first = heard.last().map_or(first, |(number, _)| number + 10);
        said.push(heard);
        if let Some(holder) = holder {
            holder.release().await;
        }
    }
    // What was left on the disk is written by the one that comes next.
    drain(&store, folder.path()).await;

    let kept: BTreeSet<i64> =
        stored(&store, SECONDS).await.iter().map(|c| (c.open_time - start()).num_seconds()).collect();
    let lost = |said: Said| {
        let (_, end) = *said.last()?;
        let lost: Vec<_> = said.iter().filter(|(number, _)| !kept.contains(number)).collect();
        // Only the last are: nothing before what was kept.
        let tail = &said[said.len() - lost.len()..];
        assert!(tail.iter().eq(lost.iter().copied()), "not only the last are lost: {lost:?} of {said:?}");
        Some(lost.first().map_or(0, |(_, time)| end - time))
    };
    said.into_iter().filter_map(lost).collect()
}

/// Runs the process for a while after it has begun, and kills it.
fn killed_after(folder: &Path, first: i64, lives: Duration) -> Said {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "history::killed::a_historian_that_waits_to_be_killed", "--nocapture"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said_lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let read = |line: String| {
        let mut words = line.strip_prefix("put ")?.split(' ').map(str::to_owned);
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    // The harness may say something before it on the same line.
    let mut said: Said = vec![said_lines.find_map(&read).expect("it begins")];
    std::thread::sleep(lives);
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(said_lines.filter_map(read));
    said
}
