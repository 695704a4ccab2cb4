//! Functions of one file in the order of their addresses, for files that are asked about again and
//! again: a compiler's 150,000 take a millisecond to pass over, each time.

use crate::limits::{INDEX_STEPS_MAX, INDEXED_FUNCTIONS_MAX};
use crate::table::{Best, Function, Pages, found, function_at, symbols};
use object::Endianness;
use object::read::elf::ElfFile64;
use std::cmp::Reverse;

/// A function of the symbol table.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// Its address, from the file's first function on.
    start: u32,
    /// The furthest end of it and all before it.
    furthest: u32,
    /// Its place in the symbol table.
    symbol: u32,
}

/// Where the functions of a file are: 12 bytes each.
#[derive(Debug)]
pub struct ByAddress {
    base: u64,
    rows: Vec<Row>,
}

impl ByAddress {
    /// Sorts the functions of the file `bytes`; none where they are too many or too far apart.
    pub fn of(bytes: &[u8], give_back: &dyn Fn()) -> Option<Self> {
        let file = ElfFile64::<Endianness>::parse(bytes).ok()?;
        let mut pages = Pages::new(give_back);
        let table = symbols(&file);
        let base = table.iter().filter_map(|it| function_at(&file, it)).map(|it| it.start).min()?;
        let mut rows = Vec::new();
        for (at, symbol) in table.iter().enumerate() {
            pages.read(size_of_val(symbol));
            let Some(range) = function_at(&file, symbol) else { continue };
            if rows.len() == INDEXED_FUNCTIONS_MAX {
                return None;
            }
            let start = u32::try_from(range.start - base).ok()?;
            let furthest = u32::try_from(range.end - base).unwrap_or(u32::MAX);
            rows.push(Row { start, furthest, symbol: u32::try_from(at).ok()? });
        }
        // Of equal ones the first in the table is looked at first, that is from the end.
        rows.sort_unstable_by_key(|row| (row.start, Reverse(row.symbol)));
        let mut furthest = 0;
        for row in &mut rows {
            furthest = row.furthest.max(furthest);
            row.furthest = furthest;
        }
        rows.shrink_to_fit();
        Some(Self { base, rows })
    }

    /// No fewer than the functions of the file `bytes`.
    pub fn most(bytes: &[u8]) -> usize {
        ElfFile64::<Endianness>::parse(bytes).map_or(0, |file| symbols(&file).len())
    }

    /// Number of functions.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What [`crate::functions`] says of the same file.
    pub fn functions(
        &self,
        bytes: &[u8],
        addresses: &[u64],
        give_back: &dyn Fn(),
    ) -> Vec<Option<Function>> {
        let Ok(file) = ElfFile64::<Endianness>::parse(bytes) else {
            return vec![None; addresses.len()];
        };
        let mut pages = Pages::new(give_back);
        addresses.iter().map(|at| found(&self.best(&file, *at, &mut pages))).collect()
    }

    fn best<'data>(
        &self,
        file: &ElfFile64<'data, Endianness>,
        address: u64,
        pages: &mut Pages<'_>,
    ) -> Best<'data> {
        let mut best = Best::default();
        let at = address.checked_sub(self.base).and_then(|at| u32::try_from(at).ok());
        let Some(at) = at else { return best };
        let end = self.rows.partition_point(|row| row.start <= at);
        let before = self.rows[..end].iter().rev().take(INDEX_STEPS_MAX);
        for row in before.take_while(|row| row.furthest > at) {
            // Of functions with a size the nearest is the best.
            if best.is_sized() && self.base + u64::from(row.start) < best.start() {
                break;
            }
            let Some(symbol) = symbols(file).get(row.symbol as usize) else { continue };
            pages.read_at_random();
            best.offer(file, symbol, address);
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions;
    use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
    use stdx::Rng;

    const BASE: u64 = 0x1000;

    /// This program with other symbols: functions of any size, over and beside each other.
    fn overlapping(rng: &mut Rng) -> Vec<u8> {
        let mut bytes = std::fs::read("/proc/self/exe").expect("readable");
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let table = file.section_by_name(".symtab").and_then(|it| it.file_range());
        let (start, size) = table.expect("it is not stripped");
        let table = &mut bytes[start as usize..(start + size) as usize];
        for (at, entry) in table.as_chunks_mut::<24>().0.iter_mut().enumerate() {
            // Name (4 bytes, as it was), binding and type, other, section, value, size.
            let function = (rng.below(3) as u8) << 4 | 2;
            entry[4] = if at < 400 { function } else { 1 };
            entry[6..8].copy_from_slice(&1_u16.to_le_bytes());
            entry[8..16].copy_from_slice(&(BASE + rng.below(1_500)).to_le_bytes());
            let size = if rng.chance(1, 3) { 0 } else { rng.below(60) };
            entry[16..].copy_from_slice(&size.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn functions_over_each_other_are_chosen_as_by_a_pass_over_the_table() {
        let mut rng = Rng::seeded(7);
        let addresses: Vec<u64> = (BASE - 2..BASE + 7_000).collect();
        for _ in 0..20 {
            let bytes = overlapping(&mut rng);
            let index = ByAddress::of(&bytes, &|| ()).expect("few functions");
            let quick = index.functions(&bytes, &addresses, &|| ());
            let slow = functions(&bytes, &addresses, &|| ());
            for (at, (quick, slow)) in addresses.iter().zip(quick.iter().zip(&slow)) {
                assert_eq!(quick, slow, "at {at:#x}");
            }
        }
    }

    #[test]
    fn it_says_what_a_pass_over_the_table_says() {
        let bytes = std::fs::read("/proc/self/exe").expect("readable");
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let starts: Vec<u64> = file.symbols().map(|it| it.address()).take(4_000).collect();
        let near = [0, 1, 7, 300, 5_000];
        let mut addresses: Vec<u64> =
            starts.iter().flat_map(|at| near.iter().map(move |more| at + more)).collect();
        addresses.extend([0, 1, u64::MAX, u64::MAX - 1]);
        let index = ByAddress::of(&bytes, &|| ()).expect("few functions");
        assert!(index.len() > 100 && !index.is_empty());
        assert!((index.len()..500_000).contains(&ByAddress::most(&bytes)));
        let quick = index.functions(&bytes, &addresses, &|| ());
        assert_eq!(quick, functions(&bytes, &addresses, &|| ()));
        assert!(quick.iter().flatten().count() > 1_000);
    }

    #[test]
    fn what_is_no_elf_has_no_functions() {
        assert!(ByAddress::of(b"\x7fELF", &|| ()).is_none());
        let bytes = std::fs::read("/proc/self/exe").expect("readable");
        let index = ByAddress::of(&bytes, &|| ()).expect("few functions");
        assert_eq!(index.functions(b"", &[index.base + 1], &|| ()), [None]);
        // Another file than the one that was sorted: names, but no harm.
        let cut = &bytes[..bytes.len() / 2];
        assert_eq!(index.functions(cut, &[index.base + 1], &|| ()).len(), 1);
    }
}
