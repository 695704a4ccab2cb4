//! Chunk headers, and where one chunk ends and the next begins.

use crate::decoded::{IssueKind, Issues};
use crate::limits::JFR_CHUNKS_MAX;

/// What each chunk begins with.
pub(crate) const MAGIC: &[u8] = b"FLR\0";
pub(super) const HEADER_BYTES: usize = 68;
const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// The header of a chunk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub(super) constants_at: u64,
    pub(super) metadata_at: u64,
    /// Since the epoch.
    pub(super) start_nanos: i64,
    pub(super) duration_nanos: i64,
    start_ticks: i64,
    ticks_per_second: i64,
    /// Whether it was being written when it was copied.
    pub(super) is_in_flight: bool,
    pub(super) is_compressed: bool,
    /// Version 0, which has nothing else of these.
    pub(super) is_old: bool,
}

impl Header {
    const OLD: Self = Self {
        constants_at: 0,
        metadata_at: 0,
        start_nanos: 0,
        duration_nanos: 0,
        start_ticks: 0,
        ticks_per_second: 0,
        is_in_flight: false,
        is_compressed: false,
        is_old: true,
    };

    /// The nanoseconds of so many ticks.
    pub(super) fn nanos(&self, ticks: i64) -> i64 {
        let per_second = i128::from(self.ticks_per_second.max(1));
        stdx::saturate(i128::from(ticks) * NANOS_PER_SECOND / per_second)
    }

    /// When a tick was, since the epoch.
    pub(super) fn time(&self, ticks: i64) -> i64 {
        let since = self.nanos(ticks.saturating_sub(self.start_ticks));
        self.start_nanos.saturating_add(since)
    }
}

/// A chunk's header and its bytes, the header's among them.
pub(super) type RawChunk<'a> = (Header, &'a [u8]);

/// The chunks of a file, in order. One whose length is not known, or is too large, takes the rest.
pub(super) fn chunks<'a>(file: &'a [u8], issues: &mut Issues) -> Vec<RawChunk<'a>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < file.len() {
        let rest = &file[at..];
        if found.len() >= JFR_CHUNKS_MAX {
            issues.add(IssueKind::Limit, || format!("only the first {JFR_CHUNKS_MAX} chunks"));
            break;
        }
        let known = old_size(rest).map(|size| (Header::OLD, size));
        let Some((header, size)) = known.or_else(|| header(rest, at, issues)) else { break };
        let is_whole = (size >= HEADER_BYTES as u64 || header.is_old) && size <= rest.len() as u64;
        if !is_whole && !header.is_in_flight {
            issues.add(IssueKind::Damage, || {
                format!(
                    "the chunk at {at} says it has {size} bytes, there are {}; what is there is read",
                    rest.len()
                )
            });
        }
        let length = if is_whole { size as usize } else { rest.len() };
        found.push((header, &rest[..length]));
        at += length;
    }
    found
}

/// The size of a chunk of version 0.
fn old_size(bytes: &[u8]) -> Option<u64> {
    let is_old = bytes.starts_with(MAGIC) && bytes.get(4..6) == Some(&[0, 0]);
    is_old.then(|| super::old::size(bytes)).flatten()
}

/// The header of a chunk of version 2 that stands alone.
pub(super) fn only(bytes: &[u8], issues: &mut Issues) -> Option<Header> {
    header(bytes, 0, issues).map(|(header, _)| header)
}

fn header(bytes: &[u8], at: usize, issues: &mut Issues) -> Option<(Header, u64)> {
    let Some(head) = bytes.first_chunk::<HEADER_BYTES>().filter(|head| head.starts_with(MAGIC))
    else {
        issues.add(IssueKind::Damage, || {
            format!("at {at} no chunk begins: the last {} bytes are not read", bytes.len())
        });
        return None;
    };
    let long = |at: usize| head[at..at + 8].iter().fold(0, |n: u64, b| n << 8 | u64::from(*b));
    let major = u16::from_be_bytes([head[4], head[5]]);
    if !(1..=2).contains(&major) {
        issues.add(IssueKind::UnknownFormat, || {
            format!(
                "the chunk at {at} has version {major}.{}: versions 0 (whole ones), 1 and 2 are read",
                u16::from_be_bytes([head[6], head[7]])
            )
        });
        return None;
    }
    let header = Header {
        constants_at: long(16),
        metadata_at: long(24),
        start_nanos: long(32).cast_signed(),
        duration_nanos: long(40).cast_signed(),
        start_ticks: long(48).cast_signed(),
        ticks_per_second: long(56).cast_signed(),
        is_in_flight: head[64] != 0,
        is_compressed: head[67] & 1 != 0,
        is_old: false,
    };
    Some((header, long(8)))
}
