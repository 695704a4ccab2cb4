//! Functions of files and of the kernel, remembered between batches.

use crate::batch::{Batch, Place, RawFrame};
use crate::encode::tables::SymbolTables;
use crate::limits;
use crate::modules::{Loaded, ModuleId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use symbols::{ElfSymbols, Frame, GoTable, KernelSymbols};

/// What an address turned out to be.
#[derive(Clone, Debug)]
pub(crate) enum Name {
    /// Its function; what was inlined into it comes first.
    Known(Arc<[Frame]>),
    /// Code without a name, in a function that begins at this offset in the file.
    Start(u64),
    Unknown,
}

impl Name {
    fn of(frames: impl Into<Arc<[Frame]>>) -> Self {
        let frames = frames.into();
        if frames.is_empty() { Self::Unknown } else { Self::Known(frames) }
    }
}

/// Functions of one file by their start, with their end.
type Functions = BTreeMap<u64, (u64, Name)>;

/// Names by file and offset, or kernel address.
#[derive(Debug, Default)]
pub(crate) struct Names {
    elf: ElfSymbols,
    kernel: Option<KernelSymbols>,
    known: FxHashMap<RawFrame, Name>,
    /// Functions of files by their symbols.
    functions: FxHashMap<ModuleId, Functions>,
    tables: SymbolTables,
    /// Which module a path was last read for.
    paths: FxHashMap<PathBuf, ModuleId>,
}

impl Names {
    /// Looks up every address of the batch that is new.
    pub(crate) fn learn(&mut self, batch: &Batch) {
        if self.known.len() > limits::SYMBOLS_MAX {
            self.known.clear();
            self.functions.clear();
        }
        let mut wanted: FxHashMap<ModuleId, FxHashSet<u64>> = FxHashMap::default();
        let stacks = batch.processes.values().flat_map(|process| process.stacks.keys());
        for frame in stacks.flat_map(|stack| stack.iter()) {
            if self.known.contains_key(frame) {
                continue;
            }
            match frame.place {
                Place::Module(id) => {
                    wanted.entry(id).or_default().insert(frame.address);
                }
                Place::Kernel => {
                    let found = self.kernel(frame.address);
                    let found: Arc<[Frame]> = found.into_iter().collect();
                    self.known.insert(*frame, Name::of(found));
                }
                Place::Generated => {}
            }
        }
        for (id, offsets) in wanted {
            if let Some(loaded) = batch.modules.get(&id) {
                self.learn_module(loaded, offsets.into_iter().collect());
            }
        }
        self.elf.forget_when_idle();
    }

    fn kernel(&mut self, address: u64) -> Option<Frame> {
        let kernel = self.kernel.get_or_insert_with(|| {
            let file = std::fs::File::open("/proc/kallsyms");
            let symbols = file.map(|it| KernelSymbols::read(std::io::BufReader::new(it)));
            let symbols = symbols.unwrap_or_default();
            if symbols.is_empty() {
                tracing::warn!(
                    "the kernel hides its symbols: run as root with kernel.kptr_restrict at most 1"
                );
            }
            symbols
        });
        kernel.find(address)
    }

    fn learn_module(&mut self, loaded: &Loaded, offsets: Vec<u64>) {
        let place = Place::Module(loaded.id);
        let go = loaded.module.go_table().and_then(|(bytes, text)| GoTable::new(bytes, text));
        let mut rest = Vec::new();
        for offset in offsets {
            let address = loaded.module.address_of(offset);
            let frame = address.and_then(|address| go.as_ref()?.find(address));
            match (frame, address) {
                (Some(frame), _) => {
                    self.known.insert(RawFrame { place, address: offset }, Name::of([frame]));
                }
                (None, Some(address)) => rest.push((offset, address)),
                (None, None) => {
                    self.known.insert(RawFrame { place, address: offset }, Name::Unknown);
                }
            }
        }
        if rest.is_empty() {
            return;
        }
        self.learn_elf(loaded, &rest);
    }

    /// Reads debug information where there is little of it, else the table of symbols.
    fn learn_elf(&mut self, loaded: &Loaded, wanted: &[(u64, u64)]) {
        let debug_bytes = loaded.module.debug_bytes();
        let has_debug = (1..=symbols::limits::DEBUG_BYTES_MAX).contains(&debug_bytes);
        let path = loaded.stable_path().filter(|_| has_debug);
        for part in wanted.chunks(limits::SYMBOLIZE_AT_ONCE_MAX) {
            match &path {
                Some(path) => self.learn_lines(loaded, path, part),
                None => self.learn_functions(loaded, part),
            }
        }
    }

    /// Functions with their lines and what was inlined into them.
    fn learn_lines(&mut self, loaded: &Loaded, path: &Path, wanted: &[(u64, u64)]) {
        // A descriptor's number may have meant another file before.
        if self.paths.insert(path.to_owned(), loaded.id).is_some_and(|id| id != loaded.id) {
            self.elf.forget();
        }
        let addresses: Vec<u64> = wanted.iter().map(|it| it.1).collect();
        let found = self.elf.symbolize(path, loaded.module.debug_bytes(), &addresses);
        let functions = self.tables.functions(loaded, &addresses);
        for (((offset, address), mut frames), function) in wanted.iter().zip(found).zip(functions) {
            // The symbol's name says of which namespace or type; debug information's does not.
            if let (Some(outermost), Some(function)) = (frames.last_mut(), function) {
                outermost.function = function.frame.function;
            }
            let name = match Name::of(frames) {
                Name::Unknown => unnamed(loaded, *address).1,
                name => name,
            };
            let frame = RawFrame { place: Place::Module(loaded.id), address: *offset };
            self.known.insert(frame, name);
        }
    }

    /// Functions by symbol: new addresses in known ones need no look at the table.
    fn learn_functions(&mut self, loaded: &Loaded, wanted: &[(u64, u64)]) {
        let functions = self.functions.entry(loaded.id).or_default();
        let is_new = |it: &&(u64, u64)| covering(functions, it.1).is_none();
        let addresses: Vec<u64> = wanted.iter().filter(is_new).map(|it| it.1).collect();
        let mut found = self.tables.functions(loaded, &addresses);
        // All of a file's functions have their places, or none: else one function would be two.
        if (1..=limits::LINE_BYTES_MAX).contains(&loaded.module.line_bytes()) {
            place(loaded, &mut found);
        }
        for (address, found) in addresses.into_iter().zip(found) {
            let (range, name) = match found {
                Some(it) => (it.range, Name::of([it.frame])),
                None => unnamed(loaded, address),
            };
            functions.insert(range.start, (range.end, name));
        }
        for (offset, address) in wanted {
            let name = covering(functions, *address).cloned().unwrap_or(Name::Unknown);
            let frame = RawFrame { place: Place::Module(loaded.id), address: *offset };
            self.known.insert(frame, name);
        }
    }

    /// What is known of an address after [`Self::learn`].
    pub(crate) fn find(&self, frame: &RawFrame) -> &Name {
        self.known.get(frame).unwrap_or(&Name::Unknown)
    }
}

/// The function of an address without a name, by the module's unwind table.
fn unnamed(loaded: &Loaded, address: u64) -> (Range<u64>, Name) {
    let range = loaded.module.function(address).filter(|it| it.contains(&address));
    let offset = range.as_ref().and_then(|it| loaded.module.offset_of(it.start));
    match (range, offset) {
        (Some(range), Some(offset)) => (range, Name::Start(offset)),
        _ => (address..address.saturating_add(1), Name::Unknown),
    }
}

/// Adds where functions begin: file and line of their first instruction. (Those of any other may be
/// of what was inlined there.)
fn place(loaded: &Loaded, functions: &mut [Option<symbols::Function>]) {
    let starts: Vec<u64> = functions.iter().flatten().map(|it| it.range.start).collect();
    let lines = symbols::lines(loaded.module.bytes(), &starts, &|| loaded.release_pages());
    for (function, line) in functions.iter_mut().flatten().zip(lines) {
        if let Some(line) = line {
            function.frame.file = line.file.to_string();
            function.frame.start_line = line.line;
        }
    }
}

fn covering(functions: &Functions, address: u64) -> Option<&Name> {
    let (_, (end, name)) = functions.range(..=address).next_back()?;
    (address < *end).then_some(name)
}
