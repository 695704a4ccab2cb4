//! A part without some of its profiles, or without some kinds of them: what is left has tables of its
//! own, so that no name of what is gone stays behind.

use crate::Error;
use crate::batch::from_batch;
use crate::collect::{Arranged, Collected};
use crate::rows::{NONE, ProfileRow, Row};
use crate::segment::{Segment, read};
use arrow::array::RecordBatch;
use profile::handle::Handle;
use profile::{
    Attribute, AttributeValue, AttributesId, Function, FunctionId, Line, Lines, LinkId, Location,
    LocationId, Mapping, StackId, Tables, Thread, ThreadId,
};
use rustc_hash::FxHashSet;

/// What is kept of a segment.
pub(crate) struct Pruned {
    pub(crate) tables: Tables,
    pub(crate) profiles: Vec<ProfileRow>,
    chosen: Chosen,
    places: Places,
}

/// Profiles and kinds that are kept.
struct Chosen {
    /// The kinds of the segment.
    kinds: Vec<String>,
    /// New ordinal of each profile; [`NONE`] of those that are gone.
    ranks: Vec<u32>,
    /// Profiles, by old ordinal, and kinds that are gone of them.
    gone: FxHashSet<(u32, u32)>,
}

impl Chosen {
    fn kind(&self, kind: &str) -> u32 {
        self.kinds.iter().position(|have| have == kind).map_or(NONE, |at| at as u32)
    }

    fn rank(&self, row: &Row) -> Option<u32> {
        let rank = self.ranks.get(row.profile as usize).copied();
        rank.filter(|rank| *rank != NONE && !self.gone.contains(&(row.profile, row.kind)))
    }

    /// The rows of a batch that are kept, as they were.
    fn rows(&self, batch: &RecordBatch, rows: &mut Vec<Row>) -> Result<(), Error> {
        rows.clear();
        from_batch(batch, &mut |kind| self.kind(kind), rows)?;
        rows.retain(|row| self.rank(row).is_some());
        Ok(())
    }
}

impl Pruned {
    /// Keeps what `keep` says of each profile and kind; a profile without kinds is asked for as
    /// `""`. A profile of which nothing is kept is gone. Reads the samples a piece at a time.
    pub(crate) fn of(
        segment: &Segment,
        keep: &mut dyn FnMut(&ProfileRow, &str) -> bool,
    ) -> Result<Self, Error> {
        let (tables, all) = (segment.read_all_tables()?, segment.read_profiles()?);
        let kinds = segment.index.kinds.clone();
        let mut chosen = Chosen { kinds, ranks: vec![NONE; all.len()], gone: FxHashSet::default() };
        let mut profiles = Vec::new();
        for (at, row) in all.into_iter().enumerate() {
            let (kept, dropped): (Vec<usize>, Vec<usize>) =
                (0..row.kinds.len()).partition(|&kind| keep(&row, &row.kinds[kind].kind));
            let is_kept = if row.kinds.is_empty() { keep(&row, "") } else { !kept.is_empty() };
            if !is_kept {
                continue;
            }
            for &kind in &dropped {
                chosen.gone.insert((row.ordinal, chosen.kind(&row.kinds[kind].kind)));
            }
            let ordinal = profiles.len() as u32;
            chosen.ranks[at] = ordinal;
            profiles.push(ProfileRow { ordinal, ..row.with_kinds(&kept) });
        }
        let mut kept = Kept::new(&tables);
        let mut rows = Vec::new();
        for batch in read::samples(segment)? {
            chosen.rows(&batch?, &mut rows)?;
            for row in &rows {
                kept.mark(row);
            }
        }
        kept.take();
        Ok(Self { tables: kept.to, profiles, chosen, places: kept.places })
    }

    /// The rows that are kept, with the ordinals of what was collected of this.
    pub(crate) fn rows<'a>(
        &'a self,
        segment: &Segment,
        arranged: &'a Arranged,
        collected: &'a Collected,
    ) -> Result<impl Iterator<Item = Result<Row, Error>> + use<'a>, Error> {
        let kinds: Vec<u32> = self.chosen.kinds.iter().map(|kind| arranged.kind(kind)).collect();
        let place = move |batch: Result<RecordBatch, Error>| {
            let mut rows = Vec::new();
            self.chosen.rows(&batch?, &mut rows)?;
            for row in &mut rows {
                row.profile = self.chosen.rank(row).unwrap_or(NONE);
                row.kind = kinds.get(row.kind as usize).copied().unwrap_or(NONE);
                self.places.translate(row);
                arranged.place(collected, row)?;
            }
            Ok(rows)
        };
        let each = |rows: Result<Vec<Row>, Error>| match rows {
            Ok(rows) => (rows, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        let pieces = read::samples(segment)?.map(place).map(each);
        Ok(pieces.flat_map(|(rows, error)| rows.into_iter().map(Ok).chain(error)))
    }
}

/// Tables with only what rows use.
struct Kept<'a> {
    from: &'a Tables,
    to: Tables,
    places: Places,
}

/// By old position: used, then the new place.
struct Places {
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
        let places = Places {
            stacks,
            threads: vec![NONE; from.threads.len()],
            links: vec![NONE; from.links.len()],
            attributes: vec![NONE; from.attributes.len()],
        };
        Self { from, to: Tables::default(), places }
    }

    fn mark(&mut self, row: &Row) {
        mark(&mut self.places.stacks, row.stack);
        mark(&mut self.places.threads, row.thread);
        mark(&mut self.places.links, row.link);
        mark(&mut self.places.attributes, row.attributes);
    }

    /// Copies what was marked; a stack takes its callers along.
    fn take(&mut self) {
        let nodes: Vec<(StackId, StackId, LocationId)> = self.from.stacks.iter().collect();
        for (node, parent, _) in nodes.iter().rev() {
            if self.places.stacks.get(node.index()).is_some_and(|place| *place != NONE) {
                mark(&mut self.places.stacks, parent.0);
            }
        }
        for (node, parent, location) in nodes {
            if self.places.stacks.get(node.index()).is_none_or(|place| *place == NONE) {
                continue;
            }
            let parent = self.places.stacks.get(parent.index()).copied().unwrap_or(0);
            let location = self.location(location);
            self.places.stacks[node.index()] = self.to.stacks.intern(StackId(parent), location).0;
        }
        self.take_small();
    }

    fn take_small(&mut self) {
        let Self { from, to, places: Places { threads, links, attributes, .. } } = self;
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
        let lines: Lines =
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
}

impl Places {
    fn translate(&self, row: &mut Row) {
        let place = |places: &[u32], at: u32| places.get(at as usize).copied().unwrap_or(NONE);
        row.stack = place(&self.stacks, row.stack);
        row.thread = place(&self.threads, row.thread);
        row.link = place(&self.links, row.link);
        row.attributes = place(&self.attributes, row.attributes);
    }
}
