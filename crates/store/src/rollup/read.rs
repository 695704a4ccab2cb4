//! Reading rollups back. References that lead nowhere are damage and said so.

use super::Rollup;
use crate::Error;
use crate::batch::column;
use arrow::array::{
    BooleanArray, Int64Array, RecordBatch, StringArray, UInt8Array, UInt32Array, UInt64Array,
};
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::file::metadata::PageIndexPolicy;
use profile::{FrameType, Labels, VALUES_MAX};
use std::ops::Range;
use std::sync::Arc;
use views::frame::Origin;
use views::rollup::{Counted, FunctionCell, KindRollup, Prefix, PrefixCell, SeriesRollup, Values};
use views::{Frame, Matcher, Quality};

/// What is wanted of an hour.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only this kind.
    pub kind: Option<String>,
    /// Only services that have a series which fits all of these.
    pub matchers: Vec<Matcher>,
    /// Prefixes, too.
    pub prefixes: bool,
    /// Functions, too.
    pub functions: bool,
}

/// A service and kind, and where its rows are.
struct Part {
    rollup: KindRollup,
    prefixes: Range<usize>,
    functions: Range<usize>,
}

/// Reads rows of a table, all or some.
fn each(
    rollup: &Rollup,
    table: &str,
    rows: Option<&[Range<usize>]>,
    mut read: impl FnMut(&RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(file) = rollup.file(table)? else {
        return Err(Error::corrupt(format!("rollup {} has no {table}", rollup.row.id)));
    };
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let mut reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?;
    if let Some(rows) = rows {
        let total = usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
        let mut selectors = Vec::new();
        let mut at = 0;
        for range in rows.iter().filter(|range| !range.is_empty()) {
            if range.start < at || range.end > total {
                return Err(Error::corrupt(format!("{table} of a rollup has too few rows")));
            }
            selectors.push(RowSelector::skip(range.start - at));
            selectors.push(RowSelector::select(range.len()));
            at = range.end;
        }
        selectors.push(RowSelector::skip(total - at));
        reader = reader.with_row_selection(RowSelection::from(selectors));
    }
    for batch in reader.build()? {
        read(&batch?)?;
    }
    Ok(())
}

/// Measures of a batch.
struct Measures<'a>([&'a Int64Array; VALUES_MAX]);

impl<'a> Measures<'a> {
    fn of(batch: &'a RecordBatch, names: [&str; VALUES_MAX]) -> Result<Self, Error> {
        let [a, b, c, d] = names.map(|name| column::<Int64Array>(batch, name));
        Ok(Self([a?, b?, c?, d?]))
    }

    fn at(&self, row: usize) -> Values {
        self.0.map(|column| column.value(row).into())
    }
}

fn parts(rollup: &Rollup, wanted: &Wanted) -> Result<Vec<Part>, Error> {
    let mut labels = labels(rollup)?;
    let mut parts: Vec<Part> = Vec::new();
    each(rollup, "kinds", None, |batch| add_kinds(batch, &mut labels, &mut parts))?;
    parts.retain(|part| {
        let mut series = part.rollup.series.iter();
        wanted.kind.as_ref().is_none_or(|kind| *kind == part.rollup.kind)
            && series.any(|row| wanted.matchers.iter().all(|matcher| matcher.matches(&row.labels)))
    });
    Ok(parts)
}

/// Where rows are that a first one and their number name.
fn range(first: &UInt32Array, count: &UInt32Array, at: usize) -> Range<usize> {
    let first = first.value(at) as usize;
    first..first + count.value(at) as usize
}

