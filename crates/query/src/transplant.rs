//! Takes single stacks, threads, links and attributes of one set of tables over into another:
//! only what is named is touched, however large the source is.

use crate::error;
use profile::{
    Attribute, AttributeValue, AttributesId, Function, FunctionId, LinkId, Location, LocationId,
    Mapping, MappingId, StackId, StackTable, StringId, Tables, Thread, ThreadId,
};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use store::{Part, TableSet};
use views::ViewError;

/// The tables of one part.
#[derive(Debug)]
pub(crate) struct Sources {
    names: Arc<Tables>,
    threads: Arc<Tables>,
    links: Arc<Tables>,
    attributes: Arc<Tables>,
}

impl Sources {
    pub(crate) async fn of(part: &Part) -> Result<Self, ViewError> {
        let read = async |set| part.tables(set).await.map_err(error::store);
        Ok(Self {
            names: read(TableSet::Names).await?,
            threads: read(TableSet::Threads).await?,
            links: read(TableSet::Links).await?,
            attributes: read(TableSet::Attributes).await?,
        })
    }
}

/// Takes rows of `sources` over; handles of one target only.
#[derive(Debug)]
pub(crate) struct Transplant<'a> {
    sources: &'a Sources,
    strings: FxHashMap<(TableSet, StringId), StringId>,
    functions: FxHashMap<FunctionId, FunctionId>,
    mappings: FxHashMap<MappingId, MappingId>,
    locations: FxHashMap<LocationId, LocationId>,
    stacks: FxHashMap<StackId, StackId>,
}

impl<'a> Transplant<'a> {
    pub(crate) fn of(sources: &'a Sources) -> Self {
        Self {
            sources,
            strings: FxHashMap::default(),
            functions: FxHashMap::default(),
            mappings: FxHashMap::default(),
            locations: FxHashMap::default(),
            stacks: FxHashMap::default(),
        }
    }

    /// The stack in the target; a stack that the source does not have is the empty one.
    pub(crate) fn stack(&mut self, target: &mut Tables, id: StackId) -> StackId {
        let mut path = Vec::new();
        let mut here = id;
        let mut at = loop {
            if let Some(&known) = self.stacks.get(&here) {
                break known;
            }
            let Some((parent, location)) = self.sources.names.stacks.node(here) else {
                break StackTable::ROOT;
            };
            path.push((here, location));
            here = parent;
        };
        while let Some((node, location)) = path.pop() {
            // A node without a location adds nothing to its parent's stack.
            if let Some(location) = self.location(target, location) {
                at = target.stacks.intern(at, location);
            }
            self.stacks.insert(node, at);
        }
        at
    }

    pub(crate) fn thread(&mut self, target: &mut Tables, id: ThreadId) -> Option<ThreadId> {
        let row = *self.sources.threads.threads.get(id)?;
        let name = self.string(target, TableSet::Threads, row.name);
        Some(target.threads.intern(Thread { name, ..row }))
    }

    pub(crate) fn link(&mut self, target: &mut Tables, id: LinkId) -> Option<LinkId> {
        self.sources.links.links.get(id).map(|row| target.links.intern(*row))
    }

    pub(crate) fn attributes(
        &mut self,
        target: &mut Tables,
        id: AttributesId,
    ) -> Option<AttributesId> {
        let mut set = self.sources.attributes.attributes.get(id)?.clone();
        let mut string = |id| self.string(target, TableSet::Attributes, id);
        for Attribute { key, value } in &mut set {
            *key = string(*key);
            *value = match *value {
                AttributeValue::Text(text) => AttributeValue::Text(string(text)),
                AttributeValue::Number(number, unit) => {
                    AttributeValue::Number(number, string(unit))
                }
            };
        }
        set.sort_unstable();
        Some(target.attributes.intern(set))
    }

    fn string(&mut self, target: &mut Tables, set: TableSet, id: StringId) -> StringId {
        let source = match set {
            TableSet::Names => &self.sources.names,
            TableSet::Threads => &self.sources.threads,
            TableSet::Links => &self.sources.links,
            TableSet::Attributes => &self.sources.attributes,
        };
        *self.strings.entry((set, id)).or_insert_with(|| target.strings.intern(source.text(id)))
    }

    fn name(&mut self, target: &mut Tables, id: StringId) -> StringId {
        self.string(target, TableSet::Names, id)
    }

    fn location(&mut self, target: &mut Tables, id: LocationId) -> Option<LocationId> {
        if let Some(&known) = self.locations.get(&id) {
            return Some(known);
        }
        let mut row: Location = self.sources.names.locations.get(id)?.clone();
        row.mapping = row.mapping.and_then(|mapping| self.mapping(target, mapping));
        row.lines.retain_mut(|line| {
            let function = self.function(target, line.function);
            line.function = function.unwrap_or_default();
            function.is_some()
        });
        let taken = target.locations.intern(row);
        self.locations.insert(id, taken);
        Some(taken)
    }

    fn function(&mut self, target: &mut Tables, id: FunctionId) -> Option<FunctionId> {
        if let Some(&known) = self.functions.get(&id) {
            return Some(known);
        }
        let row = *self.sources.names.functions.get(id)?;
        let (name, system_name) = (self.name(target, row.name), self.name(target, row.system_name));
        let file = self.name(target, row.file);
        let taken = target.functions.intern(Function { name, system_name, file, ..row });
        self.functions.insert(id, taken);
        Some(taken)
    }

    fn mapping(&mut self, target: &mut Tables, id: MappingId) -> Option<MappingId> {
        if let Some(&known) = self.mappings.get(&id) {
            return Some(known);
        }
        let row = *self.sources.names.mappings.get(id)?;
        let (file, build_id) = (self.name(target, row.file), self.name(target, row.build_id));
        let taken = target.mappings.intern(Mapping { file, build_id, ..row });
        self.mappings.insert(id, taken);
        Some(taken)
    }
}
