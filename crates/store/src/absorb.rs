//! Taking over tables into a part's tables, with addresses dropped where a name is known.
//!
//! What is there already is known by a hash of its content, so that a stack that came before costs
//! one look-up instead of one for each of its frames, functions and names.

use crate::content::{Content, Contents, drops_addresses, without_addresses};
use crate::places::Places;
use crate::rows::NONE;
use profile::handle::Handle;
use profile::{
    Attribute, AttributeValue, AttributesId, Function, FunctionId, Line, Lines, LinkId, Location,
    LocationId, MappingId, StackId, StringId, Tables, Thread, ThreadId,
};

/// Where a part's tables have what was taken over, by content.
#[derive(Debug, Default)]
pub(crate) struct Known {
    functions: Places,
    locations: Places,
    stacks: Places,
}

/// Bytes that a table's estimate counts for a row's place in its index. Tables that are only looked
/// up by content have none.
const INDEX_BYTES: usize = 16;

impl Known {
    /// Everything of tables.
    pub(crate) fn of(tables: &Tables) -> Self {
        let Contents { functions, locations, stacks } = Contents::of(tables, true);
        let [functions, locations, stacks] =
            [functions, locations, stacks].map(|all| Places::of(&all));
        Self { functions, locations, stacks }
    }

    /// Estimated bytes in memory beyond those that the tables' estimate counts.
    pub(crate) fn bytes(&self) -> usize {
        let all = [&self.functions, &self.locations, &self.stacks];
        all.iter().map(|one| one.bytes().saturating_sub(one.len() * INDEX_BYTES)).sum()
    }
}

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

/// Takes over the `wanted` stacks of `source`, what samples point to besides, and whatever those
/// consist of. References that lead nowhere are dropped. `known` is what `target` has.
pub(crate) fn absorb(
    target: &mut Tables,
    known: &mut Known,
    source: &Tables,
    wanted: &[StackId],
    keep_addresses: bool,
) -> Remap {
    let contents = Contents::of(source, keep_addresses);
    let mut taking = Taking {
        functions: known.functions.get_all(&contents.functions),
        locations: known.locations.get_all(&contents.locations),
        target,
        known,
        source,
        contents,
        keep_addresses,
        strings: vec![None; source.strings.len()],
    };
    let stacks = taking.stacks(wanted);
    let threads = source.threads.rows().iter();
    let threads = threads.map(|row| {
        let name = taking.text(row.name);
        taking.target.threads.intern(Thread { id: row.id, name }).0
    });
    let threads = threads.collect();
    let attributes = source.attributes.rows().iter();
    let attributes = attributes.map(|set| {
        let mut set: Vec<_> = set.iter().map(|row| taking.attribute(row)).collect();
        set.sort_unstable();
        if set.is_empty() { NONE } else { taking.target.attributes.intern(set).0 }
    });
    let attributes = attributes.collect();
    let links = source.links.rows().iter().map(|row| taking.target.links.intern(*row).0).collect();
    Remap::Moved { stacks, threads, links, attributes }
}

/// Tables being taken over: what went where so far, by handle of the source.
struct Taking<'a> {
    target: &'a mut Tables,
    known: &'a mut Known,
    source: &'a Tables,
    contents: Contents,
    keep_addresses: bool,
    strings: Vec<Option<StringId>>,
    /// [`NONE`] for those that the target does not have yet.
    functions: Vec<u32>,
    locations: Vec<u32>,
}

