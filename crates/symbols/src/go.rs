//! Go's function table (`.gopclntab`), which stripped programs keep too.
//!
//! Layout: `internal/abi/symtab.go`, `runtime/symtab.go` and `debug/gosym/pclntab.go` of Go 1.16
//! to 1.26. Every access is checked: a damaged table gives no name, never a panic.

use crate::frame::{Frame, cut};
use crate::limits::NAME_BYTES_MAX;
use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Go116,
    Go118,
    Go120,
}

/// A view of a program's function table.
#[derive(Clone, Copy, Debug)]
pub struct GoTable<'a> {
    bytes: &'a [u8],
    version: Version,
    text: u64,
    quantum: u64,
    functions: usize,
    names: usize,
    units: usize,
    files: usize,
    programs: usize,
    table: usize,
}

/// Whether a Go stack properly ends at this function: a goroutine's or a thread's first, or a
/// switch to the system stack.
pub fn is_go_root(function: &str) -> bool {
    const ROOTS: [&str; 14] = [
        "runtime.goexit",
        "runtime.goexit.abi0",
        "runtime.goexit0",
        "runtime.mstart",
        "runtime.mstart0",
        "runtime.mstart1",
        "runtime.mcall",
        "runtime.systemstack",
        "runtime.systemstack_switch",
        "runtime.morestack",
        "runtime.rt0_go",
        "runtime.asmcgocall",
        "runtime.sigreturn__sigaction",
        "runtime.main",
    ];
    ROOTS.contains(&function.strip_suffix(".abi0").unwrap_or(function))
        || function.starts_with("_rt0_")
        || function.starts_with("runtime.rt0_")
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn word_at(bytes: &[u8], at: usize) -> Option<usize> {
    let word = u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?);
    usize::try_from(word).ok()
}

impl<'a> GoTable<'a> {
    /// Reads the header of `bytes`, the table of a 64-bit little-endian program. `text` is where
    /// its text section begins, needed where the table does not say (Go 1.26).
    pub fn new(bytes: &'a [u8], text: u64) -> Option<Self> {
        let version = match u32_at(bytes, 0)? {
            0xffff_fffa => Version::Go116,
            0xffff_fff0 => Version::Go118,
            0xffff_fff1 => Version::Go120,
            _ => return None,
        };
        let (quantum, pointer) = (*bytes.get(6)?, *bytes.get(7)?);
        if pointer != 8 || !matches!(quantum, 1 | 2 | 4) {
            return None;
        }
        let field = |number: usize| word_at(bytes, 8 + 8 * number);
        let (stated_text, first) =
            if version == Version::Go116 { (0, 2) } else { (field(2)? as u64, 3) };
        let text = if version == Version::Go116 {
            0
        } else if stated_text != 0 {
            stated_text
        } else {
            text
        };
        Some(Self {
            bytes,
            version,
            text,
            quantum: u64::from(quantum),
            functions: field(0)?,
            names: field(first)?,
            units: field(first + 1)?,
            files: field(first + 2)?,
            programs: field(first + 3)?,
            table: field(first + 4)?,
        })
    }

    /// Start address and place of the record of function `number`.
    fn entry(&self, number: usize) -> Option<(u64, usize)> {
        if self.version == Version::Go116 {
            let at = self.table.checked_add(number.checked_mul(16)?)?;
            Some((word_at(self.bytes, at)? as u64, word_at(self.bytes, at.checked_add(8)?)?))
        } else {
            let at = self.table.checked_add(number.checked_mul(8)?)?;
            let start = u64::from(u32_at(self.bytes, at)?).checked_add(self.text)?;
            Some((start, u32_at(self.bytes, at.checked_add(4)?)? as usize))
        }
    }

