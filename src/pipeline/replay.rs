//! Plays recordings through the same parsers and the same aggregator as live traffic.
//!
//! Recordings of one exchange that begin within a day of each other are one run, and follow each other as they were
//! made. All runs start together on one virtual clock: each is moved in time so that its start falls on that of the
//! newest. A recording that is cut off is played up to its last whole record. The clock goes from frame to frame and from tick to tick, and stands when a recording that is played once
//! has ended. How fast it is played changes nothing of what comes out: two runs over the same files give the same
//! prices, byte for byte.

use std::{collections::HashMap, path::PathBuf, time::Duration, vec};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{aggregator::Aggregator, health::Sources};
use crate::{
    clock::Clock,
    domain::venue::Venue,
    feed::{
        delivery::{Delivery, DeliveryKind},
        recording::{OwnedFrame, Record, RecordKind, Recording, RecordingError},
        translate::Translator,
        venue::Session,
    },
};

/// How far the clock goes between two looks at what has grown old.
const TICK: TimeDelta = TimeDelta::milliseconds(100);

/// How far apart recordings of one exchange may begin to be parts of one run.
const SAME_RUN: TimeDelta = TimeDelta::days(1);

/// What to play, and how.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// The recordings.
    pub files: Vec<PathBuf>,
    /// How many times faster than recorded; `None` for as fast as it goes.
    pub speed: Option<f64>,
    /// Whether to start again at the end.
    pub repeat: bool,
}

/// Recordings that are ready to be played.
#[derive(Debug)]
pub struct Replay {
    options: ReplayOptions,
    tracks: Vec<Track>,
    start: DateTime<Utc>,
}

/// Recordings of one exchange that follow each other.
#[derive(Debug)]
struct Run {
    exchange: String,
    began: DateTime<Utc>,
    /// When the last of them begins.
    last: DateTime<Utc>,
    files: Vec<PathBuf>,
}

/// One run on its way.
#[derive(Debug)]
struct Track {
    recording: Recording,
    following: vec::IntoIter<PathBuf>,
    /// Whether what the recording begins with may have been said before it.
    recalling: bool,
    next: Option<Record>,
    offset: TimeDelta,
    sessions: HashMap<String, Session>,
    translator: Translator,
}

impl Replay {
    /// Opens the recordings. One that is missing or broken at its start fails here, before anything is played.
    pub fn open(options: ReplayOptions) -> Result<Self, RecordingError> {
        let runs = runs(&options.files)?;
        let start = runs.iter().map(|run| run.began).max().unwrap_or_default();
        let tracks = tracks(runs, start)?;
        Ok(Self { options, tracks, start })
    }

    /// Gets the time at which the clock starts.
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// Lists the venues that were recorded, each once.
    pub fn venues(&self) -> Vec<Venue> {
        let mut venues = Vec::new();
        for venue in self.tracks.iter().map(|track| track.recording.protocol().venue()) {
            if !venues.contains(&venue) {
                venues.push(venue);
            }
        }
        venues
    }

    /// Gets the number of recordings.
    pub fn recordings(&self) -> usize {
        self.options.files.len()
    }

