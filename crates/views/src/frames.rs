//! Distinct frames, and the frames of locations among them.

use crate::NamedTables;
use crate::frame::{Frame, Shown, library_of, named_frame};
use profile::index::hash_of;
use profile::{FrameType, FunctionId, Index, Location, LocationId, MappingId, StringId, Tables};
use rustc_hash::FxHashMap;
use std::ops::Deref;

/// Frames, each once, numbered in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    list: Vec<Frame>,
    index: Index,
}

impl Frames {
    /// The number of a frame.
    pub(crate) fn intern(&mut self, frame: &Frame) -> u32 {
        self.find_or_make(frame.shown(), || frame.clone())
    }

    /// The number of the frame that shows so much; made if it is new.
    fn find_or_make(&mut self, shown: Shown<'_>, make: impl FnOnce() -> Frame) -> u32 {
        let Self { list, index } = self;
        let next = list.len();
        let at = index.find_or_add(hash_of(&shown), next, |at| list[at].shown() == shown);
        if at as usize == next {
            list.push(make());
        }
        at
    }

    /// The number of the frame of a function that has a name.
    fn named(
        &mut self,
        tables: &Tables,
        id: FunctionId,
        mapping: Option<MappingId>,
        frame_type: FrameType,
    ) -> u32 {
        let text = |id: Option<StringId>| id.map_or("", |id| tables.text(id));
        let function = tables.functions.get(id);
        let path = text(mapping.and_then(|id| tables.mappings.get(id)).map(|row| row.file));
        let shown = (
            text(function.map(|row| row.name)),
            library_of(path),
            text(function.map(|row| row.file)),
            false,
            frame_type == FrameType::Kernel,
            "",
        );
        self.find_or_make(shown, || named_frame(tables, id, mapping, frame_type))
    }
}

impl Deref for Frames {
    type Target = [Frame];

    fn deref(&self) -> &[Frame] {
        &self.list
    }
}

/// The frames of the locations of one set of tables. What a function is called is looked for once:
/// most functions are at many locations.
#[derive(Debug, Default)]
pub(crate) struct FrameNames {
    /// By what else makes a frame.
    functions: FxHashMap<(FunctionId, Option<MappingId>, FrameType), u32>,
}

impl FrameNames {
    /// Adds the frames of a location to a list, outermost first. It must be given the same tables
    /// each time; they always have the same frames.
    pub(crate) fn extend(
        &mut self,
        list: &mut Vec<u32>,
        frames: &mut Frames,
        named: NamedTables<'_>,
        id: LocationId,
    ) {
        let Some(location) = named.tables.locations.get(id) else { return };
        let start = list.len();
        for line in location.lines.iter().rev() {
            let frame = self.function(frames, named.tables, line.function, location);
            let Some(frame) = frame else {
                list.truncate(start);
                break;
            };
            list.push(frame);
        }
        if list.len() == start {
            list.extend(named.frames(id).iter().map(|frame| frames.intern(frame)));
        }
    }

    /// The frame of a function that has a name, at a location.
    fn function(
        &mut self,
        frames: &mut Frames,
        tables: &Tables,
        id: FunctionId,
        location: &Location,
    ) -> Option<u32> {
        let (mapping, frame_type) = (location.mapping, location.frame_type);
        let key = (id, mapping, frame_type);
        if let Some(&known) = self.functions.get(&key) {
            return Some(known);
        }
        let row = tables.functions.get(id)?;
        if row.name == StringId(0) || !tables.is_named(row) {
            return None;
        }
        let frame = frames.named(tables, id, mapping, frame_type);
        self.functions.insert(key, frame);
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::folded::from_folded;

    #[test]
    fn functions_seen_at_many_locations_have_the_frames_of_each_location() {
        let mut profile = from_folded("a;b 1\n");
        let tables = &mut profile.tables;
        let strings =
            ["c", "c.rs", "/lib/libc.so", "system"].map(|text| tables.strings.intern(text));
        let [name, file, path, system_name] = strings;
        let empty = StringId::default();
        let mapping = profile::Mapping { file: path, ..profile::Mapping::default() };
        let mapping = Some(tables.mappings.intern(mapping));
        let mut lines = Vec::new();
        for (name, system_name) in [(name, empty), (empty, system_name), (empty, empty)] {
            let function = profile::Function { name, system_name, file, start_line: 0 };
            let function = tables.functions.intern(function);
            lines.push(profile::Line { function, ..profile::Line::default() });
        }
        // Without a name inside one with a name: what was found of it first does not count.
        let inside = [lines[2], lines[0]];
        let sets = [&lines[..1], &lines[1..2], &lines[2..], &lines[..], &inside, &[]];
        let mut ids = Vec::new();
        for (address, lines) in (1..).zip(sets.into_iter().cycle().take(24)) {
            let mapping = mapping.filter(|_| address % 3 > 0);
            let frame_type = if address % 2 == 0 { FrameType::Kernel } else { FrameType::Native };
            let lines = lines.into();
            let row = Location { mapping, address, lines, frame_type, is_folded: false };
            ids.push(tables.locations.intern(row));
        }
        let (mut frames, mut names) = (Frames::default(), FrameNames::default());
        for id in ids {
            let mut found = Vec::new();
            names.extend(&mut found, &mut frames, (&*tables).into(), id);
            let found: Vec<Frame> = found.iter().map(|at| frames[*at as usize].clone()).collect();
            assert_eq!(found, crate::frame::frames_of(tables, id));
        }
    }
}
