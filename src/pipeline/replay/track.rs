//! The recordings of a replay: which of them were made one after the other, and one on its way.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
};

use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use super::Audience;
use crate::{
    feed::{
        delivery::{Delivery, DeliveryKind},
        recording::{OwnedFrame, Record, RecordKind, Recording, RecordingError},
        translate::Translator,
        venue::{Protocol, Session},
    },
    pipeline::chronicle::Chronicle,
};

/// How far apart recordings of one exchange may begin to be parts of one run.
const SAME_RUN: TimeDelta = TimeDelta::days(1);

/// Recordings of one exchange that were made one after the other, sorted by time.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) began: DateTime<Utc>,
    tracks: Vec<Track>,
}

/// One recording on its way.
#[derive(Debug)]
pub(super) struct Track {
    file: PathBuf,
    exchange: String,
    pub(super) protocol: &'static dyn Protocol,
    begins: DateTime<Utc>,
    offset: TimeDelta,
    state: State,
}

/// How far a recording is. It is open only while it is played: a run may have many.
#[derive(Debug)]
enum State {
    Waiting,
    Playing(Box<Playing>),
    Ended,
}

/// A recording that is being played.
#[derive(Debug)]
struct Playing {
    recording: Recording,
    next: Option<Record>,
    reader: Reader,
}

/// Understands the frames of a recording, and moves what they say in time.
#[derive(Debug)]
struct Reader {
    protocol: &'static dyn Protocol,
    offset: TimeDelta,
    connections: HashMap<String, Heard>,
}

/// What is known of a connection.
#[derive(Debug)]
struct Heard {
    session: Session,
    translator: Translator,
}

/// Looks at all recordings, and finds out which were made one after the other.
pub(super) fn runs(files: &[PathBuf]) -> Result<Vec<Run>, RecordingError> {
    let mut tracks: Vec<Track> = files.iter().map(Track::look).collect::<Result<_, _>>()?;
    tracks.sort_by(|a, b| (a.begins, &a.exchange, &a.file).cmp(&(b.begins, &b.exchange, &b.file)));
    let mut runs: Vec<Run> = Vec::new();
    for track in tracks {
        match runs.iter_mut().find(|run| run.goes_on_with(&track)) {
            Some(run) => run.tracks.push(track),
            None => runs.push(Run { began: track.begins, tracks: vec![track] }),
        }
    }
    Ok(runs)
}

/// Moves each run so that all begin at `start`.
pub(super) fn tracks(runs: Vec<Run>, start: DateTime<Utc>) -> Vec<Track> {
    let moved = runs.into_iter().flat_map(|run| {
        let offset = start - run.began;
        run.tracks.into_iter().map(move |track| Track { offset, ..track })
    });
    moved.collect()
}

impl Run {
    fn goes_on_with(&self, track: &Track) -> bool {
        let last = self.tracks.last();
        last.is_some_and(|last| last.exchange == track.exchange && track.begins - last.begins <= SAME_RUN)
    }
}

impl Track {
    /// Looks at a recording: at its header, and whether its first record is whole.
    fn look(file: &PathBuf) -> Result<Self, RecordingError> {
        let mut recording = Recording::open(file)?;
        recording.next().transpose()?;
        Ok(Self {
            file: file.clone(),
            exchange: recording.exchange().to_owned(),
            protocol: recording.protocol(),
            begins: recording.started(),
            offset: TimeDelta::zero(),
            state: State::Waiting,
        })
    }

    /// Tells when something is to be done: when it begins, or when its next record is due.
    pub(super) fn due(&self) -> Option<DateTime<Utc>> {
        match &self.state {
            State::Waiting => Some(self.begins + self.offset),
            State::Playing(playing) => playing.next.as_ref().map(|next| next.time + self.offset),
            State::Ended => None,
        }
    }

    /// Opens the recording, if it is not yet; tells whether it was opened.
    pub(super) fn begin(&mut self) -> Result<bool, RecordingError> {
        let waits = matches!(self.state, State::Waiting);
        if waits {
            self.state = self.open()?;
        }
        Ok(waits)
    }

    /// Opens the recording. What was said before it began only tells the parser what later frames refer to.
    fn open(&self) -> Result<State, RecordingError> {
        let mut recording = Recording::open(&self.file)?;
        let mut reader = Reader { protocol: self.protocol, offset: self.offset, connections: HashMap::new() };
        while let Some(record) = recording.next().transpose()? {
            if record.time >= self.begins {
                return Ok(State::Playing(Box::new(Playing { recording, next: Some(record), reader })));
            }
            reader.recall(record);
        }
        Ok(ended(&recording))
    }

