//! Making the rollups of an hour from segments, one at a time.

use super::tally::Tally;
use super::tree::{Frames, Tree};
use crate::batch::column;
use crate::limits::ROLLUP_CELLS_MAX;
use crate::segment::Segment;
use crate::{Error, ProfileRow};
use arrow::array::{Array, DictionaryArray, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::Int32Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use profile::handle::Handle;
use profile::labels::names::SERVICE;
use profile::{LocationId, StackId, Tables, VALUES_MAX};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::Timestamp;
use views::Quality;
use views::frame::frames_of;
use views::rollup::{Counted, HOUR_MS, KindRollup, Rules, Values, add};

/// Columns of the samples that rollups are made of.
const COLUMNS: [&str; 8] = ["kind", "profile", "ts_ms", "stack", "v0", "v1", "v2", "v3"];
/// Rows decoded at a time.
const BATCH_ROWS: usize = 1 << 15;
/// Pairs of profile and stack that are kept before repeated ones are dropped.
const PAIRS_MAX: usize = 1 << 20;

/// The rollups of an hour being made.
#[derive(Debug)]
pub(crate) struct Builder {
    hour_ms: i64,
    rules: Rules,
    frames: Frames,
    trees: BTreeMap<(Arc<str>, Arc<str>), Tree>,
    /// What the series being read has, by prefix of its tree and by frame.
    prefixes: Tally<Values>,
    functions: Tally<()>,
    /// What was made and pruned already because there was too much; of the same frames.
    done: BTreeMap<(Arc<str>, Arc<str>), KindRollup>,
}

/// What a profile has of a kind in and before the hour.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    samples: u64,
    totals: Values,
    is_before: bool,
}

/// The tree that rows go to until the kind or the series changes.
struct Current {
    kind: u32,
    /// Ordinal of the series in the segment, and position in the tree.
    series: (u32, u32),
    tree: Tree,
    key: (Arc<str>, Arc<str>),
    /// Prefix of each stack of the segment.
    stacks: FxHashMap<u32, u32>,
    /// Profiles and the prefixes where their stacks end.
    pairs: Vec<(u32, u32)>,
    /// Repeated pairs are dropped when there are so many.
    pairs_max: usize,
}

/// A segment being read.
struct Reading<'a> {
    builder: &'a mut Builder,
    tables: &'a Tables,
    profiles: &'a [ProfileRow],
    kinds: Vec<Arc<str>>,
    locations: Vec<Option<Box<[u32]>>>,
    seen: FxHashMap<(u32, u32), Seen>,
    current: Option<Current>,
}

/// The columns of a batch.
struct Columns<'a> {
    kind: &'a DictionaryArray<Int32Type>,
    profile: &'a UInt32Array,
    ts_ms: &'a Int64Array,
    stack: &'a UInt32Array,
    values: [&'a Int64Array; VALUES_MAX],
}

impl Builder {
    pub(crate) fn new(hour_ms: i64, rules: Rules) -> Self {
        Self {
            hour_ms,
            rules,
            frames: Frames::default(),
            trees: BTreeMap::new(),
            prefixes: Tally::default(),
            functions: Tally::default(),
            done: BTreeMap::new(),
        }
    }

    /// Adds what a segment has in the hour; hidden profiles are left out. After an error some of it
    /// may have been added.
    pub(crate) fn add(&mut self, segment: &Segment, profiles: &[ProfileRow]) -> Result<(), Error> {
        let file = segment.file("samples")?.ok_or_else(|| Error::corrupt("no samples file"))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let columns = ProjectionMask::columns(reader.parquet_schema(), COLUMNS);
        let reader = reader.with_projection(columns).with_batch_size(BATCH_ROWS).build()?;
        let tables = segment.read_tables()?;
        let mut reading = Reading {
            builder: self,
            tables: &tables,
            profiles,
            kinds: Vec::new(),
            locations: vec![None; tables.locations.len()],
            seen: FxHashMap::default(),
            current: None,
        };
        let mut batches = reader.into_iter();
        let read = batches.try_for_each(|batch| reading.take(&batch?));
        reading.finish();
        read
    }

    /// Prunes what there is so far, if that is too much; says whether it was.
    fn squeeze(&mut self) -> bool {
        let cells: usize = self.trees.values().map(Tree::len).sum();
        if cells <= ROLLUP_CELLS_MAX {
            return false;
        }
        for (key, mut tree) in std::mem::take(&mut self.trees) {
            tree.add_functions(self.frames.list.len());
            if let Some(part) = self.done.remove(&key) {
                tree.merge(&part, |frame| frame);
            }
            let part = tree.pruned(&key.0, &key.1, &self.rules);
            self.done.insert(key, part);
        }
        true
    }

