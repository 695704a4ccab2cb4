//! Making the rollups of an hour from segments, one at a time.

use super::sums::{Part, Sums};
use super::tally::Tally;
use super::tree::Tree;
use super::trie::{Frames, Trie};
use crate::batch::column;
use crate::part::TableSet;
use crate::segment::Segment;
use crate::{Error, ProfileRow};
use arrow::array::{Array, DictionaryArray, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::Int32Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use profile::handle::Handle;
use profile::labels::names::SERVICE;
use profile::{FrameType, FunctionId, Line, LocationId, MappingId, StackId, Tables, VALUES_MAX};
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
/// Prefix of a stack that was not looked up yet.
const UNKNOWN: u32 = u32::MAX;
/// Pairs of profile and stack that are kept before repeated ones are dropped.
const PAIRS_MAX: usize = 1 << 20;

/// The rollups of an hour being made.
#[derive(Debug)]
pub(crate) struct Builder {
    hour_ms: i64,
    rules: Rules,
    cells_max: usize,
    frames: Frames,
    /// Prefixes of all parts.
    trie: Trie,
    parts: BTreeMap<Key, Part>,
    /// Prefixes by part and series.
    cells: usize,
    /// What the series being read has, by prefix and by frame.
    prefixes: Tally<Values>,
    functions: Tally<()>,
    /// What was made and pruned already because there was too much; of the same frames.
    done: BTreeMap<Key, KindRollup>,
}

/// A service and kind.
type Key = (Arc<str>, Arc<str>);

/// What a profile has of a kind in and before the hour.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    samples: u64,
    totals: Values,
    is_before: bool,
}

