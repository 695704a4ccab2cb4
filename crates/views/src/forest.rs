//! Trees of stacks of several tables side by side, as numbers: what is shown of them is merged by
//! name, the rest is only added up. A question about all services has millions of stacks and shows
//! thousands.

mod grown;
mod names;
mod sums;

use crate::flamegraph::FlameGraph;
use crate::frames::Frames;
use crate::top::{self, TopFunction, TopSort};
use crate::{AnswerMeta, Frame, LateNames};
use grown::Grown;
use names::{NOWHERE, Names};
use profile::handle::Handle;
use profile::{LocationId, StackId, Tables};
use std::ops::Range;
use std::sync::Arc;
use sums::Sums;

/// Bytes of tables that are kept until it is known which of their names are shown; of further
/// tables all names are looked for at once.
const TABLES_BYTES_MAX: usize = 384 << 20;

/// Call trees that are not merged. It answers as the [`crate::CallTree`] of the same stacks does,
/// at a third of its memory, as far as it [`Forest::fits`].
#[derive(Debug, Default)]
pub struct Forest {
    trees: Vec<Tree>,
    frames: Frames,
    /// Of the tables kept.
    tables_bytes: usize,
}

/// The stacks of one set of tables that have a value. Stack 0 is the root; a stack comes before its
/// callees.
#[derive(Debug)]
struct Tree {
    /// By stack: its value with that of its callees.
    totals: Vec<i64>,
    /// By stack.
    locations: Vec<u32>,
    /// By stack and one: where its callees begin in `callees`.
    starts: Vec<u32>,
    callees: Vec<u32>,
    names: Names,
}

impl Tree {
    /// The frames of a stack's location, outermost first.
    fn frames(&mut self, stack: u32, frames: &mut Frames) -> &[u32] {
        self.names.of_location(self.locations[stack as usize], frames)
    }

    /// Those of a stack of a tree with all names.
    fn known_frames(&self, stack: u32) -> &[u32] {
        self.names.known(self.locations[stack as usize])
    }

    /// Looks for all names.
    fn name_all(&mut self, frames: &mut Frames) {
        self.names.find_all(&self.locations, frames);
    }

    /// Where a stack's callees are in `callees`.
    fn callee_range(&self, stack: u32) -> Range<usize> {
        let at = stack as usize;
        self.starts[at] as usize..self.starts[at + 1] as usize
    }

    fn callees(&self, stack: u32) -> &[u32] {
        &self.callees[self.callee_range(stack)]
    }

    fn total(&self, stack: u32) -> i64 {
        self.totals[stack as usize]
    }

    fn own(&self, stack: u32) -> i64 {
        let callees = self.callees(stack).iter().map(|at| self.total(*at));
        self.total(stack) - callees.sum::<i64>()
    }
}

impl Forest {
    /// Whether it can hold further values: none is negative and the sum of all fits in 64 bits.
    pub fn fits(&self, values: impl IntoIterator<Item = i128>) -> bool {
        let mut values = values.into_iter();
        let sum = values.try_fold(self.total(), |sum, value| {
            let value = i64::try_from(value).ok().filter(|value| *value >= 0)?;
            sum.checked_add(value)
        });
        sum.is_some()
    }

    /// Number of its stacks, over all tables: about 24 bytes each.
    pub fn stacks(&self) -> usize {
        self.trees.iter().map(|tree| tree.totals.len()).sum()
    }

    /// The sum of all values.
    pub fn total(&self) -> i64 {
        self.trees.iter().map(|tree| tree.total(0)).sum()
    }

    /// Adds values by stack of one set of tables, and who names what has no name in them. The values
    /// must [`Forest::fits`]. Stacks that the tables do not have are the root.
    pub fn add(
        &mut self,
        tables: &Arc<Tables>,
        late: &LateNames,
        values: impl IntoIterator<Item = (StackId, i64)>,
    ) {
        let values: Vec<_> = values.into_iter().filter(|(_, value)| *value != 0).collect();
        let kept = Kept::of(tables, &values);
        let count = kept.stacks.len();
        let mut starts = vec![0; count + 1];
        let (mut callers, mut locations) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for &stack in &kept.stacks {
            let (caller, location) = node(tables, stack);
            let caller = kept.places[caller as usize];
            callers.push(caller);
            locations.push(location.map_or(NOWHERE, |location| location.0));
            starts[caller as usize + 1] += u32::from(stack != 0);
        }
        let totals = kept.totals(&values, &callers);
        let callees = callees(&mut starts, &callers);
        let names = Names::of(tables, late);
        let mut tree = Tree { totals, locations, starts, callees, names };
        let bytes = tables.estimated_bytes();
        if self.tables_bytes + bytes > TABLES_BYTES_MAX {
            tree.name_all(&mut self.frames);
        } else {
            self.tables_bytes += bytes;
        }
        self.trees.push(tree);
    }

