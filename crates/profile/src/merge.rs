//! Merging: taking over the tables of one profile into others, and whole profiles into one.

use crate::handle::Handle;
use crate::{
    Attribute, AttributeValue, AttributesId, Function, FunctionId, Line, LinkId, Location,
    LocationId, Mapping, MappingId, Profile, Sample, StackId, StackTable, StringId, Tables, Thread,
    ThreadId,
};

/// Handles of the source tables (by position) as handles of the target tables.
#[derive(Clone, Debug)]
pub struct Remap {
    stacks: Vec<StackId>,
    threads: Vec<ThreadId>,
    links: Vec<LinkId>,
    attributes: Vec<AttributesId>,
}

impl Remap {
    /// The stack in the target.
    pub fn stack(&self, id: StackId) -> StackId {
        self.stacks.get(id.index()).copied().unwrap_or(StackTable::ROOT)
    }

    /// The thread in the target.
    pub fn thread(&self, id: ThreadId) -> Option<ThreadId> {
        self.threads.get(id.index()).copied()
    }

    /// The link in the target.
    pub fn link(&self, id: LinkId) -> Option<LinkId> {
        self.links.get(id.index()).copied()
    }

    /// The attributes in the target.
    pub fn attributes(&self, id: AttributesId) -> Option<AttributesId> {
        self.attributes.get(id.index()).copied()
    }

    /// A sample as it reads in the target; its kind is left alone.
    pub fn sample(&self, sample: &Sample) -> Sample {
        Sample {
            stack: self.stack(sample.stack),
            thread: sample.thread.and_then(|id| self.thread(id)),
            link: sample.link.and_then(|id| self.link(id)),
            attributes: sample.attributes.and_then(|id| self.attributes(id)),
            ..*sample
        }
    }
}

impl Tables {
    /// Takes over every row of `source` and says where each went.
    pub fn absorb(&mut self, source: &Self) -> Remap {
        let strings = self.strings.intern_all(&source.strings);
        let text = |id: StringId| strings.get(id.index()).copied().unwrap_or_default();
        let functions = self.absorb_functions(source, &text);
        let mappings = self.absorb_mappings(source, &text);
        let locations = self.absorb_locations(source, &functions, &mappings);
        let stacks = self.absorb_stacks(source, &locations);
        let thread = |row: &Thread| Thread { id: row.id, name: text(row.name) };
        let threads = source.threads.rows().iter().map(|row| self.threads.intern(thread(row)));
        let threads = threads.collect();
        let links = source.links.rows().iter().map(|row| self.links.intern(*row)).collect();
        let attributes = source.attributes.rows().iter();
        let attributes = attributes
            .map(|set| {
                let mut set: Vec<_> = set.iter().map(|row| absorb_attribute(row, &text)).collect();
                set.sort_unstable();
                self.attributes.intern(set)
            })
            .collect();
        Remap { stacks, threads, links, attributes }
    }

    fn absorb_functions(
        &mut self,
        source: &Self,
        text: &impl Fn(StringId) -> StringId,
    ) -> Vec<FunctionId> {
        let rows = source.functions.rows().iter();
        rows.map(|row| {
            self.functions.intern(Function {
                name: text(row.name),
                system_name: text(row.system_name),
                file: text(row.file),
                start_line: row.start_line,
            })
        })
        .collect()
    }

    fn absorb_mappings(
        &mut self,
        source: &Self,
        text: &impl Fn(StringId) -> StringId,
    ) -> Vec<MappingId> {
        let rows = source.mappings.rows().iter();
        rows.map(|row| {
            let (file, build_id) = (text(row.file), text(row.build_id));
            self.mappings.intern(Mapping { file, build_id, ..*row })
        })
        .collect()
    }

    fn absorb_locations(
        &mut self,
        source: &Self,
        functions: &[FunctionId],
        mappings: &[MappingId],
    ) -> Vec<LocationId> {
        let line = |line: &Line| {
            let function = functions.get(line.function.index()).copied()?;
            Some(Line { function, ..*line })
        };
        let rows = source.locations.rows().iter();
        rows.map(|row| {
            self.locations.intern(Location {
                mapping: row.mapping.and_then(|id| mappings.get(id.index()).copied()),
                lines: row.lines.iter().filter_map(line).collect(),
                ..*row
            })
        })
        .collect()
    }