    /// The rollups, with what was made before of other profiles. Their frames are positions in the
    /// second list.
    pub(crate) fn finish(mut self, before: &[KindRollup]) -> (Vec<KindRollup>, Vec<views::Frame>) {
        let mut others: BTreeMap<_, Vec<&KindRollup>> = BTreeMap::new();
        for part in before {
            let key = (part.service.as_str().into(), part.kind.as_str().into());
            others.entry(key).or_default().push(part);
        }
        for key in self.done.keys().chain(others.keys()) {
            if !self.trees.contains_key(key) {
                self.trees.insert(key.clone(), Tree::new());
            }
        }
        let mut parts = Vec::with_capacity(self.trees.len());
        for (key, mut tree) in self.trees {
            tree.add_functions(self.frames.list.len());
            if let Some(part) = self.done.remove(&key) {
                tree.merge(&part, |frame| frame);
            }
            for part in others.remove(&key).into_iter().flatten() {
                // Kinds of one hour share their frames: only those in use are looked up.
                let mut ids: Vec<Option<u32>> = vec![None; part.frames.len()];
                let frames = &mut self.frames;
                tree.merge(part, |at| {
                    let at = at as usize;
                    *ids[at].get_or_insert_with(|| frames.intern(&part.frames[at]))
                });
            }
            parts.push(tree.pruned(&key.0, &key.1, &self.rules));
        }
        (parts, self.frames.into_list())
    }
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, Error> {
        let value = |name| column::<Int64Array>(batch, name);
        Ok(Self {
            kind: column(batch, "kind")?,
            profile: column(batch, "profile")?,
            ts_ms: column(batch, "ts_ms")?,
            stack: column(batch, "stack")?,
            values: [value("v0")?, value("v1")?, value("v2")?, value("v3")?],
        })
    }

    fn values(&self, at: usize) -> Values {
        self.values.map(|column| if column.is_null(at) { 0 } else { column.value(at).into() })
    }
}

