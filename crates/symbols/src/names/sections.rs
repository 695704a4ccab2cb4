//! The sections of debug information, and numbers in them.

use super::Error;
use super::elf::Elf;
use crate::limits;
use gimli::constants as dw;

/// The sections that are read, unpacked.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub(super) info: Vec<u8>,
    pub(super) abbrev: Vec<u8>,
    pub(super) str: Vec<u8>,
    pub(super) line_str: Vec<u8>,
    pub(super) str_offsets: Vec<u8>,
    pub(super) addr: Vec<u8>,
    pub(super) ranges: Vec<u8>,
    pub(super) rnglists: Vec<u8>,
    pub(super) line: Vec<u8>,
}

impl Sections {
    pub(super) fn read(elf: &mut Elf<'_>) -> Result<Self, Error> {
        if elf.size_of(".debug_abbrev") > limits::ABBREVIATIONS_BYTES_MAX {
            return Err(Error::TooLarge("kinds of entries"));
        }
        let sections = Self {
            info: elf.section(".debug_info")?,
            abbrev: elf.section(".debug_abbrev")?,
            str: elf.section(".debug_str")?,
            line_str: elf.section(".debug_line_str")?,
            str_offsets: elf.section(".debug_str_offsets")?,
            addr: elf.section(".debug_addr")?,
            ranges: elf.section(".debug_ranges")?,
            rnglists: elf.section(".debug_rnglists")?,
            line: elf.section(".debug_line")?,
        };
        let is_small = sections.abbrev.len() as u64 <= limits::ABBREVIATIONS_BYTES_MAX;
        if is_small { Ok(sections) } else { Err(Error::TooLarge("kinds of entries")) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.info.is_empty()
    }
}

/// A number of 8 or 4 bytes in a section.
pub(super) fn word(section: &[u8], at: u64, size: u64) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    if size == 8 {
        super::elf::u64_at(section, at)
    } else {
        super::elf::u32_at(section, at).map(u64::from)
    }
}

/// How long the table of abbreviations is that `bytes` begins with.
pub(super) fn abbreviations_bytes(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut number = || {
        let end = rest.iter().position(|byte| byte & 0x80 == 0)?;
        let is_zero = rest[..=end].iter().all(|byte| matches!(byte, 0 | 0x80));
        let last = rest[end];
        rest = &rest[end + 1..];
        Some((is_zero, end, last, rest.len()))
    };
    let mut left = bytes.len();
    let mut table = || -> Option<()> {
        while !number()?.0 {
            // The tag, and whether it has children.
            number()?;
            number()?;
            loop {
                let (name, form) = (number()?, number()?);
                left = form.3;
                if name.0 && form.0 {
                    break;
                }
                // A value that stands here.
                if form.1 == 0 && form.2 == dw::DW_FORM_implicit_const.0 as u8 {
                    number()?;
                }
            }
        }
        Some(())
    };
    table();
    bytes.len() - left
}
