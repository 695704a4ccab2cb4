//! The passes over a file's chunks.

use super::contexts::Contexts;
use super::header::{HEADER_BYTES, Header, RawChunk, chunks, only};
use super::info::Info;
use super::input::Input;
use super::kinds::settle;
use super::metadata::Types;
use super::old;
use super::pools::{Pools, chain};
use super::runtime::read_runtime;
use super::samples::read_samples;
use super::table::{EVENTS, INFORMATION, RUNTIME};
use crate::compress::decompress;
use crate::decoded::{Decoded, DecodedProfile, IssueKind, Issues, Options};
use crate::intern::Budget;
use crate::kinds::tell_not_kept;
use crate::limits::{JFR_EVENT_TYPES_MAX, JFR_NOT_KEPT_NAME_BYTES_MAX, JFR_NOT_KEPT_NAMES_MAX};
use crate::told::Told;
use profile::Profile;
use std::collections::BTreeMap;
use stdx::{TimeRange, Timestamp};

const TYPE_OF_METADATA: u64 = 0;
const TYPE_OF_CONSTANTS: u64 = 1;

/// Reads a recording, compressed or not, of any number of chunks, finished or not.
pub fn decode(bytes: &[u8], options: &Options) -> Decoded {
    decode_labelled(bytes, &[], options)
}

/// The same with Pyroscope's table of dynamic labels, which comes as a part of its own (`labels`)
/// beside the recording; compressed or not, empty for none.
pub fn decode_labelled(bytes: &[u8], labels: &[u8], options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let contexts = Contexts::read(labels, &options.limits, &mut issues);
    let body = decompress(bytes, &options.limits, &mut issues);
    let (budget, profile) = (Budget::new(options.limits), Profile::default());
    let mut out = Out { profile, budget, issues };
    let mut info = Info::new(contexts);
    let (mut not_kept, mut told) = (BTreeMap::new(), Told::default());
    let mut window: Option<(i64, i64)> = None;
    for raw in chunks(&body, &mut out.issues) {
        let rewritten;
        let mut raw = raw;
        if raw.0.is_old {
            let new = old::rewritten(raw.1, &options.limits, &mut out.issues);
            rewritten = new.unwrap_or_default();
            let Some(header) = only(&rewritten, &mut out.issues) else { continue };
            raw = (header, rewritten.as_slice());
        }
        let chunk = Chunk::open(raw, &mut out.budget, &mut out.issues);
        chunk.count_not_kept(&mut not_kept);
        info.read(&chunk, &mut out);
        let last = read_samples(&chunk, &info, &mut out);
        read_runtime(&chunk, &mut told, &mut out);
        let start = raw.0.start_nanos;
        let end = start.saturating_add(raw.0.duration_nanos.max(0));
        let end = if raw.0.duration_nanos > 0 { end } else { last.max(start) };
        let (first, past) = window.unwrap_or((start, end));
        window = Some((first.min(start), past.max(end)));
    }
    out.profile.events = told.events;
    finish(out, info, &not_kept, window)
}

/// What decoding makes.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) profile: Profile,
    pub(super) budget: Budget,
    pub(super) issues: Issues,
}

fn finish(
    out: Out,
    info: Info,
    not_kept: &BTreeMap<String, u64>,
    window: Option<(i64, i64)>,
) -> Decoded {
    let Out { mut profile, mut budget, mut issues } = out;
    tell_not_kept("jfr", not_kept, &mut profile, &mut issues);
    let Some((start, end)) = window else { return Decoded::new(Vec::new(), issues) };
    profile.window = TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end));
    info.apply(&mut profile, &mut budget, &mut issues);
    let type_map = settle(&mut profile);
    let is_empty = profile.samples.is_empty() && profile.events.is_empty();
    let profiles = if is_empty { Vec::new() } else { vec![DecodedProfile { profile, type_map }] };
    Decoded::new(profiles, issues)
}

/// A chunk, its types and where its constants are.
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    pub(super) header: Header,
    pub(super) input: Input<'a>,
    pub(super) types: Types,
    pub(super) pools: Pools,
    /// How many events there are of each type. In order, so that the same bytes always decode to
    /// the same: what a profile holds tells whether it has come before.
    counts: BTreeMap<u64, u64>,
}