    /// Plays until the end, or until told to stop. A recording that is damaged is an error.
    pub async fn run(
        mut self,
        mut aggregator: Aggregator,
        sources: Sources,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> Result<(), RecordingError> {
        for venue in self.venues() {
            sources.get(venue).into_iter().for_each(|source| source.connected(self.start));
        }
        let mut pace = Pace::new(self.start, self.options.speed);
        let mut next_tick = self.start + TICK;
        loop {
            let next =
                self.tracks.iter_mut().filter(|track| track.next.is_some()).min_by_key(|track| track.due());
            let Some((track, due)) = next.and_then(|track| track.due().map(|due| (track, due))) else {
                if !self.options.repeat || next_tick <= self.start + TICK {
                    break;
                }
                self.rewind(clock.now())?;
                aggregator.start_again();
                continue;
            };
            while next_tick <= due {
                if !pace.reach(next_tick, &shutdown).await {
                    return Ok(());
                }
                clock.advance_to(next_tick);
                aggregator.tick(next_tick);
                next_tick += TICK;
            }
            if !pace.reach(due, &shutdown).await {
                return Ok(());
            }
            clock.advance_to(due);
            track.play(due, &sources, &mut aggregator)?;
            aggregator.settle(due);
        }
        for report in sources.reports("", clock.now()).collect::<Vec<_>>() {
            sources.get(report.venue).into_iter().for_each(|source| source.ended(clock.now()));
            let counts = report.counts;
            info!(
                venue = %report.venue,
                frames = counts.frames,
                tickers = counts.tickers,
                trades = counts.trades,
                snapshot_trades = counts.snapshot_trades,
                malformed = counts.malformed,
                "the recording of {} has ended", report.venue
            );
        }
        Ok(())
    }

    /// Opens the recordings again, moved to where the clock is.
    fn rewind(&mut self, now: DateTime<Utc>) -> Result<(), RecordingError> {
        self.tracks = tracks(runs(&self.options.files)?, now)?;
        Ok(())
    }
}

/// Looks at all recordings, and finds out which follow which.
fn runs(files: &[PathBuf]) -> Result<Vec<Run>, RecordingError> {
    let recordings = files.iter().map(|file| {
        let recording = Recording::open(file)?;
        Ok((recording.started(), recording.exchange().to_owned(), file.clone()))
    });
    let mut recordings: Vec<_> = recordings.collect::<Result<_, RecordingError>>()?;
    recordings.sort();
    let mut runs: Vec<Run> = Vec::new();
    for (started, exchange, file) in recordings {
        let earlier = runs.iter_mut().find(|run| run.exchange == exchange && started - run.last <= SAME_RUN);
        match earlier {
            Some(run) => {
                run.last = started;
                run.files.push(file);
            }
            None => runs.push(Run { exchange, began: started, last: started, files: vec![file] }),
        }
    }
    Ok(runs)
}

/// Opens the first recording of each run, moved so that all begin at `start`.
fn tracks(runs: Vec<Run>, start: DateTime<Utc>) -> Result<Vec<Track>, RecordingError> {
    let mut tracks = Vec::with_capacity(runs.len());
    for run in runs {
        let mut files = run.files.into_iter();
        if let Some(first) = files.next() {
            tracks.push(Track::new(Recording::open(first)?, files, start - run.began)?);
        }
    }
    Ok(tracks)
}

impl Track {
    fn new(
        recording: Recording,
        following: vec::IntoIter<PathBuf>,
        offset: TimeDelta,
    ) -> Result<Self, RecordingError> {
        let translator = Translator::new(recording.protocol());
        let sessions = HashMap::new();
        let mut track =
            Self { recording, following, recalling: true, next: None, offset, sessions, translator };
        track.next = track.read()?;
        Ok(track)
    }

    fn due(&self) -> Option<DateTime<Utc>> {
        self.next.as_ref().map(|record| record.time + self.offset)
    }

    /// Reads the next record, of the next file where one has ended. What was said before a file began only tells the
    /// parser what later frames refer to.
    fn read(&mut self) -> Result<Option<Record>, RecordingError> {
        loop {
            match self.recording.next().transpose()? {
                Some(record) if self.recalling && record.time < self.recording.started() => {
                    self.recall(record);
                }
                Some(record) => {
                    self.recalling = false;
                    return Ok(Some(record));
                }
                None => {
                    if self.recording.is_cut() {
                        let file = self.recording.path().display();
                        warn!(%file, "a recording is cut off: it is played up to its last whole record");
                    }
                    let Some(file) = self.following.next() else { return Ok(None) };
                    self.recording = Recording::open(file)?;
                    self.recalling = true;
                }
            }
        }
    }

    fn recall(&mut self, record: Record) {
        let Some(frame) = self.frame(&record.connection, record.kind) else { return };
        let protocol = self.recording.protocol();
        let session = self.sessions.entry(record.connection).or_default();
        // It was understood when it came, or else it would not stand here.
        let _ = protocol.decode(frame.as_frame()).and_then(|text| protocol.parse(session, &text).map(drop));
    }

    /// Gets the frame that was received, if one was. A connection that begins knows nothing.
    fn frame(&mut self, connection: &str, kind: RecordKind) -> Option<OwnedFrame> {
        match kind {
            RecordKind::Frame(frame) => Some(frame),
            RecordKind::Connect(_) => {
                self.sessions.remove(connection);
                None
            }
            RecordKind::Sent(_) | RecordKind::Http { .. } => None,
        }
    }

