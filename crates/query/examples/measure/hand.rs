//! The limit of step 1: a loop written by hand over the same Parquet files for the same question. It
//! knows the files' footers and page indexes beforehand, as the engine does. Step 2 is in
//! [`crate::direct`].

use crate::Failure;
use crate::set::{Set, TENANT};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, UInt32Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::TimeRange;
use store::Samples;

/// A question for sums by stack.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Only this service.
    pub(crate) service: Option<String>,
    /// Only series with this label's value.
    pub(crate) label: Option<(&'static str, String)>,
    /// Only rows within, where the range cuts the set.
    pub(crate) range: Option<TimeRange>,
    /// Which value column.
    pub(crate) value: &'static str,
}

/// A file to loop over.
pub(crate) struct Input {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    parquet: Arc<ParquetMetaData>,
    /// Whether a series fits the label asked for.
    series: Option<Vec<bool>>,
}

/// Sums by stack of a part: a slot a stack.
pub(crate) struct Sums {
    folder: PathBuf,
    values: Vec<i64>,
    is_there: Vec<bool>,
}

/// What the loop needs to know beforehand of each file that may answer.
pub(crate) async fn inputs(set: &Set, question: &Question) -> Result<Vec<Input>, Failure> {
    let mut inputs = Vec::new();
    let range = question.range.unwrap_or(TimeRange::ALL);
    for part in set.store.snapshot(TENANT, range).parts {
        let Samples::Parquet { path, .. } = part.samples() else { continue };
        let Some(parquet) = part.parquet_metadata().await? else { continue };
        let metadata =
            ArrowReaderMetadata::try_new(Arc::clone(&parquet), ArrowReaderOptions::new())?;
        let mut series = None;
        if let Some((name, value)) = &question.label {
            let mut fits = Vec::new();
            for row in part.profiles().await?.iter() {
                let at = row.series as usize;
                if fits.len() <= at {
                    fits.resize(at + 1, false);
                }
                fits[at] = row.labels.get(name) == Some(value.as_str());
            }
            series = Some(fits);
        }
        let path = set.folder.join(path.as_ref());
        inputs.push(Input { path, metadata, parquet, series });
    }
    Ok(inputs)
}

/// Step 1 by hand.
pub(crate) fn sums(inputs: &[Input], question: &Question) -> Result<Vec<Sums>, Failure> {
    inputs.iter().map(|input| sums_of(input, question)).collect()
}

fn sums_of(input: &Input, question: &Question) -> Result<Sums, Failure> {
    let mut names = vec!["stack", question.value];
    names.extend(question.service.as_ref().map(|_| "service"));
    names.extend(input.series.as_ref().map(|_| "series"));
    names.extend(question.range.map(|_| "ts_ms"));
    let file = File::open(&input.path)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, input.metadata.clone());
    let columns = ProjectionMask::columns(builder.parquet_schema(), names);
    let ranges = pages(&input.parquet, question);
    let rows = usize::try_from(input.parquet.file_metadata().num_rows())?;
    let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), rows);
    let reader = builder.with_projection(columns).with_row_selection(selection);
    let folder = input.path.parent().unwrap_or(Path::new("")).to_owned();
    let mut sums = Sums { folder, values: Vec::new(), is_there: Vec::new() };
    for batch in reader.with_batch_size(8_192).build()? {
        sums.add(&batch?, input, question)?;
    }
    Ok(sums)
}