impl<'a> Chunk<'a> {
    fn open((header, bytes): RawChunk<'a>, budget: &mut Budget, issues: &mut Issues) -> Self {
        let input = Input::new(bytes, header.is_compressed);
        let (types, pools, counts) = (Types::default(), Pools::default(), BTreeMap::new());
        let mut chunk = Self { header, input, types, pools, counts };
        let (mut metadata, mut constants) = (Vec::new(), Vec::new());
        let mut events = chunk.events();
        for event in events.by_ref() {
            match event.kind {
                TYPE_OF_METADATA => metadata.push(event.at),
                TYPE_OF_CONSTANTS => constants.push(event.at),
                _ => {}
            }
            if chunk.counts.len() < JFR_EVENT_TYPES_MAX || chunk.counts.contains_key(&event.kind) {
                *chunk.counts.entry(event.kind).or_default() += 1;
            } else {
                issues.add(IssueKind::Limit, || {
                    format!("only events of {JFR_EVENT_TYPES_MAX} types of a chunk are read")
                });
            }
        }
        let end = events.at;
        if end < bytes.len() && !(header.is_in_flight && bytes[end] == 0) {
            issues.add(IssueKind::Damage, || {
                format!("a chunk's events end at {end} of its {} bytes", bytes.len())
            });
            constants.extend(chain(&header, input, end));
        }
        // The header names the latest descriptions, which hold all earlier ones.
        let latest = usize::try_from(header.metadata_at).ok();
        let latest = latest.filter(|at| (HEADER_BYTES..bytes.len()).contains(at));
        let others = metadata.into_iter().rev().filter(|at| Some(*at) != latest);
        for at in latest.into_iter().chain(others) {
            if chunk.types.is_full() {
                break;
            }
            chunk.types.read(input.range(at, usize::MAX), budget, issues);
        }
        if chunk.types.len() == 0 {
            issues.add(IssueKind::Damage, || {
                "a chunk has no type descriptions: none of its events can be read".to_owned()
            });
        }
        chunk.pools.read(&chunk.types, input, &constants, budget, issues);
        chunk
    }

    /// All events, in the file's order.
    pub(super) fn events(&self) -> Events<'a> {
        Events { input: self.input, at: HEADER_BYTES }
    }

    /// The name of an event's type.
    pub(super) fn name(&self, kind: u64) -> Option<&str> {
        self.types.get(self.types.find(kind)?).map(|class| class.name.as_str())
    }

    /// Types of which there are events, by id.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (u64, &str)> {
        self.counts.keys().filter_map(|kind| Some((*kind, self.name(*kind)?)))
    }

    fn count_not_kept(&self, into: &mut BTreeMap<String, u64>) {
        for (&kind, count) in &self.counts {
            let name = self.name(kind).unwrap_or("of a type that is not described");
            let is_read = kind == TYPE_OF_METADATA
                || kind == TYPE_OF_CONSTANTS
                || EVENTS.iter().any(|entry| entry.event == name)
                || RUNTIME.iter().any(|entry| entry.event == name)
                || INFORMATION.iter().any(|(event, _)| *event == name);
            if is_read {
                continue;
            }
            let name = &name[..name.floor_char_boundary(JFR_NOT_KEPT_NAME_BYTES_MAX)];
            let is_named = into.len() < JFR_NOT_KEPT_NAMES_MAX || into.contains_key(name);
            let name = if is_named { name } else { "of other types" };
            *into.entry(name.to_owned()).or_default() += count;
        }
    }
}

/// An event: where it begins, its type, and what comes after that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    pub(super) at: usize,
    pub(super) kind: u64,
    pub(super) body: Input<'a>,
}

/// Walks events by their sizes.
#[derive(Clone, Debug)]
pub(super) struct Events<'a> {
    input: Input<'a>,
    at: usize,
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let at = self.at;
        let mut head = self.input;
        head.at = at;
        let left = head.left();
        let size = usize::try_from(head.int()?).ok().filter(|size| *size <= left)?;
        let kind = head.long()?;
        let end = at + size;
        if head.at > end {
            return None;
        }
        self.at = end;
        Some(Event { at, kind, body: self.input.range(head.at, end) })
    }
}
