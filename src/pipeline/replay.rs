//! Plays recordings through the same parsers and the same aggregator as live traffic.
//!
//! Recordings of one exchange that begin within a day of each other are one run, and keep their distances in time. All
//! runs start together on one virtual clock: each is moved in time so that its start falls on that of the newest. A
//! recording that is cut off is played up to its last whole record.
//!
//! The clock goes from frame to frame and from tick to tick, and stands when a recording that is played once
//! has ended. How fast it is played changes nothing of what comes out: two runs over the same files give the same
//! prices, byte for byte.

mod track;

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::info;

use self::track::{Track, runs, tracks};
use super::{aggregator::Aggregator, chronicle::Chronicle, health::Sources};
use crate::{clock::Clock, domain::venue::Venue, feed::recording::RecordingError};

/// How far the clock goes between two looks at what has grown old.
const TICK: TimeDelta = TimeDelta::milliseconds(100);

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

impl Replay {
    /// Opens the recordings. One that is missing or broken at its start fails here, before anything is played.
    pub fn open(options: ReplayOptions) -> Result<Self, RecordingError> {
        let runs = runs(&options.files)?;
        let start = runs.iter().map(|run| run.began).max().unwrap_or_default();
        Ok(Self { options, tracks: tracks(runs, start), start })
    }

    /// Gets the time at which the clock starts.
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// Lists the venues that were recorded, each once.
    pub fn venues(&self) -> Vec<Venue> {
        let mut venues = Vec::new();
        for venue in self.tracks.iter().map(|track| track.protocol.venue()) {
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
        aggregator: Aggregator,
        chronicle: Chronicle,
        sources: Sources,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> Result<(), RecordingError> {
        let mut audience = Audience { sources, aggregator, chronicle };
        let sources = audience.sources.clone();
        for venue in self.venues() {
            sources.get(venue).into_iter().for_each(|source| source.connected(0, &[], self.start));
        }
        let mut pace = Pace::new(self.start, self.options.speed);
        let mut next_tick = self.start + TICK;
        loop {
            let unended = self.tracks.iter_mut().filter(|track| track.due().is_some());
            let next = unended.min_by_key(|track| track.due());
            let Some((track, due)) = next.and_then(|track| track.due().map(|due| (track, due))) else {
                if !self.options.repeat || next_tick <= self.start + TICK {
                    break;
                }
                self.rewind(clock.now())?;
                audience.aggregator.start_again();
                audience.chronicle.start_again(clock.now());
                continue;
            };
            if track.begin()? {
                continue;
            }
            while next_tick <= due {
                if !pace.reach(next_tick, &shutdown).await {
                    return Ok(());
                }
                clock.advance_to(next_tick);
                audience.aggregator.tick(next_tick);
                audience.chronicle.tick(next_tick);
                next_tick += TICK;
            }
            if !pace.reach(due, &shutdown).await {
                return Ok(());
            }
            clock.advance_to(due);
            track.play(due, &mut audience)?;
            audience.aggregator.settle(due);
        }
        audience.chronicle.look(clock.now());
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
        self.tracks = tracks(runs(&self.options.files)?, now);
        Ok(())
    }
}

/// Who hears what is played.
#[derive(Debug)]
struct Audience {
    sources: Sources,
    aggregator: Aggregator,
    chronicle: Chronicle,
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
    fn a_venue_is_listed_once_and_the_newest_run_sets_the_clock() {
        let folder = tempfile::tempdir().unwrap();
        let files = [("KRAKEN", 2), ("BINANCE", 5), ("KRAKEN", 8)].map(|(exchange, hour)| {
            let path = folder.path().join(format!("{exchange}-{hour}.jsonl"));
            let recorded = 3_600 * hour;
            let header =
                format!(r#"{{"t":"header","format":2,"exchange":"{exchange}","recorded":{recorded}}}"#);
            std::fs::write(&path, header).unwrap();
            path
        });
        let options = ReplayOptions { files: files.to_vec(), speed: None, repeat: false };
        let replay = Replay::open(options).unwrap();
        // The second of Kraken goes on with the first.
        assert_eq!((replay.start().timestamp(), replay.recordings()), (5 * 3_600, 3));
        assert_eq!(replay.venues(), [Venue::new("kraken"), Venue::new("binance")]);
    }
}
