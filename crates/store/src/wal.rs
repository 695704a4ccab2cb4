//! Write-ahead log files: a header, then records of one profile each, or of an upload's spans of one
//! series. Format page:
//! `docs/formats/wal.md`.

use crate::codec::write::Writer;
use crate::codec::{Entry, crc32, decode, encode, sent};
use crate::layer::{FileLayer, LayerFile};
use crate::limits::{WAL_COMPRESS_BYTES_MIN, WAL_RECORD_BYTES_MAX, WAL_ZSTD_LEVEL};
use crate::spans;
use profile::Profile;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use zstd::bulk::Compressor;

/// Directory of the log files.
pub const DIR: &str = "wal";
/// First bytes of a log file.
pub const MAGIC: [u8; 8] = *b"VESTAWAL";
/// Version of the format. Version 1 had no records of spans, version 2 no events of profiles; both are
/// read, too.
pub const VERSION: u32 = 3;
const HEADER_BYTES: usize = 20;
const RECORD_HEADER_BYTES: usize = 13;
const FLAG_ZSTD: u8 = 1;
/// The stored bytes begin with the profile's key.
const FLAG_KEY: u8 = 2;
/// The record is of spans.
const FLAG_SPANS: u8 = 4;
const KEY_BYTES: usize = 16;

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
    framed(encode(entry), None, 0)
}

/// As [`record`], with a key by which the same profile is recognised when it comes again, and the
/// key: a hash of all that the client sent. `again` tells profiles of one append apart that are alike.
pub fn keyed_record(entry: &Entry, again: &mut dyn FnMut(u128) -> u128) -> Option<(u128, Vec<u8>)> {
    let raw = encode(entry);
    let mut own = Writer::default();
    own.bytes.extend_from_slice(&entry.id.to_bytes());
    own.text(&entry.tenant);
    own.signed(entry.received_at.nanos());
    // The head is the store's own (the id, when it came); what follows is the client's.
    debug_assert!(raw.starts_with(&own.bytes), "the head of an entry");
    let key = again(hash(&entry.tenant, raw.get(own.bytes.len()..)?));
    Some((key, framed(raw, Some(key), 0)?))
}

/// A record of spans with its key, as [`keyed_record`] makes them of profiles.
pub fn spans_record(
    entry: &spans::Entry,
    again: &mut impl FnMut(u128) -> u128,
) -> Option<(u128, Vec<u8>)> {
    let (raw, head) = spans::codec::encode(entry);
    let key = again(hash(&entry.tenant, raw.get(head..)?));
    Some((key, framed(raw, Some(key), FLAG_SPANS)?))
}

/// As [`record`], with a key that is known.
pub(crate) fn record_with_key(entry: &Entry, key: u128) -> Option<Vec<u8>> {
    framed(encode(entry), Some(key), 0)
}

/// The hash of all that a client sent of a profile: what its key is made of.
pub(crate) fn digest(tenant: &str, profile: &Profile) -> u128 {
    hash(tenant, &sent(profile))
}

fn hash(tenant: &str, sent: &[u8]) -> u128 {
    let digest = Sha256::new().chain_update(tenant.as_bytes()).chain_update([0xff]);
    let digest: [u8; 32] = digest.chain_update(sent).finalize().into();
    let mut half = [0; KEY_BYTES];
    half.copy_from_slice(&digest[..KEY_BYTES]);
    u128::from_be_bytes(half)
}

fn framed(raw: Vec<u8>, key: Option<u128>, of: u8) -> Option<Vec<u8>> {
    if raw.len() > WAL_RECORD_BYTES_MAX {
        return None;
    }
    let packed = (raw.len() >= WAL_COMPRESS_BYTES_MIN)
        .then(|| pack(&raw))
        .flatten()
        .filter(|packed| packed.len() < raw.len());
    let flags = if packed.is_some() { of | FLAG_ZSTD } else { of };
    let flags = if key.is_some() { flags | FLAG_KEY } else { flags };
    let raw_length = raw.len() as u32;
    let bytes = packed.unwrap_or(raw);
    let key = key.map(u128::to_be_bytes);
    let key = key.as_ref().map_or(&[][..], |key| &key[..]);
    let stored = key.len() + bytes.len();
    let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + stored);
    record.extend_from_slice(&(stored as u32).to_le_bytes());
    record.extend_from_slice(&raw_length.to_le_bytes());
    record.push(flags);
    let crc = crc32(&[&record, key, &bytes]);
    record.extend_from_slice(&crc.to_le_bytes());
    record.extend_from_slice(key);
    record.extend_from_slice(&bytes);
    Some(record)
}