impl Reading<'_> {
    fn take(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let columns = Columns::of(batch)?;
        let names = columns.kind.values().as_any().downcast_ref::<StringArray>();
        let names = names.ok_or_else(|| Error::corrupt("column kind is not text"))?;
        let kinds: Vec<u32> = names.iter().map(|name| self.kind(name.unwrap_or(""))).collect();
        let hour_ms = self.builder.hour_ms;
        for at in 0..batch.num_rows() {
            let offset = columns.ts_ms.value(at).saturating_sub(hour_ms);
            if !(-HOUR_MS..HOUR_MS).contains(&offset) {
                continue;
            }
            let profile = columns.profile.value(at);
            let row = self.profiles.get(profile as usize);
            let row = row.ok_or_else(|| Error::corrupt("a sample is of no profile"))?;
            if row.is_hidden() {
                continue;
            }
            let kind = columns.kind.key(at).and_then(|key| kinds.get(key).copied());
            let kind = kind.ok_or_else(|| Error::corrupt("a sample has no kind"))?;
            let seen = self.seen.entry((kind, profile)).or_default();
            if offset < 0 {
                seen.is_before = true;
                continue;
            }
            let values = columns.values(at);
            seen.samples += 1;
            add(&mut seen.totals, &values);
            self.add(kind, row, columns.stack.value(at), &values);
        }
        Ok(())
    }

    fn kind(&mut self, name: &str) -> u32 {
        let at = self.kinds.iter().position(|have| &**have == name).unwrap_or_else(|| {
            self.kinds.push(name.into());
            self.kinds.len() - 1
        });
        at as u32
    }

    fn add(&mut self, kind: u32, row: &ProfileRow, stack: u32, values: &Values) {
        let mut current = match self.current.take() {
            Some(current) if (current.kind, current.series.0) == (kind, row.series) => current,
            before => self.next(before, kind, row),
        };
        let prefix = self.prefix(&mut current, StackId(stack));
        add(&mut self.builder.prefixes.cell(prefix).value, values);
        if current.pairs.last() != Some(&(row.ordinal, prefix)) {
            current.pairs.push((row.ordinal, prefix));
            if current.pairs.len() >= current.pairs_max {
                current.pairs.sort_unstable();
                current.pairs.dedup();
                // Where few are repeated, looking again soon would cost more than it saves.
                current.pairs_max = PAIRS_MAX.max(current.pairs.len() * 2);
            }
        }
        self.current = Some(current);
    }

    /// The tree of a kind and series instead of the one before.
    fn next(&mut self, before: Option<Current>, kind: u32, row: &ProfileRow) -> Current {
        let service: Arc<str> = row.labels.get(SERVICE).unwrap_or("").into();
        let key = (service, Arc::clone(&self.kinds[kind as usize]));
        let mut stacks = FxHashMap::default();
        if let Some(before) = before {
            let is_same = before.key == key;
            let known = self.close(before);
            if !self.builder.squeeze() && is_same {
                stacks = known;
            }
        }
        let tree = self.builder.trees.remove(&key);
        let mut tree = tree.unwrap_or_else(Tree::new);
        let series = (row.series, tree.series(&row.labels));
        Current { kind, series, tree, key, stacks, pairs: Vec::new(), pairs_max: PAIRS_MAX }
    }

    /// Counts the profiles of each prefix and function, and puts the tree back. Gives the prefixes
    /// of stacks, which stay right for the tree.
    fn close(&mut self, current: Current) -> FxHashMap<u32, u32> {
        let Current { series: (_, series), mut tree, key, stacks, mut pairs, .. } = current;
        pairs.sort_unstable();
        pairs.dedup();
        let Builder { prefixes, functions, .. } = &mut *self.builder;
        for (profile, end) in pairs {
            let mut at = end;
            while prefixes.cell(at).count(profile) && at != 0 {
                let prefix = tree.prefixes[at as usize];
                functions.cell(prefix.frame).count(profile);
                at = prefix.parent;
            }
        }
        for (prefix, cell) in prefixes.drain() {
            tree.add(prefix, series, &cell.value, cell.profiles);
        }
        for (frame, cell) in functions.drain() {
            tree.count_function(frame, series, cell.profiles);
        }
        self.builder.trees.insert(key, tree);
        stacks
    }

    /// The prefix of a whole stack; a stack that the tables do not have is the empty one.
    fn prefix(&mut self, current: &mut Current, stack: StackId) -> u32 {
        let mut path = Vec::new();
        let mut here = stack;
        let mut at = loop {
            if let Some(&known) = current.stacks.get(&here.0) {
                break known;
            }
            let Some((parent, location)) = self.tables.stacks.node(here) else { break 0 };
            path.push((here, location));
            here = parent;
        };
        while let Some((stack, location)) = path.pop() {
            for &frame in self.frames(location) {
                at = current.tree.child(at, frame);
            }
            current.stacks.insert(stack.0, at);
        }
        at
    }

    fn frames(&mut self, id: LocationId) -> &[u32] {
        let Some(known) = self.locations.get_mut(id.index()) else { return &[] };
        let (tables, frames) = (self.tables, &mut self.builder.frames);
        known.get_or_insert_with(|| {
            frames_of(tables, id).iter().map(|frame| frames.intern(frame)).collect()
        })
    }

    /// Counts profiles by series.
    fn finish(mut self) {
        if let Some(current) = self.current.take() {
            self.close(current);
        }
        let hour_ms = self.builder.hour_ms;
        for ((kind, profile), seen) in self.seen.iter().filter(|(_, seen)| seen.samples > 0) {
            let Some(row) = self.profiles.get(*profile as usize) else { continue };
            let service: Arc<str> = row.labels.get(SERVICE).unwrap_or("").into();
            let key = (service, Arc::clone(&self.kinds[*kind as usize]));
            // What its samples went to may have been pruned meanwhile.
            let tree = self.builder.trees.entry(key).or_insert_with(Tree::new);
            let at = tree.series(&row.labels);
            let series = &mut tree.series[at as usize];
            series.samples += seen.samples;
            add(&mut series.totals, &seen.totals);
            series.covered_ms += covered_ms(row, hour_ms);
            let counted = counted(row);
            series.all.add(&counted);
            if seen.is_before {
                series.continued.add(&counted);
            }
        }
    }
}

fn counted(row: &ProfileRow) -> Counted {
    let meta = &row.metadata;
    let quality = Quality {
        samples: row.kinds.iter().map(|kind| kind.samples).sum(),
        lost: meta.lost,
        broken: meta.broken,
        unsymbolized: meta.unsymbolized,
    };
    Counted { profiles: 1, quality }
}

fn covered_ms(row: &ProfileRow, hour_ms: i64) -> u64 {
    let start = row.window.start.max(Timestamp::from_millis(hour_ms));
    let end = row.window.end.min(Timestamp::from_millis(hour_ms.saturating_add(HOUR_MS)));
    (end.millis() - start.millis()).max(0).cast_unsigned()
}
