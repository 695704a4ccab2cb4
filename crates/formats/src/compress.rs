//! Undoes compression, recognised by magic bytes, within limits; and compresses with gzip.

use crate::decoded::{IssueKind, Issues};
use crate::limits::{
    COMPRESSION_LAYERS_MAX, Limits, RATIO_FREE_BYTES, RATIO_MAX, SNIFF_BYTES, ZSTD_WINDOW_LOG_MAX,
};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::FrameDecoder;
use std::borrow::Cow;
use std::io::{Read, Write};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// What frames of lz4 begin with.
const LZ4_MAGIC: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The payload without its compression (raw, gzip with any number of members, zstd, an lz4 frame).
/// Data that is cut off or damaged gives what came before.
pub(crate) fn decompress<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    issues: &mut Issues,
) -> Cow<'a, [u8]> {
    let mut plain = Cow::Borrowed(bytes);
    for _ in 0..COMPRESSION_LAYERS_MAX {
        let Some(reader) = reader(&plain, issues) else { break };
        plain = Cow::Owned(read_bounded(reader, plain.len(), limits, issues));
    }
    if plain.len() > limits.decompressed_bytes_max {
        issues.add(IssueKind::Limit, || {
            format!("only the first {} bytes are read", limits.decompressed_bytes_max)
        });
        plain = Cow::Owned(plain[..limits.decompressed_bytes_max].to_vec());
    }
    plain
}

/// The first bytes of the payload without its compression.
pub(crate) fn head(bytes: &[u8]) -> Vec<u8> {
    let limits = Limits { decompressed_bytes_max: SNIFF_BYTES, ..Limits::default() };
    let mut ignored = Issues::default();
    let mut plain = Cow::Borrowed(bytes);
    for _ in 0..COMPRESSION_LAYERS_MAX {
        let Some(reader) = reader(&plain, &mut ignored) else { break };
        plain = Cow::Owned(read_bounded(reader, plain.len(), &limits, &mut ignored));
    }
    plain[..plain.len().min(SNIFF_BYTES)].to_vec()
}

/// A small message without its compression; `None` where it is damaged, or larger than `bytes_max`.
pub fn plain(bytes: &[u8], bytes_max: usize) -> Option<Cow<'_, [u8]>> {
    let limits = Limits { decompressed_bytes_max: bytes_max, ..Limits::default() };
    let mut issues = Issues::default();
    let plain = decompress(bytes, &limits, &mut issues);
    (issues.total() == 0).then_some(plain)
}

/// `bytes` as one gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
}

fn reader<'a>(bytes: &'a [u8], issues: &mut Issues) -> Option<Box<dyn Read + 'a>> {
    if bytes.starts_with(GZIP_MAGIC) {
        return Some(Box::new(MultiGzDecoder::new(bytes)));
    }
    if bytes.starts_with(LZ4_MAGIC) {
        return Some(Box::new(FrameDecoder::new(bytes)));
    }
    if !bytes.starts_with(ZSTD_MAGIC) {
        return None;
    }
    let opened = zstd::stream::read::Decoder::with_buffer(bytes).and_then(|mut decoder| {
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        Ok(decoder)
    });
    match opened {
        Ok(decoder) => Some(Box::new(decoder)),
        Err(error) => {
            issues.add(IssueKind::Compression, || format!("zstd data cannot be read: {error}"));
            None
        }
    }
}

/// How many times its compressed size a payload has, mostly: what is set aside for it.
const RATIO_LIKELY: usize = 4;

fn read_bounded(
    reader: Box<dyn Read + '_>,
    compressed_bytes: usize,
    limits: &Limits,
    issues: &mut Issues,
) -> Vec<u8> {
    let ratio_bytes = compressed_bytes.saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
    let max = limits.decompressed_bytes_max.min(ratio_bytes);
    let mut plain = Vec::with_capacity(compressed_bytes.saturating_mul(RATIO_LIKELY).min(max));
    let read = reader.take(max as u64 + 1).read_to_end(&mut plain);
    if plain.len() > max {
        plain.truncate(max);
        issues.add(IssueKind::Limit, || {
            format!("only the first {max} bytes of the decompressed data are read")
        });
    } else if let Err(error) = read {
        let size = plain.len();
        issues.add(IssueKind::Compression, || {
            format!("compressed data is damaged after {size} bytes: {error}")
        });
    }
    plain
}
