//! Functions by the symbol table of an ELF file, for many addresses in one pass.
//!
//! The table is not sorted or kept: a pass over it costs a few nanoseconds a symbol and no memory,
//! which suits a caller that remembers the answers.

use crate::frame::{Frame, cut};
use object::read::elf::{ElfFile64, Sym as _, SymbolTable};
use object::{Endianness, elf};
use std::ops::Range;

/// A function without a size is believed to reach at most this far.
const UNSIZED_BYTES_MAX: u64 = 4_096;

/// Bytes of a file that may be read between two calls of `give_back`: a mapped file's pages count as
/// memory in use until they are given back.
const READ_BYTES_MAX: usize = 4 << 20;

/// What the kernel maps around a page that is read at random.
const PAGES_AROUND_BYTES: usize = 64 << 10;

/// What is known of one wanted address.
#[derive(Clone, Copy, Default)]
pub(crate) struct Best<'data> {
    start: u64,
    end: u64,
    is_sized: bool,
    /// Lower is better: global before weak before local, then fewer underscores.
    rank: (u8, usize),
    name: &'data [u8],
}

impl<'data> Best<'data> {
    pub(crate) fn is_sized(&self) -> bool {
        self.is_sized
    }

    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Takes a symbol if it covers the address and is better.
    pub(crate) fn offer(
        &mut self,
        file: &ElfFile64<'data, Endianness>,
        symbol: &'data Symbol,
        address: u64,
    ) {
        let Some(range) = function_at(file, symbol).filter(|it| it.contains(&address)) else {
            return;
        };
        let endian = file.endian();
        let Ok(name) = symbol.name(endian, table_of(file).strings()) else { return };
        let (Range { start, end }, is_sized) = (range, symbol.st_size(endian) > 0);
        let found = Self { start, end, is_sized, rank: rank(symbol.st_bind(), name), name };
        if is_better(&found, self) {
            *self = found;
        }
    }
}

fn rank(bind: u8, name: &[u8]) -> (u8, usize) {
    let bind = match bind {
        elf::STB_GLOBAL => 0,
        elf::STB_WEAK => 1,
        _ => 2,
    };
    (bind, name.iter().take_while(|byte| **byte == b'_').count())
}

/// A function and the addresses it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its addresses, as the file states them.
    pub range: Range<u64>,
    /// Its name.
    pub frame: Frame,
}

/// The functions of the file `bytes` at `addresses` (as the file states them), in their order;
/// none where the table has no answer. `give_back` is called after every few megabytes that are
/// read, for those who mapped the file: a compiler's table of symbols has 24.
pub fn functions(bytes: &[u8], addresses: &[u64], give_back: &dyn Fn()) -> Vec<Option<Function>> {
    let mut order: Vec<usize> = (0..addresses.len()).collect();
    order.sort_unstable_by_key(|at| addresses[*at]);
    let sorted: Vec<u64> = order.iter().map(|at| addresses[*at]).collect();
    let mut best = vec![Best::default(); sorted.len()];
    let mut pages = Pages::new(give_back);
    if let Ok(file) = ElfFile64::<Endianness>::parse(bytes) {
        scan(&file, &sorted, &mut best, &mut pages);
    }
    let mut functions = vec![None; addresses.len()];
    for (at, best) in order.into_iter().zip(best) {
        pages.read_at_random();
        functions[at] = found(&best);
    }
    functions
}

/// The function that was found.
pub(crate) fn found(best: &Best<'_>) -> Option<Function> {
    let frame = (!best.name.is_empty()).then(|| Frame::named(&demangle(best.name)))?;
    Some(Function { range: best.start..best.end, frame })
}

/// Counts what is read of a file.
pub(crate) struct Pages<'a> {
    bytes: usize,
    give_back: &'a dyn Fn(),
}

impl<'a> Pages<'a> {
    pub(crate) fn new(give_back: &'a dyn Fn()) -> Self {
        Self { bytes: 0, give_back }
    }

    pub(crate) fn read(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes > READ_BYTES_MAX {
            self.bytes = 0;
            (self.give_back)();
        }
    }

    pub(crate) fn read_at_random(&mut self) {
        self.read(PAGES_AROUND_BYTES);
    }
}

type Symbol = elf::Sym64<Endianness>;

/// The symbols, or where there are none those for other files.
fn table_of<'file, 'data>(
    file: &'file ElfFile64<'data, Endianness>,
) -> &'file SymbolTable<'data, elf::FileHeader64<Endianness>> {
    let full = file.elf_symbol_table();
    if full.is_empty() { file.elf_dynamic_symbol_table() } else { full }
}

pub(crate) fn symbols<'data>(file: &ElfFile64<'data, Endianness>) -> &'data [Symbol] {
    table_of(file).symbols()
}

