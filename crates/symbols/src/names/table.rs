//! The table of names that an uploaded file becomes, its encoding, and looking addresses up in it.
//!
//! Format: docs/formats/names.md.

use super::elf::Segment;
use super::flat::{Chains, Piece};
use crate::limits;
use rustc_hash::FxHashMap;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"VESTASYM";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 20;
const ZSTD_LEVEL: i32 = 3;
/// Pages are at least this long; a mapping begins at a page.
const PAGE_BYTES: u64 = 4_096;

/// A table that is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table of names is damaged: {0}")]
pub struct Damaged(&'static str);

/// A function of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Its name, demangled.
    pub name: Arc<str>,
    /// Source file, or empty.
    pub file: Arc<str>,
}

/// An address as a profile states it: in which mapping of the binary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The mapping's first address; 0 where addresses are not those of a process.
    pub start: u64,
    /// Offset of that in the file.
    pub offset: u64,
    /// The address.
    pub address: u64,
    /// Whether it is one that the file states.
    pub is_stated: bool,
}

/// Names by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameTable {
    code: Vec<Segment>,
    starts: Vec<u64>,
    /// The chain of functions from each start on; 0 where nothing is known.
    chains: Vec<u32>,
    /// Outer chain and function.
    rows: Vec<(u32, u32)>,
    functions: Vec<Named>,
}

/// Functions and their texts, each once.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    texts: FxHashMap<Arc<str>, u32>,
    list: Vec<Arc<str>>,
    rows: Vec<(u32, u32)>,
    known: FxHashMap<(u32, u32), u32>,
    pub(crate) bytes: usize,
}

impl Functions {
    pub(crate) fn text(&mut self, text: &str) -> u32 {
        if let Some(&at) = self.texts.get(text) {
            return at;
        }
        let (text, at) = (Arc::<str>::from(text), self.list.len() as u32);
        self.bytes += text.len();
        self.list.push(Arc::clone(&text));
        self.texts.insert(text, at);
        at
    }

    pub(crate) fn intern(&mut self, name: &str, file: &str) -> u32 {
        let key = (self.text(name), self.text(file));
        let rows = &mut self.rows;
        *self.known.entry(key).or_insert_with(|| {
            rows.push(key);
            rows.len() as u32 - 1
        })
    }
}

impl NameTable {
    pub(crate) fn new(
        code: Vec<Segment>,
        pieces: &[Piece],
        chains: Chains,
        functions: &Functions,
    ) -> Self {
        let mut table = Self { code, rows: chains.rows, ..Self::default() };
        let mut end = None;
        for piece in pieces {
            if let Some(end) = end.filter(|end| *end < piece.start) {
                table.starts.push(end);
                table.chains.push(0);
            }
            table.starts.push(piece.start);
            table.chains.push(piece.chain);
            end = Some(piece.end);
        }
        if let Some(end) = end {
            table.starts.push(end);
            table.chains.push(0);
        }
        let text = |at: u32| Arc::clone(&functions.list[at as usize]);
        let named = |row: &(u32, u32)| Named { name: text(row.0), file: text(row.1) };
        table.functions = functions.rows.iter().map(named).collect();
        table
    }

    /// Estimated bytes in memory.
    pub fn bytes(&self) -> usize {
        let texts = |named: &Named| named.name.len() + size_of::<Named>() + 16;
        self.starts.len() * 12
            + self.rows.len() * 8
            + self.functions.iter().map(texts).sum::<usize>()
    }

    /// Number of functions.
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// The functions at a place, innermost first: what was inlined, then what it was inlined into.
    pub fn find(&self, place: Place) -> Vec<Named> {
        self.candidates(place)
            .into_iter()
            .map(|it| self.at(it))
            .find(|it| !it.is_empty())
            .unwrap_or_default()
    }

    /// Addresses as the file states them that a place may mean, the likeliest first.
    fn candidates(&self, place: Place) -> Vec<u64> {
        let Place { start, offset, address, is_stated } = place;
        let mut found = Vec::new();
        if is_stated {
            return vec![address];
        }
        let by_offset = |at: u64| {
            let within = |it: &&Segment| at >= it.offset && at - it.offset < it.bytes;
            self.code.iter().find(within).map(|it| it.address.wrapping_add(at - it.offset))
        };
        if start == 0 && offset == 0 {
            // Our agent states offsets in the file, others addresses as the file states them.
            found.extend(by_offset(address));
        } else {
            let within = address.wrapping_sub(start);
            let is_whole = offset == 0 && self.code.iter().all(|it| it.offset >= PAGE_BYTES);
            // A mapping of code as a whole: as far into it as into the segment's first page.
            let starts_at = |it: &Segment| it.offset - it.offset % PAGE_BYTES == offset;
            let segment = self.code.iter().find(|it| starts_at(it));
            found.extend(
                segment.map(|it| (it.address - it.address % PAGE_BYTES).wrapping_add(within)),
            );
            // Some tools state one mapping for the whole program, as it lies in memory.
            found.extend(is_whole.then_some(within));
            found.extend(by_offset(within.wrapping_add(offset)));
        }
        let is_stated = |it: &Segment| address >= it.address && address - it.address < it.bytes;
        if self.code.iter().any(is_stated) {
            found.push(address);
        }
        found
    }

