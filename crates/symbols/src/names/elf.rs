//! What of an ELF file names its code: its build ids, where its code lies, and its sections, each
//! read when it is wanted. Reads little-endian 64-bit files; every length is checked first.
//!
//! Format: System V ABI, "Object Files" and "Program Header"; compressed sections: gABI, "Section
//! compression", and the older `.zdebug_` form of GNU binutils.

use super::{Error, Source};
use crate::limits;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Read;

const HEADER_BYTES: usize = 64;
const SECTION_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
const SYMBOL_BYTES: usize = 24;
const LOAD: u32 = 1;
const NOTE: u32 = 7;
const NO_BITS: u32 = 8;
const EXECUTABLE: u32 = 1;
const COMPRESSED: u64 = 0x800;
const ZLIB: u32 = 1;
const ZSTD: u32 = 2;
const GNU_BUILD_ID: u32 = 3;
const GO_BUILD_ID: u32 = 4;
/// Bytes at each end of a file that OpenTelemetry's hash of it covers.
const HASHED_BYTES: u64 = 4_096;

/// Code that a program loads: where it lies in the file, and where in memory as the file states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) address: u64,
}

#[derive(Clone, Debug)]
struct Section {
    name: String,
    kind: u32,
    flags: u64,
    address: u64,
    offset: u64,
    bytes: u64,
}

/// A function of a symbol table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol {
    pub(crate) address: u64,
    pub(crate) bytes: u64,
    /// Global before weak before local.
    pub(crate) rank: u8,
    pub(crate) name: u32,
}

/// A file whose tables of contents are read.
#[derive(Debug)]
pub(crate) struct Elf<'a> {
    source: &'a dyn Source,
    sections: Vec<Section>,
    /// Loaded segments with code.
    pub(crate) code: Vec<Segment>,
    /// Bytes of sections that may still be read.
    budget: u64,
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    let pair = bytes.get(at..at + 2).and_then(|pair| pair.try_into().ok());
    usize::from(u16::from_le_bytes(pair.unwrap_or_default()))
}

/// At most `most` bytes up to a zero.
pub(crate) fn text_at(bytes: &[u8], at: usize, most: usize) -> &[u8] {
    let rest = bytes.get(at..).unwrap_or_default();
    let rest = &rest[..rest.len().min(most)];
    &rest[..rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len())]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn damaged(what: &str) -> Error {
    Error::Damaged(what.to_owned())
}

impl<'a> Elf<'a> {
    pub(crate) fn open(source: &'a dyn Source) -> Result<Self, Error> {
        let head = source.read_at(0, HEADER_BYTES.min(source.size() as usize))?;
        if !head.starts_with(b"\x7fELF") {
            return Err(Error::NotElf);
        }
        if head.len() < HEADER_BYTES {
            return Err(damaged("it ends within its header"));
        }
        if (head[4], head[5]) != (2, 1) {
            return Err(Error::NotSupported("it is not of a 64-bit little-endian machine"));
        }
        let mut elf = Self {
            source,
            sections: Vec::new(),
            code: Vec::new(),
            budget: limits::SECTIONS_BYTES_MAX,
        };
        elf.read_segments(&head)?;
        elf.read_sections(&head)?;
        Ok(elf)
    }

    /// A table of the file: so many entries of so many bytes.
    fn table(&self, at: u64, entries: usize, bytes: usize, what: &str) -> Result<Vec<u8>, Error> {
        let whole = entries.checked_mul(bytes).map(|whole| whole as u64);
        let fits = whole.and_then(|whole| at.checked_add(whole));
        if fits.is_none_or(|end| end > self.source.size()) {
            return Err(damaged(&format!("its {what} lie beyond its end")));
        }
        Ok(self.source.read_at(at, entries * bytes)?)
    }

