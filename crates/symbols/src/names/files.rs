//! The source files of a unit of debug information, by the header of its line table.
//!
//! Format: DWARF 5, section 6.2.4, and DWARF 2 to 4. Nothing but the lists of folders and files is
//! read; what describes its entries may come from anywhere, so each entry must take a byte at least.

use super::sections::Sections;
use crate::limits;
use gimli::constants as dw;

/// Folders and files, as texts that may be cut.
#[derive(Debug, Default)]
pub(super) struct Files<'a> {
    folders: Vec<&'a [u8]>,
    /// Folder and name.
    names: Vec<(u64, &'a [u8])>,
    version: u16,
}

impl<'a> Files<'a> {
    /// Those of the line table at `offset`; what cannot be read is left out.
    pub(super) fn read(sections: &'a Sections, offset: usize) -> Self {
        let mut files = Self::default();
        let mut reader =
            Reader { rest: sections.line.get(offset..).unwrap_or_default(), wide: false };
        // What was read before the damage counts.
        let _ = files.fill(sections, &mut reader);
        files
    }

    fn fill(&mut self, sections: &'a Sections, reader: &mut Reader<'a>) -> Option<()> {
        let mut length = u64::from(reader.u32()?);
        if length == 0xffff_ffff {
            (reader.wide, length) = (true, reader.u64()?);
        }
        let end = usize::try_from(length).ok().filter(|it| *it <= reader.rest.len())?;
        reader.rest = &reader.rest[..end];
        self.version = reader.u16()?;
        if !(2..=5).contains(&self.version) {
            return None;
        }
        if self.version == 5 {
            reader.take(2)?;
        }
        reader.word()?;
        // Lengths of instructions, whether rows are statements, line base and range.
        reader.take(if self.version >= 4 { 5 } else { 4 })?;
        let opcodes = usize::from(reader.u8()?);
        reader.take(opcodes.checked_sub(1)?)?;
        if self.version == 5 {
            let folders = reader.entries(sections)?;
            self.folders = folders.into_iter().map(|(_, name)| name).collect();
            self.names = reader.entries(sections)?;
            return Some(());
        }
        self.folders.push(b"");
        loop {
            let name = reader.text()?;
            if name.is_empty() {
                break;
            }
            (self.folders.len() < limits::UNIT_FILES_MAX).then_some(())?;
            self.folders.push(name);
        }
        // Files are counted from 1.
        self.names.push((0, b""));
        loop {
            let name = reader.text()?;
            if name.is_empty() {
                return Some(());
            }
            let folder = reader.uleb()?;
            // When it was changed, and its size.
            reader.uleb()?;
            reader.uleb()?;
            (self.names.len() < limits::UNIT_FILES_MAX).then_some(())?;
            self.names.push((folder, name));
        }
    }

    /// The path of a file; empty when there is none of the number.
    pub(super) fn path(&self, number: u64, unit_folder: &[u8]) -> String {
        let file = usize::try_from(number).ok().and_then(|it| self.names.get(it));
        let Some((folder, name)) = file.filter(|it| !it.1.is_empty()) else { return String::new() };
        let folder = usize::try_from(*folder).ok().and_then(|it| self.folders.get(it));
        let mut path = std::path::PathBuf::new();
        for part in [Some(unit_folder), folder.copied(), Some(*name)].into_iter().flatten() {
            if !part.is_empty() {
                path.push(&*String::from_utf8_lossy(part));
            }
        }
        crate::frame::cut(&path.to_string_lossy())
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Whether offsets have 64 bits.
    wide: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|it| it[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn word(&mut self) -> Option<u64> {
        if self.wide { self.u64() } else { self.u32().map(u64::from) }
    }

    fn uleb(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == 0)?;
        let text = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Some(&text[..text.len().min(limits::NAME_BYTES_MAX)])
    }

    /// A list of version 5: what an entry is made of, how many there are, and the entries.
    fn entries(&mut self, sections: &'a Sections) -> Option<Vec<(u64, &'a [u8])>> {
        let kinds = usize::from(self.u8()?);
        let mut format = Vec::with_capacity(kinds);
        for _ in 0..kinds {
            format.push((self.uleb()?, self.uleb()?));
        }
        let count = self.uleb()?;
        let mut entries = Vec::new();
        for _ in 0..count.min(limits::UNIT_FILES_MAX as u64) {
            let before = self.rest.len();
            let (mut folder, mut name) = (0, &b""[..]);
            for (kind, form) in &format {
                let (number, text) = self.value(*form, sections)?;
                if *kind == u64::from(dw::DW_LNCT_path.0) {
                    name = text;
                } else if *kind == u64::from(dw::DW_LNCT_directory_index.0) {
                    folder = number;
                }
            }
            (self.rest.len() < before).then_some(())?;
            entries.push((folder, name));
        }
        (count <= limits::UNIT_FILES_MAX as u64).then_some(entries)
    }

    /// A value as a number and as a text, whichever it is.
    fn value(&mut self, form: u64, sections: &'a Sections) -> Option<(u64, &'a [u8])> {
        let form = dw::DwForm(u16::try_from(form).ok()?);
        let number = match form {
            dw::DW_FORM_string => return Some((0, self.text()?)),
            dw::DW_FORM_line_strp => return Some((0, text(&sections.line_str, self.word()?))),
            dw::DW_FORM_strp => return Some((0, text(&sections.str, self.word()?))),
            dw::DW_FORM_udata => self.uleb()?,
            dw::DW_FORM_data1 => u64::from(self.u8()?),
            dw::DW_FORM_data2 => u64::from(self.u16()?),
            dw::DW_FORM_data4 => u64::from(self.u32()?),
            dw::DW_FORM_data8 => self.u64()?,
            dw::DW_FORM_data16 => {
                self.take(16)?;
                0
            }
            dw::DW_FORM_block => {
                let bytes = usize::try_from(self.uleb()?).ok()?;
                self.take(bytes)?;
                0
            }
            _ => return None,
        };
        Some((number, b""))
    }
}

/// A text of a section, at most as long as names may be.
pub(super) fn text(section: &[u8], at: u64) -> &[u8] {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    super::elf::text_at(section, at, limits::NAME_BYTES_MAX)
}
