//! Write-ahead log files: a header, then records of one profile each. Format page:
//! `docs/formats/wal.md`.

use crate::codec::{Entry, crc32, decode, encode};
use crate::layer::{FileLayer, LayerFile};
use crate::limits::{WAL_COMPRESS_BYTES_MIN, WAL_RECORD_BYTES_MAX, WAL_ZSTD_LEVEL};
use std::io;
use std::sync::Arc;

/// Directory of the log files.
pub const DIR: &str = "wal";
/// First bytes of a log file.
pub const MAGIC: [u8; 8] = *b"VESTAWAL";
/// Version of the format.
pub const VERSION: u32 = 1;
const HEADER_BYTES: usize = 20;
const RECORD_HEADER_BYTES: usize = 13;
const FLAG_ZSTD: u8 = 1;

/// The path of a log file.
pub fn path(sequence: u64) -> String {
    format!("{DIR}/{sequence:020}.wal")
}

/// The number of a log file's name.
pub fn sequence_of(name: &str) -> Option<u64> {
    name.strip_suffix(".wal")?.parse().ok()
}

/// A file's header.
pub fn header(sequence: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&sequence.to_le_bytes());
    header
}

/// A record of an entry: stored length, raw length, flags, checksum of those and the bytes, bytes.
/// `None` when the entry is too large.
pub fn record(entry: &Entry) -> Option<Vec<u8>> {
    let raw = encode(entry);
    if raw.len() > WAL_RECORD_BYTES_MAX {
        return None;
    }
    let packed = (raw.len() >= WAL_COMPRESS_BYTES_MIN)
        .then(|| zstd::bulk::compress(&raw, WAL_ZSTD_LEVEL).ok())
        .flatten()
        .filter(|packed| packed.len() < raw.len());
    let flags = if packed.is_some() { FLAG_ZSTD } else { 0 };
    let raw_length = raw.len() as u32;
    let bytes = packed.unwrap_or(raw);
    let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + bytes.len());
    record.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    record.extend_from_slice(&raw_length.to_le_bytes());
    record.push(flags);
    let crc = crc32(&[&record, &bytes]);
    record.extend_from_slice(&crc.to_le_bytes());
    record.extend_from_slice(&bytes);
    Some(record)
}

/// What a log file held.
#[derive(Debug, Default)]
pub struct Replay {
    /// Entries in the order they were written.
    pub entries: Vec<Entry>,
    /// Records that were damaged.
    pub damaged: u64,
    /// Whether the file ends in the middle of a record, as after a power cut.
    pub torn: bool,
}

/// Reads a log file. A damaged record is skipped; where the lengths themselves are damaged, the
/// rest of the file is.
pub fn replay(bytes: &[u8]) -> Replay {
    let mut found = Replay::default();
    let Some((header, mut rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        found.torn = !bytes.is_empty();
        return found;
    };
    if !header.starts_with(&MAGIC) || header[8..12] != VERSION.to_le_bytes() {
        found.damaged = 1;
        return found;
    }
    while !rest.is_empty() {
        let Some((head, body)) = rest.split_at_checked(RECORD_HEADER_BYTES) else {
            found.torn = true;
            break;
        };
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (stored, raw) = (number(0) as usize, number(4) as usize);
        let Some((body, after)) = body.split_at_checked(stored) else {
            found.torn = true;
            break;
        };
        if stored == 0 || raw > WAL_RECORD_BYTES_MAX {
            found.damaged += 1;
            break;
        }
        let intact = crc32(&[&head[..9], body]) == number(9);
        match intact.then(|| unpack(body, head[8], raw)).flatten() {
            Some(entry) => found.entries.push(entry),
            None => found.damaged += 1,
        }
        rest = after;
    }
    found
}

fn unpack(body: &[u8], flags: u8, raw_length: usize) -> Option<Entry> {
    if flags & FLAG_ZSTD == 0 {
        return decode(body).ok();
    }
    let raw = zstd::bulk::decompress(body, raw_length).ok()?;
    decode(&raw).ok()
}

/// The file being written, and the next one's number.
#[derive(Debug)]
pub(crate) struct WalWriter {
    layer: Arc<dyn FileLayer>,
    next: u64,
    file: Option<Box<dyn LayerFile>>,
}

impl WalWriter {
    pub(crate) fn new(layer: Arc<dyn FileLayer>, next: u64) -> Self {
        Self { layer, next, file: None }
    }

    /// Appends records and makes them durable. After a failure the file is left alone and the next
    /// commit begins a new one: what the system does with pages that it failed to write is unknown.
    pub(crate) fn commit(&mut self, records: &[u8]) -> io::Result<()> {
        let result = self.try_commit(records);
        if result.is_err() {
            self.file = None;
        }
        result
    }

    fn try_commit(&mut self, records: &[u8]) -> io::Result<()> {
        let is_new = self.file.is_none();
        if is_new {
            let sequence = self.next;
            self.next += 1;
            let mut file = self.layer.create(&path(sequence))?;
            file.append(&header(sequence))?;
            self.file = Some(file);
        }
        let Some(file) = self.file.as_mut() else { return Ok(()) };
        file.append(records)?;
        file.sync()?;
        if is_new {
            self.layer.sync_dir(DIR)?;
        }
        Ok(())
    }

    /// Ends the file and returns the number of the last one that was begun.
    pub(crate) fn rotate(&mut self) -> u64 {
        self.file = None;
        self.next - 1
    }
}
