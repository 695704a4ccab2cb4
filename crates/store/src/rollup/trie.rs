//! Frames and stack prefixes that all parts of an hour share while they are added up.
//!
//! Frames are positions in a list; the first is the one that stands for what was pruned.

use profile::KeyedMap;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use views::Frame;
use views::rollup::{Prefix, pruned_frame};

/// Frames of an hour.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) list: Vec<Arc<Frame>>,
    index: KeyedMap<Arc<Frame>, u32>,
}

impl Default for Frames {
    fn default() -> Self {
        let mut frames = Self { list: Vec::new(), index: KeyedMap::default() };
        frames.intern(&pruned_frame());
        frames
    }
}

impl Frames {
    pub(crate) fn intern(&mut self, frame: &Frame) -> u32 {
        if let Some(&at) = self.index.get(frame) {
            return at;
        }
        let at = self.list.len() as u32;
        let frame = Arc::new(frame.clone());
        self.list.push(Arc::clone(&frame));
        self.index.insert(frame, at);
        at
    }

    /// The frames by position.
    pub(crate) fn into_list(self) -> Vec<Frame> {
        drop(self.index);
        self.list.into_iter().map(Arc::unwrap_or_clone).collect()
    }
}

/// Stack prefixes, each after its caller's; the first is the empty one.
#[derive(Debug)]
pub(crate) struct Trie {
    pub(crate) prefixes: Vec<Prefix>,
    children: FxHashMap<(u32, u32), u32>,
}

impl Default for Trie {
    fn default() -> Self {
        Self::of(vec![Prefix::default()])
    }
}

impl Trie {
    /// The one of these prefixes.
    pub(crate) fn of(prefixes: Vec<Prefix>) -> Self {
        let rows = prefixes.iter().enumerate().skip(1);
        let children = rows.map(|(at, prefix)| ((prefix.parent, prefix.frame), at as u32));
        Self { children: children.collect(), prefixes }
    }

    /// The prefix of one frame more.
    pub(crate) fn child(&mut self, parent: u32, frame: u32) -> u32 {
        let prefixes = &mut self.prefixes;
        *self.children.entry((parent, frame)).or_insert_with(|| {
            prefixes.push(Prefix { parent, frame });
            prefixes.len() as u32 - 1
        })
    }
}

/// The callees of each prefix.
fn children(prefixes: &[Prefix]) -> Vec<Vec<u32>> {
    let mut children: Vec<Vec<u32>> = vec![Vec::new(); prefixes.len()];
    for (at, prefix) in prefixes.iter().enumerate().skip(1) {
        children[prefix.parent as usize].push(at as u32);
    }
    children
}

/// Prefixes of which no caller is of the same frame, so that recursion counts once. There are so
/// many frames.
pub(crate) fn outermost(prefixes: &[Prefix], frames: usize) -> Vec<bool> {
    let children = children(prefixes);
    let mut on_path = vec![false; frames];
    let mut outermost = vec![false; prefixes.len()];
    let mut work: Vec<(u32, bool)> = children[0].iter().map(|&at| (at, true)).collect();
    while let Some((at, is_entering)) = work.pop() {
        let frame = prefixes[at as usize].frame as usize;
        let is_first = &mut outermost[at as usize];
        if !is_entering {
            if *is_first {
                on_path[frame] = false;
            }
            continue;
        }
        *is_first = !std::mem::replace(&mut on_path[frame], true);
        work.push((at, false));
        work.extend(children[at as usize].iter().map(|&child| (child, true)));
    }
    outermost
}

/// The prefixes in preorder, and the place of each among them.
pub(crate) fn preorder(prefixes: &[Prefix]) -> (Vec<Prefix>, Vec<u32>) {
    let mut children = children(prefixes);
    let mut ranks = vec![0_u32; prefixes.len()];
    let mut sorted = vec![Prefix::default()];
    let mut work = std::mem::take(&mut children[0]);
    while let Some(at) = work.pop() {
        let Prefix { parent, frame } = prefixes[at as usize];
        ranks[at as usize] = sorted.len() as u32;
        sorted.push(Prefix { parent: ranks[parent as usize], frame });
        work.append(&mut children[at as usize]);
    }
    (sorted, ranks)
}
