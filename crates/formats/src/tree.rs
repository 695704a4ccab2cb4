//! Pyroscope's binary tree of frames (`format=tree`).
//!
//! Contract: `pkg/og/storage/tree` of grafana/pyroscope. Nodes in pre-order: the length of the name,
//! the name, the node's own value, the number of its children; numbers are varints. The first node
//! is the root, whose name is empty.

use crate::compress::decompress;
use crate::decoded::{Decoded, IssueKind, Issues, Options};
use crate::folded::Shape;
use crate::stacks::Stacks;
use profile::LocationId;

/// A node as it stands in the bytes.
pub(crate) struct Node<'a> {
    pub(crate) name: &'a [u8],
    value: u64,
    children: u64,
}

impl Node<'_> {
    /// Its own value.
    pub(crate) fn value(&self) -> i64 {
        i64::try_from(self.value).unwrap_or(i64::MAX)
    }
}

/// Walks the nodes in pre-order. The path is the caller's: what it puts there for a node stays until
/// the node's callees have been.
pub(crate) struct Walk<'a, T> {
    rest: &'a [u8],
    offset_bytes: usize,
    /// How many callees of each open node are still to come, and how long its path is. In front of
    /// them stands what has the root for its only callee.
    open: Vec<(u64, usize)>,
    /// Callees of the last node.
    callees: Option<u64>,
    pub(crate) path: Vec<T>,
}

impl<'a, T> Walk<'a, T> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset_bytes: 0, open: vec![(1, 0)], callees: None, path: Vec::new() }
    }

    /// The next node, the path being its caller's; `None` after the last one, and where the bytes end
    /// within one, and then an issue.
    pub(crate) fn next(&mut self, issues: &mut Issues) -> Option<Node<'a>> {
        if let Some(callees) = self.callees.take() {
            self.open.push((callees, self.path.len()));
        }
        while self.open.pop_if(|(callees, _)| *callees == 0).is_some() {}
        let (callees, length) = self.open.last_mut()?;
        *callees -= 1;
        self.path.truncate(*length);
        let node = self.read();
        if node.is_none() {
            let at = self.offset_bytes;
            issues.add(IssueKind::Damage, || format!("the tree is damaged at byte {at}"));
        }
        self.callees = node.as_ref().map(|node| node.children);
        node
    }

    /// Whether all nodes have been and there are bytes after them.
    fn has_more(&self) -> bool {
        self.open.is_empty() && !self.rest.is_empty()
    }

    fn read(&mut self) -> Option<Node<'a>> {
        let length = usize::try_from(self.varint()?).ok()?;
        let name = self.rest.get(..length)?;
        self.skip(length);
        Some(Node { name, value: self.varint()?, children: self.varint()? })
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
        self.offset_bytes += bytes;
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for (at, &byte) in self.rest.iter().enumerate().take(10) {
            if at == 9 && byte > 1 {
                return None;
            }
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.skip(at + 1);
                return Some(number);
            }
        }
        None
    }
}

/// Reads a tree whose values are what `values` says.
pub fn decode(bytes: &[u8], values: &Shape, options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    let mut stacks = Stacks::new(values, options, issues);
    let mut walk: Walk<'_, LocationId> = Walk::of(&body);
    while let Some(node) = walk.next(&mut stacks.issues) {
        if !node.name.is_empty() {
            // A frame that is too many leaves its value to its caller.
            walk.path.extend(stacks.location(node.name));
        }
        if node.value() > 0 {
            let depth = walk.path.len().min(stacks.budget.frames_to_read());
            if !stacks.budget.work(depth * size_of::<LocationId>(), &mut stacks.issues) {
                break;
            }
            let leaf_first: Vec<LocationId> = walk.path.iter().rev().take(depth).copied().collect();
            stacks.push(&leaf_first, node.value());
        }
    }
    if walk.has_more() {
        let example = || "bytes after the tree are not read".to_owned();
        stacks.issues.add(IssueKind::Damage, example);
    }
    stacks.finish()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Limits;

    /// A node: name, value, number of children.
    pub(crate) fn node(name: &str, value: u8, children: u8) -> Vec<u8> {
        [&[name.len() as u8], name.as_bytes(), &[value, children]].concat()
    }

    pub(crate) fn small() -> Vec<u8> {
        let nodes = [
            node("", 0, 2),
            node("main", 1, 2),
            node("a", 2, 1),
            node("b", 3, 0),
            node("c", 4, 0),
            node("idle", 5, 0),
        ];
        nodes.concat()
    }

    fn folded(decoded: &Decoded) -> String {
        decoded
            .profiles
            .iter()
            .map(|one| crate::folded::encode(&one.profile, profile::KindIndex(0), 0))
            .collect()
    }

    #[test]
    fn trees_read_with_each_value_at_its_node() {
        let values = Shape { factor: 10, ..Shape::default() };
        let decoded = decode(&crate::compress::gzip(&small()), &values, &Options::default());
        assert_eq!(decoded.issues, []);
        assert_eq!(folded(&decoded), "idle 50\nmain 10\nmain;a 20\nmain;a;b 30\nmain;c 40\n");
    }

    #[test]
    fn a_path_ends_where_its_node_does_whatever_lies_below() {
        let nodes = [
            node("", 0, 3),
            node("main", 1, 1),
            // Nodes without a name are no frames, their callees none of theirs.
            node("", 2, 1),
            node("deep", 3, 1),
            node("deeper", 4, 0),
            node("", 5, 1),
            node("idle", 6, 0),
            node("last", 7, 0),
        ];
        let decoded = decode(&nodes.concat(), &Shape::default(), &Options::default());
        assert_eq!(decoded.issues, []);
        let expected = [" 5", "idle 6", "last 7", "main 3", "main;deep 3", "main;deep;deeper 4"];
        assert_eq!(folded(&decoded).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_cut_tree_gives_what_came_before() {
        let bytes = small();
        for length in 0..bytes.len() {
            let decoded = decode(&bytes[..length], &Shape::default(), &Options::default());
            assert!(!decoded.issues.is_empty(), "{length}");
        }
        let decoded = decode(&bytes[..bytes.len() - 3], &Shape::default(), &Options::default());
        assert_eq!(folded(&decoded), "main 1\nmain;a 2\nmain;a;b 3\nmain;c 4\n");
    }

    #[test]
    fn deep_trees_cost_what_limits_allow() {
        let bytes = node("f", 1, 1).repeat(200_000);
        let limits = Limits { work_bytes_max: 1 << 20, ..Limits::default() };
        let decoded = decode(&bytes, &Shape::default(), &Options { limits, ..Options::default() });
        assert!(decoded.issues.iter().any(|issue| issue.kind == IssueKind::Limit));
        assert!(decoded.profiles[0].profile.samples.len() < 2000);
    }
}
