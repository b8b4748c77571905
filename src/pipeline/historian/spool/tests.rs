use std::{fs::OpenOptions, io::Write as _, path::Path};

use proptest::prelude::*;

use super::{
    super::batch::sample::{candles, point, rows},
    *,
};

fn options(folder: &Path, max_bytes: u64) -> SpoolOptions {
    SpoolOptions { folder: folder.join("spool"), max_bytes }
}

fn open(folder: &Path, max_bytes: u64) -> Spool {
    Spool::open(options(folder, max_bytes), Origin::Live).unwrap()
}

/// A batch that can be told from others by the minutes of its candles.
fn batch(at: i64) -> Batch {
    Batch { candles: rows(candles(10 * at..10 * at + 5)), prices: vec![point(u64::try_from(at).unwrap())] }
}

fn drain(spool: &mut Spool) -> Vec<Batch> {
    let mut all = Vec::new();
    while let (Ok(Some((tickets, batch))), _) = spool.peek(1) {
        all.push(batch);
        spool.done(&tickets);
    }
    all
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder.join("spool")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| segment::number(path).is_some());
    files.sort();
    files
}

#[test]
fn what_is_appended_is_read_in_order_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1 << 20);
    for at in 0..20 {
        assert_eq!(spool.append(&batch(at), 1_000 * at).unwrap().dropped, 0);
    }
    assert_eq!((spool.rows(), spool.oldest()), (120, Some(0)));
    let (first, _) = spool.peek(1);
    let (ticket, read) = first.unwrap().unwrap();
    assert_eq!(read, batch(0));
    spool.done(&ticket);
    // Said twice, nothing more is taken.
    spool.done(&ticket);
    assert_eq!((spool.rows(), spool.oldest()), (114, Some(1_000)));
    drop(spool);

    let mut spool = open(folder.path(), 1 << 20);
    spool.append(&batch(20), 0).unwrap();
    let read = drain(&mut spool);
    // How far a file was read is not kept.
    assert_eq!(read, (0..=20).map(batch).collect::<Vec<_>>());
    assert_eq!((spool.rows(), spool.bytes(), spool.is_empty()), (0, 0, true));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_full_spool_lets_its_oldest_go_and_counts_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 65_536);
    let (mut appended, mut dropped) = (0, 0);
    for at in 0..500 {
        dropped += spool.append(&batch(at), at).unwrap().dropped;
        appended += 6;
        assert!(spool.bytes() <= 65_536, "{}", spool.bytes());
    }
    assert!(dropped > 0 && spool.rows() + dropped == appended, "{dropped} of {appended}");
    let on_disk: u64 = files(folder.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert_eq!(on_disk, spool.bytes());
    let read = drain(&mut spool);
    let newest = 500 - i64::try_from(read.len()).unwrap();
    assert_eq!(read, (newest..500).map(batch).collect::<Vec<_>>());
}

#[test]
fn a_batch_that_gave_way_while_it_was_written_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 65_536);
    spool.append(&batch(0), 0).unwrap();
    let (ticket, _) = spool.peek(1).0.unwrap().unwrap();
    let mut at = 1;
    while spool.append(&batch(at), 0).unwrap().dropped == 0 {
        at += 1;
    }
    let rows = spool.rows();
    spool.done(&ticket);
    assert_eq!(spool.rows(), rows);
}

#[test]
fn small_batches_are_read_together_across_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 65_536);
    (0..60).for_each(|at| assert_eq!(spool.append(&batch(at), at).unwrap().dropped, 0));
    assert!(files(folder.path()).len() > 3);
    let mut read = Vec::new();
    let mut reads = 0;
    while let (Ok(Some((tickets, together))), 0) = spool.peek(100) {
        assert!(together.len() <= 100);
        read.extend(together.candles);
        spool.done(&tickets);
        reads += 1;
    }
    assert_eq!(read, (0..60).flat_map(|at| batch(at).candles).collect::<Vec<_>>());
    assert_eq!((reads, spool.rows(), spool.bytes()), (4, 0, 0));
}

