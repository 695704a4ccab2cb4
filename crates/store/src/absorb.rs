//! Taking over tables into a part's tables, with addresses dropped where a name is known.

use crate::rows::NONE;
use profile::handle::Handle;
use profile::{
    Attribute, AttributeValue, AttributesId, Function, FunctionId, Line, Lines, LinkId, Location,
    LocationId, Mapping, MappingId, StackId, StringId, Tables, Thread, ThreadId,
};

/// Handles of the source by position as ordinals of the target.
#[derive(Debug)]
pub(crate) enum Remap {
    /// They are the same.
    Same,
    /// By handle of the source.
    Moved { stacks: Vec<u32>, threads: Vec<u32>, links: Vec<u32>, attributes: Vec<u32> },
}

impl Remap {
    pub(crate) fn stack(&self, id: StackId) -> u32 {
        match self {
            Self::Same => id.0,
            Self::Moved { stacks, .. } => stacks.get(id.index()).copied().unwrap_or(0),
        }
    }

    pub(crate) fn thread(&self, id: Option<ThreadId>) -> u32 {
        id.map_or(NONE, |id| match self {
            Self::Same => id.0,
            Self::Moved { threads, .. } => threads.get(id.index()).copied().unwrap_or(NONE),
        })
    }

    pub(crate) fn link(&self, id: Option<LinkId>) -> u32 {
        id.map_or(NONE, |id| match self {
            Self::Same => id.0,
            Self::Moved { links, .. } => links.get(id.index()).copied().unwrap_or(NONE),
        })
    }

    pub(crate) fn attributes(&self, id: Option<AttributesId>) -> u32 {
        id.map_or(NONE, |id| match self {
            Self::Same => id.0,
            Self::Moved { attributes, .. } => attributes.get(id.index()).copied().unwrap_or(NONE),
        })
    }
}

/// Takes over every row of `source`. References that lead nowhere are dropped.
pub(crate) fn absorb(target: &mut Tables, source: &Tables, keep_addresses: bool) -> Remap {
    let strings = target.strings.intern_all(&source.strings);
    let text = |id: StringId| strings.get(id.index()).copied().unwrap_or_default();
    let functions = source.functions.rows().iter().map(|row| Function {
        name: text(row.name),
        system_name: text(row.system_name),
        file: text(row.file),
        start_line: row.start_line,
    });
    let functions: Vec<FunctionId> = functions.map(|row| target.functions.intern(row)).collect();
    let locations = Locations { source, functions: &functions, text: &text, keep_addresses };
    let locations: Vec<LocationId> =
        source.locations.rows().iter().map(|row| locations.take(target, row)).collect();
    let mut stacks: Vec<u32> = vec![0];
    for (_, parent, location) in source.stacks.iter() {
        let parent = stacks.get(parent.index()).copied().unwrap_or(0);
        let taken = locations.get(location.index());
        stacks.push(taken.map_or(parent, |&at| target.stacks.intern(StackId(parent), at).0));
    }
    let threads = source.threads.rows().iter();
    let threads =
        threads.map(|row| target.threads.intern(Thread { id: row.id, name: text(row.name) }).0);
    let threads = threads.collect();
    let links = source.links.rows().iter().map(|row| target.links.intern(*row).0).collect();
    let attributes = source.attributes.rows().iter().map(|set| {
        let mut set: Vec<_> = set.iter().map(|row| attribute(row, &text)).collect();
        set.sort_unstable();
        if set.is_empty() { NONE } else { target.attributes.intern(set).0 }
    });
    let attributes = attributes.collect();
    Remap::Moved { stacks, threads, links, attributes }
}

fn attribute(row: &Attribute, text: &impl Fn(StringId) -> StringId) -> Attribute {
    let value = match row.value {
        AttributeValue::Text(id) => AttributeValue::Text(text(id)),
        AttributeValue::Number(number, unit) => AttributeValue::Number(number, text(unit)),
    };
    Attribute { key: text(row.key), value }
}

fn has_name(tables: &Tables, id: FunctionId) -> bool {
    let function = tables.functions.get(id);
    function.is_some_and(|row| row.name != StringId(0) || row.system_name != StringId(0))
}

struct Locations<'a, F> {
    source: &'a Tables,
    functions: &'a [FunctionId],
    text: &'a F,
    keep_addresses: bool,
}

impl<F: Fn(StringId) -> StringId> Locations<'_, F> {
    fn take(&self, target: &mut Tables, row: &Location) -> LocationId {
        let line = |line: &Line| {
            let function = self.functions.get(line.function.index()).copied()?;
            Some(Line { function, ..*line })
        };
        let lines: Lines = row.lines.iter().filter_map(line).collect();
        // A line without a name is shown by the address, so one such line keeps it.
        let is_named = lines.iter().all(|line| has_name(target, line.function));
        let drops_address = is_named && !lines.is_empty() && !self.keep_addresses;
        let mapping = row.mapping.and_then(|id| self.mapping(target, id, drops_address));
        let address = if drops_address { 0 } else { row.address };
        target.locations.intern(Location { mapping, address, lines, ..*row })
    }

    fn mapping(
        &self,
        target: &mut Tables,
        id: MappingId,
        drops_address: bool,
    ) -> Option<MappingId> {
        let row = self.source.mappings.get(id)?;
        let (file, build_id) = ((self.text)(row.file), (self.text)(row.build_id));
        let kept = if drops_address { Mapping::default() } else { *row };
        Some(target.mappings.intern(Mapping { file, build_id, ..kept }))
    }
}
