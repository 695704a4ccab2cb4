//! Sums by what frames belong to.

use super::Tree;

/// Sums by key; one that is on a path more than once counts once.
pub(super) struct Sums<'a> {
    /// By frame.
    keys: &'a [u32],
    /// By key: its own value and its total.
    pub(super) rows: Vec<(i64, i64)>,
    is_on_path: Vec<bool>,
    /// The keys that are, in the order of the path.
    path: Vec<u32>,
}

enum Step {
    /// To a stack, from the key that calls it.
    Enter(u32, u32),
    /// Back to a path of so many keys.
    Leave(usize),
}

impl<'a> Sums<'a> {
    /// By so many keys, of which each frame has one.
    pub(super) fn by(keys: &'a [u32], count: usize) -> Self {
        Self { keys, rows: vec![(0, 0); count], is_on_path: vec![false; count], path: Vec::new() }
    }

    /// Adds a tree with all names.
    pub(super) fn add(&mut self, tree: &Tree) {
        let mut work = vec![Step::Enter(0, u32::MAX)];
        while let Some(step) = work.pop() {
            let (stack, caller) = match step {
                Step::Enter(stack, caller) => (stack, caller),
                Step::Leave(length) => {
                    for key in self.path.drain(length..) {
                        self.is_on_path[key as usize] = false;
                    }
                    continue;
                }
            };
            work.push(Step::Leave(self.path.len()));
            let frames = tree.known_frames(stack);
            self.enter(frames, tree.total(stack));
            let here = frames.last().map_or(caller, |frame| self.keys[*frame as usize]);
            if let Some((own, _)) = self.rows.get_mut(here as usize) {
                *own += tree.own(stack);
            }
            work.extend(tree.callees(stack).map(|callee| Step::Enter(callee, here)));
        }
    }

    fn enter(&mut self, frames: &[u32], total: i64) {
        for &frame in frames {
            let key = self.keys[frame as usize];
            if !std::mem::replace(&mut self.is_on_path[key as usize], true) {
                self.path.push(key);
                self.rows[key as usize].1 += total;
            }
        }
    }
}
