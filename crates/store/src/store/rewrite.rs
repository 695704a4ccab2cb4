//! Writing a segment anew without some of its profiles, for deletions and for rules that keep what
//! is in one segment for different times; and the commit of this and of what payloads read as now.

use super::{Inner, count};
use crate::Error;
use crate::collect::Collector;
use crate::prune::Pruned;
use crate::rows::ProfileRow;
use crate::segment::Segment;
use catalog::{Content, Dropped, PayloadRow, Uploads};
use std::sync::Arc;
use stdx::Ulid;

/// A change of segments that is written but not known to be committed.
#[derive(Clone, Debug)]
pub(super) struct Rewrite {
    pub(super) inputs: Vec<Ulid>,
    pub(super) outputs: Vec<Arc<Segment>>,
    pub(super) change: Change,
}

/// What is committed with the segments.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// What is gone, and for which deletions how many profiles.
    Dropped(Vec<Dropped>, Vec<(Ulid, u64)>),
    /// What payloads hold that were read again, and the keys of that.
    Reparsed(Vec<PayloadRow>, Uploads),
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
        let of_profiles = segments.iter();
        let of_profiles = of_profiles.filter(|segment| segment.row.content == Content::Profiles);
        let of_profiles: Vec<_> = of_profiles.cloned().collect();
        if why != Reason::Deletion {
            self.seal_hours(&of_profiles)?;
        }
        self.drop_payloads_with(&of_profiles)?;
        let inputs = segments.iter().map(|segment| segment.id).collect();
        let drops = segments.iter().map(|segment| self.dropped(segment, None, why)).collect();
        let change = Change::Dropped(drops, Vec::new());
        self.begin_rewrite(Rewrite { inputs, outputs: Vec::new(), change })
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
        if self.keeps_payloads_of(&segment.row.tenant) {
            let mut going = segment.read_profiles()?;
            going.retain(|row| {
                let is_whole = row.kinds.iter().all(|kind| keep(row, &kind.kind));
                !is_whole || (row.kinds.is_empty() && !keep(row, ""))
            });
            self.drop_payloads_of(going.iter())?;
        }
        let output = self.write_without(segment, keep)?;
        let drops = vec![self.dropped(segment, output.as_deref(), why)];
        let outputs = output.into_iter().collect();
        let change = Change::Dropped(drops, deleted);
        self.begin_rewrite(Rewrite { inputs: vec![segment.id], outputs, change })
    }

    /// Writes what `keep` says of a segment to another, which is not committed; `None` when that is
    /// nothing.
    pub(super) fn write_without(
        &self,
        segment: &Arc<Segment>,
        keep: &mut dyn FnMut(&ProfileRow, &str) -> bool,
    ) -> Result<Option<Arc<Segment>>, Error> {
        let pruned = Pruned::of(segment, keep)?;
        if pruned.profiles.is_empty() {
            return Ok(None);
        }
        let mut collector = Collector::new(segment.row.tenant.as_str().into());
        let collected = collector.add(&pruned.tables, &pruned.profiles, true);
        let arranged = collector.arrange(None);
        let rows = pruned.rows(segment, &arranged, &collected)?;
        self.write_segment(&arranged, rows, segment.row.level).map(Some)
    }

    pub(super) fn dropped(
        &self,
        input: &Segment,
        output: Option<&Segment>,
        why: Reason,
    ) -> Dropped {
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

    pub(super) fn begin_rewrite(&self, rewrite: Rewrite) -> Result<(), Error> {
        self.state().unsure_rewrite = Some(rewrite);
        self.finish_rewrite()
    }

    /// Commits the change that is written but not known to be committed, if there is one. Nothing
    /// else is merged, rewritten or dropped before that: a merge of segments that the catalog has
    /// replaced already would bring back what is gone.
    pub(super) fn finish_rewrite(&self) -> Result<(), Error> {
        let Some(rewrite) = self.state().unsure_rewrite.clone() else { return Ok(()) };
        let Rewrite { inputs, outputs, change } = rewrite;
        let rows: Vec<_> = outputs.iter().map(|segment| segment.row.clone()).collect();
        self.step("before the rewrite's commit")?;
        match &change {
            Change::Dropped(drops, deleted) => {
                self.catalog.replace(&inputs, &rows, drops, deleted)?;
            }
            Change::Reparsed(payloads, keys) => {
                self.catalog.replace_reparsed(&inputs, &rows, payloads, keys)?;
            }
        }
        self.step("after the rewrite's commit")?;
        self.retire_from_state(&inputs, outputs);
        self.state().unsure_rewrite = None;
        count(&self.counters.rewrites, rows.len() as u64);
        match change {
            Change::Dropped(drops, _) => {
                let bytes = drops.iter().map(|row| row.bytes).sum();
                count(&self.counters.dropped_bytes, bytes);
            }
            Change::Reparsed(payloads, _) => self.update_payloads(&payloads),
        }
        Ok(())
    }
}
