//! Follows processes through the kernel's records and turns samples into stacks.

use crate::batch::{Batch, Place, ProcessBatch, RawFrame};
use crate::limits;
use crate::modules::{FileHint, Loaded, Modules, VDSO};
use crate::process::env::read_text;
use crate::process::identity::{Identity, Traces};
use crate::process::maps::{Backing, Mapping, Maps};
use rustc_hash::FxHashMap;
use sampler::{Record, Sample};
use std::sync::Arc;
use symbols::{GoTable, is_go_root};
use unwind::{Outcome, Placed, StackCopy, Unwinder};

/// From here on, words of a call chain are marks of `PERF_CONTEXT_*`.
const CONTEXT_MARKS: u64 = u64::MAX - 4094;
const CONTEXT_KERNEL: u64 = -128i64 as u64;
const CONTEXT_USER: u64 = -512i64 as u64;

#[derive(Debug, Default)]
struct Process {
    maps: Maps,
    threads: FxHashMap<u32, Arc<str>>,
    identity: Option<Arc<Identity>>,
    traces: Traces,
    parent: u32,
    /// Began as a copy of its parent and runs the same program.
    is_copy: bool,
    /// Its mappings are known from its start, or were read; false again when records were lost.
    knows_maps: bool,
    is_ended: bool,
}

/// All processes, and what was sampled of them since the last batch.
#[derive(Debug)]
pub(crate) struct Tracker {
    processes: FxHashMap<u32, Process>,
    modules: Modules,
    unwinder: Unwinder,
    kernel: Arc<Identity>,
    batch: Batch,
    user: Vec<u64>,
    chain: Vec<u64>,
    frames: Vec<RawFrame>,
    ended: Vec<u32>,
}

