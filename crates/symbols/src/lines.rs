//! Source files and lines of addresses, by `.debug_aranges` and `.debug_line` alone.
//!
//! Format: DWARF 5, sections 6.1.2 and 6.2. Only the line programs of the units that hold a wanted
//! address are run, and nothing is kept: on large programs that is a small part of what reading all
//! debug information costs. Units without an entry in `.debug_aranges` have no answer here.

use crate::frame::cut;
use crate::table::Pages;
use gimli::{Dwarf, EndianSlice, LittleEndian, Unit};
use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSection as _};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Where a linker puts the addresses of code that it left out.
const LEFT_OUT: u64 = 0;

/// Bytes of an entry of `.debug_aranges`: an address and a length.
const RANGE_BYTES: usize = 16;

/// A line of a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The file's path, as the compiler saw it.
    pub file: Arc<str>,
    /// Its line, from 1.
    pub line: u32,
}

/// The lines at `addresses` (as the file `bytes` states them), in their order; none where nothing is
/// known. `give_back` is called after each unit and every few megabytes of ranges, for those who mapped
/// the file: a program's line programs, and the names they refer to, lie all over it.
pub fn lines(bytes: &[u8], addresses: &[u64], give_back: &dyn Fn()) -> Vec<Option<Line>> {
    let mut found = vec![None; addresses.len()];
    let Some(dwarf) = load(bytes) else { return found };
    let mut wanted: Vec<(u64, usize)> =
        addresses.iter().enumerate().map(|(at, it)| (*it, at)).collect();
    wanted.sort_unstable();
    for (offset, wanted) in by_unit(&dwarf, &wanted, give_back) {
        let header = dwarf.debug_info.header_from_offset(gimli::DebugInfoOffset(offset));
        let Some(unit) = header.ok().and_then(|it| dwarf.unit(it).ok()) else { continue };
        let Some(program) = unit.line_program.clone() else { continue };
        // A damaged program answers for what came before the damage.
        let _ = run(&dwarf, &unit, program, &wanted, &mut found);
        give_back();
    }
    found
}

fn load(bytes: &[u8]) -> Option<Dwarf<Slice<'_>>> {
    let file = ElfFile64::<Endianness>::parse(bytes).ok()?;
    let section = |id: gimli::SectionId| {
        let section = file.section_by_name(id.name());
        let data = section.and_then(|it| {
            let range = it.compressed_file_range().ok()?;
            (range.format == object::CompressionFormat::None).then(|| it.data().ok()).flatten()
        });
        Ok::<_, gimli::Error>(EndianSlice::new(data.unwrap_or_default(), LittleEndian))
    };
    Dwarf::load(section).ok()
}
/// Which wanted addresses each unit holds, sorted.
fn by_unit(
    dwarf: &Dwarf<Slice<'_>>,
    wanted: &[(u64, usize)],
    give_back: &dyn Fn(),
) -> BTreeMap<usize, Vec<(u64, usize)>> {
    let mut pages = Pages::new(give_back);
    let mut units: BTreeMap<usize, Vec<(u64, usize)>> = BTreeMap::new();
    let mut headers = dwarf.debug_aranges.headers();
    while let Ok(Some(header)) = headers.next() {
        let mut entries = header.entries();
        while let Ok(Some(entry)) = entries.next() {
            let range = entry.range();
            pages.read(RANGE_BYTES);
            if range.begin == LEFT_OUT {
                continue;
            }
            let first = wanted.partition_point(|it| it.0 < range.begin);
            let inside = wanted[first..].iter().take_while(|it| it.0 < range.end);
            let mut inside = inside.copied().peekable();
            if inside.peek().is_some() {
                units.entry(header.debug_info_offset().0).or_default().extend(inside);
            }
        }
    }
    for wanted in units.values_mut() {
        wanted.sort_unstable();
        wanted.dedup();
    }
    units
}

fn run(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    program: gimli::IncompleteLineProgram<Slice<'_>>,
    wanted: &[(u64, usize)],
    found: &mut [Option<Line>],
) -> gimli::Result<()> {
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(()) };
    let mut files = FxHashMap::default();
    let mut before: Option<(u64, u64, u32)> = None;
    // Until the end of a sequence: whether it is of code that was not left out.
    let mut is_code = true;
    let mut rows = program.rows();
    while let Some((header, row)) = rows.next_row()? {
        if let Some((start, file, line)) = before
            && start <= last.0
            && row.address() > first.0
        {
            let from = wanted.partition_point(|it| it.0 < start);
            for (_, at) in wanted[from..].iter().take_while(|it| it.0 < row.address()) {
                let file =
                    files.entry(file).or_insert_with(|| path(dwarf, unit, header, file).into());
                found[*at] = Some(Line { file: Arc::clone(file), line });
            }
        }
        let line = row.line().and_then(|it| u32::try_from(it.get()).ok());
        is_code = if row.end_sequence() { true } else { is_code && row.address() != LEFT_OUT };
        let has_code = is_code && !row.end_sequence();
        before = line.filter(|_| has_code).map(|line| (row.address(), row.file_index(), line));
    }
    Ok(())
}

fn path(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    header: &gimli::LineProgramHeader<Slice<'_>>,
    file: u64,
) -> String {
    let Some(file) = header.file(file) else { return String::new() };
    let text = |value| {
        let slice = dwarf.attr_string(unit, value).ok();
        slice.map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let mut path = PathBuf::new();
    if let Some(folder) = &unit.comp_dir {
        path.push(&*folder.to_string_lossy());
    }
    // The first folder is the unit's own.
    if file.directory_index() != 0
        && let Some(folder) = file.directory(header)
    {
        path.push(text(folder));
    }
    path.push(text(file.path_name()));
    cut(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its address is asked for below; its line is where `fn` stands.
    #[inline(never)]
    fn known_place() -> u32 {
        std::hint::black_box(line!())
    }

    fn own_address() -> u64 {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("readable");
        let base = maps.lines().next().and_then(|it| it.split_once('-')).expect("a mapping").0;
        known_place as *const () as u64 - u64::from_str_radix(base, 16).expect("hexadecimal")
    }

    #[test]
    fn an_address_of_this_file_is_in_this_file() {
        let bytes = std::fs::read("/proc/self/exe").expect("readable");
        let address = own_address();
        let found = lines(&bytes, &[5, address, 5], &|| ());
        let line = found[1].as_ref().expect("known");
        assert!(line.file.ends_with("symbols/src/lines.rs"), "{}", line.file);
        assert!(line.line.abs_diff(known_place()) <= 1, "{} is far", line.line);
        assert_eq!((&found[0], &found[2]), (&None, &None));
    }

    #[test]
    fn damage_gives_nothing_or_something() {
        let mut bytes = std::fs::read("/proc/self/exe").expect("readable");
        let file = ElfFile64::<Endianness>::parse(&*bytes).expect("an ELF file");
        let of = |name: &str| file.section_by_name(name).and_then(|it| it.file_range());
        let sections: Vec<_> =
            [".debug_aranges", ".debug_line", ".debug_info"].into_iter().filter_map(of).collect();
        assert_eq!(sections.len(), 3);
        let address = own_address() + 1;
        for (start, size) in sections {
            for at in (0..size.min(1 << 20)).step_by(97) {
                bytes[(start + at) as usize] ^= 0x5a;
            }
            assert_eq!(lines(&bytes, &[address], &|| ()).len(), 1);
        }
        assert_eq!(lines(b"", &[1], &|| ()), [None]);
    }
}
