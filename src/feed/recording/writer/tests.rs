//! Files that are written, and read back.

use super::*;
use crate::feed::{
    event::Event,
    recording::{OwnedFrame, Recording, Tapped, Untold},
    venue::{Frame, Protocol, Session},
    venues::gemini::Gemini,
};

const ADDRESS: &str = "wss://example.com/";

fn at(seconds: i64, millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 123_456_789).unwrap() + TimeDelta::milliseconds(millis)
}

fn options(folder: &std::path::Path) -> WriterOptions {
    WriterOptions {
        folder: folder.to_owned(),
        rotate_size: 1 << 20,
        rotate_every: TimeDelta::seconds(10),
        flush_every: Duration::from_secs(1),
        room: 1 << 20,
    }
}

/// Writes what `tell` tells of one connection to Kraken.
fn write(options: WriterOptions, tell: impl FnOnce(&Tapped<'_>)) -> Progress {
    let (writer, mut taps) = Writer::create(options, [Venue::new("kraken")], at(0, 0)).unwrap();
    let progress = writer.progress();
    let tap = taps.pop().unwrap();
    tell(&tap.connect(ADDRESS.to_owned(), at(0, 1)).unwrap());
    drop(tap);
    writer.run().unwrap();
    progress
}

fn say(tapped: &Tapped<'_>, text: &str, time: DateTime<Utc>, lasting: bool) {
    tapped.received(Frame::Text(text), time, lasting).unwrap();
}

/// Reads all files, in the order of their names: the name, the start, and the records.
fn read(folder: &std::path::Path) -> Vec<(String, DateTime<Utc>, Vec<Record>)> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = paths.into_iter().map(|path| {
        let mut recording = Recording::open(&path).unwrap();
        let records: Vec<_> = recording.by_ref().map(Result::unwrap).collect();
        assert!(!recording.is_cut(), "{path:?}");
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, recording.started(), records)
    });
    read.collect()
}

fn record(connection: &str, time: DateTime<Utc>, kind: RecordKind) -> Record {
    Record { time, connection: connection.to_owned(), kind }
}

fn text(text: &str) -> RecordKind {
    RecordKind::Frame(OwnedFrame::Text(text.to_owned()))
}

#[test]
fn what_is_told_is_read_back_to_the_nanosecond() {
    let folder = tempfile::tempdir().unwrap();
    let words = "{\"tr\u{e8}s\":\"\\\"\u{1f600}\n\u{0}\"}";
    let progress = write(options(&folder.path().join("made/on/the/way")), |tapped| {
        tapped.sent("hello".to_owned(), at(0, 2)).unwrap();
        say(tapped, words, at(0, 3), false);
        tapped.received(Frame::Binary(&[0x1f, 0x8b, 0, 255]), at(0, 4), false).unwrap();
    });
    let files = read(&folder.path().join("made/on/the/way"));
    let connection = "KRAKEN.ws.1";
    let records = vec![
        record(connection, at(0, 1), RecordKind::Connect(ADDRESS.to_owned())),
        record(connection, at(0, 2), RecordKind::Sent("hello".to_owned())),
        record(connection, at(0, 3), text(words)),
        record(connection, at(0, 4), RecordKind::Frame(OwnedFrame::Binary(vec![0x1f, 0x8b, 0, 255]))),
    ];
    assert_eq!(files, [("KRAKEN-20231114T221320Z.jsonl.zst".to_owned(), at(0, 0), records)]);
    let path = folder.path().join("made/on/the/way").join(&files[0].0);
    let size = fs::metadata(path).unwrap().len();
    assert_eq!((progress.messages(), progress.files(), progress.bytes()), (2, 1, size));
}