impl Taking<'_> {
    /// Takes stacks; where those are known as wholes, nothing of what they consist of is looked at.
    fn stacks(&mut self, wanted: &[StackId]) -> Vec<u32> {
        let all = &self.contents.stacks;
        let wanted: Vec<StackId> =
            wanted.iter().copied().filter(|stack| stack.index() < all.len()).collect();
        let contents: Vec<Content> = wanted.iter().map(|stack| all[stack.index()]).collect();
        let mut places = vec![NONE; all.len()];
        for (stack, place) in wanted.iter().zip(self.known.stacks.get_all(&contents)) {
            places[stack.index()] = place;
        }
        places[0] = 0;
        let mut path = Vec::new();
        for stack in wanted {
            self.stack(stack, &mut places, &mut path);
        }
        places
    }

    /// Takes a stack: from its nearest caller that is there already down to itself.
    fn stack(&mut self, stack: StackId, places: &mut [u32], path: &mut Vec<(StackId, LocationId)>) {
        let mut at = stack;
        while places[at.index()] == NONE {
            // It may have come just now, with other addresses.
            places[at.index()] = self.known.stacks.get(self.contents.stacks[at.index()]);
            if places[at.index()] == NONE {
                let Some((parent, location)) = self.source.stacks.node(at) else { break };
                path.push((at, location));
                at = parent;
            }
        }
        let mut place = places[at.index()];
        for (stack, location) in path.drain(..).rev() {
            // A node without a location adds nothing to its parent's stack.
            let added = self.location(location);
            let added = added.and_then(|at| self.target.stacks.push(StackId(place), at));
            place = added.map_or(place, |added| added.0);
            self.known.stacks.insert(self.contents.stacks[stack.index()], place);
            places[stack.index()] = place;
        }
    }

    fn text(&mut self, id: StringId) -> StringId {
        let Some(slot) = self.strings.get_mut(id.index()) else { return StringId::default() };
        *slot.get_or_insert_with(|| self.target.strings.intern(self.source.text(id)))
    }

    fn function(&mut self, id: FunctionId) -> Option<FunctionId> {
        let known = *self.functions.get(id.index())?;
        if known != NONE {
            return Some(FunctionId(known));
        }
        let content = self.contents.functions[id.index()];
        let mut taken = FunctionId(self.known.functions.get(content));
        if taken.0 == NONE {
            let row = self.source.functions.get(id)?;
            let (name, system_name) = (self.text(row.name), self.text(row.system_name));
            let (file, start_line) = (self.text(row.file), row.start_line);
            let row = Function { name, system_name, file, start_line };
            taken = self.target.functions.push(row);
            self.known.functions.insert(content, taken.0);
        }
        self.functions[id.index()] = taken.0;
        Some(taken)
    }

    fn location(&mut self, id: LocationId) -> Option<LocationId> {
        let known = *self.locations.get(id.index())?;
        if known != NONE {
            return Some(LocationId(known));
        }
        let content = self.contents.locations[id.index()];
        let mut taken = LocationId(self.known.locations.get(content));
        if taken.0 == NONE {
            let row = self.moved(self.source.locations.get(id)?);
            taken = self.target.locations.push(row);
            self.known.locations.insert(content, taken.0);
        }
        self.locations[id.index()] = taken.0;
        Some(taken)
    }

    /// A location as it reads in the target.
    fn moved(&mut self, row: &Location) -> Location {
        let line = |line: &Line| Some(Line { function: self.function(line.function)?, ..*line });
        let lines: Lines = row.lines.iter().filter_map(line).collect();
        let drops = drops_addresses(self.source, row, self.keep_addresses);
        let mapping = row.mapping.and_then(|id| self.mapping(id, drops));
        let address = if drops { 0 } else { row.address };
        Location { mapping, address, lines, ..*row }
    }

    fn mapping(&mut self, id: MappingId, drops_addresses: bool) -> Option<MappingId> {
        let row = self.source.mappings.get(id)?;
        let mut kept = if drops_addresses { without_addresses(row) } else { *row };
        (kept.file, kept.build_id) = (self.text(row.file), self.text(row.build_id));
        Some(self.target.mappings.intern(kept))
    }

    fn attribute(&mut self, row: &Attribute) -> Attribute {
        let value = match row.value {
            AttributeValue::Text(id) => AttributeValue::Text(self.text(id)),
            AttributeValue::Number(number, unit) => AttributeValue::Number(number, self.text(unit)),
        };
        Attribute { key: self.text(row.key), value }
    }
}

#[cfg(test)]
mod tests;
