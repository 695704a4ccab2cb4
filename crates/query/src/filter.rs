//! A filter of samples in the ordinals of one part: what `views::Filter` says sample by sample, once
//! for each link, thread, attribute set and stack of the part's tables.

use crate::error;
use crate::predicate::RowSet;
use profile::handle::Handle;
use profile::{AttributesId, KeyedMap, LocationId, StackId, Tables};
use std::sync::Arc;
use store::{Part, TableSet};
use views::{Filter, LateNames, NamedTables, Pattern, ViewError};

/// A filter resolved to ordinals.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartFilter {
    rows: Vec<RowSet>,
    stacks: Option<Arc<Vec<bool>>>,
    keeps_nothing: bool,
}

impl PartFilter {
    pub(crate) async fn of(
        filter: &Filter,
        part: &Part,
        names: &LateNames,
    ) -> Result<Self, ViewError> {
        let read = async |set| part.tables(set).await.map_err(error::store);
        let mut resolved = Self::default();
        if filter.trace.is_some() || filter.span.is_some() {
            let tables = read(TableSet::Links).await?;
            let keeps = tables.links.rows().iter().map(|row| filter.keeps_link(Some(row)));
            resolved.add(RowSet::of("link", keeps.collect(), filter.keeps_link(None)));
        }
        if filter.thread.is_some() {
            let tables = read(TableSet::Threads).await?;
            let rows = tables.threads.rows().iter();
            let keeps = rows.map(|row| filter.keeps_thread(&tables, Some(row)));
            let null = filter.keeps_thread(&tables, None);
            resolved.add(RowSet::of("thread", keeps.collect(), null));
        }
        if !filter.attributes.is_empty() {
            let tables = read(TableSet::Attributes).await?;
            let ids = (0..tables.attributes.len()).map(AttributesId::from_index);
            let keeps = ids.map(|id| filter.keeps_attributes(&tables, Some(id)));
            let null = filter.keeps_attributes(&tables, None);
            resolved.add(RowSet::of("attributes", keeps.collect(), null));
        }
        if filter.asks_for_stacks() {
            let tables = read(TableSet::Names).await?;
            let stacks = Stacks::of(filter, names.over(&tables)).kept();
            resolved.keeps_nothing |= !stacks.contains(&true);
            resolved.stacks = Some(Arc::new(stacks));
        }
        Ok(resolved)
    }

    /// The filter that keeps nothing.
    pub(crate) fn nothing() -> Self {
        Self { keeps_nothing: true, ..Self::default() }
    }

    fn add(&mut self, set: Option<RowSet>) {
        self.keeps_nothing |= set.as_ref().is_some_and(RowSet::keeps_nothing);
        self.rows.extend(set);
    }

    /// Whether no row of the part fulfils it.
    pub(crate) fn keeps_nothing(&self) -> bool {
        self.keeps_nothing
    }

    /// Whether a stack is kept; stacks that the part does not have are, when all are.
    pub(crate) fn keeps_stack(&self, stack: StackId) -> bool {
        let kept = |stacks: &Arc<Vec<bool>>| stacks.get(stack.index()).copied().unwrap_or(false);
        self.stacks.as_ref().is_none_or(kept)
    }

    /// As conditions on rows, with stacks or for all stacks.
    pub(crate) fn conditions(&self, with_stacks: bool) -> Vec<RowSet> {
        let mut rows = self.rows.clone();
        if let Some(stacks) = self.stacks.as_ref().filter(|_| with_stacks) {
            rows.extend(RowSet::of("stack", stacks.as_ref().clone(), false));
        }
        rows
    }
}

/// What one frame fits.
#[derive(Clone, Copy, Debug, Default)]
struct Fits {
    /// A bit for each function of the filter.
    functions: u64,
    /// A bit for each frame of the call path.
    path: u64,
    leaf: bool,
}

/// What the stack up to a node holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    functions: u64,
    /// Bit n: the last n frames are the first n of the path. The bit of the whole path stays.
    path: u64,
    leaf: bool,
}

struct Stacks<'a> {
    filter: &'a Filter,
    named: NamedTables<'a>,
    tables: &'a Tables,
    /// Frames of the path.
    path: &'a [Pattern],
    from_root: bool,
    names: KeyedMap<String, Fits>,
}

impl<'a> Stacks<'a> {
    fn of(filter: &'a Filter, named: NamedTables<'a>) -> Self {
        let path = filter.path.as_ref();
        Self {
            filter,
            named,
            tables: named.tables,
            path: path.map_or(&[], |path| path.frames.as_slice()),
            from_root: path.is_some_and(|path| path.from_root),
            names: KeyedMap::default(),
        }
    }

    /// Whether each stack is kept: a node holds what its parent holds and its own frames. Parents
    /// come before their children.
    fn kept(mut self) -> Vec<bool> {
        let locations = (0..self.tables.locations.len()).map(LocationId::from_index);
        let locations: Vec<Box<[Fits]>> = locations.map(|id| self.frames(id)).collect();
        let root = Held { functions: 0, path: 1, leaf: false };
        let mut held = Vec::with_capacity(self.tables.stacks.len());
        held.push(root);
        for (_, parent, location) in self.tables.stacks.iter() {
            let above = held.get(parent.index()).copied().unwrap_or(root);
            let frames = locations.get(location.index()).map_or(&[][..], |frames| frames);
            held.push(frames.iter().fold(above, |held, frame| self.step(held, *frame)));
        }
        held.into_iter().map(|held| self.keeps(held)).collect()
    }

    fn step(&self, above: Held, frame: Fits) -> Held {
        let whole = 1 << self.path.len();
        let mut path = ((above.path & frame.path) << 1) | (above.path & whole);
        if !self.from_root {
            path |= 1;
        }
        Held { functions: above.functions | frame.functions, path, leaf: frame.leaf }
    }

    fn keeps(&self, held: Held) -> bool {
        let all = (1 << self.filter.functions.len()) - 1;
        held.functions == all
            && held.path & (1 << self.path.len()) != 0
            && (held.leaf || self.filter.leaf.is_none())
    }

    /// What the frames of a location fit, outermost first.
    fn frames(&mut self, id: LocationId) -> Box<[Fits]> {
        let names = self.named.names(id);
        names.into_iter().map(|name| self.fits(name)).collect()
    }

    fn fits(&mut self, name: String) -> Fits {
        if let Some(&known) = self.names.get(&name) {
            return known;
        }
        let bits = |patterns: &[Pattern]| {
            let bit = |(at, pattern): (usize, &Pattern)| u64::from(pattern.matches(&name)) << at;
            patterns.iter().enumerate().map(bit).sum()
        };
        let fits = Fits {
            functions: bits(&self.filter.functions),
            path: bits(self.path),
            leaf: self.filter.leaf.as_ref().is_some_and(|leaf| leaf.matches(&name)),
        };
        self.names.insert(name, fits);
        fits
    }
}