    fn text_at(&self, at: usize) -> Option<&'a str> {
        let rest = self.bytes.get(at..)?;
        let rest = &rest[..rest.len().min(NAME_BYTES_MAX)];
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    }

    /// The start of the function at `address`, and where the fields of its record begin: name,
    /// arguments, deferreturn, pcsp, pcfile, pcln, npcdata, unit.
    fn record(&self, address: u64) -> Option<(u64, usize)> {
        let (mut low, mut high) = (0, self.functions.min(self.bytes.len() / 8));
        while low < high {
            let middle = low.midpoint(high);
            if self.entry(middle)?.0 <= address { low = middle + 1 } else { high = middle }
        }
        let number = low.checked_sub(1)?;
        let (start, record) = self.entry(number)?;
        let (end, _) = self.entry(number + 1)?;
        if address >= end {
            return None;
        }
        let record = self.table.checked_add(record)?;
        Some((start, record.checked_add(if self.version == Version::Go116 { 8 } else { 4 })?))
    }

    /// All functions with the addresses they cover, as the file states them.
    pub fn functions(&self) -> impl Iterator<Item = (Range<u64>, Frame)> + '_ {
        (0..self.functions.min(self.bytes.len() / 8)).filter_map(|number| {
            let (start, _) = self.entry(number)?;
            let (end, _) = self.entry(number + 1)?;
            (start < end).then_some(())?;
            Some((start..end, self.find(start)?))
        })
    }

    /// The name of the function at `address`, as the file states addresses.
    pub fn function(&self, address: u64) -> Option<&'a str> {
        let (_, fields) = self.record(address)?;
        self.text_at(self.names.checked_add(u32_at(self.bytes, fields)? as usize)?)
    }

    /// Bytes between the stack pointer and the return address when the instruction at `address`
    /// runs (the function's `pcsp` table).
    pub fn stack_depth(&self, address: u64) -> Option<u64> {
        let (start, fields) = self.record(address)?;
        let program = u32_at(self.bytes, fields.checked_add(12)?)?;
        u64::try_from(self.value(program, start, address)?).ok()
    }

    /// The function at `address` (as the file states addresses), with file and line.
    pub fn find(&self, address: u64) -> Option<Frame> {
        let name = self.function(address)?;
        let (start, fields) = self.record(address)?;
        let field = |number: usize| u32_at(self.bytes, fields.checked_add(4 * number)?);
        let line = field(5).and_then(|it| self.value(it, start, address));
        let file = field(4)
            .and_then(|it| self.value(it, start, address))
            .and_then(|number| self.file(field(7)?, number));
        Some(Frame {
            function: cut(name),
            file: cut(file.unwrap_or_default()),
            line: line.and_then(|it| u32::try_from(it).ok()).unwrap_or(0),
            ..Frame::default()
        })
    }

    fn file(&self, unit: u32, number: i64) -> Option<&'a str> {
        let number = usize::try_from(number).ok()?.checked_add(unit as usize)?;
        let at = self.units.checked_add(number.checked_mul(4)?)?;
        let offset = u32_at(self.bytes, at)?;
        if offset == u32::MAX {
            return None;
        }
        self.text_at(self.files.checked_add(offset as usize)?)
    }

    /// Runs a table of (value change, length) pairs up to `address`.
    fn value(&self, program: u32, start: u64, address: u64) -> Option<i64> {
        let mut at = self.programs.checked_add(program as usize)?;
        let (mut pc, mut value) = (start, -1i64);
        let mut is_first = true;
        loop {
            let change = self.varint(&mut at)?;
            if change == 0 && !is_first {
                return None;
            }
            is_first = false;
            let signed = i64::from(change >> 1);
            value = value.checked_add(if change & 1 == 0 { signed } else { !signed })?;
            pc = pc.checked_add(u64::from(self.varint(&mut at)?).checked_mul(self.quantum)?)?;
            if address < pc {
                return Some(value);
            }
        }
    }

    fn varint(&self, at: &mut usize) -> Option<u32> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let byte = *self.bytes.get(*at)?;
            *at += 1;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_tables_give_nothing() {
        assert!(GoTable::new(b"", 0).is_none());
        let mut bytes = vec![0xff; 4096];
        bytes[..8].copy_from_slice(&[0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]);
        let table = GoTable::new(&bytes, 0x1000).expect("the header is fine");
        for address in [0, 1, 0x1000, u64::MAX] {
            assert_eq!(table.find(address), None);
        }
        for end in 0..80 {
            if let Some(table) = GoTable::new(&bytes[..end], 0) {
                assert_eq!(table.find(5), None);
            }
        }
    }

    #[test]
    fn roots_are_known() {
        assert!(is_go_root("runtime.goexit") && is_go_root("runtime.mcall"));
        assert!(is_go_root("runtime.goexit.abi0") && is_go_root("_rt0_amd64_linux"));
        assert!(!is_go_root("main.leaf"));
    }
}
