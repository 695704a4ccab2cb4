//! What was sampled between two exports, as handed from the sampling to the sending thread.

use crate::modules::{Loaded, ModuleId};
use crate::process::Identity;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Which code an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// The kernel; the address is the kernel's.
    Kernel,
    /// A file; the address is an offset in it.
    Module(ModuleId),
    /// Memory without a file: generated code; the address is the process's.
    Generated,
}

/// A frame before it has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RawFrame {
    pub(crate) place: Place,
    pub(crate) address: u64,
}

/// The samples of one process.
#[derive(Debug)]
pub(crate) struct ProcessBatch {
    pub(crate) identity: Arc<Identity>,
    /// Leaf-first stacks and their numbers.
    pub(crate) stacks: FxHashMap<Box<[RawFrame]>, u32>,
    /// Times (`CLOCK_MONOTONIC`) by stack and thread.
    pub(crate) samples: FxHashMap<(u32, u32), Vec<u64>>,
    pub(crate) threads: FxHashMap<u32, Arc<str>>,
    /// Samples whose stack did not reach its root.
    pub(crate) broken: u64,
}

impl ProcessBatch {
    pub(crate) fn new(identity: Arc<Identity>) -> Self {
        Self {
            identity,
            stacks: FxHashMap::default(),
            samples: FxHashMap::default(),
            threads: FxHashMap::default(),
            broken: 0,
        }
    }

    /// Adds one sample.
    pub(crate) fn add(&mut self, frames: &[RawFrame], tid: u32, time: u64) {
        let next = self.stacks.len() as u32;
        let stack = match self.stacks.get(frames) {
            Some(stack) => *stack,
            None => *self.stacks.entry(frames.into()).or_insert(next),
        };
        self.samples.entry((stack, tid)).or_default().push(time);
    }
}

/// The samples of all processes for one window.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) processes: FxHashMap<u32, ProcessBatch>,
    pub(crate) modules: FxHashMap<ModuleId, Arc<Loaded>>,
    pub(crate) sample_count: usize,
    /// Samples that the kernel or a limit dropped, of no known process.
    pub(crate) lost: u64,
    /// Window in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// To be added to get nanoseconds since 1970.
    pub(crate) unix_offset: u64,
    pub(crate) period_nanos: u64,
}
