//! Pyroscope's binary trie of folded stacks (`format=trie`).
//!
//! Contract: `pkg/og/structs/transporttrie` of grafana/pyroscope. Nodes as in [`crate::tree`], but a
//! node's name is a piece of text: the pieces from the root to a node make a folded stack
//! (`root;caller;leaf`), which may be cut anywhere.

use crate::compress::decompress;
use crate::decoded::{Decoded, Issues, Options};
use crate::folded::Shape;
use crate::stacks::Stacks;
use crate::tree::Walk;

/// Reads a trie whose values are what `values` says.
pub fn decode(bytes: &[u8], values: &Shape, options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    let mut stacks = Stacks::new(values, options, issues);
    let mut walk: Walk<'_, u8> = Walk::of(&body);
    while let Some(node) = walk.next(&mut stacks.issues) {
        walk.path.extend_from_slice(node.name);
        if node.value() > 0 {
            if !stacks.budget.work(walk.path.len(), &mut stacks.issues) {
                break;
            }
            let frames = walk.path.rsplit(|byte| *byte == b';');
            let leaf_first = stacks.locations(frames.take(stacks.budget.frames_to_read()));
            stacks.push(&leaf_first, node.value());
        }
    }
    stacks.finish()
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