/// The file behind a mapping, opened when it is first asked for.
fn load<'a>(
    modules: &mut Modules,
    pid: u32,
    start: u64,
    mapping: &'a mut Mapping,
) -> Option<&'a Arc<Loaded>> {
    if matches!(mapping.backing, Backing::Unknown) {
        let hint =
            FileHint { pid, start, end: mapping.end, inode: mapping.inode, path: &mapping.path };
        let loaded = match &*mapping.path {
            VDSO => modules.vdso(),
            path if path.starts_with('/') => modules.get(hint),
            _ => None,
        };
        mapping.backing = loaded.map_or(Backing::None, Backing::Module);
    }
    match &mapping.backing {
        Backing::Module(loaded) => Some(loaded),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> Arc<str> {
    String::from_utf8_lossy(bytes).into()
}

impl Tracker {
    pub(crate) fn new() -> Self {
        Self {
            processes: FxHashMap::default(),
            modules: Modules::default(),
            unwinder: Unwinder::new(),
            kernel: Arc::new(Identity::kernel()),
            batch: Batch::default(),
            user: Vec::new(),
            chain: Vec::new(),
            frames: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Takes one record.
    pub(crate) fn take(&mut self, record: Record<'_>) {
        match record {
            Record::Sample(sample) => self.sample(&sample),
            Record::Map { pid, start, len, offset, file, path } => {
                self.map(pid, start, len, offset, file.2, path);
            }
            Record::Comm { pid, tid, exec, name } => self.comm(pid, tid, exec, name),
            Record::Fork { pid, tid, parent_pid } if pid == parent_pid => {
                self.thread_began(pid, tid);
            }
            Record::Fork { pid, parent_pid, .. } => self.process_began(pid, parent_pid),
            Record::Exit { pid, tid } => {
                if pid == tid
                    && let Some(process) = self.processes.get_mut(&pid)
                {
                    process.is_ended = true;
                    self.ended.push(pid);
                }
            }
            Record::Lost { count } => {
                self.batch.lost += count;
                // Mappings may be among what was lost.
                self.processes.values_mut().for_each(|it| it.knows_maps = false);
            }
            _ => {}
        }
    }

    /// Processes that ended since the last call.
    pub(crate) fn take_ended(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.ended)
    }

    fn known(&mut self, pid: u32) -> Option<&mut Process> {
        if self.processes.len() >= limits::PROCESSES_MAX && !self.processes.contains_key(&pid) {
            return None;
        }
        Some(self.processes.entry(pid).or_default())
    }

    fn map(&mut self, pid: u32, start: u64, len: u64, offset: u64, inode: u64, path: &[u8]) {
        let Some(process) = self.known(pid) else { return };
        let path = text(path);
        if process.traces.path.is_none() && path.starts_with('/') {
            process.traces.path = Some(path.clone());
        }
        let path = if path.starts_with("//") { "".into() } else { path };
        let end = start.saturating_add(len);
        let mapping = Mapping { end, offset, inode, path, backing: Backing::Unknown };
        process.maps.insert(start, mapping);
    }

    fn comm(&mut self, pid: u32, tid: u32, exec: bool, name: &[u8]) {
        let Some(process) = self.known(pid) else { return };
        let name = text(name);
        if exec {
            let parent = process.parent;
            *process = Process { parent, knows_maps: true, ..Process::default() };
            process.traces.comm = Some(name.clone());
        }
        process.threads.insert(tid, name);
    }

    fn thread_began(&mut self, pid: u32, tid: u32) {
        // A thread begins with the name of the one that made it, mostly the first.
        if let Some(process) = self.processes.get_mut(&pid)
            && process.threads.len() < limits::MAPPINGS_MAX
            && let Some(name) = process.threads.get(&pid).cloned()
        {
            process.threads.insert(tid, name);
        }
    }

    fn process_began(&mut self, pid: u32, parent_pid: u32) {
        let name =
            self.processes.get(&parent_pid).and_then(|it| it.threads.get(&parent_pid).cloned());
        let Some(process) = self.known(pid) else { return };
        *process = Process { parent: parent_pid, is_copy: true, ..Process::default() };
        if let Some(name) = name {
            process.threads.insert(pid, name);
        }
    }

    fn sample(&mut self, sample: &Sample<'_>) {
        if self.batch.sample_count >= limits::BATCH_SAMPLES_MAX {
            self.batch.lost += 1;
            return;
        }
        self.batch.sample_count += 1;
        let is_kernel_thread = sample.registers.is_none() && self.is_kernel_thread(sample.pid);
        self.frames.clear();
        self.user.clear();
        self.split_chain(sample);
        let (pid, identity, is_complete) = if is_kernel_thread {
            (2, self.kernel.clone(), true)
        } else {
            let identity = self.identify(sample.pid);
            (sample.pid, identity, self.user_frames(sample))
        };
        let name = self.thread_name(sample.pid, sample.tid);
        let batch =
            self.batch.processes.entry(pid).or_insert_with(|| ProcessBatch::new(identity.clone()));
        batch.identity = identity;
        batch.broken += u64::from(!is_complete);
        if let Some(name) = name {
            batch.threads.insert(sample.tid, name);
        }
        batch.add(&self.frames, sample.tid, sample.time);
    }

    fn is_kernel_thread(&self, pid: u32) -> bool {
        match self.processes.get(&pid) {
            Some(process) if process.identity.is_some() => false,
            // Kernel threads have no memory of their own, and an empty command line and map.
            _ => std::fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|it| it.is_empty()),
        }
    }

    fn thread_name(&mut self, pid: u32, tid: u32) -> Option<Arc<str>> {
        let process = self.known(pid)?;
        if let Some(name) = process.threads.get(&tid) {
            return Some(name.clone());
        }
        let name: Arc<str> = read_text(&format!("/proc/{pid}/task/{tid}/comm"))?.into();
        process.threads.insert(tid, name.clone());
        Some(name)
    }

    /// Reads who and what a process is, when it is sampled for the first time.
    fn identify(&mut self, pid: u32) -> Arc<Identity> {
        if !self.processes.get(&pid).is_some_and(|it| it.knows_maps) {
            self.read_maps(pid);
        }
        let known = self.processes.get(&pid);
        if let Some(identity) = known.and_then(|it| it.identity.clone()) {
            return identity;
        }
        let parent = known.and_then(|it| self.processes.get(&it.parent)?.identity.clone());
        let Some(process) = self.known(pid) else {
            return Arc::new(Identity {
                pid,
                service: "unknown".to_owned(),
                ..Identity::default()
            });
        };
        process.traces.parent = parent;
        let identity = Arc::new(Identity::of(pid, &process.maps, &process.traces));
        process.identity = Some(identity.clone());
        process.traces.parent = None;
        identity
    }

    /// Reads the mappings of a process; those of its parent stand for a copy that is gone already.
    fn read_maps(&mut self, pid: u32) {
        let maps = read_text(&format!("/proc/{pid}/maps")).filter(|it| !it.is_empty());
        let copied_from = self.processes.get(&pid).filter(|it| it.is_copy).map(|it| it.parent);
        let parent = copied_from
            .and_then(|it| self.processes.get(&it))
            .map(|it| (it.maps.clone(), it.traces.comm.clone(), it.traces.path.clone()));
        let Some(process) = self.known(pid) else { return };
        process.knows_maps = true;
        match (maps, parent) {
            (Some(maps), _) => process.maps = Maps::parse(&maps),
            (None, Some((maps, comm, path))) if process.maps.is_empty() => {
                process.maps = maps;
                (process.traces.comm, process.traces.path) = (comm, path);
            }
            _ => {}
        }
    }

    /// Kernel frames go to `frames`, the user part of the chain to `chain`.
    fn split_chain(&mut self, sample: &Sample<'_>) {
        self.chain.clear();
        let mut context = 0;
        for word in sample.chain.iter() {
            if word >= CONTEXT_MARKS {
                context = word;
            } else if context == CONTEXT_KERNEL {
                // All but the first are return addresses.
                let address = word - u64::from(!self.frames.is_empty());
                self.frames.push(RawFrame { place: Place::Kernel, address });
            } else if context == CONTEXT_USER {
                let address = word.saturating_sub(u64::from(!self.chain.is_empty()));
                self.chain.push(address);
            }
        }
    }

    /// Walks the user stack; returns whether its root was reached.
    fn user_frames(&mut self, sample: &Sample<'_>) -> bool {
        let Some(registers) = sample.registers else {
            // A process on its way in or out has no user part.
            return !self.frames.is_empty();
        };
        if self.is_go(sample.pid, registers.ip()) {
            return self.go_frames(sample);
        }
        let copy = StackCopy { registers: &registers.values, stack: sample.stack };
        let Self { processes, modules, unwinder, user, .. } = self;
        let Some(process) = processes.get_mut(&sample.pid) else { return false };
        let mut place = |address| {
            let (start, mapping) = process.maps.find(address)?;
            let loaded = load(modules, sample.pid, start, mapping)?;
            let module = loaded.module.clone();
            Some(Placed { bias: module.bias(start, mapping.offset)?, module })
        };
        let outcome = unwinder.walk(copy, &mut place, user);
        self.push_user(sample.pid);
        if outcome == Outcome::Complete {
            return true;
        }
        let last = self.user.last().copied();
        last.is_some_and(|last| self.is_go_root(sample.pid, last))
    }

    /// Go keeps frame pointers everywhere; the kernel has followed them beyond any copied stack.
    fn go_frames(&mut self, sample: &Sample<'_>) -> bool {
        let pid = sample.pid;
        std::mem::swap(&mut self.user, &mut self.chain);
        if let Some(caller) = self.go_caller(sample)
            && self.user.get(1) != Some(&caller)
        {
            self.user.insert(1, caller);
        }
        self.push_user(pid);
        self.note_go(pid);
        // Below a root the chain may still show a frame or two of what the stack held before.
        let count = self.user.len();
        (count.saturating_sub(3)..count).rev().any(|at| self.is_go_root(pid, self.user[at]))
    }

    /// Who called the function that runs. A function without a frame, or one that has not made it
    /// yet, leaves its caller's frame pointer in place: the chain then lacks that caller.
    fn go_caller(&mut self, sample: &Sample<'_>) -> Option<u64> {
        let registers = sample.registers?;
        let (pid, ip) = (sample.pid, registers.ip());
        let loaded = self.loaded(pid, ip)?;
        let (start, mapping) = self.processes.get_mut(&pid)?.maps.find(ip)?;
        let address = loaded.module.address_of(ip - start + mapping.offset)?;
        let (bytes, text) = loaded.module.go_table()?;
        let depth = GoTable::new(bytes, text)?.stack_depth(address)?;
        let at = usize::try_from(depth).ok()?;
        let word = sample.stack.get(at..at.checked_add(8)?)?;
        let caller = u64::from_le_bytes(word.try_into().ok()?).checked_sub(1)?;
        self.loaded(pid, caller)?.module.is_go().then_some(caller)
    }

    fn note_go(&mut self, pid: u32) {
        let identity = self.processes.get_mut(&pid).and_then(|it| it.identity.as_mut());
        if let Some(identity) = identity
            && identity.runtime.is_none()
        {
            Arc::make_mut(identity).runtime = Some("go");
        }
    }

    fn push_user(&mut self, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        for address in &self.user {
            let mut frame = RawFrame { place: Place::Generated, address: *address };
            if let Some((start, mapping)) = process.maps.find(*address) {
                let offset = *address - start + mapping.offset;
                if let Some(it) = load(&mut self.modules, pid, start, mapping) {
                    self.batch.modules.entry(it.id).or_insert_with(|| it.clone());
                    frame = RawFrame { place: Place::Module(it.id), address: offset };
                }
            }
            self.frames.push(frame);
        }
    }

    /// The file of code at an address of a process.
    fn loaded(&mut self, pid: u32, address: u64) -> Option<Arc<Loaded>> {
        let (start, mapping) = self.processes.get_mut(&pid)?.maps.find(address)?;
        load(&mut self.modules, pid, start, mapping).cloned()
    }

    fn is_go(&mut self, pid: u32, address: u64) -> bool {
        match self.loaded(pid, address) {
            // Go calls the vdso on its own stack with its frame pointer kept.
            Some(it) if &*it.path == VDSO => {
                let caller = self.chain.get(1).copied();
                caller.and_then(|it| self.loaded(pid, it)).is_some_and(|it| it.module.is_go())
            }
            it => it.is_some_and(|it| it.module.is_go()),
        }
    }

    fn is_go_root(&mut self, pid: u32, address: u64) -> bool {
        let Some(process) = self.processes.get_mut(&pid) else { return false };
        let Some((start, mapping)) = process.maps.find(address) else { return false };
        let Backing::Module(loaded) = &mapping.backing else { return false };
        let Some((bytes, go_text)) = loaded.module.go_table() else { return false };
        let Some(address) = loaded.module.address_of(address - start + mapping.offset) else {
            return false;
        };
        GoTable::new(bytes, go_text)
            .is_some_and(|table| table.function(address).is_some_and(is_go_root))
    }

    /// Gives back the memory of what was read of files of code.
    pub(crate) fn release_pages(&self) {
        self.modules.release_pages();
    }

    /// Hands out what was sampled and forgets processes that ended.
    pub(crate) fn cut(&mut self) -> Batch {
        self.processes.retain(|_, process| !process.is_ended);
        self.unwinder.note_modules(self.modules.opened());
        std::mem::take(&mut self.batch)
    }
}
