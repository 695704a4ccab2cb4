//! Names of addresses from files that people upload later: ELF files with debug information or only
//! a symbol table, debug information split off, Go programs.
//!
//! [`read`] turns such a file once into a [`NameTable`], which is compact and quick to ask; the file
//! is not needed any more. Files are untrusted: every length, count and depth has a limit, and work
//! that takes too long is given up.

mod dwarf;
mod elf;
mod files;
mod flat;
mod sections;
mod table;

pub use table::{Damaged, NameTable, Named, Place};

use crate::GoTable;
use crate::limits;
use dwarf::Walker;
use elf::{Elf, Symbol};
use flat::{Chains, Extent, Piece, fill, flatten};
use sections::Sections;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use table::Functions;

/// A function without a size is believed to reach at most this far.
const UNSIZED_BYTES_MAX: u64 = 4_096;

/// Whether to give up: asked every now and then.
pub type GiveUp<'a> = &'a dyn Fn() -> bool;

/// Why a file gives no names.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an ELF file.
    #[error("it is not an ELF file: upload the program, its library, or its .debug file")]
    NotElf,
    /// An ELF file of a kind that is not read.
    #[error("{0}")]
    NotSupported(&'static str),
    /// It contradicts itself.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Nothing says which profiles it belongs to.
    #[error(
        "it has no build id, by which profiles name their binaries: link it with -Wl,--build-id"
    )]
    NoBuildId,
    /// Nothing in it names code.
    #[error(
        "it has neither debug information nor a symbol table with functions: upload the file as it \
         was before it was stripped, or its .debug file"
    )]
    NoNames,
    /// It has more than is read.
    #[error("it holds more {0} than the limits allow")]
    TooLarge(&'static str),
    /// It takes too long.
    #[error("reading it takes too long")]
    TooSlow,
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

/// Bytes that can be read anywhere.
pub trait Source: std::fmt::Debug {
    /// How many there are.
    fn size(&self) -> u64;
    /// So many of them from `offset` on; an error when there are fewer.
    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;
}

impl Source for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let at = usize::try_from(offset).ok();
        let found = at.and_then(|at| self.get(at..at.checked_add(bytes)?));
        found.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// A file and its size.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    size: u64,
}

impl FileSource {
    /// Looks at the size of a file.
    pub fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        self.file.read_exact_at(&mut read, offset)?;
        Ok(read)
    }
}

