//! Pyroscope's binary trie of folded stacks (`format=trie`).
//!
//! Contract: `pkg/og/structs/transporttrie` of grafana/pyroscope. Nodes as in [`crate::tree`], but a
//! node's name is a piece of text: the pieces from the root to a node make a folded stack
//! (`root;caller;leaf`), which may be cut anywhere.

use crate::compress::decompress;
use crate::decoded::{Decoded, Issues, Options};
use crate::folded::Shape;
use crate::intern::{Budget, text};
use crate::rows::Rows;
use crate::tree::Nodes;
use profile::{KeyedMap, LocationId, Profile, Sample};

/// Reads a trie whose values are what `values` says.
pub fn decode(bytes: &[u8], values: &Shape, options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    let mut profile = Profile::default();
    let types = vec![(values.sample_type.clone(), values.unit.clone())];
    let rows = Rows::new(types, ("", ""), options, &mut profile);
    let mut budget = Budget::new(options.limits);
    let mut names: KeyedMap<Vec<u8>, LocationId> = KeyedMap::default();
    let mut nodes = Nodes::of(&body);
    // Of each open node: how many children are still to come, and the length of its text.
    let mut open: Vec<(u64, usize)> = Vec::new();
    let mut key: Vec<u8> = Vec::new();
    let mut is_first = true;
    while is_first || !open.is_empty() {
        is_first = false;
        let Some(node) = nodes.next(&mut issues) else { break };
        key.extend_from_slice(node.name);
        if node.value > 0 {
            if !budget.work(key.len(), &mut issues) {
                break;
            }
            let mut leaf_first = Vec::new();
            let frames = key.rsplit(|byte| *byte == b';').take(budget.frames_to_read());
            for frame in frames.filter(|frame| !frame.is_empty()) {
                if let Some(&known) = names.get(frame) {
                    leaf_first.push(known);
                    continue;
                }
                let is_kept = budget.location(&mut issues) && budget.text(frame.len(), &mut issues);
                if !is_kept {
                    break;
                }
                let name = text(frame, &options.limits, &mut issues);
                let location = profile.tables.named_location(&name);
                names.insert(frame.to_vec(), location);
                leaf_first.push(location);
            }
            let stack = budget.stack(&mut profile.tables, &leaf_first, &mut issues);
            let sample = Sample { stack, ..Sample::default() };
            let value = i64::try_from(node.value).unwrap_or(i64::MAX);
            let value = value.saturating_mul(values.factor);
            rows.push(&mut profile, &sample, &[value], &mut budget, &mut issues);
        }
        open.push((node.children, key.len()));
        while let Some((children, _)) = open.last_mut() {
            if *children > 0 {
                *children -= 1;
                break;
            }
            open.pop();
            key.truncate(open.last().map_or(0, |(_, length)| *length));
        }
    }
    let is_empty = profile.samples.is_empty();
    let profiles = if is_empty { Vec::new() } else { vec![rows.finish(profile)] };
    Decoded::new(profiles, issues)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::node;
    use crate::{IssueKind, Limits};

    #[test]
    fn pieces_of_text_join_to_stacks() {
        let bytes = [
            node("", 0, 2),
            node("ma", 0, 2),
            node("in;a", 3, 1),
            node(";b", 4, 0),
            node("p", 5, 0),
            node("x;main", 6, 0),
        ];
        let decoded = decode(&bytes.concat(), &Shape::default(), &Options::default());
        assert_eq!(decoded.issues, []);
        let profile = &decoded.profiles[0].profile;
        let text = crate::folded::encode(profile, profile::KindIndex(0), 0);
        assert_eq!(text, "main;a 3\nmain;a;b 4\nmap 5\nx;main 6\n");
    }

    #[test]
    fn long_texts_read_over_and_over_are_paid_for() {
        let long = "f".repeat(100);
        let mut bytes = node(&long, 0, 1).repeat(1000);
        bytes.truncate(bytes.len() - 1);
        bytes.extend([0xff, 0x7f]);
        bytes.extend(node("g", 1, 0).repeat(10_000));
        let limits = Limits { work_bytes_max: 8 << 20, ..Limits::default() };
        let decoded = decode(&bytes, &Shape::default(), &Options { limits, ..Options::default() });
        assert!(decoded.issues.iter().any(|issue| issue.kind == IssueKind::Limit));
        assert!(decoded.profiles[0].profile.samples.len() < 100);
    }
}
