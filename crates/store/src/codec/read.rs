//! Reading the log's binary form. Every length is checked against what is left, so that damaged
//! bytes cannot ask for more memory than they are long (times a small constant).

use super::Entry;
use crate::events;
use crate::records::Texts;
use profile::handle::Handle;
use profile::{
    Attribute, AttributeValue, AttributesId, FrameType, Function, FunctionId, Labels, Line, Lines,
    Link, LinkId, Location, LocationId, Mapping, MappingId, Metadata, Profile, Sample, SampleKind,
    StackId, StringId, Tables, Thread, ThreadId, VALUES_MAX,
};
use std::sync::Arc;
use stdx::{TimeRange, Timestamp, Ulid};

/// What is wrong with the bytes.
pub type Result<T> = std::result::Result<T, &'static str>;

/// Bytes being read.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or("bytes end early")?;
        self.rest = rest;
        Ok(taken)
    }

    /// So many bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| "bytes end early")
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// An unsigned number.
    pub fn number(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number is too long")
    }

    /// A signed number.
    pub fn signed(&mut self) -> Result<i64> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn small(&mut self) -> Result<u32> {
        u32::try_from(self.number()?).map_err(|_| "a number is out of range")
    }

    /// Text.
    pub fn text(&mut self) -> Result<&'a str> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| "text is not UTF-8")
    }

    /// How many things of at least one byte follow.
    pub fn count(&mut self) -> Result<usize> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > self.rest.len() { Err("a count exceeds the bytes left") } else { Ok(count) }
    }

    /// A table of texts.
    pub(crate) fn shared_texts(&mut self) -> Result<Vec<Arc<str>>> {
        let (mut shared, mut texts) = (Texts::default(), Vec::new());
        for _ in 0..self.count()? {
            texts.push(shared.share(self.text()?));
        }
        Ok(texts)
    }

    /// A text of such a table.
    pub(crate) fn text_of(&mut self, texts: &[Arc<str>]) -> Result<Arc<str>> {
        let at = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        texts.get(at).cloned().ok_or("a reference leads nowhere")
    }

    fn handle<H: Handle>(&mut self, rows: usize) -> Result<H> {
        let at = self.small()? as usize;
        if at < rows { Ok(H::from_index(at)) } else { Err("a reference leads nowhere") }
    }

    fn maybe<H: Handle>(&mut self, rows: usize) -> Result<Option<H>> {
        match self.small()? as usize {
            0 => Ok(None),
            at if at <= rows => Ok(Some(H::from_index(at - 1))),
            _ => Err("a reference leads nowhere"),
        }
    }

    fn column<T>(
        &mut self,
        rows: usize,
        mut read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut column = Vec::with_capacity(rows.min(self.rest.len()));
        for _ in 0..rows {
            column.push(read(self)?);
        }
        Ok(column)
    }
}

pub(super) fn entry(bytes: &[u8]) -> Result<Entry> {
    let mut from = Reader::new(bytes);
    let id = Ulid::from_bytes(from.array()?);
    let tenant = from.text()?.into();
    let received_at = Timestamp::from_nanos(from.signed()?);
    let (start, end) = (from.signed()?, from.signed()?);
    let window = TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end));
    let mut labels = Labels::new();
    for _ in 0..from.count()? {
        labels.set(from.text()?, from.text()?);
    }
    let metadata = metadata(&mut from)?;
    let mut kinds = Vec::new();
    for _ in 0..from.count()? {
        let id = from.text()?;
        // A kind that this version does not know keeps its id and values.
        let unknown = || SampleKind { id: id.to_owned().into(), measures: Vec::new() };
        kinds.push(SampleKind::from_id(id).unwrap_or_else(unknown));
    }
    let tables = tables(&mut from)?;
    let mut profile = Profile { labels, window, metadata, kinds, tables, ..Profile::default() };
    profile.samples = samples(&mut from, &profile)?;
    profile.events = events::codec::read(&mut from)?;
    if !from.is_empty() {
        return Err("bytes follow the end");
    }
    Ok(Entry { id, tenant, received_at, profile: Arc::new(profile) })
}

fn metadata(from: &mut Reader<'_>) -> Result<Metadata> {
    let mut metadata = Metadata {
        period: from.signed()?,
        period_type: from.text()?.to_owned(),
        period_unit: from.text()?.to_owned(),
        cpu_count: match from.number()? {
            0 => None,
            count => Some(u32::try_from(count - 1).map_err(|_| "a number is out of range")?),
        },
        ..Metadata::default()
    };
    let has_quota = from.byte()? != 0;
    let quota = f64::from_le_bytes(from.array()?);
    metadata.cpu_quota = has_quota.then_some(quota);
    metadata.lost = from.number()?;
    metadata.broken = from.number()?;
    metadata.unsymbolized = from.number()?;
    from.text()?.clone_into(&mut metadata.client);
    for _ in 0..from.count()? {
        metadata.info.push((from.text()?.to_owned(), from.text()?.to_owned()));
    }
    Ok(metadata)
}