    fn read_segments(&mut self, head: &[u8]) -> Result<(), Error> {
        let (at, size, count) = (u64_at(head, 32).unwrap_or(0), u16_at(head, 54), u16_at(head, 56));
        if count == 0 || size != SEGMENT_BYTES {
            return Ok(());
        }
        let table = self.table(at, count, size, "program headers")?;
        let number = |row: &[u8], at: usize| u64_at(row, at).unwrap_or(0);
        let mut end = 0_u64;
        for row in table.chunks_exact(SEGMENT_BYTES).filter(|row| u32_at(row, 0) == Some(LOAD)) {
            let (address, align) = (number(row, 16), number(row, 48).max(1));
            let (in_file, in_memory) = (number(row, 32), number(row, 40));
            // Tools that split debug information off leave segments without contents, and their
            // offsets are lost. Linkers lay them out one after the other, each at the first place
            // that is congruent with its address.
            let is_there = in_file > 0 || in_memory == 0;
            let offset = if is_there && in_file == in_memory {
                number(row, 8)
            } else {
                end.saturating_add(address.wrapping_sub(end) % align)
            };
            let bytes = if in_file > 0 { in_file.max(in_memory) } else { in_memory };
            end = offset.saturating_add(bytes);
            if u32_at(row, 4).is_some_and(|flags| flags & EXECUTABLE != 0) {
                self.code.push(Segment { offset, bytes, address });
            }
        }
        Ok(())
    }

    fn read_sections(&mut self, head: &[u8]) -> Result<(), Error> {
        let (at, size, mut count) =
            (u64_at(head, 40).unwrap_or(0), u16_at(head, 58), u16_at(head, 60));
        let mut names_at = u16_at(head, 62);
        if at == 0 || size != SECTION_BYTES {
            return Ok(());
        }
        let first = self.table(at, 1, size, "section headers")?;
        if count == 0 {
            // More than fit into the header's number.
            count = u64_at(&first, 32).and_then(|it| usize::try_from(it).ok()).unwrap_or(0);
        }
        if names_at == 0xffff {
            names_at = u32_at(&first, 40).unwrap_or(0) as usize;
        }
        if count > limits::SECTIONS_MAX {
            return Err(damaged(&format!("it has {count} sections")));
        }
        let table = self.table(at, count, size, "section headers")?;
        let number = |row: &[u8], at: usize| u64_at(row, at).unwrap_or(0);
        let rows = || table.chunks_exact(SECTION_BYTES);
        let names = rows().nth(names_at).map(|row| (number(row, 24), number(row, 32)));
        let (names_from, names_bytes) = names.unwrap_or_default();
        let names_bytes = names_bytes.min(limits::SECTION_NAMES_BYTES_MAX);
        let names = self.table(names_from, 1, names_bytes as usize, "section names")?;
        for row in rows() {
            let name = text_at(&names, u32_at(row, 0).unwrap_or(0) as usize, 64);
            self.sections.push(Section {
                name: String::from_utf8_lossy(name).into_owned(),
                kind: u32_at(row, 4).unwrap_or(0),
                flags: number(row, 8),
                address: number(row, 16),
                offset: number(row, 24),
                bytes: number(row, 32),
            });
        }
        Ok(())
    }

    /// Names that profilers know the file by: GNU's build id in hex, Go's as it is, and, of a
    /// program (not of debug information split off), OpenTelemetry's hash of the file.
    pub(crate) fn ids(&self) -> Result<Vec<String>, Error> {
        let mut ids = Vec::new();
        for section in self.sections.iter().filter(|it| it.kind == NOTE) {
            let bytes = section.bytes.min(limits::NOTES_BYTES_MAX) as usize;
            let notes = self.table(section.offset, 1, bytes, "notes")?;
            read_notes(&notes, &mut ids);
        }
        if self.has_code() {
            ids.push(self.file_hash()?);
        }
        ids.dedup();
        Ok(ids)
    }

    /// Whether the code is in the file.
    pub(crate) fn has_code(&self) -> bool {
        self.sections.iter().any(|it| it.name == ".text" && it.kind != NO_BITS)
    }

    fn file_hash(&self) -> Result<String, Error> {
        let size = self.source.size();
        let part = size.min(HASHED_BYTES);
        let mut hash = Sha256::new();
        hash.update(self.source.read_at(0, part as usize)?);
        hash.update(self.source.read_at(size - part, part as usize)?);
        hash.update(size.to_be_bytes());
        Ok(hex(&hash.finalize()[..16]))
    }

    /// Where a section lies in memory.
    pub(crate) fn address_of(&self, name: &str) -> Option<u64> {
        self.sections.iter().find(|it| it.name == name).map(|it| it.address)
    }

    /// Bytes that a section takes when it is read; none when it is not there.
    pub(crate) fn size_of(&self, name: &str) -> u64 {
        self.find(name).map_or(0, |section| section.bytes)
    }

