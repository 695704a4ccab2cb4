//! Functions of files and of the kernel, remembered between batches.

use crate::batch::{Batch, Place, RawFrame};
use crate::limits;
use crate::modules::{Loaded, ModuleId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;
use symbols::{ElfSymbols, Frame, GoTable, KernelSymbols};

/// Names by file and offset, or kernel address.
#[derive(Debug, Default)]
pub(crate) struct Names {
    elf: ElfSymbols,
    kernel: Option<KernelSymbols>,
    known: FxHashMap<RawFrame, Arc<[Frame]>>,
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
                    self.known.insert(*frame, found.into_iter().collect());
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
                    self.known.insert(RawFrame { place, address: offset }, Arc::new([frame]));
                }
                (None, Some(address)) => rest.push((offset, address)),
                (None, None) => {
                    self.known.insert(RawFrame { place, address: offset }, Arc::new([]));
                }
            }
        }
        let Some(path) = loaded.stable_path() else {
            // The vdso: a handful of functions that nobody needs told apart.
            for (offset, _) in rest {
                let name: Arc<[Frame]> = Arc::new([Frame::named("[vdso]")]);
                self.known.insert(RawFrame { place, address: offset }, name);
            }
            return;
        };
        for part in rest.chunks(limits::SYMBOLIZE_AT_ONCE_MAX) {
            let addresses: Vec<u64> = part.iter().map(|it| it.1).collect();
            let found = self.elf.symbolize(&path, loaded.module.debug_bytes(), &addresses);
            for ((offset, _), frames) in part.iter().zip(found) {
                self.known.insert(RawFrame { place, address: *offset }, frames.into());
            }
        }
    }

    /// What is known of an address after [`Self::learn`]; what was inlined comes first.
    pub(crate) fn find(&self, frame: &RawFrame) -> &[Frame] {
        self.known.get(frame).map_or(&[], |it| it)
    }
}
