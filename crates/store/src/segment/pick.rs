//! The names of some stacks alone. A segment holds those of fifty services, a question is mostly
//! about one: of each table only blocks with wanted rows are read, from stacks to their callers, then
//! to locations, lines and functions.

use super::Segment;
use super::pieces::Pieces;
use super::read::{Names, Places, is_first_version, mappings};
use crate::Error;
use crate::batch::column;
use arrow::array::{RecordBatch, UInt32Array};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use profile::handle::Handle;
use profile::{FunctionId, Line, LocationId, StackId, Tables};
use std::ops::Range;

/// Rows that are read together when one of them is wanted.
const BLOCK_ROWS: usize = 1_024;
/// Times that callers are looked for in blocks that were not read yet; then all blocks are read. Most
/// callers are close to their callees.
const ROUNDS_MAX: usize = 8;

/// Tables with the names of some stacks.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) tables: Tables,
    /// The handle of each stack asked for, in their order.
    pub(crate) stacks: Vec<StackId>,
}

/// Picks stacks; those that the segment does not have become the empty one.
pub(crate) fn pick(segment: &Segment, stacks: &[StackId]) -> Result<Picked, Error> {
    let mut nodes = Nodes::open(segment)?;
    nodes.find(stacks)?;
    let mut locations = Wanted::of(rows(segment, "locations")?);
    for &row in &nodes.found {
        locations.want(nodes.locations[row as usize], "a stack is of no location")?;
    }
    let mut tables = Tables::default();
    names(segment, &mut locations, &mut tables)?;
    // By the stack as samples say it; as numbers, so that memory is only taken where some are.
    let mut places = vec![0; nodes.rows() + 1];
    for &row in &nodes.found {
        let row = row as usize;
        let location = LocationId(locations.place(nodes.locations[row]));
        let caller = StackId(places[nodes.callers[row] as usize]);
        let added = tables.stacks.push(caller, location);
        let added = added.ok_or_else(|| Error::corrupt("a stack comes before its caller"))?;
        places[row + 1] = added.0;
    }
    let place = |at: &StackId| StackId(places.get(at.index()).copied().unwrap_or(0));
    Ok(Picked { stacks: stacks.iter().map(place).collect(), tables })
}

/// Mappings, the wanted locations with their lines, and the functions of those.
fn names(segment: &Segment, locations: &mut Wanted, tables: &mut Tables) -> Result<(), Error> {
    let mut functions = Wanted::of(rows(segment, "functions")?);
    let lines = lines(segment, locations, &mut functions)?;
    if let Some(table) = Table::open(segment, "functions")? {
        table.each(&functions.blocks(), None, |batch, rows| {
            let names = Names::of(batch)?;
            for (at, row) in rows.enumerate() {
                if functions.take(row, tables.functions.len()) {
                    tables.functions.push(names.row(at, &mut tables.strings));
                }
            }
            Ok(())
        })?;
    }
    mappings(segment, tables)?;
    let mut lines = lines.as_slice();
    let Some(table) = Table::open(segment, "locations")? else { return Ok(()) };
    table.each(&locations.blocks(), None, |batch, rows| {
        let places = Places::of(batch)?;
        for (at, row) in rows.enumerate() {
            if !locations.take(row, tables.locations.len()) {
                continue;
            }
            let count = lines.iter().take_while(|(of, _)| *of as usize == row).count();
            let (own, after) = lines.split_at(count);
            lines = after;
            let own = own.iter().map(|(_, line)| Line {
                function: FunctionId(functions.place(line.function.0)),
                ..*line
            });
            tables.locations.push(places.row(at, own.collect()));
        }
        Ok(())
    })
}

