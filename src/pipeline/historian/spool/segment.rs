//! One file of a spool: a header, then records, each with its length, a checksum, and when it was appended.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

const HEADER: &[u8; 8] = b"CPSPOOL1";

/// Before the bytes of a record: their length, their checksum, the number of rows, and the time in milliseconds.
const HEAD: usize = 4 + 4 + 4 + 8;

/// Longer than any record: what claims more is damaged.
const LONGEST: u32 = 64 << 20;

/// A record that stands in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it begins.
    pub(super) offset: u64,
    /// How long it is with all that stands before its bytes.
    pub(super) length: u64,
    pub(super) rows: u32,
    /// When it was appended, in milliseconds since 1970.
    pub(super) time: i64,
}

/// One file.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) number: u64,
    pub(super) end: u64,
    /// Open while it is appended to.
    file: Option<File>,
}

impl Segment {
    /// Makes a file, which must not be there.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = folder.join(name(number));
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let written =
            file.write_all(HEADER).and_then(|()| file.sync_all()).and_then(|()| sync_folder(folder));
        if let Err(error) = written {
            // Without its header it would be in the way.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { path, number, end: HEADER.len() as u64, file: Some(file) })
    }

    /// Looks through a file, and cuts off what comes after its last whole record. Tells how many bytes that was.
    pub(super) fn open(path: &Path, number: u64) -> io::Result<(Self, Vec<Entry>, u64)> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let mut reader = io::BufReader::new(&file);
        let mut header = [0; HEADER.len()];
        let mut entries = Vec::new();
        let mut end = 0;
        if read_whole(&mut reader, &mut header)? && header == *HEADER {
            end = HEADER.len() as u64;
            while let Some((entry, _)) = read(&mut reader, end)? {
                end += entry.length;
                entries.push(entry);
            }
        }
        if end < length {
            file.set_len(end)?;
            file.sync_all()?;
        }
        Ok((Self { path: path.to_owned(), number, end, file: None }, entries, length - end))
    }

    /// Appends a record and waits until it is on the disk. Where that fails, nothing of it stays.
    pub(super) fn append(&mut self, bytes: &[u8], rows: u32, time: i64) -> io::Result<Entry> {
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| io::Error::other("a record is too long"))?;
        let mut record = Vec::with_capacity(HEAD + bytes.len());
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&checksum(bytes, rows, time).to_le_bytes());
        record.extend_from_slice(&rows.to_le_bytes());
        record.extend_from_slice(&time.to_le_bytes());
        record.extend_from_slice(bytes);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(OpenOptions::new().write(true).open(&self.path)?),
        };
        file.seek(SeekFrom::Start(self.end))?;
        if let Err(error) = file.write_all(&record).and_then(|()| file.sync_data()) {
            // What cannot be cut off now is cut off when the file is opened again, or written over.
            let _ = file.set_len(self.end);
            return Err(error);
        }
        let entry = Entry { offset: self.end, length: record.len() as u64, rows, time };
        self.end += entry.length;
        Ok(entry)
    }

    /// Reads the bytes of a record; `None` if they are not what was appended.
    pub(super) fn read(&self, entry: Entry) -> io::Result<Option<Vec<u8>>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(entry.offset))?;
        Ok(read(&mut file, entry.offset)?.filter(|(found, _)| *found == entry).map(|(_, bytes)| bytes))
    }

    /// Closes the file: nothing is appended any more.
    pub(super) fn close(&mut self) {
        self.file = None;
    }
}

/// Names the file of a number.
fn name(number: u64) -> String {
    format!("{number:016}.spool")
}

/// Reads the number of a file's name.
pub(super) fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".spool")?.parse().ok()
}

/// Brings to the disk that files have come or gone.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn checksum(bytes: &[u8], rows: u32, time: i64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&rows.to_le_bytes());
    hasher.update(&time.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Reads one record; `None` if there is no whole one.
fn read(reader: &mut impl io::Read, offset: u64) -> io::Result<Option<(Entry, Vec<u8>)>> {
    let (mut length, mut sum, mut rows, mut time) = ([0; 4], [0; 4], [0; 4], [0; 8]);
    for part in [&mut length[..], &mut sum, &mut rows, &mut time] {
        if !read_whole(reader, part)? {
            return Ok(None);
        }
    }
    let length = u32::from_le_bytes(length);
    let (rows, time) = (u32::from_le_bytes(rows), i64::from_le_bytes(time));
    if length > LONGEST {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    reader.take(length.into()).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != u64::from(length) || checksum(&bytes, rows, time) != u32::from_le_bytes(sum) {
        return Ok(None);
    }
    let entry = Entry { offset, length: HEAD as u64 + u64::from(length), rows, time };
    Ok(Some((entry, bytes)))
}

/// Fills a buffer; `false` where there is not enough to fill it.
fn read_whole(reader: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