#[test]
fn what_is_damaged_while_it_lies_there_is_passed_over_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1 << 20);
    let mut ends = Vec::new();
    for at in 0..3 {
        spool.append(&batch(at), at).unwrap();
        ends.push(usize::try_from(spool.bytes()).unwrap());
    }
    let path = files(folder.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[1] - 1] ^= 1;
    fs::write(&path, bytes).unwrap();
    for (at, expected) in [(0, 0), (2, 6)] {
        let (read, lost) = spool.peek(100);
        let (tickets, together) = read.unwrap().unwrap();
        assert_eq!((together, lost), (batch(at), expected));
        spool.done(&tickets);
    }
    assert!(spool.is_empty() && files(folder.path()).is_empty());
}

#[test]
fn what_cannot_be_read_at_the_moment_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 65_536);
    (0..30).for_each(|at| assert_eq!(spool.append(&batch(at), at).unwrap().dropped, 0));
    let all = files(folder.path());
    let aside = folder.path().join("aside");
    for path in [&all[0], &all[1]] {
        // What is read is a folder now, which the system refuses.
        fs::rename(path, &aside).unwrap();
        fs::create_dir(path).unwrap();
        let (rows, (read, lost)) = (spool.rows(), spool.peek(1_000));
        // What stands before it can be read all the same.
        let before = if path == &all[0] { None } else { read.unwrap().map(|(_, batch)| batch.len()) };
        assert_eq!((before.is_some(), lost, spool.rows()), (path != &all[0], 0, rows));
        fs::remove_dir(path).unwrap();
        fs::rename(&aside, path).unwrap();
    }
    assert_eq!(drain(&mut spool), (0..30).map(batch).collect::<Vec<_>>());
    // One that somebody has removed is lost, and said to be.
    (0..2).for_each(|at| assert_eq!(spool.append(&batch(at), at).unwrap().dropped, 0));
    fs::remove_file(files(folder.path()).remove(0)).unwrap();
    let (read, lost) = spool.peek(1_000);
    assert!(read.unwrap().is_none() && lost == 12);
}

#[test]
fn another_program_cannot_have_it_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), 1 << 20);
    let refused = Spool::open(options(folder.path(), 1 << 20), Origin::Live).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    drop(spool);
    open(folder.path(), 1 << 20);
}

#[test]
fn a_batch_that_can_never_be_held_is_refused_and_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 4_096);
    spool.append(&batch(0), 0).unwrap();
    let mut large = batch(1);
    large.candles = rows(candles(0..20_000));
    assert_eq!(spool.append(&large, 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(drain(&mut spool), [batch(0)]);
}

#[test]
fn a_folder_that_cannot_be_written_loses_nothing_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 1 << 20);
    // The place of the first file is taken by something else.
    fs::create_dir(folder.path().join("spool/0000000000000001.spool")).unwrap();
    assert!(spool.append(&batch(0), 0).is_err());
    assert!(spool.is_empty());
    fs::remove_dir(folder.path().join("spool/0000000000000001.spool")).unwrap();
    spool.append(&batch(0), 0).unwrap();
    assert_eq!(drain(&mut spool), [batch(0)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn of_a_file_that_is_cut_or_damaged_all_before_that_is_read(place in 0.0..1.0_f64, damage: bool) {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(folder.path(), 1 << 20);
        let mut ends = Vec::new();
        for at in 0..8 {
            spool.append(&batch(at), at).unwrap();
            ends.push(spool.bytes());
        }
        drop(spool);
        let path = files(folder.path()).remove(0);
        let length = path.metadata().unwrap().len();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a small file")]
        let at = (length as f64 * place) as u64;
        let mut bytes = fs::read(&path).unwrap();
        if damage {
            bytes[usize::try_from(at).unwrap()] ^= 0x40;
        } else {
            bytes.truncate(usize::try_from(at).unwrap());
        }
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap().write_all(&bytes).unwrap();

        let whole = i64::try_from(ends.iter().filter(|end| **end <= at).count()).unwrap();
        let mut spool = open(folder.path(), 1 << 20);
        spool.append(&batch(100), 0).unwrap();
        let expected: Vec<_> = (0..whole).chain([100]).map(batch).collect();
        prop_assert_eq!(drain(&mut spool), expected);
    }
}
