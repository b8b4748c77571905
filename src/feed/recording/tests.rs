//! Recordings that are read, written and broken.

use std::{fs::File, io::Write};

use proptest::prelude::*;

use super::*;

const HEADER: &str = r#"{"t":"header","format":2,"exchange":"BINANCE","recorded":1700000000.25}"#;

fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    File::create(&path).unwrap().write_all(bytes).unwrap();
    (folder, path)
}

fn read(name: &str, bytes: &[u8]) -> Result<Vec<Record>, RecordingError> {
    let (_folder, path) = file(name, bytes);
    Recording::open(path)?.collect()
}

fn lines(records: &[&str]) -> String {
    [&[HEADER], records].concat().join("\n")
}

#[test]
fn every_kind_of_record_is_read_compressed_or_not() {
    let text = lines(&[
        r#"{"t":"http","conn":"h","ts":1700000000.5,"url":"https://example.com","data":"{\"a\":1}"}"#,
        r#"{"t":"connect","conn":"w","ts":1700000001,"addr":"wss://example.com"}"#,
        r#"{"t":"send","conn":"w","ts":1700000001.000001,"addr":"wss://example.com","data":"hello"}"#,
        "",
        r#"{"t":"recv","conn":"w","ts":1700000002.5,"data":"[\"tr\u00e9s\"]"}"#,
        r#"{"t":"recv","conn":"w","ts":1700000003,"b64":"H4sA"}"#,
    ]);
    let plain = read("a.jsonl", text.as_bytes()).unwrap();
    let kinds: Vec<&RecordKind> = plain.iter().map(|record| &record.kind).collect();
    assert_eq!(
        kinds,
        [
            &RecordKind::Http { url: "https://example.com".to_owned(), body: r#"{"a":1}"#.to_owned() },
            &RecordKind::Connect("wss://example.com".to_owned()),
            &RecordKind::Sent("hello".to_owned()),
            &RecordKind::Frame(OwnedFrame::Text(r#"["trés"]"#.to_owned())),
            &RecordKind::Frame(OwnedFrame::Binary(vec![0x1f, 0x8b, 0x00])),
        ]
    );
    assert_eq!(plain[2].time.timestamp_micros(), 1_700_000_001_000_001);
    assert_eq!(plain[2].connection, "w");

    let compressed = zstd::encode_all(text.as_bytes(), 0).unwrap();
    assert_eq!(read("a.jsonl.zst", &compressed).unwrap(), plain);
}

#[test]
fn the_header_names_the_exchange_and_the_start() {
    let (_folder, path) = file("a.jsonl", HEADER.as_bytes());
    let recording = Recording::open(path).unwrap();
    assert_eq!(recording.exchange(), "BINANCE");
    assert_eq!(recording.protocol().venue().as_str(), "binance");
    assert_eq!(recording.started().timestamp_millis(), 1_700_000_000_250);
    assert_eq!(recording.count(), 0);
}

#[test]
fn what_is_wrong_is_named_with_file_and_line() {
    let truncated = {
        let many = lines(&[r#"{"t":"send","conn":"w","ts":1,"data":"x"}"#; 1000]);
        let mut bytes = zstd::encode_all(many.as_bytes(), 0).unwrap();
        bytes.truncate(bytes.len() - 4);
        bytes
    };
    for (name, bytes, expected) in [
        ("a.jsonl", b"".as_slice(), "a.jsonl does not begin with a header"),
        ("a.jsonl", b"nonsense", "a.jsonl does not begin with a header"),
        ("a.jsonl", b"\xff\xfe\n", "a.jsonl does not begin with a header"),
        ("a.jsonl", br#"{"t":"recv","conn":"w","ts":1,"data":""}"#, "does not begin with a header"),
        ("a.jsonl.zst", HEADER.as_bytes(), "a.jsonl.zst is not compressed with zstd"),
        (
            "a.jsonl",
            br#"{"t":"header","format":2,"exchange":"NYSE","recorded":1}"#,
            "unknown exchange `NYSE`",
        ),
        (
            "a.jsonl",
            br#"{"t":"header","format":1,"exchange":"BINANCE","recorded":1}"#,
            "line 1: format 1, expected format 2",
        ),
        ("a.jsonl", lines(&["", "{"]).as_bytes(), "a.jsonl, line 3: not a record"),
        ("a.jsonl", lines(&[HEADER]).as_bytes(), "line 2: a second header"),
        (
            "a.jsonl",
            lines(&[r#"{"t":"recv","conn":"w","data":""}"#]).as_bytes(),
            "line 2: the record has no `ts`",
        ),
        (
            "a.jsonl",
            lines(&[r#"{"t":"recv","conn":"w","ts":"soon","data":""}"#]).as_bytes(),
            "line 2: `ts` is not a time: soon",
        ),
        ("a.jsonl", lines(&[r#"{"t":"recv","conn":"w","ts":1,"b64":"*"}"#]).as_bytes(), "line 2: bad base64"),
        ("a.jsonl.zst", &truncated, "a.jsonl.zst, line 1: cannot be read"),
    ] {
        let error = read(name, bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} / {expected}");
    }
}

#[test]
fn what_is_cut_off_is_read_up_to_the_last_whole_line() {
    // Three blocks, as a writer leaves them that flushes now and then; each but the last ends inside a line.
    let text = lines(&[r#"{"t":"send","conn":"w","ts":1,"data":"x"}"#; 300]);
    let mut encoder = zstd::Encoder::new(Vec::new(), 0).unwrap();
    let mut flushed = Vec::new();
    for block in text.as_bytes().chunks(5_000) {
        encoder.write_all(block).unwrap();
        encoder.flush().unwrap();
        flushed.push(encoder.get_ref().len());
    }
    let bytes = encoder.finish().unwrap();
    let read = |length: usize| {
        let (_folder, path) = file("a.jsonl.zst", &bytes[..length]);
        let mut recording = Recording::open(path).unwrap();
        let count = recording.by_ref().map(Result::unwrap).count();
        assert!(recording.next().is_none());
        (count, recording.is_cut())
    };
    assert_eq!(read(bytes.len()), (300, false));
    for (blocks, length) in flushed.iter().enumerate() {
        // The header is a line, too.
        let whole = text.as_bytes().chunks(5_000).take(blocks + 1).flatten().filter(|b| **b == b'\n').count();
        assert_eq!(read(*length), (whole - 1, true));
        assert_eq!(read(length + 1), (whole - 1, true));
    }
}

#[test]
fn what_is_damaged_is_no_cut() {
    let text = lines(&[r#"{"t":"send","conn":"w","ts":1,"data":"x"}"#; 300]);
    let mut encoder = zstd::Encoder::new(Vec::new(), 0).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text.as_bytes()).unwrap();
    let mut bytes = encoder.finish().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let error = read("a.jsonl.zst", &bytes).unwrap_err();
    assert!(matches!(error, RecordingError::Read { .. }), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Recording::open(folder.path().join("missing.jsonl.zst")).unwrap_err();
    assert!(matches!(&error, RecordingError::Open { source, .. }
        if source.kind() == io::ErrorKind::NotFound));
    assert!(error.to_string().contains("missing.jsonl.zst"));
}

#[test]
fn reading_ends_after_the_first_error() {
    let (_folder, path) = file("a.jsonl", lines(&["{", "{"]).as_bytes());
    let mut recording = Recording::open(path).unwrap();
    assert!(recording.next().is_some_and(|record| record.is_err()));
    assert!(recording.next().is_none());
}

proptest! {
    #[test]
    fn every_record_is_read_as_it_was_written(
        connection in ".*",
        text in ".*",
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        seconds in 0_i64..=4_102_444_800,
        nanos in 0_u32..1_000_000_000,
    ) {
        let time = DateTime::from_timestamp(seconds, nanos).unwrap();
        for kind in [
            RecordKind::Connect(text.clone()),
            RecordKind::Asked(vec![(text.clone(), "BNB-USD".parse().unwrap())]),
            RecordKind::Sent(text.clone()),
            RecordKind::Frame(OwnedFrame::Text(text.clone())),
            RecordKind::Frame(OwnedFrame::Binary(bytes.clone())),
            RecordKind::Http { url: connection.clone(), body: text.clone() },
        ] {
            let record = Record { time, connection: connection.clone(), kind };
            let line = serde_json::to_vec(&Line::of(&record, &line::text(time))).unwrap();
            prop_assert!(!line.contains(&b'\n'));
            let read: Line<'_> = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(read.into_record().ok(), Some(record));
        }
    }
}
