//! The little of the tape archive format (POSIX ustar) that a backup needs: regular files with short
//! names. `tar tf` reads what is written here.

use crate::Error;
use std::io::Read;

const BLOCK_BYTES: usize = 512;
/// What ends an archive.
pub(super) const END: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];

/// The header of a file. Sizes up to 8 GiB fit.
pub(super) fn header(name: &str, bytes: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut put =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    debug_assert!(name.len() < 100, "names of backups are short");
    put(0, name);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{bytes:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Zeros that follow a file of this size.
pub(super) fn padding(bytes: u64) -> Vec<u8> {
    let over = (bytes % BLOCK_BYTES as u64) as usize;
    vec![0; if over == 0 { 0 } else { BLOCK_BYTES - over }]
}

fn damaged(what: &str) -> Error {
    Error::Invalid { what: format!("this is no whole backup: {what}") }
}

/// The next file's name and contents; `None` at the archive's end.
pub(super) fn next(
    from: &mut dyn Read,
    bytes_max: u64,
) -> Result<Option<(String, Vec<u8>)>, Error> {
    let mut block = [0; BLOCK_BYTES];
    from.read_exact(&mut block).map_err(|_| damaged("it ends early"))?;
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).trim().to_owned()
    };
    let number = |field: &[u8]| u64::from_str_radix(&text(field), 8).ok();
    let mut blank = block;
    blank[148..156].fill(b' ');
    let sum: u64 = blank.iter().map(|byte| u64::from(*byte)).sum();
    if number(&block[148..156]) != Some(sum) {
        return Err(damaged("the head of a file is not right"));
    }
    let bytes = number(&block[124..136]).filter(|bytes| *bytes <= bytes_max);
    let bytes = bytes.ok_or_else(|| damaged("a file in it is too large"))?;
    let mut contents = Vec::new();
    let padded = bytes + padding(bytes).len() as u64;
    let read = from.take(padded).read_to_end(&mut contents);
    if read.ok() != Some(padded as usize) {
        return Err(damaged("it ends early"));
    }
    contents.truncate(bytes as usize);
    Ok(Some((text(&block[..100]), contents)))
}
