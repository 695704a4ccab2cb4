//! Bounded interning of what a payload refers to.

use crate::decoded::{IssueKind, Issues};
use crate::limits::Limits;
use profile::{LocationId, StackId, StringId, Tables};
use std::borrow::Cow;

/// What a payload has used of its limits, over all its profiles.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) limits: Limits,
    samples: usize,
    nodes: usize,
    locations: usize,
    lines: usize,
    labels: usize,
    text_bytes: usize,
    work_bytes: usize,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            samples: 0,
            nodes: 0,
            locations: 0,
            lines: 0,
            labels: 0,
            text_bytes: 0,
            work_bytes: 0,
        }
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

    /// Whether a profile may take over that much more text.
    pub(crate) fn text(&mut self, bytes: usize, issues: &mut Issues) -> bool {
        spend(&mut self.text_bytes, bytes, self.limits.text_bytes_max, "bytes of text", issues)
    }

    /// Whether that much more of the payload may be read once more.
    #[inline]
    pub(crate) fn work(&mut self, bytes: usize, issues: &mut Issues) -> bool {
        let max = self.limits.work_bytes_max;
        spend(&mut self.work_bytes, bytes, max, "bytes of what samples refer to", issues)
    }

    /// The handle of a text; the empty one's when no more text may be taken over.
    pub(crate) fn intern(
        &mut self,
        tables: &mut Tables,
        text: &str,
        issues: &mut Issues,
    ) -> StringId {
        let before = tables.strings.len();
        if self.text_bytes >= self.limits.text_bytes_max {
            // Says so, once more.
            self.text(1, issues);
            return StringId::default();
        }
        let id = tables.strings.intern(text);
        if tables.strings.len() > before {
            self.text_bytes += text.len();
        }
        id
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

#[inline]
fn spend(used: &mut usize, count: usize, max: usize, what: &str, issues: &mut Issues) -> bool {
    if count > max.saturating_sub(*used) {
        spent(max, what, issues);
        return false;
    }
    *used += count;
    true
}

#[cold]
fn spent(max: usize, what: &str, issues: &mut Issues) {
    issues.add(IssueKind::Limit, || format!("only the first {max} {what} are kept"));
}

/// Text of bytes, cut to the limit; what is not UTF-8 is replaced.
pub(crate) fn text<'a>(bytes: &'a [u8], limits: &Limits, issues: &mut Issues) -> Cow<'a, str> {
    let cut = &bytes[..bytes.len().min(limits.string_bytes_max)];
    if cut.len() < bytes.len() {
        issues.add(IssueKind::Limit, || {
            format!("a text of {} bytes is cut to {}", bytes.len(), cut.len())
        });
    }
    match std::str::from_utf8(cut) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) => {
            // A cut may fall inside a character; anything else is the sender's.
            if error.error_len().is_some() {
                issues.add(IssueKind::Text, || "a text is not UTF-8".to_owned());
            }
            String::from_utf8_lossy(cut)
        }
    }
}
