//! Plays recordings through the same parsers and the same aggregator as live traffic.
//!
//! All recordings start together on one virtual clock: each is moved in time so that its start falls on that of the
//! newest. The clock goes from frame to frame and from tick to tick, and stands when a recording that is played once
//! has ended. How fast it is played changes nothing of what comes out: two runs over the same files give the same
//! prices, byte for byte.

use std::{collections::HashMap, path::PathBuf, time::Duration};

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
        recording::{Record, RecordKind, Recording, RecordingError},
        translate::Translator,
        venue::{Protocol, Session},
    },
};

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

/// One recording on its way.
#[derive(Debug)]
struct Track {
    recording: Recording,
    next: Option<Record>,
    offset: TimeDelta,
    sessions: HashMap<String, Session>,
    translator: Translator,
}

impl Replay {
    /// Opens the recordings. One that is missing or broken at its start fails here, before anything is played.
    pub fn open(options: ReplayOptions) -> Result<Self, RecordingError> {
        let recordings: Vec<_> = options.files.iter().map(Recording::open).collect::<Result<_, _>>()?;
        let start = recordings.iter().map(Recording::started).max().unwrap_or_default();
        let tracks = recordings
            .into_iter()
            .map(|recording| {
                let offset = start - recording.started();
                Track::new(recording, offset)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { options, tracks, start })
    }

    /// Gets the time at which the clock starts.
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// Lists the venues that were recorded.
    pub fn venues(&self) -> Vec<Venue> {
        self.tracks.iter().map(|track| track.protocol().venue()).collect()
    }

    /// Plays until the end, or until told to stop. A recording that breaks off is an error.
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
        let tracks = self.options.files.iter().map(|file| {
            let recording = Recording::open(file)?;
            let offset = now - recording.started();
            Track::new(recording, offset)
        });
        self.tracks = tracks.collect::<Result<_, _>>()?;
        Ok(())
    }
}

impl Track {
    fn new(mut recording: Recording, offset: TimeDelta) -> Result<Self, RecordingError> {
        let translator = Translator::new(recording.protocol());
        let next = recording.next().transpose()?;
        Ok(Self { recording, next, offset, sessions: HashMap::new(), translator })
    }

    fn protocol(&self) -> &'static dyn Protocol {
        self.recording.protocol()
    }

    fn due(&self) -> Option<DateTime<Utc>> {
        self.next.as_ref().map(|record| record.time + self.offset)
    }

    /// Plays the next record and reads the one after.
    fn play(
        &mut self,
        now: DateTime<Utc>,
        sources: &Sources,
        aggregator: &mut Aggregator,
    ) -> Result<(), RecordingError> {
        let following = self.recording.next().transpose()?;
        let Some(record) = std::mem::replace(&mut self.next, following) else {
            return Ok(());
        };
        let RecordKind::Frame(frame) = record.kind else {
            return Ok(());
        };
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
        Ok(())
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
