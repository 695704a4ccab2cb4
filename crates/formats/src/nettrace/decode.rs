//! The passes over a file, and stacks as the profile has them.

use super::container::{Blocks, Content, open};
use super::events::Event;
use super::input::Text;
use super::kinds::settle;
use super::methods::{Addresses, Method};
use super::samples::{Out, Samples};
use super::stacks::{addresses, stacks_of};
use super::survey::Survey;
use crate::compress::decompress;
use crate::decoded::{Decoded, DecodedProfile, IssueKind, Issues, Options};
use crate::intern::Budget;
use crate::kinds::tell_not_kept;
use profile::{
    FrameType, Function, KeyedMap, Line, Location, LocationId, Mapping, MappingId, Profile,
    StackId, StackTable, StringId,
};
use std::collections::BTreeMap;
use stdx::{TimeRange, Timestamp};

/// Where the kernel's half of addresses begins.
const KERNEL: u64 = 1 << 63;

/// Reads a file, compressed or not, finished or not.
pub fn decode(bytes: &[u8], options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    let Some((header, blocks)) = open(&body, &mut issues) else {
        return Decoded::new(Vec::new(), issues);
    };
    let used = used_addresses(blocks.clone(), header.pointer_bytes, &mut issues);
    let survey = Survey::new(&header, blocks.clone(), &used, &mut issues);
    drop(used);
    let (budget, profile) = (Budget::new(options.limits), Profile::default());
    let mut out = Out { profile, budget, issues };
    let mut samples = Samples::new(&header, &survey);
    samples.read(blocks, &mut out);
    let unnamed = samples.known.unnamed;
    out.profile.events = std::mem::take(&mut samples.told.events);
    let window = (header.start_nanos, header.time(survey.last_ticks.max(0)));
    let metadata = &mut out.profile.metadata;
    metadata.cpu_count = header.cpu_count;
    metadata.lost = survey.lost;
    metadata.unsymbolized = unnamed;
    if header.interval > 0 {
        metadata.period = header.interval;
        "wall".clone_into(&mut metadata.period_type);
        "nanoseconds".clone_into(&mut metadata.period_unit);
    }
    let texts = survey.texts.iter().map(|(key, text)| ((*key).to_owned(), text.clone()));
    metadata.info.extend(texts);
    if header.process > 0 {
        metadata.info.push(("process id".to_owned(), header.process.to_string()));
    }
    if unnamed > 0 {
        out.issues.add(IssueKind::Reference, || {
            format!(
                "{unnamed} addresses of stacks lie in no method that the file names; a trace names \
                 methods when it is stopped"
            )
        });
    }
    finish(out, &survey.not_kept, window)
}

fn finish(out: Out, not_kept: &BTreeMap<String, u64>, window: (i64, i64)) -> Decoded {
    let Out { mut profile, mut issues, .. } = out;
    tell_not_kept("nettrace", not_kept, &mut profile, &mut issues);
    if profile.samples.is_empty() {
        return Decoded::new(Vec::new(), issues);
    }
    let (start, end) = (window.0, window.1.max(window.0));
    profile.window = TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end));
    let type_map = settle(&mut profile);
    Decoded::new(vec![DecodedProfile { profile, type_map }], issues)
}

fn used_addresses(blocks: Blocks<'_>, pointer_bytes: usize, issues: &mut Issues) -> Addresses {
    let mut used = Addresses::default();
    for block in blocks.filter(|block| block.content == Content::Stacks) {
        for (_, stack) in stacks_of(&block, issues) {
            for address in addresses(stack, pointer_bytes) {
                used.add(address, issues);
            }
        }
    }
    used.sort();
    used
}

/// What has become of stacks and addresses.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By key and process, up to the next sequence point.
    stacks: KeyedMap<(u32, u64), StackId>,
    /// By process and address.
    locations: KeyedMap<(u64, u64), LocationId>,
    /// Files by process and key.
    modules: KeyedMap<(u64, u64), Option<MappingId>>,
    /// Addresses without a name.
    pub(super) unnamed: u64,
}

impl Known {
    pub(super) fn forget(&mut self, content: Content) {
        if matches!(content, Content::SequencePoint | Content::Stacks) {
            self.stacks.clear();
        }
    }
}