    /// Plays the next record, then reads the one after.
    pub(super) fn play(&mut self, now: DateTime<Utc>, audience: &mut Audience) -> Result<(), RecordingError> {
        let State::Playing(playing) = &mut self.state else { return Ok(()) };
        if let Some(record) = playing.next.take() {
            playing.reader.take(record, now, audience);
        }
        playing.next = playing.recording.next().transpose()?;
        if playing.next.is_none() {
            self.state = ended(&playing.recording);
        }
        Ok(())
    }
}

impl Reader {
    /// Takes in what was said before the recording began.
    fn recall(&mut self, record: Record) {
        let protocol = self.protocol;
        let begins = matches!(record.kind, RecordKind::Connect(_));
        let (heard, frame) = self.heard(record.connection, record.kind);
        if begins {
            heard.translator.begin(record.time);
        }
        if let Some(frame) = frame {
            // It was understood when it came, or else it would not stand here.
            let read = protocol.decode(frame.as_frame());
            let _ = read.and_then(|text| protocol.parse(&mut heard.session, &text).map(drop));
        }
    }

    /// Hands on what a record says.
    fn take(&mut self, record: Record, now: DateTime<Utc>, audience: &mut Audience) {
        let protocol = self.protocol;
        let venue = protocol.venue();
        let connection = Some(number(&record.connection));
        // How the connections are is of concern for candles: whether a quote still holds, its age tells.
        let tell = |chronicle: &mut Chronicle, kind| {
            chronicle.hear(&Delivery { venue, connection, receive_time: now, kind });
        };
        if let RecordKind::Connect(_) = record.kind {
            tell(&mut audience.chronicle, DeliveryKind::Left([].into()));
            tell(&mut audience.chronicle, DeliveryKind::Connected([].into()));
        }
        let offset = self.offset;
        let (heard, frame) = self.heard(record.connection, record.kind);
        let Some(frame) = frame else { return };
        tell(&mut audience.chronicle, DeliveryKind::Message);
        let source = audience.sources.get(venue);
        if let Some(source) = &source {
            source.frame(now);
        }
        let outcome = protocol.decode(frame.as_frame()).and_then(|text| {
            for event in &protocol.parse(&mut heard.session, &text)?.events {
                let kind = moved(heard.translator.translate(event, record.time)?, offset);
                let delivery = Delivery { venue, connection, receive_time: now, kind };
                audience.chronicle.hear(&delivery);
                audience.aggregator.apply(delivery, source.as_deref());
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

    /// Finds what is known of a connection after something happened on it, and the frame that was received, if one was.
    fn heard(&mut self, connection: String, kind: RecordKind) -> (&mut Heard, Option<OwnedFrame>) {
        let protocol = self.protocol;
        let heard = self.connections.entry(connection).or_insert_with(|| Heard::begin(protocol));
        let frame = match kind {
            RecordKind::Frame(frame) => Some(frame),
            RecordKind::Connect(_) => {
                *heard = Heard::begin(protocol);
                None
            }
            RecordKind::Asked(pairs) => {
                heard.translator.ask(pairs);
                None
            }
            RecordKind::Sent(_) | RecordKind::Http { .. } => None,
        };
        (heard, frame)
    }
}

impl Heard {
    /// Begins with a connection, which knows nothing.
    fn begin(protocol: &'static dyn Protocol) -> Self {
        Self { session: Session::default(), translator: Translator::new(protocol) }
    }
}

/// Ends a recording, and says so where that is not its own end.
fn ended(recording: &Recording) -> State {
    if recording.is_cut() {
        let file = recording.path().display();
        warn!(%file, "a recording is cut off: it is played up to its last whole record");
    }
    State::Ended
}

/// Numbers a connection by its name, the same in each file of a run.
fn number(connection: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    connection.hash(&mut hasher);
    hasher.finish()
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
        let found: Vec<_> = runs
            .iter()
            .map(|run| (run.began, run.tracks.iter().map(|track| track.file.clone()).collect()))
            .collect();
        let expected =
            [(hour(0), vec![first, second, third]), (hour(30), vec![other]), (hour(50), vec![later])];
        assert_eq!(found, expected);
    }
}
