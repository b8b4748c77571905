//! `record` as a program: what it leaves behind, however it ends.

use std::{
    io::BufRead as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use cryptoprice::{
    domain::venue::Venue,
    feed::recording::{Record, RecordKind, Recording},
    sim::Simulation,
};
use tokio_util::sync::CancellationToken;

use super::{files, market, understand};
use crate::{harness::eventually, program::command as program};

/// Two venues of the simulated market, and a folder to record them to.
struct Venues {
    market: Simulation,
    ended: CancellationToken,
    folder: tempfile::TempDir,
}

const KRAKEN: Venue = Venue::new("kraken");
const BITFINEX: Venue = Venue::new("bitfinex");

impl Venues {
    async fn start() -> Self {
        let (market, ended) = market().await;
        Self { market, ended, folder: tempfile::tempdir().unwrap() }
    }

    /// Makes the command that records them.
    fn record(&self) -> Command {
        let mut command = program();
        self.complete(command.arg("record").arg(self.folder.path()));
        command
    }

    /// Says which venues are meant, and where they are.
    fn complete(&self, command: &mut Command) {
        for venue in self.market.venues().iter().filter(|venue| [KRAKEN, BITFINEX].contains(&venue.venue)) {
            let pairs: Vec<_> = venue.pairs.iter().map(ToString::to_string).collect();
            let name = venue.venue.as_str().to_uppercase();
            command
                .args(["--venue", venue.venue.as_str()])
                .env(format!("CRYPTOPRICE__VENUES__{name}__URL"), &venue.url)
                .env(format!("CRYPTOPRICE__VENUES__{name}__PAIRS"), pairs.join(","));
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    fn files(&self, venue: Venue) -> Vec<PathBuf> {
        files(self.folder.path(), venue)
    }

    /// Waits until so many frames of each venue can be read from its first file, while it is being written.
    async fn until_recorded(&self, frames: usize) {
        eventually("frames are in the files", async || {
            let enough = |venue| {
                let Some(file) = self.files(venue).into_iter().next() else { return false };
                let Ok(recording) = Recording::open(file) else { return false };
                recording.map(Result::unwrap).filter(is_frame).count() >= frames
            };
            (enough(KRAKEN) && enough(BITFINEX)).then_some(())
        })
        .await;
    }

    async fn stop(self) {
        self.ended.cancel();
        self.market.join().await;
    }
}

fn is_frame(record: &Record) -> bool {
    matches!(record.kind, RecordKind::Frame(_))
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Waits for the end, and gets what was said.
async fn ended(child: Child) -> Output {
    let waiting = tokio::task::spawn_blocking(|| child.wait_with_output());
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it must end").unwrap().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_finishes_the_files() {
    for name in ["-TERM", "-INT"] {
        let venues = Venues::start().await;
        let child = venues.record().spawn().unwrap();
        venues.until_recorded(50).await;
        signal(&child, name);
        let output = ended(child).await;
        let said = said(&output);
        assert!(output.status.success(), "{name}: {said}");
        assert!(output.stdout.is_empty(), "lines go to the log where nobody looks");
        assert!(!said.contains('\x1b'), "plain lines: {said}");
        let last = said.lines().last().unwrap();
        assert!(
            last.contains("recorded") && last.contains("venues=2 ") && last.contains("files=2 "),
            "{said}"
        );
        for venue in [KRAKEN, BITFINEX] {
            let files = venues.files(venue);
            assert_eq!(files.len(), 1);
            assert!(understand(&files[0]).into_values().flatten().count() > 50);
        }
        venues.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_program_leaves_files_that_are_played_up_to_what_was_written() {
    let venues = Venues::start().await;
    let child = venues.record().spawn().unwrap();
    venues.until_recorded(50).await;
    signal(&child, "-KILL");
    assert!(!ended(child).await.status.success());
    let files: Vec<_> = [KRAKEN, BITFINEX].iter().flat_map(|venue| venues.files(*venue)).collect();
    let mut frames = 0;
    for file in &files {
        let mut recording = Recording::open(file).unwrap();
        let count = recording.by_ref().map(Result::unwrap).filter(is_frame).count();
        assert!(recording.is_cut() && count >= 50, "{}: {count}", file.display());
        frames += count;
    }
    let mut child = program();
    child.args(["serve", "--listen", "127.0.0.1:0", "--speed", "max", "--replay"]).args(&files);
    child.env("CRYPTOPRICE__STORE__URL", "sqlite::memory:");
    let mut child = child.stderr(Stdio::piped()).spawn().unwrap();
    let log = std::io::BufReader::new(child.stderr.take().unwrap());
    let reading = tokio::task::spawn_blocking(move || {
        let mut ended = Vec::new();
        let mut cut = 0;
        for line in log.lines().map(Result::unwrap) {
            cut += usize::from(line.contains("a recording is cut off"));
            if line.contains("has ended") {
                ended.push(line);
            }
            if ended.len() == 2 {
                break;
            }
        }
        (cut, ended)
    });
    let (cut, lines) = tokio::time::timeout(Duration::from_secs(30), reading).await.unwrap().unwrap();
    signal(&child, "-TERM");
    assert!(ended(child).await.status.success());
    assert_eq!(cut, 2);
    let played = lines.iter().map(|line| {
        let count = line.split("frames=").nth(1).unwrap().split(' ').next().unwrap();
        count.parse::<usize>().unwrap()
    });
    assert_eq!(played.sum::<usize>(), frames, "{lines:?}");
    venues.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_by_itself_when_the_time_is_over() {
    let venues = Venues::start().await;
    let output = ended(venues.record().args(["--for", "3s", "--rotate-every", "1s"]).spawn().unwrap()).await;
    assert!(output.status.success(), "{}", said(&output));
    for venue in [KRAKEN, BITFINEX] {
        let files = venues.files(venue);
        assert!(files.len() >= 2, "{files:?}");
        assert!(files.iter().all(|file| !understand(file).is_empty()));
    }
    venues.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_more_ends_it_with_one_line() {
    let venues = Venues::start().await;
    // A limit on the size of files fails as a full disk does: in the middle of writing.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"]);
    limited.arg(program().get_program()).arg("record").arg(venues.folder.path());
    limited.env("CRYPTOPRICE__OPS__LISTEN", "127.0.0.1:0");
    venues.complete(&mut limited);
    let output = ended(limited.spawn().unwrap()).await;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with("cryptoprice: cannot write the recording ") && last.contains("File too large"),
        "{said}"
    );
    // What was written before can be read.
    let records = [KRAKEN, BITFINEX]
        .iter()
        .flat_map(|venue| venues.files(*venue))
        .map(|file| Recording::open(file).unwrap().map(Result::unwrap).filter(is_frame).count());
    assert!(records.sum::<usize>() > 50);
    venues.stop().await;
}

#[test]
fn what_cannot_be_recorded_is_said_in_one_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, folder) = (file.path().to_str().unwrap(), folder.path().to_str().unwrap());
    for (arguments, expected) in [
        (vec![file], format!("cannot make the folder {file}: File exists")),
        (vec!["/proc/recordings"], "cannot make the folder /proc/recordings: No such file".to_owned()),
        (vec![folder, "--venue", "nyse"], "no venue has the name nyse; there are binance, ".to_owned()),
    ] {
        let output = program().arg("record").args(&arguments).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with(&format!("cryptoprice: {expected}")), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
