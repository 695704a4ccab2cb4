//! Files of speedscope: py-spy, pyinstrument, rbspy and speedscope itself write them.
//!
//! Contract: <https://www.speedscope.app/file-format-schema.json>. Page: `docs/formats/speedscope.md`.

mod encode;
mod form;

pub use encode::encode;

use crate::compress::decompress;
use crate::decoded::{Decoded, IssueKind, Issues, Options};
use crate::intern::{Budget, text};
use crate::rows::Rows;
use form::{File, Frame, Recording};
use profile::handle::Handle;
use profile::{
    Function, KeyedMap, Line, Location, LocationId, Profile, Sample, StackId, Thread, ThreadId,
};
use std::borrow::Cow;

/// A file of speedscope says so near its beginning, or has its two main parts there.
pub(crate) fn is_speedscope(head: &[u8]) -> bool {
    let has = |part: &[u8]| head.windows(part.len()).any(|window| window == part);
    head.trim_ascii_start().starts_with(b"{")
        && (has(b"speedscope") || (has(b"\"shared\"") && has(b"\"frames\"")))
}

/// Reads a file. Its profiles are threads of one profile; those of different units are kinds of it.
pub fn decode(bytes: &[u8], options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    let file: File<'_> = match serde_json::from_slice(&body) {
        Ok(file) => file,
        Err(error) => {
            issues.add(IssueKind::Damage, || format!("the file is no JSON of speedscope: {error}"));
            return Decoded::new(Vec::new(), issues);
        }
    };
    if file.profiles.is_empty() {
        issues.add(IssueKind::Malformed, || "the file has no profiles".to_owned());
    }
    let mut units: Vec<Unit> = Vec::new();
    for recording in &file.profiles {
        match Unit::of(&recording.unit) {
            Some(unit) if units.contains(&unit) => {}
            Some(unit) => units.push(unit),
            None => issues.add(IssueKind::Malformed, || {
                let unit: String = recording.unit.chars().take(40).collect();
                format!("the unit {unit:?} has no meaning")
            }),
        }
    }
    let mut profile = Profile::default();
    let types = units.iter().map(|unit| unit.sample_type());
    let types = types.map(|(name, unit)| (name.to_owned(), unit.to_owned())).collect();
    let rows = Rows::new(types, ("", ""), options, &mut profile);
    let mut reader = Reader {
        frames: &file.shared.frames,
        locations: vec![None; file.shared.frames.len()],
        names: KeyedMap::default(),
        options,
        profile,
        rows,
        budget: Budget::new(options.limits),
        issues,
    };
    for recording in &file.profiles {
        let Some(unit) = Unit::of(&recording.unit) else { continue };
        let Some(column) = units.iter().position(|one| *one == unit) else { continue };
        reader.recording(recording, unit, column);
    }
    let Reader { mut profile, rows, issues, .. } = reader;
    if let Some(exporter) = &file.exporter {
        profile.metadata.client = exporter.chars().take(200).collect();
    }
    let is_empty = profile.samples.is_empty();
    let profiles = if is_empty { Vec::new() } else { vec![rows.finish(profile)] };
    Decoded::new(profiles, issues)
}

/// What values are, up to their scale.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    /// Each is so many nanoseconds.
    Time(f64),
    Bytes,
    Count,
}

impl Unit {
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "seconds" => Self::Time(1e9),
            "milliseconds" => Self::Time(1e6),
            "microseconds" => Self::Time(1e3),
            "nanoseconds" => Self::Time(1.0),
            "bytes" => Self::Bytes,
            "none" | "" => Self::Count,
            _ => return None,
        })
    }

    /// Nothing in a file says which time it is; the programs that write them look at the clock on
    /// the wall.
    fn sample_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Time(_) => ("wall", "nanoseconds"),
            Self::Bytes => ("space", "bytes"),
            Self::Count => ("samples", "count"),
        }
    }

    /// A value as a whole number.
    fn whole(self, value: f64) -> i64 {
        let scale = if let Self::Time(nanos) = self { nanos } else { 1.0 };
        (value * scale).round() as i64
    }
}

struct Reader<'a> {
    frames: &'a [Frame<'a>],
    locations: Vec<Option<LocationId>>,
    names: KeyedMap<&'a str, profile::StringId>,
    options: &'a Options,
    profile: Profile,
    rows: Rows,
    budget: Budget,
    issues: Issues,
}

impl<'a> Reader<'a> {
    fn recording(&mut self, recording: &'a Recording<'a>, unit: Unit, column: usize) {
        let thread = self.thread(&recording.name);
        match recording.kind.as_ref() {
            "sampled" => self.sampled(recording, unit, (column, thread)),
            "evented" => self.evented(recording, unit, (column, thread)),
            other => {
                let kind: String = other.chars().take(40).collect();
                let example = || format!("profiles of the type {kind:?} are not read");
                self.issues.add(IssueKind::Malformed, example);
            }
        }
    }

    /// py-spy writes `Thread 7 "name"`; other names are taken as they are.
    fn thread(&mut self, name: &str) -> Option<ThreadId> {
        if name.is_empty() {
            return None;
        }
        let split = name.strip_prefix("Thread ").and_then(|rest| rest.split_once(' '));
        let split = split.and_then(|(id, name)| Some((id.parse().ok()?, name.trim_matches('"'))));
        let (id, name) = split.unwrap_or((0, name));
        let name = text(name.as_bytes(), &self.options.limits, &mut self.issues);
        let name = self.budget.intern(&mut self.profile.tables, &name, &mut self.issues);
        Some(self.profile.tables.threads.intern(Thread { id, name }))
    }