    /// Plays the next record, then reads the one after.
    fn play(
        &mut self,
        now: DateTime<Utc>,
        sources: &Sources,
        aggregator: &mut Aggregator,
    ) -> Result<(), RecordingError> {
        if let Some(record) = self.next.take() {
            self.take(record, now, sources, aggregator);
        }
        self.next = self.read()?;
        Ok(())
    }

    fn take(&mut self, record: Record, now: DateTime<Utc>, sources: &Sources, aggregator: &mut Aggregator) {
        let Some(frame) = self.frame(&record.connection, record.kind) else { return };
        let protocol = self.recording.protocol();
        let venue = protocol.venue();
        let source = sources.get(venue);
        if let Some(source) = source {
            source.frame(now);
        }
        let session = self.sessions.entry(record.connection).or_default();
        let outcome = protocol.decode(frame.as_frame()).and_then(|text| {
            for event in protocol.parse(session, &text)?.events {
                let kind = moved(self.translator.translate(event, record.time)?, self.offset);
                aggregator.apply(Delivery { venue, receive_time: now, kind });
            }
            Ok(())
        });
        if let Err(error) = outcome {
            warn!(%venue, %error, "a recorded frame is not understood");
            if let Some(source) = source {
                source.malformed(error.kind(), &error.to_string(), now);
            }
        }
    }
}

/// Moves the venue's times along with the recording.
fn moved(mut kind: DeliveryKind, offset: TimeDelta) -> DeliveryKind {
    match &mut kind {
        DeliveryKind::Ticker { time: Some(time), .. } => *time += offset,
        DeliveryKind::Trade { trade, .. } => trade.time += offset,
        _ => {}
    }
    kind
}

/// Holds the virtual clock back to the speed that was asked for.
#[derive(Debug)]
struct Pace {
    start: DateTime<Utc>,
    began: Instant,
    speed: Option<f64>,
    unyielding: u32,
}

impl Pace {
    fn new(start: DateTime<Utc>, speed: Option<f64>) -> Self {
        Self { start, began: Instant::now(), speed, unyielding: 0 }
    }

    /// Waits until a virtual time is due; `false` if told to stop meanwhile.
    async fn reach(&mut self, time: DateTime<Utc>, shutdown: &CancellationToken) -> bool {
        if let Some(speed) = self.speed {
            let virtual_elapsed = (time - self.start).to_std().unwrap_or(Duration::ZERO);
            let due = self.began + virtual_elapsed.div_f64(speed);
            if due > Instant::now() {
                tokio::select! {
                    () = sleep_until(due) => {}
                    () = shutdown.cancelled() => {}
                }
                return !shutdown.is_cancelled();
            }
        }
        // Without waits the other tasks must still have their turn.
        self.unyielding += 1;
        if self.unyielding.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
        !shutdown.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_of_an_exchange_within_a_day_are_one_run() {
        let folder = tempfile::tempdir().unwrap();
        let hour = |hours: i64| DateTime::from_timestamp(1_700_000_000 + 3_600 * hours, 0).unwrap();
        let file = |exchange: &str, hours: i64| {
            let path = folder.path().join(format!("{exchange}-{hours}.jsonl"));
            let recorded = hour(hours).timestamp();
            let header =
                format!(r#"{{"t":"header","format":2,"exchange":"{exchange}","recorded":{recorded}}}"#);
            std::fs::write(&path, header).unwrap();
            path
        };
        let [first, second, third] = [0, 1, 25].map(|hours| file("KRAKEN", hours));
        let (later, other) = (file("KRAKEN", 50), file("BINANCE", 30));
        let given = [later.clone(), third.clone(), other.clone(), first.clone(), second.clone()];
        let runs = runs(&given).unwrap();
        let found: Vec<_> = runs.iter().map(|run| (run.began, run.files.clone())).collect();
        let expected =
            [(hour(0), vec![first, second, third]), (hour(30), vec![other]), (hour(50), vec![later])];
        assert_eq!(found, expected);

        let options = ReplayOptions { files: given.to_vec(), speed: None, repeat: false };
        let replay = Replay::open(options).unwrap();
        assert_eq!((replay.start(), replay.recordings()), (hour(50), 5));
        assert_eq!(
            replay.venues().iter().map(|venue| venue.as_str()).collect::<Vec<_>>(),
            ["kraken", "binance"]
        );
    }
}
