//! What events say about the file and about other events, and what is known at a place in it.

use super::container::{Block, Blocks, Content, Header};
use super::events::{Event, Events};
use super::input::{Input, Text};
use super::methods::{Addresses, Method, Methods};
use super::stacks::Stacks;
use super::table::{About, What};
use super::threads::{Lists, ThreadRow, Threads};
use super::types::Types;
use crate::decoded::{IssueKind, Issues};
use crate::limits::{
    NETTRACE_MODULES_MAX, NETTRACE_NOT_KEPT_NAMES_MAX, NETTRACE_STARTS_MAX, NETTRACE_THREADS_MAX,
};
use profile::KeyedMap;
use std::collections::BTreeMap;

const FLUSHES_THREADS: u32 = 1;
const FLUSHES_TYPES: u32 = 2;
/// A thread's counter that jumps further was begun anew by another thread of the same id.
const LOST_AT_ONCE_MAX: u32 = 1 << 31;

/// What is known at a place in the file.
#[derive(Debug, Default)]
pub(super) struct State<'a> {
    pub(super) types: Types,
    pub(super) stacks: Stacks<'a>,
    pub(super) lists: Lists<'a>,
    threads: Threads<'a>,
}

impl<'a> State<'a> {
    /// Takes in a block, and gives its events if it has any. Whether stacks are known no longer.
    pub(super) fn take(
        &mut self,
        block: &Block<'a>,
        header: &Header,
        issues: &mut Issues,
    ) -> Option<Events<'a>> {
        match block.content {
            Content::Events => return Some(Events::new(block, header.is_plain)),
            Content::Types => self.types.read(block, header.is_plain, issues),
            Content::Stacks => self.stacks.read(block, issues),
            Content::Threads => self.threads.read(block, issues),
            Content::LeavingThreads => self.threads.remove(block),
            Content::Labels => self.lists.read(block, issues),
            Content::SequencePoint => self.forget(block, header),
            Content::Trace | Content::Unknown => {}
        }
        None
    }

    fn forget(&mut self, block: &Block<'_>, header: &Header) {
        self.stacks.clear();
        self.lists.clear();
        let mut input = Input::new(block.bytes);
        let flags = input.u64().and_then(|_| input.u32()).filter(|_| header.is_plain);
        let flags = flags.unwrap_or(0);
        if flags & FLUSHES_THREADS != 0 {
            self.threads.clear();
        }
        if flags & FLUSHES_TYPES != 0 {
            self.types.clear();
        }
    }

    /// Whom an event is about.
    pub(super) fn thread(&self, event: &Event<'_>, header: &Header) -> ThreadRow<'a> {
        if header.is_plain {
            return self.threads.get(event.thread);
        }
        ThreadRow { process: header.process, id: event.thread, name: Text::default() }
    }
}

/// A collection that began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Collection {
    pub(super) ticks: i64,
    pub(super) generation: u32,
    pub(super) reason: u32,
    pub(super) kind: u32,
}

/// What all events say.
#[derive(Debug, Default)]
pub(super) struct Survey<'a> {
    pub(super) methods: Methods<'a>,
    /// Files by process and key.
    pub(super) modules: KeyedMap<(u64, u64), Text<'a>>,
    /// Mapped files by address, where the whole system was profiled.
    pub(super) mappings: Methods<'a>,
    pub(super) has_mappings: bool,
    /// By process and number.
    pub(super) collections: KeyedMap<(u64, u32), Collection>,
    /// Process, work and time of what was queued, in order.
    queued: Vec<(u64, u64, i64)>,
    pub(super) not_kept: BTreeMap<String, u64>,
    pub(super) texts: Vec<(&'static str, String)>,
    pub(super) lost: u64,
    /// The last event before the rundown.
    pub(super) last_ticks: i64,
    counters: KeyedMap<u64, u32>,
}

