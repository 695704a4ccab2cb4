//! The limit of step 2: one tree of all parts by name, built directly from the tables' columns, of
//! the stacks that have a sum and no others.

use crate::Failure;
use crate::hand::Sums;
use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::UInt32Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rustc_hash::FxHashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// A frame as trees merge by it: function, file and binary.
type Frame = (Arc<str>, Arc<str>, Arc<str>);

/// A tree by frame; node 0 is the root.
#[derive(Default)]
struct Tree {
    frames: FxHashMap<Frame, u32>,
    children: FxHashMap<(u32, u32), u32>,
    own: Vec<i128>,
}

/// Columns of a part's tables.
struct Columns {
    parents: Vec<u32>,
    locations: Vec<u32>,
    /// Where each location's lines begin, and the functions of all lines.
    first_line: Vec<usize>,
    functions: Vec<u32>,
    names: StringArray,
    files: StringArray,
    /// By location; `u32::MAX` for none.
    mappings: Vec<u32>,
    binaries: StringArray,
}

/// Step 2 by hand. Returns the tree's nodes and the sum of their own values.
pub(crate) fn tree(sums: &[Sums]) -> Result<(usize, i128), Failure> {
    let mut tree = Tree { own: vec![0], ..Tree::default() };
    for one in sums {
        let columns = Columns::read(one.folder())?;
        tree.add(&columns, one);
    }
    Ok((tree.own.len(), tree.own.iter().sum()))
}

/// All rows of some columns of a table; `None` where it has no file.
fn table(folder: &Path, name: &str, columns: &[&str]) -> Result<Option<RecordBatch>, Failure> {
    let path = folder.join(format!("{name}.parquet"));
    if !path.exists() {
        return Ok(None);
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let reader = builder.with_projection(mask).with_batch_size(1 << 16).build()?;
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>()?;
    let Some(first) = batches.first() else { return Ok(None) };
    Ok(Some(concat_batches(&first.schema(), &batches)?))
}

fn numbers(table: Option<&RecordBatch>, name: &str) -> Vec<u32> {
    let column = table.and_then(|table| table.column_by_name(name));
    let column = column.and_then(|column| column.as_primitive_opt::<UInt32Type>());
    let or_none = |at: Option<u32>| at.unwrap_or(u32::MAX);
    column.map(|column| column.iter().map(or_none).collect()).unwrap_or_default()
}

fn texts(table: Option<&RecordBatch>, name: &str) -> StringArray {
    let column = table.and_then(|table| table.column_by_name(name));
    let column = column.and_then(|column| column.as_string_opt::<i32>());
    column.cloned().unwrap_or_else(|| StringArray::from(Vec::<&str>::new()))
}

impl Columns {
    fn read(folder: &Path) -> Result<Self, Failure> {
        let nodes = table(folder, "nodes", &["up", "location"])?;
        let locations = table(folder, "locations", &["mapping"])?;
        let lines = table(folder, "lines", &["location", "function"])?;
        let functions = table(folder, "functions", &["name", "file"])?;
        let mappings = table(folder, "mappings", &["file"])?;
        let mapping = numbers(locations.as_ref(), "mapping");
        let mut first_line = vec![0; mapping.len() + 1];
        for location in numbers(lines.as_ref(), "location") {
            if let Some(count) = first_line.get_mut(location as usize + 1) {
                *count += 1;
            }
        }
        for at in 1..first_line.len() {
            first_line[at] += first_line[at - 1];
        }
        Ok(Self {
            parents: (0..).zip(numbers(nodes.as_ref(), "up")).map(|(row, up)| row - up).collect(),
            locations: numbers(nodes.as_ref(), "location"),
            first_line,
            functions: numbers(lines.as_ref(), "function"),
            names: texts(functions.as_ref(), "name"),
            files: texts(functions.as_ref(), "file"),
            mappings: mapping,
            binaries: texts(mappings.as_ref(), "file"),
        })
    }

    /// Node numbers begin with 1; 0 is the root.
    fn node(&self, node: usize) -> Option<(usize, usize)> {
        let at = node.checked_sub(1)?;
        Some((*self.parents.get(at)? as usize, *self.locations.get(at)? as usize))
    }

    /// The frames of a location, outermost first.
    fn frames(&self, location: usize) -> Vec<Frame> {
        let binary = self.mappings.get(location).map_or(usize::MAX, |at| *at as usize);
        let known = binary < self.binaries.len();
        let binary: Arc<str> = if known { self.binaries.value(binary).into() } else { "".into() };
        let (Some(&from), Some(&to)) =
            (self.first_line.get(location), self.first_line.get(location + 1))
        else {
            return Vec::new();
        };
        let frame = |function: &u32| {
            let at = *function as usize;
            (self.names.value(at).into(), self.files.value(at).into(), Arc::clone(&binary))
        };
        self.functions[from..to].iter().rev().map(frame).collect()
    }
}

impl Tree {
    fn add(&mut self, columns: &Columns, sums: &Sums) {
        let count = columns.parents.len() + 1;
        let mut wanted = vec![false; count];
        wanted[0] = true;
        for (stack, _) in sums.iter() {
            let mut at = stack;
            while let Some(slot) = wanted.get_mut(at).filter(|slot| !**slot) {
                *slot = true;
                let Some((parent, _)) = columns.node(at) else { break };
                at = parent;
            }
        }
        let mut of_location: Vec<Option<Vec<u32>>> = vec![None; columns.mappings.len()];
        let mut nodes = vec![0_u32; count];
        // Callers come before what they call.
        for node in (1..count).filter(|node| wanted[*node]) {
            let Some((parent, location)) = columns.node(node) else { continue };
            let Some(known) = of_location.get_mut(location) else { continue };
            let frames = known.get_or_insert_with(|| {
                let named = columns.frames(location).into_iter();
                named.map(|frame| intern(&mut self.frames, frame)).collect()
            });
            let mut at = nodes[parent];
            for frame in frames.iter() {
                let own = &mut self.own;
                at = *self.children.entry((at, *frame)).or_insert_with(|| {
                    own.push(0);
                    (own.len() - 1) as u32
                });
            }
            nodes[node] = at;
        }
        for (stack, sum) in sums.iter() {
            let node = nodes.get(stack).map_or(0, |node| *node as usize);
            self.own[node] += i128::from(sum);
        }
    }
}

fn intern(frames: &mut FxHashMap<Frame, u32>, frame: Frame) -> u32 {
    let next = frames.len() as u32;
    *frames.entry(frame).or_insert(next)
}