impl<'a> Samples<'_, 'a> {
    /// The stack of an event.
    pub(super) fn stack(&mut self, event: &Event<'a>, process: u64, out: &mut Out) -> StackId {
        if event.stack == 0 {
            return StackTable::ROOT;
        }
        if let Some(&known) = self.known.stacks.get(&(event.stack, process)) {
            return known;
        }
        let Some(stack) = self.state.stacks.get(event.stack) else {
            out.issues.add(IssueKind::Reference, || {
                format!("there is no stack {} for the event at {}", event.stack, event.at)
            });
            return StackTable::ROOT;
        };
        if !out.budget.work(stack.len(), &mut out.issues) {
            return StackTable::ROOT;
        }
        let leaf_first: Vec<_> = addresses(stack, self.header.pointer_bytes)
            .take(out.budget.frames_to_read())
            .map_while(|address| self.location(process, address, out))
            .collect();
        let id = out.budget.stack(&mut out.profile.tables, &leaf_first, &mut out.issues);
        self.known.stacks.insert((event.stack, process), id);
        id
    }

    fn location(&mut self, process: u64, address: u64, out: &mut Out) -> Option<LocationId> {
        if let Some(&known) = self.known.locations.get(&(process, address)) {
            return Some(known);
        }
        if !out.budget.location(&mut out.issues) {
            return None;
        }
        let location = match self.survey.methods.find(process, address) {
            Some(method) => self.named(*method, address, out)?,
            None => self.unnamed(process, address, out),
        };
        let id = out.profile.tables.locations.intern(location);
        self.known.locations.insert((process, address), id);
        Some(id)
    }

    /// Without the address: it differs in each process, and frames would no longer be alike.
    fn named(&mut self, method: Method<'a>, address: u64, out: &mut Out) -> Option<Location> {
        if !out.budget.line(&mut out.issues) {
            return None;
        }
        let limits = out.budget.limits;
        let read = |text: Text<'a>, out: &mut Out| {
            let bytes = text.len().min(limits.string_bytes_max);
            let text = out.budget.work(bytes, &mut out.issues).then_some(text)?;
            Some(text.read(&limits, &mut out.issues))
        };
        let name = read(method.name, out)?;
        let class = method.class.and_then(|class| read(class, out)).unwrap_or_default();
        let name = if class.is_empty() { name.into_owned() } else { format!("{class}.{name}") };
        let name = out.word(&name);
        let function =
            out.profile.tables.functions.intern(Function { name, ..Function::default() });
        let frame_type = match method.class {
            Some(_) => FrameType::Dotnet,
            None if address >= KERNEL => FrameType::Kernel,
            None => FrameType::Native,
        };
        let mapping = self.module((method.process, method.module), out);
        let lines = std::iter::once(Line { function, ..Line::default() }).collect();
        Some(Location { mapping, lines, frame_type, ..Location::default() })
    }

    fn unnamed(&mut self, process: u64, address: u64, out: &mut Out) -> Location {
        self.known.unnamed += 1;
        let mapping = self.survey.mappings.find(process, address).copied();
        let mapping = mapping.map(|file| {
            let name = out.text(file.name);
            let (start, limit) = (file.start, file.end);
            out.profile.tables.mappings.intern(Mapping {
                start,
                limit,
                file: name,
                ..Mapping::default()
            })
        });
        let frame_type = match self.survey.has_mappings {
            false => FrameType::Dotnet,
            true if address >= KERNEL => FrameType::Kernel,
            true => FrameType::Native,
        };
        Location { mapping, address, frame_type, ..Location::default() }
    }

    fn module(&mut self, key: (u64, u64), out: &mut Out) -> Option<MappingId> {
        if let Some(&known) = self.known.modules.get(&key) {
            return known;
        }
        let file = self.survey.modules.get(&key).map(|file| out.text(*file));
        let file = file.filter(|file| *file != StringId::default());
        let mapping = file
            .map(|file| out.profile.tables.mappings.intern(Mapping { file, ..Mapping::default() }));
        self.known.modules.insert(key, mapping);
        mapping
    }
}
