//! Functions of files and of the kernel, remembered between batches.

use crate::batch::{Batch, Place, RawFrame};
use crate::limits;
use crate::modules::{Loaded, ModuleId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::path::PathBuf;
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

/// Names by file and offset, or kernel address.
#[derive(Debug, Default)]
pub(crate) struct Names {
    elf: ElfSymbols,
    kernel: Option<KernelSymbols>,
    known: FxHashMap<RawFrame, Name>,
    /// Which module a path was last read for.
    paths: FxHashMap<PathBuf, ModuleId>,
}

impl Names {
    /// Looks up every address of the batch that is new.
    pub(crate) fn learn(&mut self, batch: &Batch) {
        if self.known.len() > limits::SYMBOLS_MAX {
            self.known.clear();
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
        loaded.module.release_pages();
    }

    /// Reads debug information where there is little of it, else the table of symbols.
    fn learn_elf(&mut self, loaded: &Loaded, wanted: &[(u64, u64)]) {
        let place = Place::Module(loaded.id);
        let debug_bytes = loaded.module.debug_bytes();
        let has_debug = (1..=symbols::limits::DEBUG_BYTES_MAX).contains(&debug_bytes);
        let path = loaded.stable_path().filter(|_| has_debug);
        for part in wanted.chunks(limits::SYMBOLIZE_AT_ONCE_MAX) {
            let addresses: Vec<u64> = part.iter().map(|it| it.1).collect();
            let found: Vec<Arc<[Frame]>> = if let Some(path) = &path {
                // A descriptor's number may have meant another file before.
                if self.paths.insert(path.clone(), loaded.id).is_some_and(|id| id != loaded.id) {
                    self.elf.forget();
                }
                let found = self.elf.symbolize(path, debug_bytes, &addresses);
                found.into_iter().map(Into::into).collect()
            } else {
                let found = symbols::functions(loaded.module.bytes(), &addresses);
                found.into_iter().map(|it| it.into_iter().collect()).collect()
            };
            for ((offset, address), frames) in part.iter().zip(found) {
                let name = match Name::of(frames) {
                    Name::Unknown => start_of(loaded, *address),
                    name => name,
                };
                self.known.insert(RawFrame { place, address: *offset }, name);
            }
        }
    }

    /// What is known of an address after [`Self::learn`].
    pub(crate) fn find(&self, frame: &RawFrame) -> &Name {
        self.known.get(frame).unwrap_or(&Name::Unknown)
    }
}

fn start_of(loaded: &Loaded, address: u64) -> Name {
    let start = loaded.module.function_start(address);
    start.and_then(|it| loaded.module.offset_of(it)).map_or(Name::Unknown, Name::Start)
}