    fn find(&self, name: &str) -> Option<&Section> {
        let old = name.strip_prefix(".debug_").map(|rest| format!(".zdebug_{rest}"));
        let is_it = |it: &&Section| it.name == name || Some(&it.name) == old.as_ref();
        self.sections.iter().filter(|it| it.kind != NO_BITS && it.bytes > 0).find(is_it)
    }

    /// The contents of a section, unpacked; empty when it is not there. An error when all that was
    /// read is more than the limit.
    pub(crate) fn section(&mut self, name: &str) -> Result<Vec<u8>, Error> {
        let Some(section) = self.find(name).cloned() else { return Ok(Vec::new()) };
        self.spend(section.bytes)?;
        let bytes = usize::try_from(section.bytes).map_err(|_| Error::TooLarge("bytes"))?;
        let raw = self.table(section.offset, 1, bytes, name)?;
        let (kind, unpacked, packed) = if section.flags & COMPRESSED != 0 {
            let kind = u32_at(&raw, 0).unwrap_or(0);
            (kind, u64_at(&raw, 8).unwrap_or(0), raw.get(24..).unwrap_or_default())
        } else if section.name.starts_with(".zdebug_") && raw.starts_with(b"ZLIB") {
            let size = raw.get(4..12).and_then(|it| it.try_into().ok()).map(u64::from_be_bytes);
            (ZLIB, size.unwrap_or(0), raw.get(12..).unwrap_or_default())
        } else {
            return Ok(raw);
        };
        self.spend(unpacked)?;
        let mut out = Vec::new();
        let read = match kind {
            ZLIB => flate2::read::ZlibDecoder::new(packed).take(unpacked).read_to_end(&mut out),
            ZSTD => zstd::Decoder::with_buffer(packed)
                .and_then(|unpacker| unpacker.take(unpacked).read_to_end(&mut out)),
            _ => return Err(Error::NotSupported("a section is compressed in an unknown way")),
        };
        match read {
            Ok(read) if read as u64 == unpacked => Ok(out),
            _ => Err(damaged(&format!("its section {name} does not unpack"))),
        }
    }

    fn spend(&mut self, bytes: u64) -> Result<(), Error> {
        self.budget = self.budget.checked_sub(bytes).ok_or(Error::TooLarge("bytes"))?;
        Ok(())
    }

    /// Functions of the symbol table, or of the dynamic one, and the names they point into.
    pub(crate) fn symbols(&mut self) -> Result<(Vec<Symbol>, Vec<u8>), Error> {
        let full = self.size_of(".symtab") > 0;
        let (table, names) = if full { (".symtab", ".strtab") } else { (".dynsym", ".dynstr") };
        let (table, names) = (self.section(table)?, self.section(names)?);
        let mut symbols = Vec::new();
        for row in table.chunks_exact(SYMBOL_BYTES) {
            let (info, section) = (row[4], u16_at(row, 6));
            // Functions and those that choose among them when the program starts.
            if !matches!(info & 0xf, 2 | 10) || section == 0 {
                continue;
            }
            let (Some(name), Some(address), Some(bytes)) =
                (u32_at(row, 0), u64_at(row, 8), u64_at(row, 16))
            else {
                continue;
            };
            let rank = match info >> 4 {
                1 => 0,
                2 => 1,
                _ => 2,
            };
            if address > 0 {
                symbols.push(Symbol { address, bytes, rank, name });
            }
        }
        Ok((symbols, names))
    }
}

fn read_notes(notes: &[u8], ids: &mut Vec<String>) {
    let mut at = 0_usize;
    let padded = |bytes: u32| (bytes as usize).next_multiple_of(4);
    while let (Some(owner), Some(bytes), Some(kind)) =
        (u32_at(notes, at), u32_at(notes, at + 4), u32_at(notes, at + 8))
    {
        let Some(contents) = (at + 12).checked_add(padded(owner)) else { return };
        let name = notes.get(at + 12..contents).unwrap_or_default();
        let Some(value) = contents.checked_add(bytes as usize) else { return };
        let value = notes.get(contents..value).unwrap_or_default();
        let is_short = !value.is_empty() && value.len() <= limits::BUILD_ID_BYTES_MAX;
        if name.starts_with(b"GNU\0") && kind == GNU_BUILD_ID && is_short {
            // What most clients send comes first.
            ids.insert(0, hex(value));
        }
        if name.starts_with(b"Go\0") && kind == GO_BUILD_ID && is_short {
            ids.push(String::from_utf8_lossy(value).into_owned());
        }
        at = contents.saturating_add(padded(bytes));
    }
}
