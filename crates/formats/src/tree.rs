//! Pyroscope's binary tree of frames (`format=tree`).
//!
//! Contract: `pkg/og/storage/tree` of grafana/pyroscope. Nodes in pre-order: the length of the name,
//! the name, the node's own value, the number of its children; numbers are varints. The first node
//! is the root, whose name is empty.

use crate::compress::decompress;
use crate::decoded::{Decoded, IssueKind, Issues, Options};
use crate::folded::Shape;
use crate::intern::{Budget, text};
use crate::rows::Rows;
use profile::{KeyedMap, LocationId, Profile, Sample};

/// A node as it stands in the bytes.
pub(crate) struct Node<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: u64,
    pub(crate) children: u64,
}

/// Reads one node after another.
pub(crate) struct Nodes<'a> {
    rest: &'a [u8],
    offset_bytes: usize,
}

impl<'a> Nodes<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset_bytes: 0 }
    }

    /// The next node; `None` where the bytes end within one, and then an issue.
    pub(crate) fn next(&mut self, issues: &mut Issues) -> Option<Node<'a>> {
        let node = self.read();
        if node.is_none() {
            let at = self.offset_bytes;
            issues.add(IssueKind::Damage, || format!("the tree is damaged at byte {at}"));
        }
        node
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
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
    let mut profile = Profile::default();
    let types = vec![(values.sample_type.clone(), values.unit.clone())];
    let rows = Rows::new(types, ("", ""), options, &mut profile);
    let mut budget = Budget::new(options.limits);
    let mut names: KeyedMap<&[u8], LocationId> = KeyedMap::default();
    let mut nodes = Nodes::of(&body);
    // Of each open node: how many children are still to come, and the length of its path.
    let mut open: Vec<(u64, usize)> = Vec::new();
    let mut path: Vec<LocationId> = Vec::new();
    let mut is_first = true;
    while is_first || !open.is_empty() {
        is_first = false;
        let Some(node) = nodes.next(&mut issues) else { break };
        if !node.name.is_empty() {
            let known = names.get(node.name).copied();
            let location = known.or_else(|| {
                let is_kept = budget.location(&mut issues);
                is_kept.then(|| {
                    let name = text(node.name, &options.limits, &mut issues);
                    let location = profile.tables.named_location(&name);
                    names.insert(node.name, location);
                    location
                })
            });
            // A frame that is too many leaves its value to its caller.
            path.extend(location);
        }
        if node.value > 0 {
            let depth = path.len().min(budget.frames_to_read());
            if !budget.work(depth * size_of::<LocationId>(), &mut issues) {
                break;
            }
            let leaf_first: Vec<LocationId> = path.iter().rev().take(depth).copied().collect();
            let stack = budget.stack(&mut profile.tables, &leaf_first, &mut issues);
            let sample = Sample { stack, ..Sample::default() };
            let value = i64::try_from(node.value).unwrap_or(i64::MAX);
            let value = value.saturating_mul(values.factor);
            rows.push(&mut profile, &sample, &[value], &mut budget, &mut issues);
        }
        open.push((node.children, path.len()));
        while let Some((children, _)) = open.last_mut() {
            if *children > 0 {
                *children -= 1;
                break;
            }
            open.pop();
            path.truncate(open.last().map_or(0, |(_, length)| *length));
        }
    }
    if open.is_empty() && !nodes.is_at_end() {
        issues.add(IssueKind::Damage, || "bytes after the tree are not read".to_owned());
    }
    let is_empty = profile.samples.is_empty();
    let profiles = if is_empty { Vec::new() } else { vec![rows.finish(profile)] };
    Decoded::new(profiles, issues)
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
