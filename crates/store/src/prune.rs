//! A part without some of its profiles, or without some kinds of them: what is left has tables of its
//! own, so that no name of what is gone stays behind.

use crate::collect::Collector;
use crate::rows::{NONE, ProfileRow, Row};
use profile::handle::Handle;
use profile::{
    Attribute, AttributeValue, AttributesId, Function, FunctionId, Line, LinkId, Location,
    LocationId, Mapping, StackId, Tables, Thread, ThreadId,
};
use rustc_hash::FxHashSet;

/// Keeps what `keep` says of each profile and kind; a profile without kinds is asked for as `""`.
/// A profile of which nothing is kept is gone.
pub(crate) fn keep_only(
    from: &Collector,
    keep: &mut dyn FnMut(&ProfileRow, &str) -> bool,
) -> Collector {
    let mut out = Collector::new(from.tenant.clone());
    let mut ranks = vec![NONE; from.profiles.len()];
    let mut gone: FxHashSet<(u32, &str)> = FxHashSet::default();
    for (row, rank) in from.profiles.iter().zip(&mut ranks) {
        let mut kinds = row.kinds.clone();
        kinds.retain(|kind| keep(row, &kind.kind));
        let is_kept = if row.kinds.is_empty() { keep(row, "") } else { !kinds.is_empty() };
        if !is_kept {
            continue;
        }
        if kinds.len() < row.kinds.len() {
            let dropped = row.kinds.iter().filter(|kind| !kinds.contains(kind));
            gone.extend(dropped.map(|kind| (row.ordinal, kind.kind.as_str())));
        }
        *rank = out.profiles.len() as u32;
        let (series, labels) = out.ordinals.series(&row.labels);
        let samples = kinds.iter().map(|kind| kind.samples).sum();
        let ordinal = *rank;
        out.profiles.push(ProfileRow { ordinal, series, labels, samples, kinds, ..row.clone() });
    }
    let mut tables = Kept::new(&from.tables);
    for row in &from.rows {
        let kind = from.ordinals.kinds.get(row.kind as usize).map_or("", |kind| kind);
        let rank = ranks.get(row.profile as usize).copied().unwrap_or(NONE);
        if rank == NONE || gone.contains(&(row.profile, kind)) {
            continue;
        }
        tables.mark(row);
        let kind = out.ordinals.kind(kind);
        let series = out.profiles[rank as usize].series;
        out.rows.push(Row { kind, series, profile: rank, ..*row });
    }
    tables.take();
    for row in &mut out.rows {
        tables.translate(row);
    }
    out.tables = tables.to;
    out
}

/// Tables with only what rows use.
struct Kept<'a> {
    from: &'a Tables,
    to: Tables,
    /// By position in `from`: used, then the new place.
    stacks: Vec<u32>,
    threads: Vec<u32>,
    links: Vec<u32>,
    attributes: Vec<u32>,
}

/// Used, but without a new place yet.
const USED: u32 = 0;

fn mark(places: &mut [u32], at: u32) {
    if let Some(place) = places.get_mut(at as usize) {
        *place = USED;
    }
}

impl<'a> Kept<'a> {
    fn new(from: &'a Tables) -> Self {
        let mut stacks = vec![NONE; from.stacks.len()];
        mark(&mut stacks, 0);
        Self {
            from,
            to: Tables::default(),
            stacks,
            threads: vec![NONE; from.threads.len()],
            links: vec![NONE; from.links.len()],
            attributes: vec![NONE; from.attributes.len()],
        }
    }

    fn mark(&mut self, row: &Row) {
        mark(&mut self.stacks, row.stack);
        mark(&mut self.threads, row.thread);
        mark(&mut self.links, row.link);
        mark(&mut self.attributes, row.attributes);
    }

    /// Copies what was marked; a stack takes its callers along.
    fn take(&mut self) {
        let nodes: Vec<(StackId, StackId, LocationId)> = self.from.stacks.iter().collect();
        for (node, parent, _) in nodes.iter().rev() {
            if self.stacks.get(node.index()).is_some_and(|place| *place != NONE) {
                mark(&mut self.stacks, parent.0);
            }
        }
        for (node, parent, location) in nodes {
            if self.stacks.get(node.index()).is_none_or(|place| *place == NONE) {
                continue;
            }
            let parent = self.stacks.get(parent.index()).copied().unwrap_or(0);
            let location = self.location(location);
            self.stacks[node.index()] = self.to.stacks.intern(StackId(parent), location).0;
        }
        self.take_small();
    }

    fn take_small(&mut self) {
        let Self { from, to, threads, links, attributes, .. } = self;
        for (at, place) in threads.iter_mut().enumerate().filter(|(_, place)| **place != NONE) {
            let Some(row) = from.threads.get(ThreadId(at as u32)) else { continue };
            let name = to.strings.intern(from.text(row.name));
            *place = to.threads.intern(Thread { id: row.id, name }).0;
        }
        for (at, place) in links.iter_mut().enumerate().filter(|(_, place)| **place != NONE) {
            let Some(row) = from.links.get(LinkId(at as u32)) else { continue };
            *place = to.links.intern(*row).0;
        }
        for (at, place) in attributes.iter_mut().enumerate().filter(|(_, place)| **place != NONE) {
            let Some(set) = from.attributes.get(AttributesId(at as u32)) else { continue };
            let mut text = |id| to.strings.intern(from.text(id));
            let set = set.iter().map(|row| {
                let key = text(row.key);
                let value = match row.value {
                    AttributeValue::Text(id) => AttributeValue::Text(text(id)),
                    AttributeValue::Number(number, unit) => {
                        AttributeValue::Number(number, text(unit))
                    }
                };
                Attribute { key, value }
            });
            let mut set: Vec<Attribute> = set.collect();
            set.sort_unstable();
            *place = to.attributes.intern(set).0;
        }
    }

    fn location(&mut self, id: LocationId) -> LocationId {
        let Some(row) = self.from.locations.get(id) else {
            return self.to.locations.intern(Location::default());
        };
        let lines = row.lines.iter();
        let lines: Vec<Line> =
            lines.map(|line| Line { function: self.function(line.function), ..*line }).collect();
        let mapping = row.mapping.and_then(|id| self.from.mappings.get(id)).copied();
        let mapping = mapping.map(|row| {
            let file = self.to.strings.intern(self.from.text(row.file));
            let build_id = self.to.strings.intern(self.from.text(row.build_id));
            self.to.mappings.intern(Mapping { file, build_id, ..row })
        });
        self.to.locations.intern(Location { mapping, lines, ..*row })
    }

    fn function(&mut self, id: FunctionId) -> FunctionId {
        let row = self.from.functions.get(id).copied().unwrap_or_default();
        let mut text = |id| self.to.strings.intern(self.from.text(id));
        let (name, system_name, file) = (text(row.name), text(row.system_name), text(row.file));
        self.to.functions.intern(Function { name, system_name, file, ..row })
    }

    fn translate(&self, row: &mut Row) {
        let place = |places: &[u32], at: u32| places.get(at as usize).copied().unwrap_or(NONE);
        row.stack = place(&self.stacks, row.stack);
        row.thread = place(&self.threads, row.thread);
        row.link = place(&self.links, row.link);
        row.attributes = place(&self.attributes, row.attributes);
    }
}
