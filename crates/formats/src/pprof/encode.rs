//! Writes pprof.

use profile::handle::Handle;
use profile::kind_table::KINDS;
use profile::{AttributeValue, Measure, Profile, Sample, StringId, Tables};
use rustc_hash::FxHashMap;
use wire::Message;
use wire::pprof as message;

/// The profile as an uncompressed pprof message. Each measure that some sample has becomes a
/// sample type; times, threads and spans become the labels that [`super::decode`] reads.
/// Labels of the series have no place in pprof.
pub fn encode(profile: &Profile) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.strings.id("");
    let columns = columns(profile);
    for &(kind, measure) in &columns {
        let (name, unit) = spelling(&profile.kinds[kind].id, measure, profile);
        let value_type = writer.value_type(&name, &unit);
        writer.out.sample_type.push(value_type);
    }
    writer.tables(&profile.tables);
    for sample in &profile.samples {
        let row = writer.sample(sample, &columns, &profile.tables);
        writer.out.sample.push(row);
    }
    writer.metadata(profile);
    writer.out.string_table = writer.strings.rows;
    writer.out.encode_to_vec()
}

/// The profile as a pprof file: compressed with gzip.
pub fn encode_gzip(profile: &Profile) -> Vec<u8> {
    crate::compress::gzip(&encode(profile))
}

/// Kind and measure of each sample type. A count alone says nothing, so the measure before it
/// comes with it.
fn columns(profile: &Profile) -> Vec<(usize, usize)> {
    let mut used = vec![[false; profile::VALUES_MAX]; profile.kinds.len()];
    for sample in &profile.samples {
        if let Some(used) = used.get_mut(sample.kind.index()) {
            used.iter_mut().zip(sample.values).for_each(|(used, value)| *used |= value != 0);
        }
    }
    let is_unused = used.iter().flatten().all(|used| !used);
    let listed = profile.kinds.iter().enumerate().flat_map(|(kind, entry)| {
        let used = used[kind];
        (0..entry.measures.len())
            .filter(move |&measure| {
                let is_base = entry.id == "stack" && measure == 0 && used[1];
                is_unused || used[measure] || is_base
            })
            .map(move |measure| (kind, measure))
    });
    listed.collect()
}

/// Type and unit as clients spell them, so that reading finds the same kind again.
fn spelling(kind: &str, measure: usize, profile: &Profile) -> (String, String) {
    let entry = KINDS.iter().find(|entry| entry.id == kind);
    let spelled = entry.and_then(|entry| entry.measures.get(measure)?.sample_types.first());
    if let Some((name, unit)) = spelled.and_then(|spelled| spelled.split_once('/')) {
        return (name.to_owned(), unit.to_owned());
    }
    let found = profile.kinds.iter().find(|have| have.id == kind);
    let own = found.and_then(|kind| kind.measures.get(measure));
    let pair = |own: &Measure| (own.sample_type.to_string(), own.unit.to_string());
    own.map(pair).unwrap_or_default()
}

#[derive(Default)]
struct Strings {
    rows: Vec<String>,
    index: FxHashMap<String, i64>,
}

impl Strings {
    fn id(&mut self, text: &str) -> i64 {
        if let Some(&known) = self.index.get(text) {
            return known;
        }
        let id = self.rows.len() as i64;
        self.rows.push(text.to_owned());
        self.index.insert(text.to_owned(), id);
        id
    }
}

#[derive(Default)]
struct Writer {
    out: message::Profile,
    strings: Strings,
}