impl<'a> Survey<'a> {
    /// Reads the whole file.
    pub(super) fn new(
        header: &Header,
        mut blocks: Blocks<'a>,
        used: &Addresses,
        issues: &mut Issues,
    ) -> Self {
        let mut survey = Self { last_ticks: i64::MIN, ..Self::default() };
        let mut state = State::default();
        let mut unknown = 0;
        for block in blocks.by_ref() {
            if block.content == Content::SequencePoint {
                survey.check_counters(&block, header.is_plain);
            }
            let Some(mut events) = state.take(&block, header, issues) else { continue };
            let mut not_kept: KeyedMap<u32, u64> = KeyedMap::default();
            for event in events.by_ref() {
                survey.count(event.capture, event.sequence, header.is_plain);
                let Some(kind) = state.types.get(event.kind) else {
                    unknown += 1;
                    continue;
                };
                if !kind.is_rundown {
                    survey.last_ticks = survey.last_ticks.max(event.ticks);
                }
                match kind.what {
                    None => *not_kept.entry(event.kind).or_default() += 1,
                    Some(What::Sample(_)) => {}
                    Some(What::Says(about)) => {
                        let process = state.thread(&event, header).process;
                        let said = survey.take(about, &event, process, header, used, issues);
                        if said.is_none() {
                            issues.add(IssueKind::Damage, || {
                                format!("the event at {} ({}) is too short", event.at, kind.name)
                            });
                        }
                    }
                }
            }
            if let Some(at) = events.damage {
                issues.add(IssueKind::Damage, || {
                    format!("the event at {at} cannot be read, nor the rest of its block")
                });
            }
            survey.count_not_kept(&not_kept, &state.types);
        }
        blocks.tell_damage(issues);
        if unknown > 0 {
            issues.add(IssueKind::Reference, || {
                format!("{unknown} events are of types that are not described")
            });
        }
        survey.methods.sort();
        survey.mappings.sort();
        survey.queued.sort_unstable();
        survey
    }

    /// When work that was taken out at a time had been queued.
    pub(super) fn queued_at(&self, process: u64, work: u64, ticks: i64) -> Option<i64> {
        let past = self.queued.partition_point(|entry| *entry <= (process, work, ticks));
        let (of, same, at) = *self.queued.get(past.checked_sub(1)?)?;
        ((of, same) == (process, work)).then_some(at)
    }

    fn count_not_kept(&mut self, counts: &KeyedMap<u32, u64>, types: &Types) {
        for (kind, count) in counts {
            let name = types.get(*kind).map_or("", |kind| kind.name.as_str());
            let is_named = self.not_kept.len() < NETTRACE_NOT_KEPT_NAMES_MAX
                || self.not_kept.contains_key(name);
            let name = if is_named { name } else { "of other types" };
            *self.not_kept.entry(name.to_owned()).or_default() += count;
        }
    }

    /// Counts what is missing between a thread's events. Before version 6 ids of threads are used
    /// again, and their counters begin anew.
    fn count(&mut self, thread: u64, sequence: u32, is_plain: bool) {
        let last = self.counters.get(&thread).copied();
        if last.is_none() && self.counters.len() >= NETTRACE_THREADS_MAX {
            return;
        }
        self.counters.insert(thread, sequence);
        let Some(last) = last else { return };
        let lost = sequence.wrapping_sub(last).wrapping_sub(1);
        let is_anew = lost >= LOST_AT_ONCE_MAX || (!is_plain && sequence <= 1);
        if !is_anew {
            self.lost += u64::from(lost);
        }
    }

    /// A sequence point says how far each thread has counted.
    fn check_counters(&mut self, block: &Block<'_>, is_plain: bool) {
        let mut input = Input::new(block.bytes);
        let head = input.take(if is_plain { 12 } else { 8 }).and_then(|_| input.u32());
        for _ in 0..head.unwrap_or(0) {
            let entry = if is_plain {
                input.varuint().zip(input.varuint().map(|sequence| sequence as u32))
            } else {
                input.u64().zip(input.u32())
            };
            let Some((thread, sequence)) = entry else { return };
            // The event that would come next has one more.
            self.count(thread, sequence.wrapping_add(1), is_plain);
            if let Some(last) = self.counters.get_mut(&thread) {
                *last = sequence;
            }
        }
    }

