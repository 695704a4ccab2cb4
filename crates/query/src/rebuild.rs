//! One profile exactly as it was stored, from its rows.

use crate::error;
use crate::limits::PROFILE_ROWS_MAX;
use crate::plan::VALUES;
use crate::predicate::Predicate;
use crate::scan::{Job, Scanner};
use crate::transplant::{Sources, Transplant};
use arrow::array::{Array, AsArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, Int64Type, UInt32Type};
use profile::{
    AttributesId, KindIndex, LinkId, Profile, Sample, SampleKind, StackId, Tables, ThreadId,
};
use rustc_hash::FxHashMap;
use stdx::Timestamp;
use store::{Part, ProfileRow};
use views::ViewError;

const COLUMNS: &[&str] = &[
    "kind",
    "ts_ms",
    "timed",
    "ts_rest_ns",
    "stack",
    "v0",
    "v1",
    "v2",
    "v3",
    "thread",
    "link",
    "attributes",
];

/// The profile `row` of a part.
pub(crate) async fn profile(
    part: &Part,
    row: &ProfileRow,
    scanner: &Scanner,
) -> Result<Profile, ViewError> {
    let predicate = Predicate {
        series_range: Some((row.series, row.series)),
        ordinals: Some(("profile", vec![row.ordinal])),
        ..Predicate::default()
    };
    let job = Job { at: 0, part: part.clone(), predicate };
    let batches = scanner.rows(job, COLUMNS, PROFILE_ROWS_MAX).await?;
    let sources = Sources::of(part).await?;
    let mut profile = Profile {
        labels: row.labels.as_ref().clone(),
        window: row.window,
        metadata: row.metadata.as_ref().clone(),
        ..Profile::default()
    };
    let mut kinds: FxHashMap<String, KindIndex> = FxHashMap::default();
    for totals in &*row.kinds {
        if let Some(kind) = SampleKind::from_id(&totals.kind) {
            kinds.insert(totals.kind.to_string(), profile.intern_kind(&kind));
        }
    }
    let mut transplant = Transplant::of(&sources);
    for batch in &batches {
        let columns = Columns::of(batch)?;
        for at in 0..batch.num_rows() {
            let Some(&kind) = columns.kind(at).and_then(|kind| kinds.get(kind)) else { continue };
            let sample = columns.sample(at, kind, &mut profile.tables, &mut transplant);
            profile.samples.push(sample);
        }
    }
    Ok(profile)
}

struct Columns<'a> {
    kinds: &'a arrow::array::StringArray,
    kind_keys: &'a PrimitiveArray<Int32Type>,
    ts_ms: &'a PrimitiveArray<Int64Type>,
    timed: &'a arrow::array::BooleanArray,
    rest_ns: &'a PrimitiveArray<Int32Type>,
    stack: &'a PrimitiveArray<UInt32Type>,
    values: Vec<&'a PrimitiveArray<Int64Type>>,
    thread: &'a PrimitiveArray<UInt32Type>,
    link: &'a PrimitiveArray<UInt32Type>,
    attributes: &'a PrimitiveArray<UInt32Type>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, ViewError> {
        let kind = batch.column_by_name("kind").and_then(|c| c.as_dictionary_opt::<Int32Type>());
        let kind = kind.ok_or_else(|| error::column("kind"))?;
        let kinds = kind.values().as_string_opt::<i32>().ok_or_else(|| error::column("kind"))?;
        let timed = batch.column_by_name("timed").and_then(|c| c.as_boolean_opt());
        Ok(Self {
            kinds,
            kind_keys: kind.keys(),
            ts_ms: numbers(batch, "ts_ms")?,
            timed: timed.ok_or_else(|| error::column("timed"))?,
            rest_ns: numbers(batch, "ts_rest_ns")?,
            stack: numbers(batch, "stack")?,
            values: VALUES.iter().map(|name| numbers(batch, name)).collect::<Result<_, _>>()?,
            thread: numbers(batch, "thread")?,
            link: numbers(batch, "link")?,
            attributes: numbers(batch, "attributes")?,
        })
    }

    fn kind(&self, at: usize) -> Option<&str> {
        let key = usize::try_from(get(self.kind_keys, at)?).ok()?;
        (key < self.kinds.len()).then(|| self.kinds.value(key))
    }

    fn sample(
        &self,
        at: usize,
        kind: KindIndex,
        target: &mut Tables,
        transplant: &mut Transplant<'_>,
    ) -> Sample {
        let mut sample = Sample { kind, ..Sample::default() };
        if self.timed.is_valid(at) && self.timed.value(at) {
            let millis = Timestamp::from_millis(get(self.ts_ms, at).unwrap_or(0));
            let rest = get(self.rest_ns, at).unwrap_or(0);
            sample.time = Some(millis.plus_nanos(i64::from(rest)));
        }
        for (value, column) in sample.values.iter_mut().zip(&self.values) {
            *value = get(column, at).unwrap_or(0);
        }
        let stack = get(self.stack, at).unwrap_or(0);
        sample.stack = transplant.stack(target, StackId(stack));
        let thread = get(self.thread, at).map(ThreadId);
        sample.thread = thread.and_then(|id| transplant.thread(target, id));
        let link = get(self.link, at).map(LinkId);
        sample.link = link.and_then(|id| transplant.link(target, id));
        let attributes = get(self.attributes, at).map(AttributesId);
        sample.attributes = attributes.and_then(|id| transplant.attributes(target, id));
        sample
    }
}

fn numbers<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, ViewError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<T>());
    column.ok_or_else(|| error::column(name))
}

fn get<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, at: usize) -> Option<T::Native> {
    column.is_valid(at).then(|| column.value(at))
}
