//! A profile of stacks of names with one value each, as it is read: what folded text and
//! Pyroscope's trees and tries hold.

use crate::decoded::{Decoded, Issues, Options};
use crate::folded::Shape;
use crate::intern::{Budget, text};
use crate::rows::Rows;
use profile::{KeyedMap, LocationId, Profile, Sample};

/// What has been read so far.
pub(crate) struct Stacks<'a> {
    options: &'a Options,
    factor: i64,
    profile: Profile,
    rows: Rows,
    names: KeyedMap<Box<[u8]>, LocationId>,
    pub(crate) budget: Budget,
    pub(crate) issues: Issues,
}

impl<'a> Stacks<'a> {
    /// None yet, of values that are what `values` says.
    pub(crate) fn new(values: &Shape, options: &'a Options, issues: Issues) -> Self {
        let mut profile = Profile::default();
        let types = vec![(values.sample_type.clone(), values.unit.clone())];
        let rows = Rows::new(types, ("", ""), options, &mut profile);
        let (names, budget) = (KeyedMap::default(), Budget::new(options.limits));
        Self { options, factor: values.factor, profile, rows, names, budget, issues }
    }

    /// The location of a frame; `None` where it is one too many.
    pub(crate) fn location(&mut self, name: &[u8]) -> Option<LocationId> {
        if let Some(&known) = self.names.get(name) {
            return Some(known);
        }
        let issues = &mut self.issues;
        if !(self.budget.location(issues) && self.budget.text(name.len(), issues)) {
            return None;
        }
        let shown = text(name, &self.options.limits, issues);
        let location = self.profile.tables.named_location(&shown);
        self.names.insert(name.into(), location);
        Some(location)
    }

    /// The locations of frames, the leaf's first, up to the first that is one too many.
    pub(crate) fn locations<'n>(
        &mut self,
        leaf_first: impl Iterator<Item = &'n [u8]>,
    ) -> Vec<LocationId> {
        let named = leaf_first.filter(|name| !name.is_empty());
        named.map_while(|name| self.location(name)).collect()
    }

    /// Adds a value at a stack.
    pub(crate) fn push(&mut self, leaf_first: &[LocationId], value: i64) {
        let (profile, issues) = (&mut self.profile, &mut self.issues);
        let stack = self.budget.stack(&mut profile.tables, leaf_first, issues);
        let sample = Sample { stack, ..Sample::default() };
        let value = value.saturating_mul(self.factor);
        self.rows.push(profile, &sample, &[value], &mut self.budget, issues);
    }

    pub(crate) fn finish(self) -> Decoded {
        let is_empty = self.profile.samples.is_empty();
        let profiles = if is_empty { Vec::new() } else { vec![self.rows.finish(self.profile)] };
        Decoded::new(profiles, self.issues)
    }
}