/// A new file in `folder` without a name: it is gone when it is closed, however the process ends.
pub fn spool(folder: &Path) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("upload-{}-{number}.tmp", std::process::id()));
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// What a file says.
#[derive(Debug)]
pub struct Names {
    /// By which profiles may know it.
    pub build_ids: Vec<String>,
    /// Where its names come from, best first: `dwarf`, `go`, `symbols`.
    pub sources: Vec<&'static str>,
    /// The names.
    pub table: NameTable,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Reads a file.
pub fn read(source: &dyn Source, give_up: GiveUp<'_>) -> Result<Names, Error> {
    let mut elf = Elf::open(source)?;
    let build_ids = elf.ids()?;
    if build_ids.is_empty() {
        return Err(Error::NoBuildId);
    }
    let mut reading = Reading::default();
    let (symbols, names) = reading.symbols(&mut elf)?;
    reading.dwarf(&mut elf, &symbols, &names, give_up)?;
    reading.go(&mut elf)?;
    reading.add_symbols(&symbols, &names);
    if reading.pieces.is_empty() {
        return Err(Error::NoNames);
    }
    let code = std::mem::take(&mut elf.code);
    let table = NameTable::new(code, &reading.pieces, reading.chains, &reading.functions);
    Ok(Names { build_ids, sources: reading.sources, table, notes: reading.notes })
}

#[derive(Default)]
struct Reading {
    functions: Functions,
    chains: Chains,
    pieces: Vec<Piece>,
    sources: Vec<&'static str>,
    notes: Vec<String>,
}

impl Reading {
    fn dwarf(
        &mut self,
        elf: &mut Elf<'_>,
        symbols: &[Symbol],
        names: &[u8],
        give_up: GiveUp<'_>,
    ) -> Result<(), Error> {
        let left_out = |error: &Error| format!("debug information was left out: {error}");
        let sections = match Sections::read(elf) {
            Ok(sections) => sections,
            // The symbol table may still say something.
            Err(error @ (Error::TooLarge(_) | Error::NotSupported(_) | Error::Damaged(_))) => {
                self.notes.push(left_out(&error));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if sections.is_empty() {
            return Ok(());
        }
        let name = |it: &Symbol| elf::text_at(names, it.name as usize, limits::NAME_BYTES_MAX);
        let named = symbols.iter().map(|it| (it.address, name(it)));
        let is_mangled = |name: &[u8]| name.starts_with(b"_Z") || name.starts_with(b"_R");
        let mangled = named.filter(|(_, name)| is_mangled(name)).collect();
        let mut walker = Walker::new(&sections, mangled);
        let mut functions = Functions::default();
        if let Err(error) = walker.run(&mut functions, give_up) {
            self.notes.push(left_out(&error));
            return Ok(());
        }
        if walker.split_units > 0 {
            let units = walker.split_units;
            self.notes.push(format!(
                "the debug information of {units} units is in .dwo files, which are not read"
            ));
        }
        if walker.damaged_units > 0 {
            self.notes.push(format!("{} units are damaged", walker.damaged_units));
        }
        self.functions = functions;
        self.add("dwarf", std::mem::take(&mut walker.extents));
        Ok(())
    }

    fn add(&mut self, source: &'static str, extents: Vec<Extent>) {
        let pieces = flatten(extents, &mut self.chains);
        let before = self.pieces.len();
        self.pieces = fill(std::mem::take(&mut self.pieces), &pieces);
        if self.pieces.len() > before {
            self.sources.push(source);
        }
    }

    fn go(&mut self, elf: &mut Elf<'_>) -> Result<(), Error> {
        let names = [".gopclntab", ".data.rel.ro.gopclntab"];
        let Some(name) = names.into_iter().find(|name| elf.size_of(name) > 0) else {
            return Ok(());
        };
        let Some(bytes) = self.section(elf, name)? else { return Ok(()) };
        let text = elf.address_of(".text").unwrap_or(0);
        let Some(table) = GoTable::new(&bytes, text) else { return Ok(()) };
        let mut extents = Vec::new();
        for (range, frame) in table.functions().take(limits::EXTENTS_MAX) {
            if self.functions.bytes > limits::TABLE_TEXT_BYTES_MAX {
                break;
            }
            let function = self.functions.intern(&frame.function, &frame.file);
            extents.push(Extent { start: range.start, end: range.end, depth: 0, function });
        }
        self.add("go", extents);
        Ok(())
    }

    /// The functions of the symbol table, by address, and their names.
    fn symbols(&mut self, elf: &mut Elf<'_>) -> Result<(Vec<Symbol>, Vec<u8>), Error> {
        let (mut symbols, names) = match elf.symbols() {
            Err(error @ (Error::TooLarge(_) | Error::Damaged(_))) => {
                self.notes.push(format!("the symbol table was left out: {error}"));
                return Ok(Default::default());
            }
            other => other?,
        };
        let name = |at: u32| elf::text_at(&names, at as usize, limits::NAME_BYTES_MAX);
        let underscores =
            |at: u32| name(at).iter().take_while(|byte| **byte == b'_').count().min(255);
        // The best name of those that begin at one address first, sized ones before others.
        symbols.sort_by_cached_key(|it| (it.address, it.bytes == 0, it.rank, underscores(it.name)));
        symbols.dedup_by_key(|it| it.address);
        symbols.truncate(limits::EXTENTS_MAX);
        Ok((symbols, names))
    }

    fn add_symbols(&mut self, symbols: &[Symbol], names: &[u8]) {
        let name = |at: u32| elf::text_at(names, at as usize, limits::NAME_BYTES_MAX);
        let ends = symbols.iter().skip(1).map(|it| it.address).chain([u64::MAX]);
        let mut extents = Vec::with_capacity(symbols.len());
        for (symbol, next) in symbols.iter().zip(ends) {
            let text = name(symbol.name);
            if text.is_empty() || self.functions.bytes > limits::TABLE_TEXT_BYTES_MAX {
                continue;
            }
            let reach = if symbol.bytes == 0 { UNSIZED_BYTES_MAX } else { symbol.bytes };
            let end = symbol.address.saturating_add(reach).min(next);
            let function = self.functions.intern(&crate::table::demangle(text), "");
            extents.push(Extent { start: symbol.address, end, depth: 0, function });
        }
        self.add("symbols", extents);
    }

    /// A section, or a note that it is too large.
    fn section(&mut self, elf: &mut Elf<'_>, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match elf.section(name) {
            Err(error @ (Error::TooLarge(_) | Error::Damaged(_))) => {
                self.notes.push(format!("{name} was left out: {error}"));
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}

#[cfg(test)]
mod tests;