/// The addresses of a symbol that is a function.
pub(crate) fn function_at(file: &ElfFile64<'_, Endianness>, symbol: &Symbol) -> Option<Range<u64>> {
    let endian = file.endian();
    if symbol.st_type() != elf::STT_FUNC && symbol.st_type() != elf::STT_GNU_IFUNC {
        return None;
    }
    let (start, size) = (symbol.st_value(endian), symbol.st_size(endian));
    let reach = if size == 0 { UNSIZED_BYTES_MAX } else { size };
    let is_here = start != 0 && symbol.st_shndx(endian) != elf::SHN_UNDEF;
    is_here.then(|| start..start.saturating_add(reach))
}

fn scan<'data>(
    file: &ElfFile64<'data, Endianness>,
    wanted: &[u64],
    best: &mut [Best<'data>],
    pages: &mut Pages<'_>,
) {
    for symbol in symbols(file) {
        pages.read(size_of_val(symbol));
        let Some(range) = function_at(file, symbol) else { continue };
        let first = wanted.partition_point(|address| *address < range.start);
        let covered = wanted[first..].iter().take_while(|address| **address < range.end);
        for (address, best) in covered.zip(&mut best[first..]) {
            pages.read_at_random();
            best.offer(file, symbol, *address);
        }
    }
}

fn is_better(new: &Best<'_>, old: &Best<'_>) -> bool {
    if old.name.is_empty() || new.is_sized != old.is_sized {
        return !new.name.is_empty() && (old.name.is_empty() || new.is_sized);
    }
    new.start > old.start || (new.start == old.start && new.rank < old.rank)
}

/// The readable form of a Rust or C++ symbol, or the symbol itself.
pub(crate) fn demangle(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let text = cut(&text);
    if let Ok(rust) = rustc_demangle::try_demangle(&text) {
        // The alternate form leaves the hash out.
        return format!("{rust:#}");
    }
    if !text.starts_with("_Z") {
        return text;
    }
    let options = cpp_demangle::DemangleOptions::new().recursion_limit(128);
    let parsed = cpp_demangle::Symbol::new(&text).ok();
    parsed.and_then(|it| it.demangle_with_options(&options).ok()).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object as _, ObjectSymbol as _};

    #[test]
    fn many_addresses_are_answered_in_their_order() {
        let bytes = std::fs::read("/proc/self/exe").expect("readable");
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let functions_of: Vec<_> = file
            .symbols()
            .filter(|it| it.kind() == object::SymbolKind::Text && it.size() > 8)
            .take(500)
            .collect();
        let mut addresses: Vec<u64> = functions_of.iter().map(|it| it.address() + 4).collect();
        addresses.reverse();
        addresses.push(1);
        let found = functions(&bytes, &addresses, &|| ());
        assert_eq!(found.len(), addresses.len());
        assert!(found.iter().take(500).all(Option::is_some), "each has a name");
        let covers = |(address, it): (&u64, &Option<Function>)| {
            it.as_ref().is_some_and(|it| it.range.contains(address))
        };
        assert!(addresses.iter().zip(&found).take(500).all(covers));
        assert_eq!(found.last(), Some(&None));
    }

    #[test]
    fn names_are_made_readable() {
        assert_eq!(demangle(b"_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
        assert_eq!(demangle(b"_Z5cmpcbPKvS0_"), "cmpcb(void const*, void const*)");
        assert_eq!(demangle(b"_Znonsense"), "_Znonsense");
        assert_eq!(demangle(b"qsort_r"), "qsort_r");
    }

    #[test]
    fn data_is_no_function() {
        let bytes = std::fs::read("/proc/self/exe").expect("readable");
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let data = file.symbols().filter(|it| it.kind() == object::SymbolKind::Data);
        let addresses: Vec<u64> = data.take(200).map(|it| it.address()).collect();
        assert!(addresses.len() > 20);
        assert!(functions(&bytes, &addresses, &|| ()).iter().all(Option::is_none));
    }

    #[test]
    fn pages_are_given_back_while_reading() {
        let bytes = std::fs::read("/proc/self/exe").expect("readable");
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let addresses: Vec<u64> = file.symbols().map(|it| it.address() + 1).take(2_000).collect();
        let calls = std::cell::Cell::new(0);
        functions(&bytes, &addresses, &|| calls.set(calls.get() + 1));
        assert!(calls.get() > 10, "{}", calls.get());
    }

    #[test]
    fn what_is_no_elf_has_no_functions() {
        assert_eq!(functions(b"", &[1, 2], &|| ()), [None, None]);
        assert_eq!(functions(&[0x7f; 400], &[], &|| ()), []);
    }
}