impl Sums {
    fn add(
        &mut self,
        batch: &RecordBatch,
        input: &Input,
        question: &Question,
    ) -> Result<(), Failure> {
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("no {name}"));
        let stacks = column("stack")?.as_primitive::<UInt32Type>().values();
        let values = column(question.value)?.as_primitive::<Int64Type>();
        let mut keep = vec![true; batch.num_rows()];
        if let Some(service) = &question.service {
            let column = column("service")?.as_dictionary::<Int32Type>();
            let names = column.values().as_string::<i32>();
            let fits: Vec<bool> = names.iter().map(|name| name == Some(service.as_str())).collect();
            let keys = column.keys().values();
            keep.iter_mut().zip(keys).for_each(|(keep, key)| *keep &= fits[*key as usize]);
        }
        if let Some(fits) = &input.series {
            let series = column("series")?.as_primitive::<UInt32Type>().values();
            keep.iter_mut().zip(series).for_each(|(keep, at)| *keep &= fits[*at as usize]);
        }
        if let Some(range) = &question.range {
            let (from, until) = (range.start.millis(), range.end.millis());
            let times = column("ts_ms")?.as_primitive::<Int64Type>().values();
            let within = |time: i64| from <= time && time < until;
            keep.iter_mut().zip(times).for_each(|(keep, time)| *keep &= within(*time));
        }
        for (at, stack) in stacks.iter().enumerate().filter(|(at, _)| keep[*at]) {
            let stack = *stack as usize;
            if self.values.len() <= stack {
                self.values.resize(stack + 1, 0);
                self.is_there.resize(stack + 1, false);
            }
            self.is_there[stack] = true;
            if values.is_valid(at) {
                self.values[stack] += values.value(at);
            }
        }
        Ok(())
    }

    /// Where the tables of the part are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stacks and their sums.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, i64)> {
        let there = self.values.iter().zip(&self.is_there).enumerate();
        there.filter(|(_, (_, is_there))| **is_there).map(|(at, (sum, _))| (at, *sum))
    }
}

/// Groups and total of all sums.
pub(crate) fn totals(sums: &[Sums]) -> (usize, i128) {
    let all = || sums.iter().flat_map(Sums::iter);
    (all().count(), all().map(|(_, sum)| i128::from(sum)).sum())
}

/// Rows of the pages that may hold the service and times asked for.
fn pages(metadata: &ParquetMetaData, question: &Question) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut first = 0;
    for group in 0..metadata.num_row_groups() {
        let rows = metadata.row_group(group).num_rows() as usize;
        let mut kept: Vec<Range<usize>> = std::iter::once(first..first + rows).collect();
        if let Some(service) = &question.service {
            let name = service.as_bytes();
            let may = |index: &ColumnIndexMetaData, at| match index {
                ColumnIndexMetaData::BYTE_ARRAY(index) => {
                    index.min_value(at).is_none_or(|min| min <= name)
                        && index.max_value(at).is_none_or(|max| name <= max)
                }
                _ => true,
            };
            kept = common(&kept, &pages_of(metadata, group, first, "service", may));
        }
        if let Some(range) = &question.range {
            let may = |index: &ColumnIndexMetaData, at| match index {
                ColumnIndexMetaData::INT64(index) => {
                    index.min_value(at).is_none_or(|min| *min < range.end.millis())
                        && index.max_value(at).is_none_or(|max| range.start.millis() <= *max)
                }
                _ => true,
            };
            kept = common(&kept, &pages_of(metadata, group, first, "ts_ms", may));
        }
        ranges.extend(kept);
        first += rows;
    }
    ranges
}

fn pages_of(
    metadata: &ParquetMetaData,
    group: usize,
    first: usize,
    name: &str,
    may: impl Fn(&ColumnIndexMetaData, usize) -> bool,
) -> Vec<Range<usize>> {
    let rows = metadata.row_group(group).num_rows() as usize;
    let whole = || std::iter::once(first..first + rows).collect();
    let columns = metadata.row_group(group).columns();
    let Some(column) = columns.iter().position(|one| one.column_path().string() == name) else {
        return whole();
    };
    let (Some(index), Some(offsets)) = (metadata.column_index(), metadata.offset_index()) else {
        return whole();
    };
    let (index, pages) = (&index[group][column], offsets[group][column].page_locations());
    let start = |at: usize| pages.get(at).map_or(rows, |page| page.first_row_index as usize);
    let fitting = (0..pages.len()).filter(|at| may(index, *at));
    fitting.map(|at| first + start(at)..first + start(at + 1)).collect()
}

/// What two lists of ascending ranges share.
fn common(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut at, mut bt) = (0, 0);
    let mut shared: Vec<Range<usize>> = Vec::new();
    while let (Some(one), Some(other)) = (a.get(at), b.get(bt)) {
        let (start, end) = (one.start.max(other.start), one.end.min(other.end));
        match shared.last_mut() {
            Some(last) if start < end && last.end == start => last.end = end,
            _ if start < end => shared.push(start..end),
            _ => {}
        }
        if one.end <= other.end { at += 1 } else { bt += 1 }
    }
    shared
}