    fn at(&self, address: u64) -> Vec<Named> {
        let Some(at) = self.starts.partition_point(|it| *it <= address).checked_sub(1) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut chain = self.chains[at] as usize;
        while chain != 0 {
            let (outer, function) = self.rows[chain];
            found.push(self.functions[function as usize].clone());
            chain = outer as usize;
        }
        found
    }

    /// As bytes for a file.
    pub fn encode(&self) -> std::io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        put(&mut raw, self.code.len() as u64);
        for segment in &self.code {
            for number in [segment.offset, segment.bytes, segment.address] {
                put(&mut raw, number);
            }
        }
        put(&mut raw, self.functions.len() as u64);
        let mut before = "";
        for named in &self.functions {
            for text in [&*named.name, if *named.file == *before { "" } else { &*named.file }] {
                put(&mut raw, text.len() as u64);
                raw.extend_from_slice(text.as_bytes());
            }
            // An empty text after another means the same again; an empty file says so.
            put(&mut raw, u64::from(named.file.is_empty() && !before.is_empty()));
            before = &named.file;
        }
        put(&mut raw, self.rows.len() as u64 - 1);
        for (outer, function) in &self.rows[1..] {
            put(&mut raw, u64::from(*outer));
            put(&mut raw, u64::from(*function));
        }
        put(&mut raw, self.starts.len() as u64);
        let mut before = 0;
        for (start, chain) in self.starts.iter().zip(&self.chains) {
            put(&mut raw, start - before);
            put(&mut raw, u64::from(*chain));
            before = *start;
        }
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(raw.len() as u64).to_le_bytes());
        out.extend_from_slice(&zstd::bulk::compress(&raw, ZSTD_LEVEL)?);
        Ok(out)
    }

    /// Reads what [`NameTable::encode`] wrote; everything is checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        if !bytes.starts_with(MAGIC) {
            return Err(Damaged("it does not begin like one"));
        }
        if super::elf::u32_at(bytes, 8) != Some(VERSION) {
            return Err(Damaged("it is of a version that is not known here"));
        }
        let length = super::elf::u64_at(bytes, 12).ok_or(Damaged("it ends early"))?;
        if length > limits::TABLE_BYTES_MAX as u64 {
            return Err(Damaged("it is larger than the limit"));
        }
        let raw =
            zstd::bulk::decompress(bytes.get(HEAD_BYTES..).unwrap_or_default(), length as usize);
        let raw = raw.map_err(|_| Damaged("it does not unpack"))?;
        let mut reader = Reader { rest: &raw };
        let table = reader.table().ok_or(Damaged("its numbers make no sense"))?;
        if !reader.rest.is_empty() {
            return Err(Damaged("it goes on after its end"));
        }
        Ok(table)
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A number of rows, each of at least `least` bytes.
    fn count(&mut self, least: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        let most = (self.rest.len() / least).min(limits::TABLE_ROWS_MAX);
        (count <= most).then_some(count)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok().filter(|it| *it <= self.rest.len())?;
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        std::str::from_utf8(text).ok()
    }

    fn below(&mut self, bound: usize) -> Option<u32> {
        let number = self.number()?;
        (number < bound as u64).then_some(number as u32)
    }

    fn table(&mut self) -> Option<NameTable> {
        let mut table = NameTable { rows: vec![(0, 0)], ..NameTable::default() };
        for _ in 0..self.count(3)? {
            let (offset, bytes, address) = (self.number()?, self.number()?, self.number()?);
            table.code.push(Segment { offset, bytes, address });
        }
        let mut before: Arc<str> = Arc::default();
        for _ in 0..self.count(3)? {
            let (name, file) = (self.text()?, self.text()?);
            if self.number()? == 1 {
                before = Arc::default();
            } else if !file.is_empty() {
                before = file.into();
            }
            table.functions.push(Named { name: name.into(), file: Arc::clone(&before) });
        }
        let mut depths = vec![0_usize];
        for at in 0..self.count(2)? {
            let (outer, function) = (self.below(at + 1)?, self.below(table.functions.len())?);
            let depth = depths[outer as usize] + 1;
            (depth <= limits::INLINES_MAX + 1).then_some(())?;
            depths.push(depth);
            table.rows.push((outer, function));
        }
        let mut before = 0_u64;
        for at in 0..self.count(2)? {
            let start = before.checked_add(self.number()?)?;
            (at == 0 || start > before).then_some(())?;
            table.starts.push(start);
            table.chains.push(self.below(table.rows.len())?);
            before = start;
        }
        Some(table)
    }
}
