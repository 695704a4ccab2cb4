//! Bounded interning of what a payload refers to.

use crate::decoded::{IssueKind, Issues};
use crate::limits::Limits;
use profile::{LocationId, StackId, Tables};

/// What a payload has used of its limits, over all its profiles.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) limits: Limits,
    samples: usize,
    nodes: usize,
    locations: usize,
    lines: usize,
    labels: usize,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, samples: 0, nodes: 0, locations: 0, lines: 0, labels: 0 }
    }

    /// Whether one more row may be kept.
    pub(crate) fn sample(&mut self, issues: &mut Issues) -> bool {
        spend(&mut self.samples, 1, self.limits.samples_max, "samples", issues)
    }

    pub(crate) fn location(&mut self, issues: &mut Issues) -> bool {
        spend(&mut self.locations, 1, self.limits.locations_max, "locations", issues)
    }

    pub(crate) fn line(&mut self, issues: &mut Issues) -> bool {
        spend(&mut self.lines, 1, self.limits.lines_max, "lines of locations", issues)
    }

    pub(crate) fn labels(&mut self, count: usize, issues: &mut Issues) -> bool {
        spend(&mut self.labels, count, self.limits.labels_max, "sample labels", issues)
    }

    /// Gives back what an already known set did not cost.
    pub(crate) fn return_labels(&mut self, count: usize) {
        self.labels = self.labels.saturating_sub(count);
    }

    /// The stack of `leaf_first`, cut to what limits allow.
    pub(crate) fn stack(
        &mut self,
        tables: &mut Tables,
        leaf_first: &[LocationId],
        issues: &mut Issues,
    ) -> StackId {
        let before = tables.stacks.len();
        let mut depth = leaf_first.len().min(self.limits.stack_depth_max);
        if depth < leaf_first.len() {
            issues.add(IssueKind::Limit, || {
                format!(
                    "a stack of {} frames is cut to the {depth} nearest its leaf",
                    leaf_first.len()
                )
            });
        }
        if self.nodes + depth > self.limits.stack_nodes_max {
            issues.add(IssueKind::Limit, || {
                "too many distinct stacks: further ones keep only their leaf".to_owned()
            });
            depth = depth.min(1);
        }
        let stack = tables.stacks.intern_leaf_first(&leaf_first[..depth]);
        self.nodes += tables.stacks.len() - before;
        stack
    }

    /// The number of frames worth reading of one stack.
    pub(crate) fn frames_to_read(&self) -> usize {
        self.limits.stack_depth_max + 1
    }
}

fn spend(used: &mut usize, count: usize, max: usize, what: &str, issues: &mut Issues) -> bool {
    if *used + count > max {
        issues.add(IssueKind::Limit, || format!("only the first {max} {what} are kept"));
        return false;
    }
    *used += count;
    true
}

/// Text of bytes, cut to the limit; what is not UTF-8 is replaced.
pub(crate) fn text(bytes: &[u8], limits: &Limits, issues: &mut Issues) -> String {
    let cut = &bytes[..bytes.len().min(limits.string_bytes_max)];
    if cut.len() < bytes.len() {
        issues.add(IssueKind::Limit, || {
            format!("a text of {} bytes is cut to {}", bytes.len(), cut.len())
        });
    }
    match std::str::from_utf8(cut) {
        Ok(text) => text.to_owned(),
        Err(error) => {
            // A cut may fall inside a character; anything else is the sender's.
            if error.error_len().is_some() {
                issues.add(IssueKind::Text, || "a text is not UTF-8".to_owned());
            }
            String::from_utf8_lossy(cut).into_owned()
        }
    }
}