/// The lines of wanted locations, with the location of each; their functions are wanted then.
fn lines(
    segment: &Segment,
    locations: &Wanted,
    functions: &mut Wanted,
) -> Result<Vec<(u32, Line)>, Error> {
    let Some(table) = Table::open(segment, "lines")? else { return Ok(Vec::new()) };
    // Which rows they are is known once the locations of all lines are.
    let mut wanted = Wanted::of(table.rows);
    let all = 0..table.rows;
    table.each(std::slice::from_ref(&all), Some("location"), |batch, rows| {
        let location: &UInt32Array = column(batch, "location")?;
        for (row, of) in rows.zip(location.values()) {
            if locations.has(*of as usize) {
                wanted.want(row as u32, "a table has more rows than it says")?;
            }
        }
        Ok(())
    })?;
    let mut lines = Vec::new();
    table.each(&wanted.blocks(), None, |batch, rows| {
        let number = |name| column::<UInt32Array>(batch, name);
        let (location, function) = (number("location")?, number("function")?);
        let (line, col) = (number("line")?, number("column")?);
        for (at, _) in rows.enumerate().filter(|(_, row)| wanted.has(*row)) {
            functions.want(function.value(at), "a line is of no function")?;
            let function = FunctionId(function.value(at));
            let row = Line { function, line: line.value(at), column: col.value(at) };
            lines.push((location.value(at), row));
        }
        Ok(())
    })?;
    Ok(lines)
}

/// Rows of a table that has a file, or none.
fn rows(segment: &Segment, table: &str) -> Result<usize, Error> {
    Ok(Table::open(segment, table)?.map_or(0, |table| table.rows))
}

/// A table that is read in blocks of rows.
struct Table {
    file: Pieces,
    metadata: ArrowReaderMetadata,
    rows: usize,
}

impl Table {
    fn open(segment: &Segment, table: &str) -> Result<Option<Self>, Error> {
        let Some(file) = segment.pieces(table) else { return Ok(None) };
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default())?;
        let rows = metadata.metadata().file_metadata().num_rows();
        // Lists are as long as that: no longer than the segment's tables are known to be.
        let most = segment.index.raw_bytes.min(u32::MAX.into());
        let rows = u64::try_from(rows).ok().filter(|rows| *rows <= most);
        let rows = rows.and_then(|rows| usize::try_from(rows).ok());
        let rows = rows.ok_or_else(|| Error::corrupt("a table has too many rows"))?;
        Ok(Some(Self { file, metadata, rows }))
    }

    /// Hands on the rows of ranges in batches, each with the positions of its rows in the table;
    /// `only` one column where that is all that is wanted.
    fn each(
        &self,
        ranges: &[Range<usize>],
        only: Option<&str>,
        mut read: impl FnMut(&RecordBatch, &mut dyn Iterator<Item = usize>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if ranges.is_empty() {
            return Ok(());
        }
        let mut reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.file.clone(),
            self.metadata.clone(),
        )
        .with_batch_size(1 << 16);
        if let Some(only) = only {
            let mask = ProjectionMask::columns(reader.parquet_schema(), [only]);
            reader = reader.with_projection(mask);
        }
        let reader = reader.with_row_selection(selection(ranges)).build()?;
        let mut rows = ranges.iter().cloned().flatten();
        for batch in reader {
            let batch = batch?;
            read(&batch, &mut rows.by_ref().take(batch.num_rows()))?;
        }
        Ok(())
    }
}

fn selection(ranges: &[Range<usize>]) -> RowSelection {
    let mut selectors = Vec::with_capacity(ranges.len() * 2);
    let mut at = 0;
    for range in ranges {
        if range.start > at {
            selectors.push(RowSelector::skip(range.start - at));
        }
        selectors.push(RowSelector::select(range.len()));
        at = range.end;
    }
    selectors.into()
}

/// Adds a block of a table with so many rows to ranges in order, the last of which it may follow.
fn push_block(ranges: &mut Vec<Range<usize>>, block: usize, rows: usize) {
    let range = block * BLOCK_ROWS..((block + 1) * BLOCK_ROWS).min(rows);
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// Rows of a table that are wanted, and where they went.
struct Wanted {
    /// By row: 0 where it is not wanted, else [`WANTED`] or its place and one.
    places: Vec<u32>,
}

const WANTED: u32 = u32::MAX;

impl Wanted {
    fn of(rows: usize) -> Self {
        Self { places: vec![0; rows] }
    }

    fn want(&mut self, row: u32, problem: &'static str) -> Result<(), Error> {
        let place = self.places.get_mut(row as usize);
        *place.ok_or_else(|| Error::corrupt(problem))? = WANTED;
        Ok(())
    }

    fn has(&self, row: usize) -> bool {
        self.places.get(row).is_some_and(|place| *place > 0)
    }

    /// The ranges of blocks that have wanted rows.
    fn blocks(&self) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        for (block, places) in self.places.chunks(BLOCK_ROWS).enumerate() {
            if places.iter().any(|place| *place > 0) {
                push_block(&mut ranges, block, self.places.len());
            }
        }
        ranges
    }

    /// Notes where a row goes, if it is wanted.
    fn take(&mut self, row: usize, place: usize) -> bool {
        let is_wanted = self.has(row);
        if is_wanted {
            self.places[row] = place as u32 + 1;
        }
        is_wanted
    }

    /// Where a wanted row went.
    fn place(&self, row: u32) -> u32 {
        self.places.get(row as usize).map_or(0, |place| place.saturating_sub(1))
    }
}