fn add_kinds(
    batch: &RecordBatch,
    labels: &mut SeriesLabels,
    parts: &mut Vec<Part>,
) -> Result<(), Error> {
    let number = |name| column::<UInt32Array>(batch, name);
    let (part, ordinal) = (number("part")?, number("series")?);
    let (first_prefix, prefixes) = (number("first_prefix")?, number("prefixes")?);
    let (first_function, functions) = (number("first_function")?, number("functions")?);
    let service: &StringArray = column(batch, "service")?;
    let kind: &StringArray = column(batch, "kind")?;
    let long = |name| column::<UInt64Array>(batch, name);
    let (samples, covered) = (long("samples")?, long("covered_ms")?);
    let totals = Measures::of(batch, ["v0", "v1", "v2", "v3"])?;
    let all = ["profiles", "profile_samples", "lost", "broken", "unsymbolized"];
    let all = Counts::of(batch, all)?;
    let continued = Counts::of(
        batch,
        [
            "continued_profiles",
            "continued_samples",
            "continued_lost",
            "continued_broken",
            "continued_unsymbolized",
        ],
    )?;
    for at in 0..batch.num_rows() {
        if part.value(at) as usize == parts.len() {
            parts.push(Part {
                rollup: KindRollup::new(service.value(at), kind.value(at)),
                prefixes: range(first_prefix, prefixes, at),
                functions: range(first_function, functions, at),
            });
        }
        let ordinals = (part.value(at), ordinal.value(at));
        let its = parts.get_mut(ordinals.0 as usize);
        let its = its.filter(|its| its.rollup.series.len() == ordinals.1 as usize);
        let its = its.ok_or_else(|| Error::corrupt("kinds of a rollup have a gap"))?;
        its.rollup.series.push(SeriesRollup {
            labels: Arc::new(labels.remove(&ordinals).unwrap_or_default()),
            samples: samples.value(at),
            totals: totals.at(at),
            covered_ms: covered.value(at),
            all: all.at(at),
            continued: continued.at(at),
        });
    }
    Ok(())
}

/// Columns of [`Counted`].
struct Counts<'a>([&'a UInt64Array; 5]);

impl<'a> Counts<'a> {
    fn of(batch: &'a RecordBatch, names: [&str; 5]) -> Result<Self, Error> {
        let [profiles, samples, lost, broken, unsymbolized] =
            names.map(|name| column::<UInt64Array>(batch, name));
        Ok(Self([profiles?, samples?, lost?, broken?, unsymbolized?]))
    }

    fn at(&self, row: usize) -> Counted {
        let [profiles, samples, lost, broken, unsymbolized] = self.0.map(|one| one.value(row));
        Counted { profiles, quality: Quality { samples, lost, broken, unsymbolized } }
    }
}

/// Labels by part and series.
type SeriesLabels = std::collections::BTreeMap<(u32, u32), Labels>;

fn labels(rollup: &Rollup) -> Result<SeriesLabels, Error> {
    let mut labels = SeriesLabels::new();
    each(rollup, "series", None, |batch| {
        let part: &UInt32Array = column(batch, "part")?;
        let series: &UInt32Array = column(batch, "series")?;
        let name: &StringArray = column(batch, "name")?;
        let value: &StringArray = column(batch, "value")?;
        for at in 0..batch.num_rows() {
            let its = labels.entry((part.value(at), series.value(at))).or_default();
            its.set(name.value(at), value.value(at));
        }
        Ok(())
    })?;
    Ok(labels)
}

fn frames(rollup: &Rollup) -> Result<Vec<Frame>, Error> {
    let mut frames = Vec::new();
    each(rollup, "frames", None, |batch| {
        let text = |name| column::<StringArray>(batch, name);
        let (name, system_name) = (text("name")?, text("system_name")?);
        let (binary, file) = (text("binary")?, text("file")?);
        let build_id = batch.column_by_name("build_id");
        let build_id = build_id.and_then(|ids| ids.as_any().downcast_ref::<StringArray>());
        let frame_type: &UInt8Array = column(batch, "frame_type")?;
        let unsymbolized: &BooleanArray = column(batch, "unsymbolized")?;
        for at in 0..batch.num_rows() {
            let frame_type = FrameType::from_number(frame_type.value(at));
            let path = binary.value(at);
            frames.push(Frame {
                name: name.value(at).into(),
                library: path.rsplit('/').next().unwrap_or(path).into(),
                file: file.value(at).into(),
                unsymbolized: unsymbolized.value(at),
                kernel: frame_type == FrameType::Kernel,
                origin: Origin {
                    path: path.into(),
                    system_name: system_name.value(at).into(),
                    frame_type,
                    build_id: build_id.map_or("", |ids| ids.value(at)).into(),
                },
            });
        }
        Ok(())
    })?;
    if frames.is_empty() {
        return Err(Error::corrupt("a rollup without frames"));
    }
    Ok(frames)
}

