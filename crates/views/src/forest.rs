//! Trees of stacks of several tables side by side, as numbers: what is shown of them is merged by
//! name, the rest is only added up. A question about all services has millions of stacks and shows
//! thousands.

mod grown;
mod names;
mod sums;

use crate::flamegraph::FlameGraph;
use crate::frames::Frames;
use crate::limits::TABLES_BYTES_MAX;
use crate::top::{self, TopFunction, TopSort};
use crate::{AnswerMeta, Frame, LateNames};
use grown::Grown;
use names::{NOWHERE, Names};
use profile::handle::Handle;
use profile::{LocationId, StackId, Tables};
use std::sync::Arc;
use sums::Sums;

/// Call trees that are not merged. It answers as the [`crate::CallTree`] of the same stacks does,
/// at a quarter of its memory, as far as it [`Forest::fits`].
#[derive(Debug, Default)]
pub struct Forest {
    trees: Vec<Tree>,
    frames: Frames,
    /// Of the tables kept.
    tables_bytes: usize,
}

/// The stacks of one set of tables that have a value, in preorder: stack 0 is the root, and all that a
/// stack calls comes right after it.
#[derive(Debug)]
struct Tree {
    /// By stack: its value with that of its callees.
    totals: Vec<i64>,
    /// By stack.
    locations: Vec<u32>,
    /// By stack: the first one that it does not call.
    ends: Vec<u32>,
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

    fn callees(&self, stack: u32) -> impl Iterator<Item = u32> {
        callees(&self.ends, stack)
    }

    fn total(&self, stack: u32) -> i64 {
        self.totals[stack as usize]
    }

    fn own(&self, stack: u32) -> i64 {
        self.total(stack) - self.callees(stack).map(|at| self.total(at)).sum::<i64>()
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

    /// Number of its stacks, over all tables: about 16 bytes each.
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
        let mut kept = Kept::of(tables, &values);
        let ends = kept.arrange(tables);
        let mut locations = vec![NOWHERE; kept.stacks.len()];
        for &stack in &kept.stacks {
            let (_, location) = node(tables, stack);
            let place = kept.places[stack as usize] as usize;
            locations[place] = location.map_or(NOWHERE, |location| location.0);
        }
        let totals = kept.totals(&values, &ends);
        let mut tree = Tree { totals, locations, ends, names: Names::of(tables, late) };
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

/// What a stack calls directly, in a tree whose stacks end at `ends`.
fn callees(ends: &[u32], stack: u32) -> impl Iterator<Item = u32> {
    let (mut next, end) = (stack + 1, ends[stack as usize]);
    std::iter::from_fn(move || {
        let callee = next;
        next = ends.get(callee as usize).copied()?;
        (callee < end).then_some(callee)
    })
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
    /// By stack of the tables: its place among those that are kept, 0 for others. Memory is only taken
    /// where some are kept.
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
        Self { stacks, places }
    }

    /// Gives stacks their places, in preorder, and those where what each calls ends.
    fn arrange(&mut self, tables: &Tables) -> Vec<u32> {
        let Self { stacks, places } = self;
        // First by stack, how many it and its callees are.
        for &stack in &*stacks {
            places[stack as usize] = 1;
        }
        for &stack in stacks.iter().skip(1).rev() {
            places[node(tables, stack).0 as usize] += places[stack as usize];
        }
        let mut ends = vec![0; stacks.len()];
        // By place, where its next callee goes.
        let mut next = vec![0; stacks.len()];
        for &stack in &*stacks {
            let (caller, _) = node(tables, stack);
            let of_caller = places[caller as usize] as usize;
            let place = if stack == 0 { 0 } else { next[of_caller] };
            let end = place + places[stack as usize];
            if stack != 0 {
                next[of_caller] = end;
            }
            (ends[place as usize], next[place as usize]) = (end, place + 1);
            places[stack as usize] = place;
        }
        ends
    }

    /// By place: the value with that of the callees, which end at `ends`.
    fn totals(&self, values: &[(StackId, i64)], ends: &[u32]) -> Vec<i64> {
        let mut totals = vec![0; self.stacks.len()];
        for (stack, value) in values {
            // A stack that the tables do not have is the root.
            let place = self.places.get(stack.index()).copied().unwrap_or(0);
            totals[place as usize] += value;
        }
        for at in (0..totals.len()).rev() {
            totals[at] += callees(ends, at as u32).map(|at| totals[at as usize]).sum::<i64>();
        }
        totals
    }
}

#[cfg(test)]
mod tests;