/// Stacks of a segment, as far as they are read. All lists are by row; memory is only taken where
/// something is read.
struct Nodes {
    table: Option<Table>,
    /// The stack of the caller, as samples say it: 0 is the root.
    callers: Vec<u32>,
    locations: Vec<u32>,
    is_read: Vec<bool>,
    is_found: Vec<bool>,
    /// Rows of stacks asked for and of their callers; in order once all are found.
    found: Vec<u32>,
}

impl Nodes {
    fn open(segment: &Segment) -> Result<Self, Error> {
        let table = Table::open(segment, "nodes")?;
        let rows = table.as_ref().map_or(0, |table| table.rows);
        Ok(Self {
            table,
            callers: vec![0; rows],
            locations: vec![0; rows],
            is_read: vec![false; rows.div_ceil(BLOCK_ROWS)],
            is_found: vec![false; rows],
            found: Vec::new(),
        })
    }

    fn rows(&self) -> usize {
        self.callers.len()
    }

    /// Finds stacks and their callers.
    fn find(&mut self, stacks: &[StackId]) -> Result<(), Error> {
        let rows = self.rows();
        let asked = stacks.iter().filter_map(|at| at.index().checked_sub(1));
        let mut open: Vec<usize> = asked.filter(|row| *row < rows).collect();
        let mut round = 0;
        while !open.is_empty() {
            let blocks: Vec<usize> = if round < ROUNDS_MAX {
                let mut blocks: Vec<usize> = open.iter().map(|row| row / BLOCK_ROWS).collect();
                blocks.sort_unstable();
                blocks.dedup();
                blocks
            } else {
                (0..self.is_read.len()).collect()
            };
            self.read(&blocks)?;
            let mut waiting = Vec::new();
            for row in open {
                waiting.extend(self.climb(row));
            }
            open = waiting;
            round += 1;
        }
        self.found.sort_unstable();
        Ok(())
    }

    /// Marks a stack and its callers as found; gives the first that is not read yet.
    fn climb(&mut self, mut row: usize) -> Option<usize> {
        while self.is_read[row / BLOCK_ROWS] {
            if std::mem::replace(&mut self.is_found[row], true) {
                return None;
            }
            self.found.push(row as u32);
            row = (self.callers[row] as usize).checked_sub(1)?;
        }
        Some(row)
    }

    fn read(&mut self, blocks: &[usize]) -> Result<(), Error> {
        let Some(table) = &self.table else { return Ok(()) };
        let mut ranges = Vec::new();
        for &block in blocks {
            if !std::mem::replace(&mut self.is_read[block], true) {
                push_block(&mut ranges, block, table.rows);
            }
        }
        let (callers, locations) = (&mut self.callers, &mut self.locations);
        table.each(&ranges, None, |batch, rows| {
            let is_first = is_first_version(batch);
            let up: &UInt32Array = column(batch, if is_first { "parent" } else { "up" })?;
            let location: &UInt32Array = column(batch, "location")?;
            for (at, row) in rows.enumerate() {
                let up = up.value(at);
                let caller = if is_first { Some(up) } else { (row as u32).checked_sub(up) };
                let caller = caller.filter(|caller| *caller as usize <= row);
                let caller =
                    caller.ok_or_else(|| Error::corrupt("a stack comes before its caller"))?;
                (callers[row], locations[row]) = (caller, location.value(at));
            }
            Ok(())
        })
    }
}