fn prefixes(rollup: &Rollup, parts: &mut [Part], frames: &[Frame]) -> Result<(), Error> {
    let rows: Vec<_> = parts.iter().map(|part| part.prefixes.clone()).collect();
    let mut taken = Taker::new(&rows);
    each(rollup, "prefixes", Some(&rows), |batch| {
        let number = |name| column::<UInt32Array>(batch, name);
        let (prefix, up, frame) = (number("prefix")?, number("up")?, number("frame")?);
        let series = number("series")?;
        let profiles: &UInt64Array = column(batch, "profiles")?;
        let own = Measures::of(batch, ["v0", "v1", "v2", "v3"])?;
        for at in 0..batch.num_rows() {
            let its = taken.part(parts).ok_or_else(|| Error::corrupt("prefixes of no part"))?;
            let (here, series) = (prefix.value(at), series.value(at));
            if here as usize == its.prefixes.len() {
                let parent = here.checked_sub(up.value(at)).filter(|parent| *parent < here);
                let parent = parent.ok_or_else(|| Error::corrupt("a prefix before its caller"))?;
                its.prefixes.push(Prefix { parent, frame: frame.value(at) });
            }
            let is_known = (here as usize) < its.prefixes.len()
                && (frame.value(at) as usize) < frames.len()
                && (series as usize) < its.series.len();
            if !is_known {
                return Err(Error::corrupt("a prefix of a rollup refers to nothing"));
            }
            its.cells.push(PrefixCell {
                prefix: here,
                series,
                own: own.at(at),
                profiles: profiles.value(at),
            });
        }
        Ok(())
    })
}

fn functions(rollup: &Rollup, parts: &mut [Part], frames: &[Frame]) -> Result<(), Error> {
    let rows: Vec<_> = parts.iter().map(|part| part.functions.clone()).collect();
    let mut taken = Taker::new(&rows);
    each(rollup, "functions", Some(&rows), |batch| {
        let frame: &UInt32Array = column(batch, "frame")?;
        let series: &UInt32Array = column(batch, "series")?;
        let profiles: &UInt64Array = column(batch, "profiles")?;
        let own = Measures::of(batch, ["v0", "v1", "v2", "v3"])?;
        let total = Measures::of(batch, ["t0", "t1", "t2", "t3"])?;
        for at in 0..batch.num_rows() {
            let its = taken.part(parts).ok_or_else(|| Error::corrupt("functions of no part"))?;
            let (frame, series) = (frame.value(at), series.value(at));
            if frame as usize >= frames.len() || series as usize >= its.series.len() {
                return Err(Error::corrupt("a function of a rollup refers to nothing"));
            }
            let (own, total, profiles) = (own.at(at), total.at(at), profiles.value(at));
            its.functions.push(FunctionCell { frame, series, own, total, profiles });
        }
        Ok(())
    })
}

/// Gives selected rows, one after the other, to their parts.
struct Taker {
    left: Vec<usize>,
    at: usize,
}

impl Taker {
    fn new(rows: &[Range<usize>]) -> Self {
        Self { left: rows.iter().map(Range::len).collect(), at: 0 }
    }

    fn part<'a>(&mut self, parts: &'a mut [Part]) -> Option<&'a mut KindRollup> {
        while *self.left.get(self.at)? == 0 {
            self.at += 1;
        }
        self.left[self.at] -= 1;
        parts.get_mut(self.at).map(|part| &mut part.rollup)
    }
}

/// The parts of an hour that are wanted.
pub(crate) fn read(rollup: &Rollup, wanted: &Wanted) -> Result<Vec<KindRollup>, Error> {
    let mut parts = parts(rollup, wanted)?;
    if !parts.is_empty() && (wanted.prefixes || wanted.functions) {
        let frames = Arc::new(frames(rollup)?);
        if wanted.prefixes {
            prefixes(rollup, &mut parts, &frames)?;
        }
        if wanted.functions {
            functions(rollup, &mut parts, &frames)?;
        }
        for part in &mut parts {
            part.rollup.frames = Arc::clone(&frames);
        }
    }
    Ok(parts.into_iter().map(|part| part.rollup).collect())
}