    /// The flame graph of all trees merged by name: what [`FlameGraph::of`] makes of their
    /// [`crate::CallTree`]. Names are looked for of what is shown and what it calls.
    pub fn flamegraph(&mut self, max_nodes: usize, meta: AnswerMeta) -> FlameGraph {
        Grown::of(self, max_nodes).flamegraph(meta)
    }

    /// The `limit` first functions in the order asked for, as [`crate::CallTree::top`].
    pub fn top(&mut self, limit: usize, sort: TopSort) -> Vec<TopFunction> {
        self.name_all();
        let keys: Vec<u32> = (0..self.frames.len() as u32).collect();
        let rows = self.frames.iter().zip(self.sums_by(&keys, keys.len()));
        let row = |(frame, (own, total))| TopFunction { frame: Clone::clone(frame), own, total };
        top::first(rows.map(row).collect(), limit, sort)
    }

    /// Looks for the frames of all stacks.
    pub(crate) fn name_all(&mut self) {
        for tree in &mut self.trees {
            tree.name_all(&mut self.frames);
        }
    }

    /// The frames that were looked for.
    pub(crate) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Own values and totals by key, of which each frame has one, and all were looked for; a total
    /// counts once however often its key is on the path.
    pub(crate) fn sums_by(&self, keys: &[u32], count: usize) -> Vec<(i64, i64)> {
        let mut sums = Sums::by(keys, count);
        for tree in &self.trees {
            sums.add(tree);
        }
        sums.rows
    }
}

/// The callees of stacks, one stack's after the other's. `starts` has the number of each stack's, one
/// place further on, and then where they begin.
fn callees(starts: &mut [u32], callers: &[u32]) -> Vec<u32> {
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.to_vec();
    let mut callees = vec![0; callers.len() - 1];
    for (at, &caller) in callers.iter().enumerate().skip(1) {
        let place = &mut next[caller as usize];
        callees[*place as usize] = at as u32;
        *place += 1;
    }
    callees
}

/// Caller and location of a stack of tables; the root is its own caller.
fn node(tables: &Tables, stack: u32) -> (u32, Option<LocationId>) {
    let node = tables.stacks.node(StackId(stack));
    node.map_or((0, None), |(caller, location)| (caller.0, Some(location)))
}

/// Stacks of tables that have a value, and their callers.
struct Kept {
    /// In the order of the tables, the root first: callers come before their callees.
    stacks: Vec<u32>,
    /// By stack of the tables: its place in `stacks`, 0 for those that are not kept. Memory is only
    /// taken where some are.
    places: Vec<u32>,
}

impl Kept {
    fn of(tables: &Tables, values: &[(StackId, i64)]) -> Self {
        let all = tables.stacks.len();
        let mut places = vec![0; all];
        let mut stacks = vec![0];
        for (stack, _) in values.iter().filter(|(stack, _)| stack.index() < all) {
            let mut at = stack.0;
            while at != 0 && places[at as usize] == 0 {
                places[at as usize] = 1;
                stacks.push(at);
                at = node(tables, at).0;
            }
        }
        if stacks.len() > all / 8 {
            stacks.clear();
            stacks.extend((0..all as u32).filter(|&at| at == 0 || places[at as usize] != 0));
        } else {
            stacks.sort_unstable();
        }
        for (place, &stack) in stacks.iter().enumerate() {
            places[stack as usize] = place as u32;
        }
        Self { stacks, places }
    }

    /// By place: the value with that of the callees.
    fn totals(&self, values: &[(StackId, i64)], callers: &[u32]) -> Vec<i64> {
        let mut totals = vec![0; self.stacks.len()];
        for (stack, value) in values {
            // A stack that the tables do not have is the root.
            let place = self.places.get(stack.index()).copied().unwrap_or(0);
            totals[place as usize] += value;
        }
        for at in (1..totals.len()).rev() {
            totals[callers[at] as usize] += totals[at];
        }
        totals
    }
}

#[cfg(test)]
mod tests;
