//! Writing the log's binary form.

use super::Entry;
use crate::events;
use profile::handle::Handle;
use profile::{AttributeValue, KeyedMap, Metadata, Profile, Sample, Tables};

/// Bytes being written.
#[derive(Debug, Default)]
pub struct Writer {
    /// What was written so far.
    pub bytes: Vec<u8>,
}

impl Writer {
    /// An unsigned number: seven bits a byte, lowest first.
    pub fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A signed number, zigzag.
    pub fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// Length and bytes.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn handle(&mut self, handle: impl Handle) {
        self.number(handle.index() as u64);
    }

    /// 0 for none, else the handle plus one.
    fn maybe(&mut self, handle: Option<impl Handle>) {
        self.number(handle.map_or(0, |handle| handle.index() as u64 + 1));
    }
}

/// The texts of rows, each once.
#[derive(Debug, Default)]
pub(crate) struct SharedTexts<'a> {
    places: KeyedMap<&'a str, u64>,
    list: Vec<&'a str>,
}

impl<'a> SharedTexts<'a> {
    /// Its place among them.
    pub(crate) fn place(&mut self, text: &'a str) -> u64 {
        *self.places.entry(text).or_insert_with(|| {
            self.list.push(text);
            self.list.len() as u64 - 1
        })
    }

    /// Writes them, and then the rows.
    pub(crate) fn finish(self, rows: &Writer, out: &mut Writer) {
        out.number(self.list.len() as u64);
        for text in self.list {
            out.text(text);
        }
        out.bytes.extend_from_slice(&rows.bytes);
    }
}

pub(super) fn entry(entry: &Entry) -> Vec<u8> {
    let mut out = Writer::default();
    let profile = &*entry.profile;
    out.bytes.extend_from_slice(&entry.id.to_bytes());
    out.text(&entry.tenant);
    out.signed(entry.received_at.nanos());
    sent(&mut out, profile);
    out.bytes
}

/// All that a client sent of a profile.
pub(super) fn sent(out: &mut Writer, profile: &Profile) {
    out.signed(profile.window.start.nanos());
    out.signed(profile.window.end.nanos());
    out.number(profile.labels.len() as u64);
    for (name, value) in profile.labels.iter() {
        out.text(name);
        out.text(value);
    }
    metadata(out, &profile.metadata);
    out.number(profile.kinds.len() as u64);
    profile.kinds.iter().for_each(|kind| out.text(&kind.id));
    tables(out, &profile.tables);
    samples(out, profile);
    events::codec::write(out, &profile.events);
}

fn metadata(out: &mut Writer, metadata: &Metadata) {
    out.signed(metadata.period);
    out.text(&metadata.period_type);
    out.text(&metadata.period_unit);
    out.number(metadata.cpu_count.map_or(0, |count| u64::from(count) + 1));
    out.bytes.push(u8::from(metadata.cpu_quota.is_some()));
    out.bytes.extend_from_slice(&metadata.cpu_quota.unwrap_or_default().to_le_bytes());
    out.number(metadata.lost);
    out.number(metadata.broken);
    out.number(metadata.unsymbolized);
    out.text(&metadata.client);
    out.number(metadata.info.len() as u64);
    for (key, value) in &metadata.info {
        out.text(key);
        out.text(value);
    }
}

fn tables(out: &mut Writer, tables: &Tables) {
    out.number(tables.strings.len() as u64 - 1);
    tables.strings.iter().skip(1).for_each(|text| out.text(text));
    out.number(tables.functions.len() as u64);
    for row in tables.functions.rows() {
        out.handle(row.name);
        out.handle(row.system_name);
        out.handle(row.file);
        out.number(u64::from(row.start_line));
    }
    out.number(tables.mappings.len() as u64);
    for row in tables.mappings.rows() {
        out.number(row.start);
        out.number(row.limit);
        out.number(row.offset);
        out.handle(row.file);
        out.handle(row.build_id);
    }
    out.number(tables.locations.len() as u64);
    for row in tables.locations.rows() {
        out.maybe(row.mapping);
        out.number(row.address);
        out.bytes.push(row.frame_type as u8 | (u8::from(row.is_folded) << 7));
        out.number(row.lines.len() as u64);
        for line in &row.lines {
            out.handle(line.function);
            out.number(u64::from(line.line));
            out.number(u64::from(line.column));
        }
    }
    out.number(tables.stacks.len() as u64 - 1);
    for (node, parent, location) in tables.stacks.iter() {
        out.number((node.index() - parent.index().min(node.index())) as u64);
        out.handle(location);
    }
    small_tables(out, tables);
}

fn small_tables(out: &mut Writer, tables: &Tables) {
    out.number(tables.threads.len() as u64);
    for row in tables.threads.rows() {
        out.signed(row.id);
        out.handle(row.name);
    }
    out.number(tables.links.len() as u64);
    for row in tables.links.rows() {
        out.bytes.extend_from_slice(&row.trace_id.to_le_bytes());
        out.bytes.extend_from_slice(&row.span_id.to_le_bytes());
        out.bytes.extend_from_slice(&row.root_span_id.to_le_bytes());
    }
    out.number(tables.attributes.len() as u64);
    for set in tables.attributes.rows() {
        out.number(set.len() as u64);
        for row in set {
            out.handle(row.key);
            match row.value {
                AttributeValue::Text(text) => {
                    out.bytes.push(0);
                    out.handle(text);
                }
                AttributeValue::Number(number, unit) => {
                    out.bytes.push(1);
                    out.signed(number);
                    out.handle(unit);
                }
            }
        }
    }
}

/// Samples column by column. Times are zigzag distances to the time before (an untimed sample
/// repeats it), the first to the start of the window.
fn samples(out: &mut Writer, profile: &Profile) {
    let samples = &profile.samples;
    out.number(samples.len() as u64);
    let mut column = |write: &mut dyn FnMut(&mut Writer, &Sample)| {
        for sample in samples {
            write(out, sample);
        }
    };
    column(&mut |out, sample| out.handle(sample.kind));
    column(&mut |out, sample| out.handle(sample.stack));
    column(&mut |out, sample| out.bytes.push(u8::from(sample.time.is_some())));
    let mut before = profile.window.start.nanos();
    column(&mut |out, sample| {
        let time = sample.time.map_or(before, stdx::Timestamp::nanos);
        out.signed(time.wrapping_sub(before));
        before = time;
    });
    column(&mut |out, sample| out.maybe(sample.thread));
    column(&mut |out, sample| out.maybe(sample.link));
    column(&mut |out, sample| out.maybe(sample.attributes));
    for at in 0..profile::VALUES_MAX {
        column(&mut |out, sample| out.signed(sample.values[at]));
    }
}