#[test]
fn the_next_file_begins_with_what_later_frames_refer_to() {
    let folder = tempfile::tempdir().unwrap();
    write(options(folder.path()), |tapped| {
        tapped.sent("subscribe".to_owned(), at(0, 2)).unwrap();
        say(tapped, "numbered 7", at(1, 0), true);
        say(tapped, "[7,1]", at(9, 0), false);
        say(tapped, "[7,2]", at(10, 0), false);
        say(tapped, "numbered 8", at(10, 1), true);
        say(tapped, "[7,3]", at(25, 0), false);
    });
    let connection = "KRAKEN.ws.1";
    let connect = record(connection, at(0, 1), RecordKind::Connect(ADDRESS.to_owned()));
    let seven = record(connection, at(1, 0), text("numbered 7"));
    let eight = record(connection, at(10, 1), text("numbered 8"));
    let files = read(folder.path());
    assert_eq!(files.len(), 3);
    assert_eq!(files[0].2.last(), Some(&record(connection, at(9, 0), text("[7,1]"))));
    let second = record(connection, at(10, 0), text("[7,2]"));
    let expected = vec![connect.clone(), seven.clone(), second, eight.clone()];
    assert_eq!(files[1], ("KRAKEN-20231114T221330Z.jsonl.zst".to_owned(), at(10, 0), expected));
    let third = record(connection, at(25, 0), text("[7,3]"));
    let expected = vec![connect, seven, eight, third];
    assert_eq!(files[2], ("KRAKEN-20231114T221345Z.jsonl.zst".to_owned(), at(25, 0), expected));
}

#[test]
fn a_file_refers_to_the_connections_that_stand_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, taps) = Writer::create(options(folder.path()), [Venue::new("kraken")], at(0, 0)).unwrap();
    let connect = |second| taps[0].connect(ADDRESS.to_owned(), at(second, 0)).unwrap();
    let first = connect(1);
    say(&first, "first: numbered 7", at(2, 0), true);
    let second = connect(3);
    say(&second, "second: numbered 7", at(4, 0), true);
    say(&first, "[7,1]", at(20, 0), false);
    // Another takes over from the first.
    let third = connect(21);
    drop(first);
    say(&third, "third: numbered 1", at(22, 0), true);
    say(&second, "[7,2]", at(40, 0), false);
    drop((second, third));
    drop(taps);
    writer.run().unwrap();
    let files = read(folder.path());
    let told = |number: u32, second, kind| record(&format!("KRAKEN.ws.{number}"), at(second, 0), kind);
    let stands = |number, second| told(number, second, RecordKind::Connect(ADDRESS.to_owned()));
    let seven = told(2, 4, text("second: numbered 7"));
    let one = told(3, 22, text("third: numbered 1"));
    let expected = vec![
        stands(1, 1),
        told(1, 2, text("first: numbered 7")),
        stands(2, 3),
        seven.clone(),
        told(1, 20, text("[7,1]")),
        stands(3, 21),
        one.clone(),
    ];
    assert_eq!(files[1].2, expected);
    assert_eq!(files[2].2, [stands(2, 3), seven, stands(3, 21), one, told(2, 40, text("[7,2]"))]);
}