/// Rows of the other tables are distinct, so each gets the handle of its position.
fn expect_at<H: Handle>(handle: H, at: usize) -> Result<()> {
    if handle.index() == at { Ok(()) } else { Err("a row is there twice") }
}

fn tables(from: &mut Reader<'_>) -> Result<Tables> {
    let mut tables = Tables::default();
    for at in 0..from.count()? {
        expect_at(tables.strings.intern(from.text()?), at + 1)?;
    }
    let strings = tables.strings.len();
    for _ in 0..from.count()? {
        let row = Function {
            name: from.handle::<StringId>(strings)?,
            system_name: from.handle(strings)?,
            file: from.handle(strings)?,
            start_line: from.small()?,
        };
        tables.functions.push(row);
    }
    for at in 0..from.count()? {
        let row = Mapping {
            start: from.number()?,
            limit: from.number()?,
            offset: from.number()?,
            file: from.handle(strings)?,
            build_id: from.handle(strings)?,
        };
        expect_at(tables.mappings.intern(row), at)?;
    }
    for _ in 0..from.count()? {
        let row = location(from, &tables)?;
        tables.locations.push(row);
    }
    for at in 1..=from.count()? {
        let distance = from.small()? as usize;
        let parent = at.checked_sub(distance).filter(|parent| *parent < at);
        let parent = StackId::from_index(parent.ok_or("a stack comes before its caller")?);
        let location: LocationId = from.handle(tables.locations.len())?;
        expect_at(tables.stacks.intern(parent, location), at)?;
    }
    small_tables(from, &mut tables)?;
    Ok(tables)
}

fn location(from: &mut Reader<'_>, tables: &Tables) -> Result<Location> {
    let mapping: Option<MappingId> = from.maybe(tables.mappings.len())?;
    let address = from.number()?;
    let flags = from.byte()?;
    let mut lines = Lines::new();
    for _ in 0..from.count()? {
        let function: FunctionId = from.handle(tables.functions.len())?;
        lines.push(Line { function, line: from.small()?, column: from.small()? });
    }
    let frame_type = FrameType::from_number(flags & 0x7f);
    Ok(Location { mapping, address, lines, frame_type, is_folded: flags & 0x80 != 0 })
}

fn small_tables(from: &mut Reader<'_>, tables: &mut Tables) -> Result<()> {
    let strings = tables.strings.len();
    for at in 0..from.count()? {
        let row = Thread { id: from.signed()?, name: from.handle(strings)? };
        expect_at(tables.threads.intern(row), at)?;
    }
    for at in 0..from.count()? {
        let row = Link {
            trace_id: u128::from_le_bytes(from.array()?),
            span_id: u64::from_le_bytes(from.array()?),
            root_span_id: u64::from_le_bytes(from.array()?),
        };
        expect_at(tables.links.intern(row), at)?;
    }
    for at in 0..from.count()? {
        let mut set = Vec::new();
        for _ in 0..from.count()? {
            let key = from.handle(strings)?;
            let value = match from.byte()? {
                0 => AttributeValue::Text(from.handle(strings)?),
                1 => AttributeValue::Number(from.signed()?, from.handle(strings)?),
                _ => return Err("an attribute is neither text nor number"),
            };
            set.push(Attribute { key, value });
        }
        expect_at(tables.attributes.intern(set), at)?;
    }
    Ok(())
}

fn samples(from: &mut Reader<'_>, profile: &Profile) -> Result<Vec<Sample>> {
    let tables = &profile.tables;
    let rows = from.count()?;
    let kinds = from.column(rows, |from| from.handle(profile.kinds.len()))?;
    let stacks: Vec<StackId> = from.column(rows, |from| from.handle(tables.stacks.len()))?;
    let timed = from.column(rows, |from| Ok(from.byte()? != 0))?;
    let mut time = profile.window.start.nanos();
    let times = from.column(rows, |from| {
        time = time.wrapping_add(from.signed()?);
        Ok(time)
    })?;
    let threads: Vec<Option<ThreadId>> =
        from.column(rows, |from| from.maybe(tables.threads.len()))?;
    let links: Vec<Option<LinkId>> = from.column(rows, |from| from.maybe(tables.links.len()))?;
    let attributes: Vec<Option<AttributesId>> =
        from.column(rows, |from| from.maybe(tables.attributes.len()))?;
    let mut values = vec![[0; VALUES_MAX]; rows];
    for at in 0..VALUES_MAX {
        for row in &mut values {
            row[at] = from.signed()?;
        }
    }
    Ok((0..rows)
        .map(|at| Sample {
            kind: kinds[at],
            stack: stacks[at],
            time: timed[at].then(|| Timestamp::from_nanos(times[at])),
            thread: threads[at],
            link: links[at],
            attributes: attributes[at],
            values: values[at],
        })
        .collect())
}
