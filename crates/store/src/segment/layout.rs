//! The order in which a segment's tables are written: what belongs together lies together, so that
//! it compresses and so that subtrees are ranges.
//!
//! Stacks are in preorder: a stack's callees follow it before anything else does, so the parent is
//! most often the row before. Locations are in the order in which stacks come to them. Functions are in
//! groups of those that locations come to first, within a group by name: neighbours share the beginnings
//! of their names, and one service's are in few places. Measured on an hour of a busy host: 1.1 bytes a
//! stack instead of 2.5; with all functions in one group, 16 bytes a function instead of 23 without order.

use crate::limits::FUNCTION_GROUP_ROWS;
use profile::handle::Handle;
use profile::{FunctionId, LocationId, StackId, Tables};

/// Where things go.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Stacks in preorder without the root: parent and location, as new ordinals.
    pub(crate) nodes: Vec<(u32, u32)>,
    /// New ordinal of each stack; 0 for those that are not written.
    pub(crate) stacks: Vec<u32>,
    /// Locations that stacks use, in their new order.
    pub(crate) locations: Vec<LocationId>,
    /// Functions that locations use, in their new order.
    pub(crate) functions: Vec<FunctionId>,
    /// New ordinal of each function.
    pub(crate) function_ranks: Vec<u32>,
}

/// Stands for "not given yet".
const NEW: u32 = u32::MAX;

impl Layout {
    /// The order of `tables`, without stacks that are not `used` nor callers of one that is.
    pub(crate) fn of(tables: &Tables, used: Option<Vec<bool>>) -> Self {
        let used = used.map(|used| with_callers(tables, used));
        let is_used = |stack: usize| used.as_ref().is_none_or(|used| used[stack]);
        let mut layout = Self { stacks: vec![0; tables.stacks.len()], ..Self::default() };
        let mut ranks = vec![NEW; tables.locations.len()];
        let callees = Callees::of(tables);
        let mut work: Vec<u32> = callees.of_stack(0).rev().collect();
        while let Some(at) = work.pop() {
            let Some((parent, location)) = tables.stacks.node(StackId(at)) else { continue };
            if !is_used(at as usize) {
                continue;
            }
            let Some(rank) = ranks.get_mut(location.index()) else { continue };
            if *rank == NEW {
                *rank = layout.locations.len() as u32;
                layout.locations.push(location);
            }
            layout.nodes.push((layout.stacks[parent.index()], *rank));
            layout.stacks[at as usize] = layout.nodes.len() as u32;
            work.extend(callees.of_stack(at).rev());
        }
        layout.order_functions(tables);
        layout
    }

    fn order_functions(&mut self, tables: &Tables) {
        let mut is_used = vec![false; tables.functions.len()];
        let mut used: Vec<usize> = Vec::new();
        let rows = self.locations.iter().filter_map(|&at| tables.locations.get(at));
        for line in rows.flat_map(|row| &row.lines) {
            let at = line.function.index();
            if is_used.get_mut(at).is_some_and(|used| !std::mem::replace(used, true)) {
                used.push(at);
            }
        }
        let rows = tables.functions.rows();
        // Most names differ at their beginning, which lies beside the handle, and few are equal.
        let named = |at: usize| {
            let name = tables.text(rows[at].name);
            (beginning(name), name, FunctionId::from_index(at))
        };
        let rest = |at: FunctionId| {
            let row = &rows[at.index()];
            (tables.text(row.file), row.start_line, tables.text(row.system_name))
        };
        for group in used.chunks(FUNCTION_GROUP_ROWS) {
            let mut group: Vec<_> = group.iter().map(|&at| named(at)).collect();
            group.sort_unstable_by(|a, b| {
                let names = a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1));
                names.then_with(|| rest(a.2).cmp(&rest(b.2)))
            });
            self.functions.extend(group.into_iter().map(|(_, _, at)| at));
        }
        self.function_ranks = vec![0; tables.functions.len()];
        for (rank, at) in self.functions.iter().enumerate() {
            self.function_ranks[at.index()] = rank as u32;
        }
    }
}

/// The first bytes of a text as a number that sorts like it.
fn beginning(text: &str) -> u128 {
    let mut bytes = [0; 16];
    let length = text.len().min(bytes.len());
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    u128::from_be_bytes(bytes)
}

/// Marks the callers of what is marked; they come before their callees.
fn with_callers(tables: &Tables, mut used: Vec<bool>) -> Vec<bool> {
    used.resize(tables.stacks.len(), false);
    for at in (1..used.len()).rev() {
        if let Some((parent, _)) = tables.stacks.node(StackId::from_index(at)).filter(|_| used[at])
        {
            used[parent.index()] = true;
        }
    }
    used
}

/// The callees of every stack, in order.
struct Callees {
    starts: Vec<u32>,
    stacks: Vec<u32>,
}

impl Callees {
    fn of(tables: &Tables) -> Self {
        let mut starts = vec![0_u32; tables.stacks.len() + 1];
        for (_, parent, _) in tables.stacks.iter() {
            starts[parent.index() + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut stacks = vec![0; tables.stacks.len() - 1];
        for (stack, parent, _) in tables.stacks.iter() {
            let place = &mut next[parent.index()];
            stacks[*place as usize] = stack.0;
            *place += 1;
        }
        Self { starts, stacks }
    }

    fn of_stack(&self, stack: u32) -> impl DoubleEndedIterator<Item = u32> {
        let range = self.starts[stack as usize] as usize..self.starts[stack as usize + 1] as usize;
        self.stacks[range].iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_in_preorder_and_unused_ones_are_left_out() {
        let mut tables = Tables::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| tables.named_location(name));
        let root = StackId(0);
        let at_c = tables.stacks.intern(root, c);
        let at_a = tables.stacks.intern(root, a);
        let ca = tables.stacks.intern(at_c, a);
        let ab = tables.stacks.intern(at_a, b);
        let cb = tables.stacks.intern(at_c, b);
        let layout = Layout::of(&tables, None);
        assert_eq!(layout.nodes, [(0, 0), (1, 1), (1, 2), (0, 1), (4, 2)]);
        assert_eq!(layout.locations, [c, a, b]);
        let rank = |stack: StackId| layout.stacks[stack.index()];
        assert_eq!([root, at_c, ca, cb, at_a, ab].map(rank), [0, 1, 2, 3, 4, 5]);

        let mut used = vec![false; tables.stacks.len()];
        used[ab.index()] = true;
        let layout = Layout::of(&tables, Some(used));
        assert_eq!((layout.nodes, layout.locations), (vec![(0, 0), (1, 1)], vec![a, b]));
        assert_eq!(layout.functions.len(), 2, "c is of no stack");
    }

    #[test]
    fn functions_are_in_order_of_their_names() {
        let mut tables = Tables::default();
        let long = "a function whose name ";
        for name in ["b", "c", &format!("{long}2"), "a", &format!("{long}10"), ""] {
            let location = tables.named_location(name);
            tables.stacks.intern(StackId(0), location);
        }
        let layout = Layout::of(&tables, None);
        let rows = tables.functions.rows();
        let names = layout.functions.iter().map(|at| tables.text(rows[at.index()].name));
        let (ten, two) = (format!("{long}10"), format!("{long}2"));
        assert_eq!(names.collect::<Vec<_>>(), ["", "a", &ten, &two, "b", "c"]);
        assert_eq!(layout.function_ranks, [4, 5, 3, 1, 2, 0]);
    }
}
