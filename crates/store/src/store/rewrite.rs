//! Writing a segment anew without some of its profiles, for deletions and for rules that keep what
//! is in one segment for different times.

use super::{Inner, count};
use crate::Error;
use crate::collect::Collector;
use crate::prune::Pruned;
use crate::rows::ProfileRow;
use crate::segment::Segment;
use catalog::Dropped;
use std::sync::Arc;
use stdx::Ulid;

/// A change of segments that is written but not known to be committed.
#[derive(Clone, Debug)]
pub(super) struct Rewrite {
    inputs: Vec<Ulid>,
    output: Option<Arc<Segment>>,
    drops: Vec<Dropped>,
    deleted: Vec<(Ulid, u64)>,
}

/// Why something is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Age,
    Budget,
    Deletion,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Budget => "budget",
            Self::Deletion => "deletion",
        }
    }
}

impl Inner {
    /// Drops whole segments.
    pub(super) fn drop_whole(&self, segments: &[Arc<Segment>], why: Reason) -> Result<(), Error> {
        if segments.is_empty() {
            return Ok(());
        }
        if why != Reason::Deletion {
            self.seal_hours(segments)?;
        }
        let inputs = segments.iter().map(|segment| segment.id).collect();
        let drops = segments.iter().map(|segment| self.dropped(segment, None, why)).collect();
        self.begin_rewrite(Rewrite { inputs, output: None, drops, deleted: Vec::new() })
    }

    /// Writes a segment anew with only what `keep` says of profiles and kinds; `deleted` says how
    /// many profiles go for which deletion.
    pub(super) fn rewrite(
        &self,
        segment: &Arc<Segment>,
        why: Reason,
        deleted: Vec<(Ulid, u64)>,
        keep: &mut dyn FnMut(&ProfileRow, &str) -> bool,
    ) -> Result<(), Error> {
        if why != Reason::Deletion {
            self.seal_hours(std::slice::from_ref(segment))?;
        }
        let pruned = Pruned::of(segment, keep)?;
        let output = if pruned.profiles.is_empty() {
            None
        } else {
            let mut collector = Collector::new(segment.row.tenant.as_str().into());
            let collected = collector.add(&pruned.tables, &pruned.profiles, true);
            let arranged = collector.arrange(None);
            let rows = pruned.rows(segment, &arranged, &collected)?;
            Some(self.write_segment(&arranged, rows, segment.row.level)?)
        };
        let drops = vec![self.dropped(segment, output.as_deref(), why)];
        self.begin_rewrite(Rewrite { inputs: vec![segment.id], output, drops, deleted })
    }

    fn dropped(&self, input: &Segment, output: Option<&Segment>, why: Reason) -> Dropped {
        let left = output.map_or((0, 0), |output| (output.index.profiles, output.row.bytes));
        Dropped {
            at: self.clock.now(),
            tenant: input.row.tenant.clone(),
            reason: why.name().to_owned(),
            profiles: input.index.profiles.saturating_sub(left.0),
            bytes: input.row.bytes.saturating_sub(left.1),
            t_min_ns: input.row.t_min_ns,
            t_max_ns: input.row.t_max_ns,
        }
    }

    fn begin_rewrite(&self, rewrite: Rewrite) -> Result<(), Error> {
        self.state().unsure_rewrite = Some(rewrite);
        self.finish_rewrite()
    }

    /// Commits the change that is written but not known to be committed, if there is one. Nothing
    /// else is merged, rewritten or dropped before that: a merge of segments that the catalog has
    /// replaced already would bring back what is gone.
    pub(super) fn finish_rewrite(&self) -> Result<(), Error> {
        let Some(rewrite) = self.state().unsure_rewrite.clone() else { return Ok(()) };
        let Rewrite { inputs, output, drops, deleted } = rewrite;
        let rows: Vec<_> = output.iter().map(|segment| segment.row.clone()).collect();
        self.step("before the rewrite's commit")?;
        self.catalog.replace(&inputs, &rows, &drops, &deleted)?;
        self.step("after the rewrite's commit")?;
        self.retire_from_state(&inputs, output);
        self.state().unsure_rewrite = None;
        count(&self.counters.rewrites, u64::from(!rows.is_empty()));
        let bytes = drops.iter().map(|row| row.bytes).sum();
        count(&self.counters.dropped_bytes, bytes);
        Ok(())
    }
}