#[test]
fn a_later_file_does_not_begin_a_book_with_what_it_was_in_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let book = |bid: &str, beside: &str| {
        let changes = format!(r#"[["buy","{bid}","3"],["sell","2","1"]]"#);
        format!(r#"{{"type":"l2_updates","symbol":"ABCUSD","changes":{changes}{beside}}}"#)
    };
    let (whole, change) = (|bid| book(bid, r#","trades":[]"#), |bid| book(bid, ""));
    let told = [
        (whole("1.1"), at(1, 0)),
        (change("1.2"), at(2, 0)),
        (change("1.3"), at(12, 0)),
        (whole("1.05"), at(13, 0)),
        (change("1.06"), at(14, 0)),
    ];
    let (writer, taps) = Writer::create(options(folder.path()), [Venue::new("gemini")], at(0, 0)).unwrap();
    let tapped = taps[0].connect(ADDRESS.to_owned(), at(0, 1)).unwrap();
    // As a connection does: what changes its session lasts.
    let mut session = Session::default();
    for (text, time) in &told {
        let known = session.extent();
        Gemini.parse(&mut session, text).unwrap();
        say(&tapped, text, *time, session.extent() != known);
    }
    drop(tapped);
    drop(taps);
    writer.run().unwrap();
    let bids = read(folder.path()).into_iter().map(|(_, _, records)| {
        let mut session = Session::default();
        let frames = records.into_iter().filter_map(|record| match record.kind {
            RecordKind::Frame(OwnedFrame::Text(text)) => Some(text),
            _ => None,
        });
        let bids = frames.map(|text| match Gemini.parse(&mut session, &text).unwrap().events.as_slice() {
            [Event::Ticker(ticker)] => ticker.book.and_then(|book| book.bid).map(|bid| bid.to_string()),
            other => panic!("{other:?}"),
        });
        bids.collect::<Vec<_>>()
    });
    let expected = [vec![Some("1.1"), Some("1.2")], vec![None, Some("1.05"), Some("1.06")]];
    assert_eq!(
        bids.collect::<Vec<_>>(),
        expected.map(|bids| bids.into_iter().map(|b| b.map(str::to_owned)).collect::<Vec<_>>())
    );
}

#[test]
fn a_file_that_is_large_is_followed_by_the_next_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    // Small enough that each flush fills a file.
    let options =
        WriterOptions { rotate_size: 1, rotate_every: TimeDelta::hours(1), ..options(folder.path()) };
    let told: Vec<_> = (0..40).map(|n| (format!("[{n}]"), at(0, 100 * n))).collect();
    write(options, |tapped| told.iter().for_each(|(text, time)| say(tapped, text, *time, false)));
    let files = read(folder.path());
    let names: Vec<_> = files.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(
        names,
        ["20", "21", "22", "23", "24"].map(|seconds| format!("KRAKEN-20231114T2213{seconds}Z.jsonl.zst"))
    );
    let own = files.into_iter().flat_map(|(_, started, records)| {
        records.into_iter().skip_while(move |record| record.time < started)
    });
    let own: Vec<_> = own.map(|record| (record.kind, record.time)).collect();
    let told: Vec<_> = told.iter().map(|(told, time)| (text(told), *time)).collect();
    assert_eq!(own[1..], told, "each once, after the record of the connection");
}

#[test]
fn what_finds_no_room_is_refused_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let options = WriterOptions { room: 1_500, ..options(folder.path()) };
    let (writer, taps) = Writer::create(options, [Venue::new("kraken")], at(0, 0)).unwrap();
    let progress = writer.progress();
    let tapped = taps[0].connect(ADDRESS.to_owned(), at(0, 1)).unwrap();
    let large = "x".repeat(700);
    say(&tapped, &large, at(0, 2), false);
    assert_eq!(tapped.received(Frame::Text(&large), at(0, 3), false), Err(Untold::NoRoom));
    assert_eq!(progress.overruns(), 1);
    // There is room again once it is written.
    let thread = std::thread::spawn(|| writer.run());
    while let Err(untold) = tapped.received(Frame::Text(&large), at(0, 4), false) {
        assert_eq!(untold, Untold::NoRoom);
        std::thread::yield_now();
    }
    drop(tapped);
    drop(taps);
    thread.join().unwrap().unwrap();
    assert_eq!(progress.messages(), 2);
}

#[test]
fn a_writer_that_has_ended_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, taps) = Writer::create(options(folder.path()), [Venue::new("kraken")], at(0, 0)).unwrap();
    let tapped = taps[0].connect(ADDRESS.to_owned(), at(0, 1)).unwrap();
    drop(writer);
    assert_eq!(tapped.sent("hello".to_owned(), at(0, 2)), Err(Untold::Ended));
}

#[test]
fn what_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let create = |folder: &std::path::Path| {
        Writer::create(options(folder), [Venue::new("kraken")], at(0, 0)).map(drop)
    };
    create(folder.path()).unwrap();
    let file = folder.path().join("KRAKEN-20231114T221320Z.jsonl.zst");
    let error = create(folder.path()).unwrap_err();
    assert!(matches!(&error, WriteError::Create { path, source }
        if *path == file && source.kind() == std::io::ErrorKind::AlreadyExists));
    let error = create(&file).unwrap_err();
    assert!(matches!(&error, WriteError::Folder { path, .. } if *path == file), "{error}");
}