/// Where rows go until the kind or the series changes.
struct Current {
    kind: u32,
    /// Ordinal of the series in the segment, and position in the part.
    series: (u32, u32),
    key: Key,
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
    /// Frames of functions that have names.
    named: FxHashMap<(FunctionId, Option<MappingId>, FrameType), u32>,
    /// Prefix of each stack.
    stacks: Vec<u32>,
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
    /// Of an hour; there is pruned early where more than `cells_max` prefixes of series come together.
    pub(crate) fn new(hour_ms: i64, rules: Rules, cells_max: usize) -> Self {
        Self {
            hour_ms,
            rules,
            cells_max,
            frames: Frames::default(),
            trie: Trie::default(),
            parts: BTreeMap::new(),
            cells: 0,
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
        let tables = segment.read_tables(TableSet::Names)?;
        let mut reading = Reading {
            builder: self,
            tables: &tables,
            profiles,
            kinds: Vec::new(),
            locations: vec![None; tables.locations.len()],
            named: FxHashMap::default(),
            stacks: vec![UNKNOWN; tables.stacks.len()],
            seen: FxHashMap::default(),
            current: None,
        };
        let mut batches = reader.into_iter();
        let read = batches.try_for_each(|batch| reading.take(&batch?));
        reading.finish();
        read
    }

    /// Prunes what there is so far, if that is too much; says whether it was. Prefixes begin anew.
    fn squeeze(&mut self) -> bool {
        if self.cells <= self.cells_max {
            return false;
        }
        let trie = std::mem::take(&mut self.trie);
        let mut places = Vec::new();
        for (key, part) in std::mem::take(&mut self.parts) {
            let mut tree = Tree::new(part, &trie.prefixes, &mut places, self.frames.list.len());
            if let Some(part) = self.done.remove(&key) {
                tree.merge(&part, |frame| frame);
            }
            let part = tree.pruned(&key.0, &key.1, &self.rules);
            self.done.insert(key, part);
        }
        self.cells = 0;
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
            self.parts.entry(key.clone()).or_default();
        }
        let mut result = Vec::with_capacity(self.parts.len());
        let mut places = Vec::new();
        for (key, part) in self.parts {
            let frames = self.frames.list.len();
            let mut tree = Tree::new(part, &self.trie.prefixes, &mut places, frames);
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
            result.push(tree.pruned(&key.0, &key.1, &self.rules));
        }
        (result, self.frames.into_list())
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
        let prefix = self.prefix(StackId(stack));
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

    /// What rows of a kind and series go to, after those before.
    fn next(&mut self, before: Option<Current>, kind: u32, row: &ProfileRow) -> Current {
        if let Some(before) = before {
            self.close(before);
        }
        if self.builder.squeeze() {
            self.stacks.fill(UNKNOWN);
        }
        let service: Arc<str> = row.labels.get(SERVICE).unwrap_or("").into();
        let key = (service, Arc::clone(&self.kinds[kind as usize]));
        let part = self.builder.parts.entry(key.clone()).or_default();
        let series = (row.series, part.series.of(&row.labels));
        Current { kind, series, key, pairs: Vec::new(), pairs_max: PAIRS_MAX }
    }

    /// Counts the profiles of each prefix and function, and adds what the series has to its part.
    fn close(&mut self, current: Current) {
        let Current { series: (_, series), key, mut pairs, .. } = current;
        pairs.sort_unstable();
        pairs.dedup();
        let Builder { prefixes, functions, trie, .. } = &mut *self.builder;
        for (profile, end) in pairs {
            let mut at = end;
            while prefixes.cell(at).count(profile) && at != 0 {
                let prefix = trie.prefixes[at as usize];
                functions.cell(prefix.frame).count(profile);
                at = prefix.parent;
            }
        }
        let mut sums = Sums::default();
        for (prefix, cell) in prefixes.drain() {
            sums.profiles.push((prefix, cell.profiles));
            if cell.value != Values::default() {
                sums.own.push((prefix, cell.value));
            }
        }
        sums.functions.extend(functions.drain().map(|(frame, cell)| (frame, cell.profiles)));
        let part = self.builder.parts.entry(key).or_default();
        self.builder.cells += part.add(series, sums);
    }

    /// The prefix of a whole stack; a stack that the tables do not have is the empty one.
    fn prefix(&mut self, stack: StackId) -> u32 {
        let mut path = Vec::new();
        let mut here = stack;
        let mut at = loop {
            match self.stacks.get(here.index()) {
                Some(&known) if known != UNKNOWN => break known,
                _ => {}
            }
            let Some((parent, location)) = self.tables.stacks.node(here) else { break 0 };
            path.push((here, location));
            here = parent;
        };
        while let Some((stack, location)) = path.pop() {
            self.frames(location);
            let frames = self.locations.get(location.index()).and_then(Option::as_deref);
            for &frame in frames.into_iter().flatten() {
                at = self.builder.trie.child(at, frame);
            }
            self.stacks[stack.index()] = at;
        }
        at
    }

    /// Looks the frames of a location up, unless they are known.
    fn frames(&mut self, id: LocationId) {
        let Some(None) = self.locations.get(id.index()) else { return };
        let Some(location) = self.tables.locations.get(id) else { return };
        // Named frames are the same for all locations in a function.
        let key = |line: &Line| (line.function, location.mapping, location.frame_type);
        let known = location.lines.iter().rev().map(|line| self.named.get(&key(line)).copied());
        let known = known.collect::<Option<Box<[u32]>>>().filter(|known| !known.is_empty());
        let found = known.unwrap_or_else(|| {
            let found = frames_of(self.tables, id);
            let found: Box<[u32]> =
                found.iter().map(|frame| self.builder.frames.intern(frame)).collect();
            for (line, frame) in location.lines.iter().rev().zip(&found) {
                let function = self.tables.functions.get(line.function);
                if function.is_some_and(|function| self.tables.is_named(function)) {
                    self.named.insert(key(line), *frame);
                }
            }
            found
        });
        self.locations[id.index()] = Some(found);
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
            let part = self.builder.parts.entry(key).or_default();
            let at = part.series.of(&row.labels);
            let series = &mut part.series.rows[at as usize];
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