impl Writer {
    fn value_type(&mut self, name: &str, unit: &str) -> message::ValueType {
        message::ValueType { r#type: self.strings.id(name), unit: self.strings.id(unit) }
    }

    fn tables(&mut self, tables: &Tables) {
        for (id, row) in tables.mappings.iter() {
            let mapping = message::Mapping {
                id: row_id(id),
                memory_start: row.start,
                memory_limit: row.limit,
                file_offset: row.offset,
                filename: self.strings.id(tables.text(row.file)),
                build_id: self.strings.id(tables.text(row.build_id)),
                ..message::Mapping::default()
            };
            self.out.mapping.push(mapping);
        }
        for (id, row) in tables.functions.iter() {
            let is_same = row.system_name == StringId::default();
            let system_name = if is_same { row.name } else { row.system_name };
            let function = message::Function {
                id: row_id(id),
                name: self.strings.id(tables.text(row.name)),
                system_name: self.strings.id(tables.text(system_name)),
                filename: self.strings.id(tables.text(row.file)),
                start_line: i64::from(row.start_line),
            };
            self.out.function.push(function);
        }
        for (id, row) in tables.locations.iter() {
            let line = |line: &profile::Line| message::Line {
                function_id: row_id(line.function),
                line: i64::from(line.line),
                column: i64::from(line.column),
            };
            self.out.location.push(message::Location {
                id: row_id(id),
                mapping_id: row.mapping.map_or(0, row_id),
                address: row.address,
                line: row.lines.iter().map(line).collect(),
                is_folded: row.is_folded,
            });
        }
    }

    fn sample(
        &mut self,
        sample: &Sample,
        columns: &[(usize, usize)],
        tables: &Tables,
    ) -> message::Sample {
        let value = |&(kind, measure): &(usize, usize)| {
            if kind == sample.kind.index() { sample.values[measure] } else { 0 }
        };
        message::Sample {
            location_id: tables.stacks.leaf_first(sample.stack).map(row_id).collect(),
            value: columns.iter().map(value).collect(),
            label: self.labels(sample, tables),
        }
    }

    fn labels(&mut self, sample: &Sample, tables: &Tables) -> Vec<message::Label> {
        let mut labels = Vec::new();
        if let Some(time) = sample.time {
            labels.push(self.number("end_timestamp_ns", time.nanos(), ""));
        }
        if let Some(thread) = sample.thread.and_then(|id| tables.threads.get(id)) {
            labels.push(self.number("thread id", thread.id, ""));
            labels.push(self.text("thread name", tables.text(thread.name)));
        }
        if let Some(link) = sample.link.and_then(|id| tables.links.get(id)) {
            labels.push(self.number("span id", link.span_id.cast_signed(), ""));
            labels.push(self.number("local root span id", link.root_span_id.cast_signed(), ""));
            if link.trace_id != 0 {
                labels.push(self.text("trace id", &format!("{:032x}", link.trace_id)));
            }
        }
        let attributes = sample.attributes.and_then(|id| tables.attributes.get(id));
        for attribute in attributes.into_iter().flatten() {
            let key = tables.text(attribute.key);
            labels.push(match attribute.value {
                AttributeValue::Text(text) => self.text(key, tables.text(text)),
                AttributeValue::Number(number, unit) => self.number(key, number, tables.text(unit)),
            });
        }
        labels.retain(|label| label.str != 0 || label.num != 0 || label.num_unit != 0);
        labels
    }

    fn number(&mut self, key: &str, num: i64, unit: &str) -> message::Label {
        let (key, num_unit) = (self.strings.id(key), self.strings.id(unit));
        message::Label { key, num, num_unit, ..message::Label::default() }
    }

    fn text(&mut self, key: &str, text: &str) -> message::Label {
        let (key, str) = (self.strings.id(key), self.strings.id(text));
        message::Label { key, str, ..message::Label::default() }
    }

    fn metadata(&mut self, profile: &Profile) {
        let metadata = &profile.metadata;
        self.out.time_nanos = profile.window.start.nanos();
        self.out.duration_nanos = profile.window.nanos();
        self.out.period = metadata.period;
        if !metadata.period_type.is_empty() {
            self.out.period_type =
                Some(self.value_type(&metadata.period_type, &metadata.period_unit));
        }
        for (key, text) in &metadata.info {
            let id = self.strings.id(text);
            match key.as_str() {
                "comment" => self.out.comment.push(id),
                "drop_frames" => self.out.drop_frames = id,
                "keep_frames" => self.out.keep_frames = id,
                "default_sample_type" => self.out.default_sample_type = id,
                "doc_url" => self.out.doc_url = id,
                _ => {}
            }
        }
    }
}

/// pprof's ids start at 1.
fn row_id(handle: impl Handle) -> u64 {
    handle.index() as u64 + 1
}