    fn take(
        &mut self,
        about: About,
        event: &Event<'a>,
        process: u64,
        header: &Header,
        used: &Addresses,
        issues: &mut Issues,
    ) -> Option<()> {
        let mut input = Input::new(event.payload);
        match about {
            About::Method => {
                let _id = input.u64()?;
                let (module, start) = (input.u64()?, input.u64()?);
                let (size, _) = (input.u32()?, input.u64()?);
                let (class, name) = (Some(input.wide()?), input.wide()?);
                let end = start.saturating_add(u64::from(size));
                self.methods.add(Method { process, start, end, module, class, name }, used, issues);
            }
            About::Module => {
                let module = input.u64()?;
                input.take(16)?;
                let (il, native) = (input.wide()?, input.wide()?);
                self.module((process, module), if il.len() > 0 { il } else { native }, issues);
            }
            About::CollectionStart => {
                let number = input.u32()?;
                let rest = [input.u32(), input.u32(), input.u32()];
                let [Some(generation), Some(reason), Some(kind)] = rest else { return Some(()) };
                let start = Collection { ticks: event.ticks, generation, reason, kind };
                if self.collections.len() < NETTRACE_STARTS_MAX {
                    self.collections.insert((process, number), start);
                }
            }
            About::Enqueue => {
                let work = input.pointer(header.pointer_bytes)?;
                if self.queued.len() < NETTRACE_STARTS_MAX {
                    self.queued.push((process, work, event.ticks));
                }
            }
            About::Runtime => {
                input.take(12)?;
                let version = [input.u16()?, input.u16()?, input.u16()?];
                self.text("runtime version", version.map(|part| part.to_string()).join("."));
            }
            About::Process => {
                let _command_line = input.wide();
                // The first versions say less.
                for key in ["os version", "architecture"] {
                    let Some(text) = input.wide() else { break };
                    let text = text.read(&crate::Limits::default(), issues);
                    self.text(key, text.into_owned());
                }
            }
            About::Mapping => self.mapping(&mut input, issues, used)?,
            About::Symbol => {
                let _id = input.varuint()?;
                let (module, start, end) = (input.varuint()?, input.varuint()?, input.varuint()?);
                let (class, name) = (None, input.short()?);
                let end = end.max(start.saturating_add(1));
                self.methods.add(Method { process, start, end, module, class, name }, used, issues);
            }
            // These are read in the order of the thread's events, with its samples.
            About::ContentionStart | About::WaitStart | About::Suspend => {}
        }
        Some(())
    }

    fn mapping(
        &mut self,
        input: &mut Input<'a>,
        issues: &mut Issues,
        used: &Addresses,
    ) -> Option<()> {
        let module = input.varuint()?;
        let (process, start, end) = (input.varuint()?, input.varuint()?, input.varuint()?);
        let _offset = input.varuint()?;
        let name = input.short()?;
        if name.len() > 0 {
            self.has_mappings = true;
            self.module((process, module), name, issues);
            let file = Method { process, start, end, module, class: None, name };
            self.mappings.add(file, used, issues);
        }
        Some(())
    }

    fn module(&mut self, key: (u64, u64), file: Text<'a>, issues: &mut Issues) {
        if self.modules.len() < NETTRACE_MODULES_MAX || self.modules.contains_key(&key) {
            self.modules.insert(key, file);
        } else {
            issues.add(IssueKind::Limit, || format!("only {NETTRACE_MODULES_MAX} modules"));
        }
    }

    fn text(&mut self, key: &'static str, text: String) {
        if !text.is_empty() && self.texts.iter().all(|(have, _)| *have != key) {
            self.texts.push((key, text));
        }
    }
}
