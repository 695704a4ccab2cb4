//! What people are told of an upload: the first remarks in words, the rest as a number.

use crate::limits::{ISSUE_BYTES_MAX, ISSUES_SHOWN_MAX};
use crate::normalise::bounded;

/// Remarks, bounded whatever was sent.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    shown: Vec<String>,
    more: usize,
}

impl Notes {
    /// Adds a remark; it is only put into words while there is room.
    pub fn add(&mut self, remark: impl FnOnce() -> String) {
        if self.shown.len() < ISSUES_SHOWN_MAX {
            self.shown.push(bounded(&remark(), ISSUE_BYTES_MAX));
        } else {
            self.more += 1;
        }
    }

    /// Number of remarks.
    pub fn count(&self) -> usize {
        self.shown.len() + self.more
    }

    /// The remarks, the last of which says how many more there are.
    pub fn into_list(self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("and {} more", self.more));
        self.shown.into_iter().chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_and_long_remarks_stay_short() {
        let mut notes = Notes::default();
        for _ in 0..1000 {
            notes.add(|| "ab".repeat(ISSUE_BYTES_MAX));
        }
        assert_eq!(notes.count(), 1000);
        let list = notes.into_list();
        assert_eq!(list.len(), ISSUES_SHOWN_MAX + 1);
        assert!(list.iter().all(|remark| remark.len() <= ISSUE_BYTES_MAX));
        assert_eq!(list[ISSUES_SHOWN_MAX], "and 980 more");
    }
}
