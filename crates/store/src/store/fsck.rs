//! Checking a store: what the catalog says against what the files hold. Nothing is changed.

use super::{Inner, Store, sweep};
use crate::Error;
use crate::batch::column;
use crate::limits::FSCK_PROBLEMS_MAX;
use crate::records::Record;
use crate::segment::{self, Segment, read};
use arrow::array::{Array, RecordBatch, UInt32Array};
use catalog::Content;
use profile::Tables;
use std::collections::BTreeSet;
use std::sync::Arc;
use stdx::Ulid;
use views::{EventInfo, SpanInfo};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Segments looked at.
    pub segments: u64,
    /// Their files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Profiles in them.
    pub profiles: u64,
    /// Rows of samples.
    pub rows: u64,
    /// Spans.
    pub spans: u64,
    /// Events and readings of runtimes.
    pub events: u64,
    /// Hourly rollups looked at.
    pub rollups: u64,
    /// What is wrong, with the segment's name; at most [`FSCK_PROBLEMS_MAX`].
    pub problems: Vec<String>,
    /// Folders of segments that the catalog does not name.
    pub unknown: Vec<String>,
    /// Folders in the trash.
    pub trash: Vec<String>,
}

impl Store {
    /// Reads everything and checks it: catalog against files, sizes, row counts, ordinals, counts of
    /// each profile. Works while the store runs; one segment is in memory at a time.
    pub async fn fsck(&self) -> Result<Checked, Error> {
        let inner = Arc::clone(&self.inner);
        // Nothing is merged or deleted meanwhile.
        let turn = Arc::clone(&inner.maintenance).lock_owned().await;
        super::in_background(move || {
            let _turn = turn;
            inner.finish_unsure()?;
            inner.finish_rewrite()?;
            inner.finish_roll()?;
            inner.check()
        })
        .await
    }
}

impl Inner {
    fn check(&self) -> Result<Checked, Error> {
        let mut found = Checked::default();
        let segments = self.state().all_segments();
        let known: BTreeSet<Ulid> = segments.iter().map(|segment| segment.id).collect();
        let listed: BTreeSet<Ulid> = self.catalog.live()?.iter().map(|row| row.id).collect();
        for id in known.symmetric_difference(&listed) {
            found.note(*id, "the catalog and the running store do not agree that it is live");
        }
        for segment in &segments {
            found.segments += 1;
            if let Err(error) = found.look_at(segment, self) {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                found.note(segment.id, &format!("{error}{}", cause.unwrap_or_default()));
            }
        }
        self.check_names(&mut found.problems);
        self.check_payloads(&mut found.problems)?;
        self.check_rollups(&mut found)?;
        let retired: BTreeSet<Ulid> = self.catalog.retired()?.into_iter().collect();
        let names = self.layer.list(segment::DIR).map_err(Error::io("list segments"))?;
        let is_unknown = |name: &String| {
            Ulid::from_string(name).is_ok_and(|id| !known.contains(&id) && !retired.contains(&id))
        };
        found.unknown = names.into_iter().filter(is_unknown).collect();
        found.trash = self.layer.list(sweep::TRASH).map_err(Error::io("list the trash"))?;
        Ok(found)
    }
}

impl Checked {
    /// Notes what is wrong with a rollup.
    pub(super) fn note_rollup(&mut self, id: Ulid, what: &str) {
        if self.problems.len() < FSCK_PROBLEMS_MAX {
            self.problems.push(format!("rollup {id}: {what}"));
        }
    }

    fn note(&mut self, id: Ulid, what: &str) {
        if self.problems.len() < FSCK_PROBLEMS_MAX {
            self.problems.push(format!("segment {id}: {what}"));
        }
    }

    fn look_at(&mut self, segment: &Segment, inner: &Inner) -> Result<(), Error> {
        let mut total = 0;
        for (table, bytes) in &segment.index.files {
            let path = segment.path(table);
            let file = inner.layer.read(&path).map_err(Error::io(format!("read {path}")))?;
            self.files += 1;
            total += file.len() as u64;
            if file.len() as u64 != *bytes {
                let what = format!("{table} has {} bytes, the catalog says {bytes}", file.len());
                self.note(segment.id, &what);
            }
        }
        self.bytes += total;
        match segment.row.content {
            Content::Profiles => {}
            Content::Spans => {
                self.spans += self.look_at_records::<SpanInfo>(segment)?;
                return Ok(());
            }
            Content::Events => {
                self.events += self.look_at_records::<EventInfo>(segment)?;
                return Ok(());
            }
        }
        let (tables, profiles) = (segment.read_all_tables()?, segment.read_profiles()?);
        self.profiles += profiles.len() as u64;
        if profiles.len() as u64 != segment.index.profiles {
            self.note(segment.id, "it has another number of profiles than the catalog says");
        }
        let mut counts = vec![0_u64; profiles.len()];
        let (mut rows, mut astray) = (0, 0_u64);
        for batch in read::samples(segment)? {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            astray += strays(&batch, &tables, &mut counts)?;
        }
        self.rows += rows;
        if rows != segment.row.rows {
            let what = format!("{rows} rows of samples, the catalog says {}", segment.row.rows);
            self.note(segment.id, &what);
        }
        if astray > 0 {
            self.note(segment.id, &format!("{astray} references of samples lead nowhere"));
        }
        let wrong = profiles.iter().zip(&counts).filter(|(row, have)| row.samples != **have);
        let wrong = wrong.count();
        if wrong > 0 {
            self.note(segment.id, &format!("{wrong} profiles have another number of samples"));
        }
        Ok(())
    }
}

impl Checked {
    /// Returns how many there are.
    fn look_at_records<R: Record>(&mut self, segment: &Segment) -> Result<u64, Error> {
        let rows = crate::records::read::all::<R>(segment)?.len() as u64;
        if rows != segment.row.rows {
            let what =
                format!("{rows} {}, the catalog says {}", R::CONTENT.name(), segment.row.rows);
            self.note(segment.id, &what);
        }
        Ok(rows)
    }
}

/// Counts samples by profile; returns how many references lead nowhere.
fn strays(batch: &RecordBatch, tables: &Tables, counts: &mut [u64]) -> Result<u64, Error> {
    let mut astray = 0;
    let profile: &UInt32Array = column(batch, "profile")?;
    for at in profile.values() {
        match counts.get_mut(*at as usize) {
            Some(count) => *count += 1,
            None => astray += 1,
        }
    }
    let columns = [
        ("stack", tables.stacks.len()),
        ("thread", tables.threads.len()),
        ("link", tables.links.len()),
        ("attributes", tables.attributes.len()),
    ];
    for (name, rows) in columns {
        let values: &UInt32Array = column(batch, name)?;
        let is_astray = |at: &usize| values.is_valid(*at) && values.value(*at) as usize >= rows;
        astray += (0..values.len()).filter(is_astray).count() as u64;
    }
    Ok(astray)
}