    fn sampled(&mut self, recording: &Recording<'_>, unit: Unit, to: (usize, Option<ThreadId>)) {
        let count = recording.samples.len();
        if count != recording.weights.len() {
            let weights = recording.weights.len();
            self.issues
                .add(IssueKind::ValueCount, || format!("{count} samples have {weights} weights"));
        }
        for at in 0..count {
            // Without weights, each sample is one.
            let value = match recording.weights.get(at) {
                Some(weight) => unit.whole(*weight),
                None if recording.weights.is_empty() && unit == Unit::Count => 1,
                None => break,
            };
            let frames = recording.samples.get(at);
            if !self.budget.work(frames.len() * 4, &mut self.issues) {
                break;
            }
            let depth = self.budget.frames_to_read();
            let leaf_first = frames.iter().rev().take(depth);
            let leaf_first: Vec<LocationId> =
                leaf_first.filter_map(|frame| self.location(*frame)).collect();
            self.push(&leaf_first, value, to);
        }
    }

    fn evented(&mut self, recording: &Recording<'_>, unit: Unit, to: (usize, Option<ThreadId>)) {
        let mut open: Vec<u32> = Vec::new();
        let mut last = recording.start_value;
        // Rounded as points in time, so that the parts make the whole.
        let mut last_whole = unit.whole(last);
        for event in &recording.events {
            if event.at < last {
                let example =
                    || "events are out of order: the time of some is not counted".to_owned();
                self.issues.add(IssueKind::Malformed, example);
            } else {
                let whole = unit.whole(event.at);
                if whole > last_whole && !open.is_empty() {
                    let depth = open.len().min(self.budget.frames_to_read());
                    if !self.budget.work(depth * 4, &mut self.issues) {
                        return;
                    }
                    let leaf_first: Vec<LocationId> = open
                        .iter()
                        .rev()
                        .take(depth)
                        .filter_map(|frame| self.location(*frame))
                        .collect();
                    self.push(&leaf_first, whole - last_whole, to);
                }
                (last, last_whole) = (event.at, whole.max(last_whole));
            }
            match event.kind.as_ref() {
                "O" => open.push(event.frame),
                "C" if open.last() == Some(&event.frame) => drop(open.pop()),
                "C" => {
                    let example = || "a frame is closed that is not the innermost one".to_owned();
                    self.issues.add(IssueKind::Malformed, example);
                    if let Some(at) = open.iter().rposition(|frame| *frame == event.frame) {
                        open.truncate(at);
                    }
                }
                _ => {
                    self.issues
                        .add(IssueKind::Malformed, || "an event of no known type".to_owned());
                }
            }
        }
        if !open.is_empty() {
            let count = open.len();
            let example = || format!("{count} frames are never closed: their end is not counted");
            self.issues.add(IssueKind::Malformed, example);
        }
    }

    fn push(&mut self, leaf_first: &[LocationId], value: i64, to: (usize, Option<ThreadId>)) {
        let (column, thread) = to;
        let stack = if leaf_first.is_empty() {
            StackId::from_index(0)
        } else {
            self.budget.stack(&mut self.profile.tables, leaf_first, &mut self.issues)
        };
        let sample = Sample { stack, thread, ..Sample::default() };
        let mut values = vec![0; self.rows.len()];
        values[column] = value;
        self.rows.push(&mut self.profile, &sample, &values, &mut self.budget, &mut self.issues);
    }

    fn location(&mut self, at: u32) -> Option<LocationId> {
        let Some(known) = self.locations.get(at as usize) else {
            let frames = self.frames.len();
            let example = || format!("frame {at} is not there: the file has {frames}");
            self.issues.add(IssueKind::Reference, example);
            return None;
        };
        if known.is_some() {
            return *known;
        }
        if !self.budget.location(&mut self.issues) {
            return None;
        }
        let frame = &self.frames[at as usize];
        let name = self.intern(&frame.name);
        let file =
            frame.file.as_deref().map_or(profile::StringId::default(), |file| self.intern(file));
        let tables = &mut self.profile.tables;
        let function = Function { name, file, ..Function::default() };
        let function = tables.functions.intern(function);
        let whole = |number: Option<f64>| number.filter(|n| *n > 0.0).map_or(0, |n| n as u32);
        let line = Line { function, line: whole(frame.line), column: whole(frame.col) };
        let location = Location { lines: [line].into_iter().collect(), ..Location::default() };
        let location = tables.locations.intern(location);
        self.locations[at as usize] = Some(location);
        Some(location)
    }

    fn intern(&mut self, name: &'a str) -> profile::StringId {
        if let Some(known) = self.names.get(name) {
            return *known;
        }
        let cut: Cow<'_, str> = text(name.as_bytes(), &self.options.limits, &mut self.issues);
        let id = self.budget.intern(&mut self.profile.tables, &cut, &mut self.issues);
        self.names.insert(name, id);
        id
    }
}

#[cfg(test)]
mod tests;