    fn absorb_stacks(&mut self, source: &Self, locations: &[LocationId]) -> Vec<StackId> {
        let mut stacks = Vec::with_capacity(source.stacks.len());
        stacks.push(StackTable::ROOT);
        for (_, parent, location) in source.stacks.iter() {
            let parent = stacks[parent.index()];
            let taken = locations.get(location.index()).copied();
            // A node without a location adds nothing to its parent's stack.
            stacks.push(taken.map_or(parent, |location| self.stacks.intern(parent, location)));
        }
        stacks
    }
}

fn absorb_attribute(row: &Attribute, text: &impl Fn(StringId) -> StringId) -> Attribute {
    let value = match row.value {
        AttributeValue::Text(id) => AttributeValue::Text(text(id)),
        AttributeValue::Number(number, unit) => AttributeValue::Number(number, text(unit)),
    };
    Attribute { key: text(row.key), value }
}

impl Profile {
    /// Takes over the samples and events of `other`; the window grows to hold both, labels and metadata stay.
    pub fn merge(&mut self, other: &Self) {
        let remap = self.tables.absorb(&other.tables);
        let kinds: Vec<_> = other.kinds.iter().map(|kind| self.intern_kind(kind)).collect();
        for sample in &other.samples {
            let Some(&kind) = kinds.get(sample.kind.index()) else { continue };
            let time = Some(other.time_of(sample));
            self.samples.push(Sample { kind, time, ..remap.sample(sample) });
        }
        self.events.extend_from_slice(&other.events);
        self.window.start = self.window.start.min(other.window.start);
        self.window.end = self.window.end.max(other.window.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Link;
    use crate::folded::{folded, from_folded};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sums(text: &str) -> BTreeMap<String, i64> {
        let mut sums = BTreeMap::new();
        for line in text.lines() {
            let (stack, value) = line.rsplit_once(' ').expect("folded");
            *sums.entry(stack.to_owned()).or_default() += value.parse::<i64>().expect("number");
        }
        sums
    }

    /// One sample with a thread, a link and an attribute, all named after `name`.
    fn marked(name: &str, number: u64) -> Profile {
        let mut profile = from_folded(&format!("{name} 1\n"));
        let text = profile.tables.strings.intern(name);
        let thread = Thread { id: number.cast_signed(), name: text };
        let link = Link { span_id: number, ..Link::default() };
        let set = vec![Attribute { key: text, value: AttributeValue::Text(text) }];
        let sample = &mut profile.samples[0];
        sample.thread = Some(profile.tables.threads.intern(thread));
        sample.link = Some(profile.tables.links.intern(link));
        sample.attributes = Some(profile.tables.attributes.intern(set));
        profile
    }

    #[test]
    fn what_samples_point_to_stays_theirs() {
        let mut merged = marked("first", 1);
        merged.merge(&marked("second", 2));
        let tables = &merged.tables;
        for (sample, (name, number)) in merged.samples.iter().zip([("first", 1), ("second", 2)]) {
            let thread = sample.thread.and_then(|id| tables.threads.get(id)).expect("a thread");
            assert_eq!((thread.id, tables.text(thread.name)), (number, name));
            let link = sample.link.and_then(|id| tables.links.get(id)).expect("a link");
            assert_eq!(link.span_id, number.cast_unsigned());
            let set = sample.attributes.and_then(|id| tables.attributes.get(id)).expect("a set");
            assert_eq!(tables.text(set[0].key), name);
        }
    }

    proptest! {
        #[test]
        fn merging_adds_up_stack_by_stack(
            a in prop::collection::vec(("[a-c](;[a-c]){0,4}", 1i64..100), 0..20),
            b in prop::collection::vec(("[a-d](;[a-d]){0,4}", 1i64..100), 0..20),
        ) {
            let text = |rows: &[(String, i64)]| {
                rows.iter().map(|(stack, value)| format!("{stack} {value}\n")).collect::<String>()
            };
            let (a, b) = (text(&a), text(&b));
            let mut merged = from_folded(&a);
            merged.merge(&from_folded(&b));
            prop_assert_eq!(sums(&folded(&merged, crate::KindIndex(0), 0)), sums(&format!("{a}{b}")));
        }
    }
}