/// Compresses. What zstd works with is made once for each thread: making it costs as much as a small
/// record.
fn pack(raw: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static PACKER: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    PACKER.with_borrow_mut(|packer| {
        if packer.is_none() {
            *packer = Compressor::new(WAL_ZSTD_LEVEL).ok();
        }
        packer.as_mut()?.compress(raw).ok()
    })
}

/// What a log file held.
#[derive(Debug, Default)]
pub struct Replay {
    /// Entries in the order they were written, and their keys where they have one.
    pub entries: Vec<(Entry, Option<u128>)>,
    /// The same of spans.
    pub spans: Vec<(spans::Entry, Option<u128>)>,
    /// Records that were damaged.
    pub damaged: u64,
    /// Whether the file ends in the middle of a record, as after a power cut.
    pub torn: bool,
}

/// Reads a log file. A damaged record is skipped; where the lengths themselves are damaged, the
/// rest of the file is.
pub fn replay(bytes: &[u8]) -> Replay {
    let mut found = Replay::default();
    let mut undecodable = 0;
    let (damaged, torn) = each_record(bytes, |record| {
        let decoded = match record.raw() {
            None => None,
            Some(raw) if record.flags & FLAG_SPANS != 0 => {
                spans::codec::decode(&raw).ok().map(|entry| found.spans.push((entry, record.key)))
            }
            Some(raw) => decode(&raw).ok().map(|entry| found.entries.push((entry, record.key))),
        };
        undecodable += u64::from(decoded.is_none());
    });
    Replay { damaged: damaged + undecodable, torn, ..found }
}

/// The keys of a log file's intact records, in order; nothing is decompressed.
pub(crate) fn keys(bytes: &[u8]) -> Vec<u128> {
    let mut keys = Vec::new();
    each_record(bytes, |record| keys.extend(record.key));
    keys
}

/// An intact record.
struct Record<'a> {
    body: &'a [u8],
    flags: u8,
    raw: usize,
    key: Option<u128>,
}

impl Record<'_> {
    fn raw(&self) -> Option<Cow<'_, [u8]>> {
        if self.flags & FLAG_ZSTD == 0 {
            return Some(Cow::Borrowed(self.body));
        }
        zstd::bulk::decompress(self.body, self.raw).ok().map(Cow::Owned)
    }
}

/// Hands over the intact records; returns how many are damaged, and whether the file ends in one.
fn each_record(bytes: &[u8], mut take: impl FnMut(&Record<'_>)) -> (u64, bool) {
    let Some((header, mut rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return (0, !bytes.is_empty());
    };
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if !header.starts_with(&MAGIC) || !(1..=VERSION).contains(&version) {
        return (1, false);
    }
    let mut damaged = 0;
    while !rest.is_empty() {
        let Some((head, body)) = rest.split_at_checked(RECORD_HEADER_BYTES) else {
            return (damaged, true);
        };
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (stored, raw) = (number(0) as usize, number(4) as usize);
        let Some((body, after)) = body.split_at_checked(stored) else {
            return (damaged, true);
        };
        if stored == 0 || raw > WAL_RECORD_BYTES_MAX {
            return (damaged + 1, false);
        }
        let intact = crc32(&[&head[..9], body]) == number(9);
        match intact.then(|| split_key(body, head[8])).flatten() {
            Some((key, body)) => take(&Record { body, flags: head[8], raw, key }),
            None => damaged += 1,
        }
        rest = after;
    }
    (damaged, false)
}

fn split_key(body: &[u8], flags: u8) -> Option<(Option<u128>, &[u8])> {
    if flags & !(FLAG_ZSTD | FLAG_KEY | FLAG_SPANS) != 0 {
        return None;
    }
    if flags & FLAG_KEY == 0 {
        return Some((None, body));
    }
    let (key, body) = body.split_first_chunk::<KEY_BYTES>()?;
    Some((Some(u128::from_be_bytes(*key)), body))
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
        let is_new = self.file.is_none();
        let result = self.try_commit(records);
        if result.is_err() {
            self.file = None;
            if is_new {
                // Nothing in it was acknowledged. On a full disk each attempt would leave one more;
                // one that stays is harmless, because a retry of the same is recognised.
                let _ = self.layer.remove_file(&path(self.next - 1));
            }
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
